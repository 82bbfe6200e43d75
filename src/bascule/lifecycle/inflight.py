"""Which requests and jobs are in hand right now, for the line in the log that says what a stop abandoned."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from bascule.lifecycle.board import Ledger

__all__ = ["InFlight", "UnfinishedRequest", "current", "in_hand", "name_request", "set_current"]


@dataclass(frozen=True, slots=True)
class UnfinishedRequest:
    """A request without its answer, or a job without its end.

    Never with a query, which may hold what logs must not; `request_id` is empty when nobody gave it one.
    """

    method: str
    path: str
    age_s: float
    request_id: str = ""

    def __str__(self) -> str:
        return " ".join(word for word in (self.method, self.path, self.request_id) if word)


@dataclass(slots=True)
class _Entry:
    method: str
    path: str
    since: float
    request_id: str


class InFlight:
    """The requests between their first byte read and their last byte answered; safe to use from any thread.

    `ledger` keeps them where another process can read them after this one was killed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, ledger: Ledger | None = None) -> None:
        self._clock, self._ledger = clock, ledger
        self._numbers = itertools.count()
        self._entries: dict[int, _Entry] = {}
        self._lock = threading.Lock()
        # Of each thread, and of each task: tasks share a thread.
        self._own: ContextVar[int | None] = ContextVar("own", default=None)

    @contextmanager
    def tracking(self, method: str, path: str, request_id: str = "") -> Iterator[None]:
        """Count one request as in flight for the length of the block."""
        entry = _Entry(method, path.partition("?")[0], self._clock(), request_id)
        with self._lock:
            number = next(self._numbers)
            self._entries[number] = entry
        token = self._own.set(number)
        self._write(number, entry)
        try:
            yield
        finally:
            self._own.reset(token)
            with self._lock:
                del self._entries[number]
            if self._ledger is not None:
                self._ledger.erase(number)

    def name(self, request_id: str) -> None:
        """Give the request that this thread or task answers the id by which its logs call it, if there is one."""
        number = self._own.get()
        with self._lock:
            entry = None if number is None else self._entries.get(number)
        if number is not None and entry is not None:
            entry.request_id = request_id
            self._write(number, entry)

    def unfinished(self) -> tuple[UnfinishedRequest, ...]:
        """Return what is in flight, oldest first."""
        now = self._clock()
        with self._lock:
            entries = list(self._entries.values())
        return tuple(UnfinishedRequest(e.method, e.path, round(now - e.since, 3), e.request_id) for e in entries)

    def _write(self, number: int, entry: _Entry) -> None:
        if self._ledger is not None:
            self._ledger.write(number, " ".join(word for word in (entry.method, entry.path, entry.request_id) if word))


_current = InFlight()


def current() -> InFlight:
    """Return what this process has in hand."""
    return _current


def set_current(in_flight: InFlight) -> None:
    """Make this what the process has in hand; called by a server in its worker."""
    global _current  # noqa: PLW0603  # a fact about this very process
    _current = in_flight


def name_request(request_id: str) -> None:
    """Call the request that this thread answers, or the job that it does, by this id, should it be abandoned.

    The headers X-OpenStack-Request-ID and X-Request-ID of a request do the same. Outside of both: nothing happens.
    """
    _current.name(request_id)


@contextmanager
def in_hand(what: str, request_id: str = "") -> Iterator[None]:
    """Name the job that is done in this block, as in `in_hand("order", order.id)`; a stop that cuts it says so.

    Neither may hold a payload: both go to the log.
    """
    with _current.tracking("", what, request_id):
        yield
