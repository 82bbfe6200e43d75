"""The worker process: what it opens when it starts, and how it says goodbye."""

import threading

from bascule.lifecycle import Member
from bascule.rpc import Interface, Receiver, Server
from bascule_keymanager.config import Settings
from bascule_keymanager.identity import instance_name
from bascule_keymanager.service import Parts
from bascule_keymanager.storage.clean import Cleaner
from bascule_keymanager.worker.barbican import barbican_handlers
from bascule_keymanager.worker.cleaning import ROWS_AT_A_SWEEP, Cleaning
from bascule_keymanager.worker.loop import Handlers, WorkerLoop
from bascule_keymanager.worker.processor import OrderProcessor
from bascule_keymanager.worker.rotator import Rotator
from bascule_keymanager.worker.sealer import OrderSealer

__all__ = ["WorkerProcess"]

# Longer than Barbican takes for the longest order, a pair of RSA keys of 4096 bits on a busy machine.
_BARBICAN_TAKES_S = 120.0
# The longest that an order in hand is waited for at the end; what is left is another worker's.
_IN_HAND_S = 50.0


class WorkerProcess:
    """One worker process, from `start` to `stop`."""

    def __init__(self, settings: Settings) -> None:
        self._parts = Parts(settings)
        self._member: Member | None = None
        self._loop: WorkerLoop | None = None
        self._sealer: OrderSealer | None = None
        self._cleaning: Cleaning | None = None
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Open the database and register; raises what Parts.join raises."""
        parts = self._parts
        processor = OrderProcessor(parts.orders, parts.projects, parts.stores)
        rotator = Rotator(parts.rotations, parts.versions, parts.projects, parts.speaking)
        self._member = parts.join("worker")
        self._loop = WorkerLoop(
            parts.transport,
            parts.orders,
            processor,
            rotator,
            taker=instance_name(),
            sweep_age_s=self._sweep_age_s(),
            on_refused=self._member.refuse,
        )
        self._sealer = OrderSealer(parts.order_sealing, parts.speaking, parts.seals_orders)
        if (days := parts.settings.clean_after_days) is not None:
            self._cleaning = Cleaning(Cleaner(parts.database, rows_per_batch=ROWS_AT_A_SWEEP), days)
        for receiver in self._receivers(Handlers(processor, rotator), processor, self._member):
            thread = threading.Thread(target=receiver.run, args=(self._stopping,), name=receiver.server.topic)
            thread.start()
            self._threads.append(thread)

    def _receivers(self, ours: Handlers, processor: OrderProcessor, member: Member) -> list[Receiver]:
        """Return who takes orders over the broker, each in a thread of its own: a broker that is away holds none up."""
        broker, queue = self._parts.broker, self._parts.settings.messaging.barbican
        if broker is None:
            return []
        handlers: list[Interface] = [ours]
        if queue is not None:
            handlers.append(barbican_handlers(processor, queue))
        servers = [Server(each, on_refused=lambda _message: member.refuse()) for each in handlers]
        return [Receiver(broker.receiving(), server, taker=instance_name()) for server in servers]

    def _sweep_age_s(self) -> float:
        # Barbican's workers do not look whether somebody else does the order that they have in hand.
        shared = self._parts.settings.messaging.barbican is not None
        return max(self._parts.settings.sweep_age_s, _BARBICAN_TAKES_S) if shared else self._parts.settings.sweep_age_s

    def step(self) -> bool:
        """Handle one wake-up; return whether there was one."""
        return self._started().step()

    def sweep(self) -> None:
        """Do the orders that no wake-up told of; then seal a few of those that are there, and clean up a little."""
        self._started().sweep()
        if self._sealer is not None:
            self._sealer.step()
        if self._cleaning is not None:
            self._cleaning.step()

    def drain(self) -> None:
        """Tell the others, and the broker, that this process takes no new work."""
        self._stopping.set()
        if self._threads and self._parts.broker is not None:
            self._parts.broker.drain()
        if self._member is not None:
            self._member.draining()

    def stop(self) -> None:
        """Say goodbye and close the database; safe to call again, and after a start that failed."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_IN_HAND_S)
        if self._threads and self._parts.broker is not None:
            self._parts.broker.close()
        self._threads.clear()
        if self._member is not None:
            self._member.leave()
        self._parts.database.dispose()

    def _started(self) -> WorkerLoop:
        if self._loop is None:
            raise AssertionError("start comes first")
        return self._loop
