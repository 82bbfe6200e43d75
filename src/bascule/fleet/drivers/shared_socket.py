"""One listening socket on this machine as the balancer: old and new processes accept from it side by side.

A process takes traffic by starting and leaves by SIGTERM, so join and leave have nothing to do. Nothing that waits
in the accept queue is lost when one of them closes its copy of the descriptor (measured: facts on serving).
"""

import os
import socket
import sys
import time
from pathlib import Path

from bascule.fleet.balancer import BalancerError
from bascule.fleet.drivers import listener
from bascule.fleet.drivers.process import ProcessRuntime
from bascule.fleet.runtime import InstanceName, StartSpec
from bascule.release import Release

__all__ = ["SharedSocket"]

_READY_WITHIN_S = 10.0
_NAME = InstanceName("listener", Release((1,)))


class SharedSocket:
    """The holder process of the listening socket, and the way to get a copy of it."""

    drains_by_itself = True

    def __init__(self, bind: str, root: Path) -> None:
        self._bind = bind
        self._runtime = ProcessRuntime(root)
        self._directory = self._runtime.directory(_NAME)

    def prepare(self) -> None:
        """Start the holder unless it runs."""
        if not self._runtime.alive():
            (self._directory / "socket").unlink(missing_ok=True)
        program = str(Path(listener.__file__))
        argv = (sys.executable, "-I", program, self._bind, "socket")  # relative: Unix socket paths are short
        self._runtime.start(StartSpec(_NAME, "listener", argv), timeout_s=_READY_WITHIN_S)
        deadline = time.monotonic() + _READY_WITHIN_S
        while not (self._directory / "socket").exists():
            if time.monotonic() > deadline or not self._runtime.alive():
                raise BalancerError(
                    f"nobody can listen on {self._bind}: {self._runtime.last_words(_NAME) or 'no answer'}",
                    next_command="set another bind in [balancer] of fleet.toml",
                )
            time.sleep(0.01)

    def descriptor(self) -> int:
        """Return a copy of the listening socket's descriptor; the caller closes it. Raises BalancerError."""
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
                # By way of /proc, since a Unix socket's path may have 107 bytes only.
                door.connect(f"/proc/self/fd/{directory}/socket")
                _, descriptors, _, _ = socket.recv_fds(door, 16, 1)
        except OSError as broken:
            raise BalancerError(
                f"the holder of {self._bind} does not answer: {broken.strerror}", next_command="bascule fleet status"
            ) from broken
        finally:
            os.close(directory)
        return descriptors[0]

    def stop(self) -> None:
        """End the holder, when the whole fleet stops."""
        self._runtime.stop(_NAME, signal_name="TERM", timeout_s=5.0)

    def join(self, instance: str, address: str) -> None:
        """Nothing to do: a started process accepts."""

    def leave(self, instance: str, address: str, *, timeout_s: float) -> None:
        """Nothing to do: a process that is told to stop no longer accepts."""

    def is_joined(self, instance: str, address: str) -> bool:  # noqa: ARG002
        """Whether the socket is held, which is all that a process needs."""
        return bool(self._runtime.alive())
