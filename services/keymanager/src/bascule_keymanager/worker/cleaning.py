"""What a worker does for the room on the disk, if it is told to: remove for good what was deleted long ago."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterator

from bascule_keymanager.clock import utc_now
from bascule_keymanager.log import get_log
from bascule_keymanager.storage.clean import Cleaned, Cleaner

__all__ = ["ROWS_AT_A_SWEEP", "Cleaning"]

# A sweep is between two orders: a batch must not take longer than an order may wait.
ROWS_AT_A_SWEEP = 500
_REST_S = 3_600.0

log = get_log()


class Cleaning:
    """Removes what was deleted so many days ago as `db clean` does, a batch at each step, with a rest behind the last.

    Workers that do it at once do no harm: what one has removed, the others do not find.
    """

    def __init__(
        self,
        cleaner: Cleaner,
        min_days: int,
        *,
        rest_s: float = _REST_S,
        clock: Callable[[], dt.datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cleaner, self._min_age = cleaner, dt.timedelta(days=min_days)
        self._rest_s, self._clock, self._monotonic = rest_s, clock, monotonic
        self._batches: Iterator[Cleaned] | None = None
        self._removed: Counter[str] = Counter()
        self._next_at = 0.0

    def step(self) -> None:
        """Remove the next batch, if one is due; what keeps it from that is logged, and it begins anew after a rest."""
        if self._monotonic() < self._next_at:
            return
        if self._batches is None:
            self._batches = self._cleaner.marked(before=self._clock() - self._min_age)
        try:
            batch = next(self._batches, None)
        except Exception as failure:  # noqa: BLE001 - orders are done whether or not there is room to be made
            log.warning("deleted rows not removed", error=type(failure).__name__)
            batch = None
        if batch is not None:
            self._removed[batch.table] += batch.rows
            return
        if removed := {table: rows for table, rows in self._removed.items() if rows}:
            log.info("deleted rows removed", **removed)
        self._batches, self._next_at = None, self._monotonic() + self._rest_s
        self._removed.clear()
