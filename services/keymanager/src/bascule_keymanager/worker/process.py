"""The worker process: what it opens when it starts, and how it says goodbye."""

from bascule.lifecycle import Member
from bascule_keymanager.config import Settings
from bascule_keymanager.identity import instance_name
from bascule_keymanager.service import Parts
from bascule_keymanager.worker.loop import WorkerLoop
from bascule_keymanager.worker.processor import OrderProcessor

__all__ = ["WorkerProcess"]


class WorkerProcess:
    """One worker process, from `start` to `stop`."""

    def __init__(self, settings: Settings) -> None:
        self._parts = Parts(settings)
        self._member: Member | None = None
        self._loop: WorkerLoop | None = None

    def start(self) -> None:
        """Open the database and register; raises what Parts.join raises."""
        parts = self._parts
        processor = OrderProcessor(parts.orders, parts.projects, parts.stores)
        self._member = parts.join("worker")
        self._loop = WorkerLoop(
            parts.transport,
            parts.orders,
            processor,
            taker=instance_name(),
            sweep_age_s=parts.settings.sweep_age_s,
            on_refused=self._member.refuse,
        )

    def step(self) -> bool:
        """Handle one wake-up; return whether there was one."""
        return self._started().step()

    def sweep(self) -> None:
        """Do the orders that no wake-up told of."""
        self._started().sweep()

    def drain(self) -> None:
        """Tell the others that this process takes no new work."""
        if self._member is not None:
            self._member.draining()

    def stop(self) -> None:
        """Say goodbye and close the database; safe to call again, and after a start that failed."""
        if self._member is not None:
            self._member.leave()
        self._parts.database.dispose()

    def _started(self) -> WorkerLoop:
        if self._loop is None:
            raise AssertionError("start comes first")
        return self._loop
