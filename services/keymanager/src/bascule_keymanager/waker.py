"""Tells workers of new orders without keeping a request waiting for a broker."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from bascule.documents.status import ProcessStatus
from bascule.errors import RpcError
from bascule_keymanager.log import get_log

__all__ = ["OwnWorkers", "Waker"]

_MOST_WAITING = 10_000
_KNOWN_FOR_S = 2.0

log = get_log()


class OwnWorkers:
    """Whether a worker of ours lives, for whoever shares a broker with Barbican; asked of the registry now and then.

    While there is one, it is told of orders, and Barbican's are not: what they have in hand when they are stopped is
    lost. Ask from the waker's thread, since no request is to wait for the answer.
    """

    def __init__(
        self, processes: Callable[[], Iterable[ProcessStatus]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._processes, self._clock = processes, clock
        self._known, self._until = False, clock()

    def are_there(self) -> bool:
        """Return it as it was a moment ago. Raises what the database raises."""
        if self._clock() >= self._until:
            self._known = any(each.role == "worker" and each.state == "live" for each in self._processes())
            self._until = self._clock() + _KNOWN_FOR_S
        return self._known


class Waker:
    """Sends wake-ups from a thread of its own, so that no request waits for a broker.

    What cannot be sent is dropped: the sweep of a worker finds the order.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], Any]] = deque(maxlen=_MOST_WAITING)  # Any: nobody looks at the result
        self._turn = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
        self._thread.start()

    def send(self, wake: Callable[[], Any]) -> None:  # Any: as above
        """Have this done soon."""
        with self._turn:
            self._waiting.append(wake)
            self._turn.notify()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Send what waits, as far as that goes within this time."""
        with self._turn:
            self._stopping = True
            self._turn.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._waiting or self._stopping)
                if not self._waiting:
                    return
                wake = self._waiting.popleft()
            try:
                wake()
            except Exception as failure:  # noqa: BLE001 - the order is a row, and will be swept up
                sentence = failure.sentence if isinstance(failure, RpcError) else None
                log.warning("wake-up not sent", error=type(failure).__name__, sentence=sentence)
