"""Which requests are being answered right now, for the line in the log that says what a stop abandoned."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["InFlight", "UnfinishedRequest"]


@dataclass(frozen=True, slots=True)
class UnfinishedRequest:
    """A request without its answer: never with its query, which may hold what logs must not."""

    method: str
    path: str
    age_s: float


class InFlight:
    """The requests between their first byte read and their last byte answered; safe to use from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers = itertools.count()
        self._started: dict[int, tuple[str, str, float]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def tracking(self, method: str, path: str) -> Iterator[None]:
        """Count one request as in flight for the length of the block."""
        with self._lock:
            number = next(self._numbers)
            self._started[number] = (method, path.partition("?")[0], self._clock())
        try:
            yield
        finally:
            with self._lock:
                del self._started[number]

    def unfinished(self) -> tuple[UnfinishedRequest, ...]:
        """Return what is in flight, oldest first."""
        now = self._clock()
        with self._lock:
            started = list(self._started.values())
        return tuple(UnfinishedRequest(method, path, round(now - since, 3)) for method, path, since in started)
