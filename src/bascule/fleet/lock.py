"""One hand on the fleet at a time: a lock that the kernel drops when its holder dies, however it dies."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from bascule.errors import PlanRefused

__all__ = ["AlreadyRunning", "fleet_lock"]


class AlreadyRunning(PlanRefused):
    """Another process is changing the fleet."""

    def __init__(self, pid: str, since: str) -> None:
        self.pid = pid
        super().__init__(
            f"another command (pid {pid}, since {since}) is changing this fleet; nothing was changed",
            next_command="bascule upgrade status",
        )


@contextlib.contextmanager
def fleet_lock(path: Path) -> Iterator[None]:
    """Hold the fleet's lock. Raises AlreadyRunning at once when somebody else does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, _, since = os.read(descriptor, 100).decode().partition(" ")
            raise AlreadyRunning(pid or "unknown", since.strip() or "just now") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()} {time.strftime('%H:%M:%S')}\n".encode())
        yield
    finally:
        os.close(descriptor)
