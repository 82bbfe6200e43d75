"""What a supervisor keeps running, where, and on which socket."""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bascule.lifecycle.child import Child
from bascule.lifecycle.environment import ProcessEnvironment

__all__ = ["LONGEST_PAUSE_S", "Place", "Supervision", "open_listener", "pause_after"]

LONGEST_PAUSE_S = 30.0
_FIRST_PAUSE_S = 0.5
_BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Supervision:
    """What is kept running, and how long things may take; all times in seconds.

    `count` processes of `command`; `listens` for those that serve on a socket. A process that is not ready
    `ready_within_s` after its start is given up, one that has not ended `stop_within_s` after SIGTERM is killed, and
    one that gives no sign of life for `watchdog_s` is replaced.
    """

    command: Sequence[str]
    count: int = 1
    listens: bool = True
    ready_within_s: float = 60.0
    stop_within_s: float = 60.0
    watchdog_s: float | None = None


@dataclass(slots=True)
class Place:
    """One of the `count` processes, and its successor during a reload."""

    name: str
    serving: Child | None = None
    successor: Child | None = None
    failures: int = 0
    start_at: float = field(default_factory=time.monotonic)
    wants_successor: bool = False


def open_listener(environment: ProcessEnvironment) -> socket.socket:
    """Take over the inherited socket, or open one."""
    if environment.listen_fd is not None:
        listener = socket.socket(fileno=environment.listen_fd)
    else:
        host, _, port = environment.listen.rpartition(":")
        listener = socket.create_server((host.strip("[]"), int(port)), backlog=_BACKLOG)
    if listener.family != socket.AF_UNIX:
        # Accepted connections inherit it; without it a kept connection waits for delayed acknowledgements.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def pause_after(failures: int) -> float:
    """Return how long to wait, in seconds, before a process is started again that has failed so often before."""
    return min(LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures, 30))
