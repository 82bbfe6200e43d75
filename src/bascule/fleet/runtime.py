"""How processes run on a node: start, stop, and who is alive. Implementations are in `drivers`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bascule.errors import StepFailed
from bascule.release import Release

__all__ = ["EndedEarly", "InstanceName", "NotReady", "Runtime", "StartSpec", "Stopped"]


@dataclass(frozen=True, slots=True, order=True)
class InstanceName:
    """A process of the fleet: two releases of one instance may run side by side while it is replaced."""

    name: str
    release: Release

    def __str__(self) -> str:
        return f"{self.name}@{self.release}"


@dataclass(frozen=True, slots=True)
class StartSpec:
    """What to start: argv, environment, a listening socket to inherit (descriptor), or an address to bind."""

    instance: InstanceName
    role: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    listen_fd: int | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a process ended: after how many seconds, and whether it had to be killed."""

    took_s: float
    killed: bool


class Runtime(Protocol):
    """The processes of one node."""

    def start(self, spec: StartSpec, *, timeout_s: float) -> None:
        """Start a process unless it runs already; a predecessor that is stopping is waited for."""
        ...

    def stop(self, instance: InstanceName, *, signal_name: str, timeout_s: float) -> Stopped:
        """Signal a process and wait until it and its children have ended; kill the group after `timeout_s`."""
        ...

    def alive(self) -> dict[InstanceName, str]:
        """Return the running processes and their roles."""
        ...

    def address(self, instance: InstanceName) -> str | None:
        """Return the host:port that the instance was started with, if it has one of its own."""
        ...

    def directory(self, instance: InstanceName) -> Path:
        """Return where the instance keeps its ready file and its log."""
        ...


class NotReady(StepFailed):
    """A started process did not become ready in time; it is left running for a look at its log."""

    def __init__(self, instance: InstanceName, waited_s: float, log: Path, said: str) -> None:
        self.instance, self.waited_s, self.log = instance, waited_s, log
        super().__init__(
            f"{instance} was not ready after {waited_s:.0f} s; the last line of {log} is: {said or '(empty)'}",
            next_command="bascule upgrade roll-back",
        )


class EndedEarly(StepFailed):
    """A started process ended before it was ready."""

    def __init__(self, instance: InstanceName, log: Path, said: str) -> None:
        self.instance, self.log = instance, log
        super().__init__(
            f"{instance} ended before it was ready; the last line of {log} is: {said or '(empty)'}",
            next_command="bascule upgrade roll-back",
        )
