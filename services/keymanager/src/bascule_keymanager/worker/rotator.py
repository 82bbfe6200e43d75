"""Make keys anew when they are due: a new version becomes current, exactly once whoever else tries."""

import time
from collections.abc import Callable
from typing import Literal

from bascule.errors import BasculeError
from bascule.release import Release
from bascule_keymanager.log import get_log
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.quotas import QuotaReached
from bascule_keymanager.storage.rotations import Due, NotDue, RotationStore
from bascule_keymanager.storage.rows import Gone
from bascule_keymanager.storage.versions import NewVersion, VersionStore
from bascule_keymanager.stores.configured import Speaking
from bascule_keymanager.stores.generate import CannotGenerate

__all__ = ["Rotator", "Turned"]

Turned = Literal["rotated", "failed", "not due"]

_SINCE = Release.parse("2028.1")
_AT_ONCE = 100
_UPKEEP_EVERY_S = 600.0

log = get_log()


class Rotator:
    """Turns rotations. The key and the turn are one transaction: a process killed at any instant has done both or none.

    Nothing is done under a pin at which other processes know of no versions.
    """

    def __init__(
        self,
        rotations: RotationStore,
        versions: VersionStore,
        projects: Projects,
        speaking: Speaking,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rotations, self._versions, self._projects, self._speaking = rotations, versions, projects, speaking
        self._monotonic = monotonic
        self._next_upkeep = monotonic()

    def sweep(self) -> None:
        """Make all keys anew that are due; now and then, end what was left of versions that are gone."""
        with self._speaking() as pin:
            if pin < _SINCE:
                return
        for due in self._rotations.due(most=_AT_ONCE):
            try:
                self.rotate(due)
            except Exception as failure:  # noqa: BLE001 - one bad key must not keep the others waiting
                log.warning("rotation waits on", secret=due.secret_id, error=type(failure).__name__)
        if self._monotonic() >= self._next_upkeep:
            self._next_upkeep = self._monotonic() + _UPKEEP_EVERY_S
            self._versions.upkeep()

    def rotate_id(self, secret_id: str) -> Turned:
        """Make this key anew, if it is due."""
        due = self._rotations.due_one(secret_id)
        return "not due" if due is None else self.rotate(due)

    def rotate(self, due: Due) -> Turned:
        """Make this key anew, if nobody else does. Raises what the database raises: it is due on, and tried again."""
        with self._speaking() as pin:
            if pin < _SINCE:
                return "not due"
            try:
                changed = self._make(due)
            except (NotDue, Gone):
                return "not due"
            except QuotaReached:
                return self._failed(due, "there are as many versions as may be; destroy those that nothing needs")
            except CannotGenerate as never:
                return self._failed(due, "no such key is made here", never)
            except BasculeError as failure:
                return self._failed(due, "the secret store failed; the operator's log says how", failure)
        log.info("secret rotated", secret=due.secret_id, version=changed, project=due.project)
        return "rotated"

    def _make(self, due: Due) -> int:
        spec = due.spec
        if spec is None:
            raise AssertionError("whoever sets a rotation says of which key")
        project = self._projects.get_or_create(due.project)
        content_type = due.content_type or "application/octet-stream"
        new = NewVersion(content_type, due.creator_id, origin="rotation")
        return self._versions.add(
            project,
            due.secret_id,
            new,
            lambda store: store.generate_symmetric(project, due.secret_id, spec),
            also=lambda connection: self._rotations.turn(connection, due),
        ).number

    def _failed(self, due: Due, reason: str, cause: BasculeError | None = None) -> Turned:
        """Tell the secret's readers the reason, and the operator the cause."""
        self._rotations.fail(due, reason)
        sentence = cause.sentence if cause is not None else reason
        log.warning("rotation failed", secret=due.secret_id, project=due.project, sentence=sentence)
        return "failed"
