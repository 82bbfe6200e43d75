"""Wait for a fact instead of sleeping."""

import threading
import time


def eventually(fact, *, within_s=20.0, what="it"):
    """Return once `fact()` is true; fail when it is not within the deadline."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not fact():
        assert time.monotonic() < deadline, f"{what} did not come about in time"
        pause.wait(0.01)
