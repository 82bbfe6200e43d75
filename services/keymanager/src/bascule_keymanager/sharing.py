"""A Barbican on our tables, as far as that can be told, and the schema's phases that wait for its end."""

from typing import Any

from bascule.documents.status import ChangeStatus
from bascule.errors import SchemaError
from bascule.schema import SchemaEngine
from bascule.schema.derive import Fence
from bascule_keymanager.broker_look import BrokerAway, count_listeners
from bascule_keymanager.config import Settings

__all__ = ["SHARED", "BarbicanMayBeThere", "SharedSchema", "StillShared", "require_unshared"]

SHARED = "[queue] share_with_barbican is on, which says that a Barbican works on these tables"


class StillShared(SchemaError):
    """A phase would take from a Barbican what it reads and writes."""

    def __init__(self, phase: str, sign: str) -> None:
        self.phase, self.sign = phase, sign
        super().__init__(
            f"{phase} ends what Barbican reads and writes, and {sign}; stop the last process of Barbican, take "
            "share_with_barbican out of the configuration file, and start the key manager's processes anew",
            next_command=phase,
        )


class BarbicanMayBeThere(SchemaError):
    """Nobody could say whether a worker of Barbican listens."""

    def __init__(self, phase: str, away: BrokerAway) -> None:
        self.phase = phase
        super().__init__(
            f"{phase} ends what Barbican reads and writes, and whether one of its workers is there cannot be told: "
            f"{away.sentence}",
            next_command=phase,
        )


def require_unshared(settings: Settings, phase: str) -> None:
    """Raise StillShared where a Barbican works on the tables: the operator says so, or somebody listens to its queue.

    Raises BarbicanMayBeThere when the broker does not say. A Barbican without a worker, or with another broker, is
    seen by nothing here; `fence` counts what it writes.
    """
    messaging = settings.messaging
    if messaging.barbican is not None:
        raise StillShared(phase, SHARED)
    if messaging.url is None:
        return
    queue = messaging.barbican_queue.name
    try:
        listeners = count_listeners(settings, queue)
    except BrokerAway as away:
        raise BarbicanMayBeThere(phase, away) from away
    if listeners:
        raise StillShared(
            phase,
            f"{listeners} worker(s) listen to the queue {queue}: Barbican's, or ours that were started with "
            "share_with_barbican ([queue] topic names another queue where that one is of another Barbican)",
        )


class SharedSchema(SchemaEngine):
    """The schema's engine on tables that are a Barbican's, too, until it is gone.

    Up to migrate, Barbican works on as before.
    """

    def __init__(self, *arguments: Any, settings: Settings, **options: Any) -> None:  # Any: as the engine takes them
        super().__init__(*arguments, **options)
        self._settings = settings

    def fence(self, mode: Fence = "count") -> tuple[ChangeStatus, ...]:
        """See SchemaEngine.fence. Raises also StillShared when Barbican's writes would be refused."""
        if mode == "refuse":
            require_unshared(self._settings, "fence --refuse")
        return super().fence(mode)

    def contract(self) -> tuple[ChangeStatus, ...]:
        """See SchemaEngine.contract. Raises also StillShared, BarbicanMayBeThere."""
        require_unshared(self._settings, "contract")
        return super().contract()

    def purge(self) -> tuple[ChangeStatus, ...]:
        """See SchemaEngine.purge. Raises also StillShared, BarbicanMayBeThere."""
        require_unshared(self._settings, "purge")
        return super().purge()
