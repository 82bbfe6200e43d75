"""One process's membership: its heartbeat, the pin that it works by, and its goodbye."""

import logging
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bascule.errors import LifecycleError
from bascule.lifecycle.pin import MemberRow, PinRow, follow
from bascule.lifecycle.rows import read_members, read_pin, write_pin
from bascule.lifecycle.tables import FLEET
from bascule.lifecycle.transaction import dedicated_connection, locked, short
from bascule.release import Release

if TYPE_CHECKING:
    from bascule.lifecycle.registry import Registry  # the registry makes members; at run time the arrow goes one way

__all__ = ["Member"]

log = logging.getLogger(__name__)

_GOODBYE_ATTEMPTS = 3
_THREAD_ENDS_WITHIN_S = 10.0


class Member:
    """This process in its service's registry, from `Registry.join` to `leave`; safe to use from any thread.

    The heartbeat holds one connection of the engine's pool for its own, so that busy requests cannot keep it from
    beating. A database out of reach is logged once and tried again at each beat, while the process goes on at the
    pin that it saw last.
    """

    def __init__(self, registry: "Registry", row: MemberRow, pin: PinRow) -> None:
        self.registry = registry
        self.id = row.id
        self.override = row.pin_override
        self._row = row
        self._seen = pin  # replaced as a whole, so that readers need no lock
        self._acknowledged = row.acknowledged_epoch
        self._state = "live"
        self._refused = 0
        self._counting = threading.Lock()
        self._beating = threading.Lock()
        self._wake = threading.Event()
        self._left = False
        self._unreachable = False
        self._last_beat_at = self._steady_since = row.heartbeat_at
        self._connection: sa.Connection | None = None
        self._thread = threading.Thread(target=self._run, name=f"heartbeat of {row.instance}", daemon=True)
        self._thread.start()

    @property
    def pin(self) -> Release:
        """The release that caps what this process sends, stores and advertises right now."""
        if self.override is not None:
            return self.override
        return min(self._seen.pin, self.registry.release)

    @property
    def epoch(self) -> int:
        """The epoch of the pin that this process works by."""
        return self._seen.epoch

    @property
    def refused(self) -> int:
        """How many messages or objects this process could not read because they were too new for it."""
        return self._refused

    def refuse(self) -> None:
        """Count one message or object that is too new for this process; the count is in the registry at once."""
        with self._counting:
            self._refused += 1
        self._wake.set()

    def draining(self) -> None:
        """Say that this process takes no new work and finishes what it has; nothing after `leave`."""
        with self._counting:
            if not self._left:
                self._state = "draining"
        self._wake.set()

    def leave(self) -> None:
        """Stop the heartbeat and mark the row stopped; safe to call again.

        When the database cannot be reached the row is left to die by its age, which is logged.
        """
        with self._counting:
            if self._left:
                return
            self._left = True
        self._wake.set()
        self._thread.join(_THREAD_ENDS_WITHIN_S)
        self._state = "stopped"
        for _ in range(_GOODBYE_ATTEMPTS):
            with self._beating:
                try:
                    self._say()
                    break
                except SQLAlchemyError as error:
                    self._hang_up()
                    reason = type(error).__name__
        else:
            log.warning("goodbye of %s not written: %s", self._row.instance, reason)
        with self._beating:
            self._hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def beat(self) -> None:
        """Say that this process lives, follow the pin, and lift it when that is due; the thread calls this.

        Raises what the database raises; nothing is lost by calling again.
        """
        with self._beating:
            self._say()
            connection, service = self._dedicated(), self.registry.service
            with short(connection):
                row = read_pin(connection, service)
                members = read_members(connection, service)
            if row is not None and self._followed(row, members) != row:
                with locked(connection, service):
                    # What was read without the lock only told that it is worth taking it.
                    before = read_pin(connection, service)
                    row = None if before is None else self._followed(before, read_members(connection, service))
                    if row is not None and row != before:
                        write_pin(connection, service, row)
                        log.info("pin of %s moved to %s, epoch %d", service, row.pin, row.epoch)
            if row is not None:
                self._seen = row
            if self._seen.epoch != self._acknowledged:
                self._say()

    def _followed(self, row: PinRow, members: tuple[MemberRow, ...]) -> PinRow:
        now = self.registry.clock()
        return follow(
            row,
            members,
            now=now,
            ttl_s=self.registry.ttl_s,
            may_bury=now - self._steady_since >= self.registry.ttl_s,
        )

    def _say(self) -> None:
        """Write this process's row; a row that somebody removed is registered anew."""
        epoch, connection = self._seen.epoch, self._dedicated()
        now = self.registry.clock()
        values = {
            "heartbeat_at": now,
            "state": self._state,
            "acknowledged_epoch": epoch,
            "refused": self._refused,
        }
        with short(connection):
            found = connection.execute(sa.update(FLEET).where(FLEET.c.id == self.id).values(**values)).rowcount
        if not found and self._state != "stopped":
            log.warning("row of %s was gone, registering again", self._row.instance)
            row = MemberRow(**{**{name: getattr(self._row, name) for name in MemberRow.__slots__}, **values})
            self.registry.register(connection, row)
        written_at = self.registry.clock()
        # A gap tells that this process was kept from the database; others may have been, and so look dead.
        if written_at - self._last_beat_at > self.registry.ttl_s / 2:
            self._steady_since = written_at
        self._last_beat_at = written_at
        self._acknowledged = epoch

    def _dedicated(self) -> sa.Connection:
        if self._connection is None:
            self._connection = dedicated_connection(self.registry.engine)
        return self._connection

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except SQLAlchemyError:
                connection.invalidate()

    def _run(self) -> None:
        while not self._left:
            try:
                self.beat()
            except Exception as error:  # noqa: BLE001  # a heart that stops would let others lift the pin over us
                self._trouble(error)
            else:
                self._recovered()
            self._wake.wait(self.registry.beat_s)
            self._wake.clear()

    def _trouble(self, error: Exception) -> None:
        with self._beating:
            self._hang_up()
        if self._unreachable:
            return
        self._unreachable = True
        reason = error.sentence if isinstance(error, LifecycleError) else type(error).__name__
        log.warning("heartbeat of %s not written, trying on: %s", self._row.instance, reason)

    def _recovered(self) -> None:
        if self._unreachable:
            self._unreachable = False
            log.warning("heartbeat of %s written again", self._row.instance)
