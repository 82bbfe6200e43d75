"""Where the lines of a log go: straight to a file, or, in a process that answers many requests, some at a time."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

__all__ = ["LogLines"]

_EVERY_S = 0.02
_MOST = 10_000


class LogLines:
    """A file for whole lines, which threads may share; `file` returns it as it is at the moment.

    Writing a line calls the system, and lets go of the interpreter's lock, which another thread then takes. After
    `gather`, lines wait up to 20 ms for others, and go in one call; a process that is killed loses those. A file that
    cannot take any more holds up whoever writes, once 10,000 lines wait.
    """

    def __init__(self, file: Callable[[], TextIO]) -> None:
        self._file = file
        self._waiting: deque[str] = deque()  # its methods are atomic
        self._writing = threading.Lock()
        self._some, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def gather(self) -> None:
        """Gather lines from here on, until `stop`; in the process that calls it, not in those that it forks."""
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and write every line at once again. Safe to call twice."""
        thread, self._thread = self._thread, None
        self._ended.set()
        self._some.set()
        if thread is not None:
            thread.join()
        self.write_out()

    def write(self, line: str) -> int:
        """Take one line, or several. Never raises: no request fails for its log."""
        self._waiting.append(line)
        if self._thread is None or len(self._waiting) > _MOST:
            self.write_out()
        elif not self._some.is_set():
            self._some.set()
        return len(line)

    def flush(self) -> None:
        """Do nothing: loggers call it after each line."""

    def write_out(self) -> None:
        """Write what waits, now."""
        with self._writing:
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if lines:
                with suppress(OSError, ValueError):  # full, or closed: there is nowhere else to say so
                    file = self._file()
                    file.write("".join(lines))
                    file.flush()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._some.wait()
            self._ended.wait(_EVERY_S)
            self._some.clear()
            self.write_out()
