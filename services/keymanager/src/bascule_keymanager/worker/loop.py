"""What the worker's main loop does: take a wake-up, or sweep up what no wake-up told of."""

import time
from collections.abc import Callable

from bascule.errors import BasculeError
from bascule.rpc import EmbeddedTransport, MalformedMessage, Message, Server
from bascule_keymanager.log import get_log
from bascule_keymanager.objects import Order, Rotation
from bascule_keymanager.storage.orders import OrderStore
from bascule_keymanager.worker.api import WorkerApi
from bascule_keymanager.worker.processor import OrderProcessor
from bascule_keymanager.worker.rotator import Rotator

__all__ = ["Handlers", "WorkerLoop"]

_SWEEP_AT_ONCE = 100

log = get_log()


class Handlers(WorkerApi):
    """Answers the calls."""

    def __init__(self, processor: OrderProcessor, rotator: Rotator, clock: Callable[[], float] = time.time) -> None:
        self._processor, self._rotator, self._clock = processor, rotator, clock

    def process_order(self, *, order: Order, request_id: str | None = None) -> None:
        """Do this order if it still waits; whoever was first, it is done once."""
        waited_s = None if order.accepted_at is None else round(max(0.0, self._clock() - order.accepted_at), 3)
        outcome = self._processor.process_id(order.id)
        log.info("order taken", order=order.id, request=request_id, outcome=outcome, waited_s=waited_s)

    def rotate_secret(self, *, rotation: Rotation, request_id: str | None) -> None:
        """Make this key anew if it is still due; whoever was first, it is done once."""
        outcome = self._rotator.rotate_id(rotation.secret_id)
        late_s = round(max(0.0, self._clock() - rotation.due_at), 3)
        log.info("rotation taken", secret=rotation.secret_id, request=request_id, outcome=outcome, late_s=late_s)


class WorkerLoop:
    """One worker's steps. `on_refused` counts messages that are too new for this release."""

    def __init__(
        self,
        transport: EmbeddedTransport,
        orders: OrderStore,
        processor: OrderProcessor,
        rotator: Rotator,
        *,
        taker: str,
        sweep_age_s: float,
        on_refused: Callable[[], None],
    ) -> None:
        self._transport, self._orders, self._processor, self._rotator = transport, orders, processor, rotator
        self._taker, self._sweep_age_s = taker, sweep_age_s
        self._count_refusal = on_refused
        self._server = Server(Handlers(processor, rotator), on_refused=self._refused)

    def step(self) -> bool:
        """Handle one wake-up; return whether there was one.

        Raises what the database raises: the wake-up then comes back after its lease, and the sweep is faster.
        """
        message = self._transport.receive(self._server.topic, self._taker, self._server.can_handle)
        if message is None:
            return False
        try:
            self._server.handle(message)
        except MalformedMessage as damaged:
            # Its order is a row, which the sweep finds: the message itself is good for nothing.
            log.warning("message dropped", message=message.id, reason=damaged.reason)
        self._transport.done(message)
        return True

    def sweep(self) -> None:
        """Do the orders that have waited too long, and make the keys anew that are due.

        The wake-up of such an order was lost, refused, or taken by a worker that died.
        """
        for order in self._orders.pending(older_than_s=self._sweep_age_s, most=_SWEEP_AT_ONCE):
            try:
                outcome = self._processor.process(order)
            except Exception as failure:  # noqa: BLE001 - one bad order must not keep the others waiting
                sentence = failure.sentence if isinstance(failure, BasculeError) else None
                log.warning("order waits on", order=order.id, error=type(failure).__name__, sentence=sentence)
                continue
            if outcome == "done":
                log.info("order swept up", order=order.id)

        self._rotator.sweep()

    def _refused(self, message: Message) -> None:
        self._count_refusal()
        log.warning("message refused", message=message.id, method=message.method, version=message.version)
