"""Tell whoever started this process how it stands, by the protocol of systemd's sd_notify.

A supervisor of ours listens to the same words, so that a service says them once. Source of the words: the manual
page sd_notify(3); without NOTIFY_SOCKET nothing is said.
"""

import os
import socket
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Self

__all__ = ["Notifier"]


@dataclass(frozen=True, slots=True)
class Notifier:
    """Where to say it; `watchdog_s` is the longest that may pass between two words of life, None for no watchdog."""

    address: str | None = None
    watchdog_s: float | None = None

    @classmethod
    def take(cls, environ: MutableMapping[str, str] | None = None) -> Self:
        """Read the variables and remove them, so that no child speaks for this process."""
        environ = os.environ if environ is None else environ
        address = environ.pop("NOTIFY_SOCKET", None)
        interval, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        meant = interval.isdecimal() and int(interval) > 0 and pid in {"", str(os.getpid())}
        return cls(address, int(interval) / 1e6 if meant else None)

    def ready(self, status: str = "") -> None:
        """Say that the process does what it is there for."""
        self._say("READY=1", status)

    def stopping(self) -> None:
        """Say that the process has begun to end."""
        self._say("STOPPING=1")

    def reloading(self) -> None:
        """Say that a reload has begun; `ready` says that it has ended."""
        self._say("RELOADING=1", extra=f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def alive(self) -> None:
        """Say that the process is not stuck."""
        self._say("WATCHDOG=1")

    def _say(self, word: str, status: str = "", *, extra: str = "") -> None:
        if self.address is None:
            return
        lines = [word, extra, f"STATUS={status}" if status else ""]
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto("\n".join(line for line in lines if line).encode(), name)
        except OSError:
            return  # whoever listened is gone, or does not keep up: it finds out by itself
