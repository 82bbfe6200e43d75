"""One process under a supervisor: started, heard, told to end."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Child"]


class Child:
    """A process of `command`, and the socket on which it says how it stands.

    `listen_fd` is a listening socket that it shares with its supervisor and its successor. Raises OSError when the
    command cannot be started; nothing is left behind then.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        listen_fd: int | None = None,
        watchdog_s: float | None = None,
    ) -> None:
        self.name, self.watchdog_s = name, watchdog_s
        self.started_at = self.heard_at = time.monotonic()
        self.is_ready = self.is_stopping = self.is_abandoned = False
        self.stop_at = float("inf")
        self._folder = tempfile.TemporaryDirectory(prefix="bascule-")
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        address = Path(self._folder.name, "notify")
        try:
            self.notices.bind(str(address))
            self.process = subprocess.Popen(
                command,
                env={**environ, **self._own(address, listen_fd)},
                pass_fds=() if listen_fd is None else (listen_fd,),
            )
        except OSError:
            self.forget()
            raise

    def _own(self, address: Path, listen_fd: int | None) -> dict[str, str]:
        own = {"BASCULE_INSTANCE": self.name, "NOTIFY_SOCKET": str(address)}
        if listen_fd is not None:
            own["BASCULE_LISTEN_FD"] = str(listen_fd)
        if self.watchdog_s is not None:
            own["WATCHDOG_USEC"] = str(int(self.watchdog_s * 1e6))
        return own

    def __str__(self) -> str:
        return f"{self.name} (pid {self.process.pid})"

    def hear(self) -> None:
        """Read what the process has said."""
        while True:
            try:
                words = self.notices.recv(4096).decode(errors="replace").splitlines()
            except BlockingIOError:
                return
            if "READY=1" in words:
                self.is_ready = True
            if "READY=1" in words or "WATCHDOG=1" in words:
                self.heard_at = time.monotonic()
            if "STOPPING=1" in words:
                self.is_stopping = True

    def is_stuck(self, now: float) -> bool:
        """Whether the watchdog has run out."""
        silent_s = now - self.heard_at
        return self.watchdog_s is not None and self.is_ready and not self.is_stopping and silent_s > self.watchdog_s

    def stop(self, within_s: float) -> None:
        """Ask it to drain and end; safe to call again, which does not lengthen its time."""
        if self.stop_at == float("inf"):
            self.stop_at = time.monotonic() + within_s
            self.process.send_signal(signal.SIGTERM)
        self.is_stopping = True

    def kill(self) -> None:
        """End it now; whatever it had in hand is lost."""
        self.is_abandoned = self.is_stopping = True
        self.process.kill()

    def code(self) -> int | None:
        """Return its exit code, negative for a signal, and None while it runs."""
        return self.process.poll()

    def forget(self) -> None:
        """Close what was held for it; for a process that has ended."""
        self.notices.close()
        self._folder.cleanup()


def tidy(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without what was meant for the supervisor itself."""
    mine = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}
    mine |= {"BASCULE_READY_FILE", "BASCULE_LISTEN"}
    return {name: value for name, value in (environ or os.environ).items() if name not in mine}
