"""What a worker does for the orders of earlier releases: seal their meta, a few at each sweep."""

import time
from collections.abc import Callable

from bascule.errors import BasculeError
from bascule.release import Release
from bascule_keymanager.log import get_log
from bascule_keymanager.storage.order_sealing import OrderSealing
from bascule_keymanager.stores.configured import Speaking

__all__ = ["OrderSealer"]

# Everything is sealed by now, but a held pin may have been released, or the change contracted.
_REST_S = 300.0

log = get_log()


class OrderSealer:
    """Walks through the orders again and again, one batch at a time, with a rest behind each walk.

    `speaking` gives the pin for the length of a batch, and `allows` says whether metas are sealed under it.
    """

    def __init__(
        self,
        sealing: OrderSealing,
        speaking: Speaking,
        allows: Callable[[Release], bool],
        *,
        rest_s: float = _REST_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sealing, self._speaking, self._allows = sealing, speaking, allows
        self._rest_s, self._monotonic = rest_s, monotonic
        self._after, self._next_at, self._done = "", 0.0, 0

    def step(self) -> None:
        """Do the next batch, if one is due; what keeps it from that is logged, and it tries again after a rest."""
        if self._monotonic() < self._next_at:
            return
        try:
            self._batch()
        except Exception as failure:  # noqa: BLE001 - orders are done whether or not others can be sealed
            sentence = failure.sentence if isinstance(failure, BasculeError) else None
            log.warning("orders not sealed", error=type(failure).__name__, sentence=sentence)
            self._rest()

    def _batch(self) -> None:
        with self._speaking() as pin:
            if not self._allows(pin):
                return
            batch = self._sealing.seal_batch(after=self._after)
        self._done += batch.sealed + batch.removed
        for order in batch.damaged:
            log.warning("sealed meta damaged", order=order, hint="keymanager-manage orders reseal")
        if batch.last is not None:
            self._after = batch.last
            return
        if self._done:
            log.info("orders sealed", changed=self._done)
        self._rest()

    def _rest(self) -> None:
        self._after, self._next_at, self._done = "", self._monotonic() + self._rest_s, 0
