"""What the one who starts a process tells it through the environment, and how the process answers that it is ready."""

import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bascule.errors import BasculeError, LifecycleError
from bascule.release import Release

__all__ = [
    "DEFAULT_DRAIN_S",
    "DEFAULT_LISTEN",
    "DEFAULT_WATCHDOG_S",
    "EnvironmentUnreadable",
    "ProcessEnvironment",
    "main_pid",
    "request_stop",
    "set_main_pid",
    "set_stoppable",
    "stop_reason",
]

DEFAULT_DRAIN_S = 6.0
DEFAULT_LISTEN = "127.0.0.1:9311"
DEFAULT_WATCHDOG_S = 120.0
_FIRST_ACTIVATED = 3


class EnvironmentUnreadable(LifecycleError):
    """A variable of the environment does not hold what it must."""

    def __init__(self, name: str, value: str, expected: str) -> None:
        self.name, self.value, self.expected = name, value, expected
        super().__init__(f"{name}={value!r} is not {expected}; correct it, or unset it")


class ReadyFileUnwritable(LifecycleError):
    """The process cannot say that it is ready, so whoever started it would wait in vain."""

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        super().__init__(
            f"BASCULE_READY_FILE={str(path)!r} cannot be written ({error.strerror}); correct it and start again"
        )


@dataclass(frozen=True, slots=True)
class ProcessEnvironment:
    """The `BASCULE_*` variables of one process.

    `instance` is the process's name within the fleet; `listen_fd` an inherited listening socket, and else
    `listen` the address to bind; `drain_s` how long a draining process goes on answering kept connections, 0 for
    a process that drops everything when told to stop; `pin_override` an operator's pin that beats the registry's;
    `watchdog_s` after how long without a sign of life a server's worker is replaced.

    A socket that systemd opened (LISTEN_FDS) stands in for BASCULE_LISTEN_FD.
    """

    instance: str
    ready_file: Path | None = None
    listen_fd: int | None = None
    listen: str = DEFAULT_LISTEN
    drain_s: float = DEFAULT_DRAIN_S
    pin_override: Release | None = None
    watchdog_s: float = DEFAULT_WATCHDOG_S

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the variables. Raises EnvironmentUnreadable, ReleaseError."""
        environ = os.environ if environ is None else environ
        ready_file = environ.get("BASCULE_READY_FILE")
        listen_fd = environ.get("BASCULE_LISTEN_FD") or _activated(environ)
        override = environ.get("BASCULE_PIN_OVERRIDE")
        return cls(
            instance=environ.get("BASCULE_INSTANCE") or f"{socket.gethostname()}-{os.getpid()}",
            ready_file=Path(ready_file) if ready_file else None,
            listen_fd=_descriptor(listen_fd) if listen_fd else None,
            listen=environ.get("BASCULE_LISTEN") or DEFAULT_LISTEN,
            drain_s=_seconds("BASCULE_DRAIN_S", environ.get("BASCULE_DRAIN_S") or str(DEFAULT_DRAIN_S)),
            pin_override=Release.parse(override) if override else None,
            watchdog_s=_seconds("BASCULE_WATCHDOG_S", environ.get("BASCULE_WATCHDOG_S") or str(DEFAULT_WATCHDOG_S)),
        )

    def say_ready(self) -> None:
        """Write the main process's id to the ready file, whole or not at all; without a ready file, do nothing.

        Raises ReadyFileUnwritable.
        """
        if self.ready_file is None:
            return
        draft = self.ready_file.with_name(f".{self.ready_file.name}.{os.getpid()}")
        try:
            draft.write_text(f"{main_pid()}\n")
            draft.replace(self.ready_file)
        except OSError as error:
            raise ReadyFileUnwritable(self.ready_file, error) from error


def _activated(environ: Mapping[str, str]) -> str | None:
    """Return the first socket that systemd opened for this very process; source: sd_listen_fds(3)."""
    meant = environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS", "0") not in {"", "0"}
    return str(_FIRST_ACTIVATED) if meant else None


def _descriptor(text: str) -> int:
    if not text.isdecimal():
        raise EnvironmentUnreadable("BASCULE_LISTEN_FD", text, "the number of an open descriptor")
    return int(text)


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise EnvironmentUnreadable(name, text, "a number of seconds, 0 or more")
    return seconds


_main_pid: int | None = None


def main_pid() -> int:
    """Return the process that signals go to: this one, unless it is the worker of a server's main process."""
    return os.getpid() if _main_pid is None else _main_pid


def set_main_pid(pid: int) -> None:
    """Say in a server's worker which process signals go to."""
    global _main_pid  # noqa: PLW0603  # a fact about this very process, told once after its fork
    _main_pid = pid


_stoppable = False


def set_stoppable(*, stoppable: bool) -> None:
    """Say whether this process ends by SIGTERM as it should, because a server or a loop of ours runs it."""
    global _stoppable  # noqa: PLW0603  # a fact about this very process
    _stoppable = stoppable


_reason: BasculeError | None = None


def request_stop(reason: BasculeError) -> None:
    """Ask this process to drain and to end as a refusal, if it runs by a server or a loop of ours; else do nothing."""
    global _reason  # noqa: PLW0603  # as above; read when the process ends
    _reason = reason
    if _stoppable:
        os.kill(main_pid(), signal.SIGTERM)


def stop_reason() -> BasculeError | None:
    """Return why this process asked itself to stop, or None."""
    return _reason
