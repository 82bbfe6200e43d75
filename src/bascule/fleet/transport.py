"""How a node is reached: run a command there. Implementations are in `drivers`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bascule.errors import FleetError

__all__ = ["CommandFailed", "Completed", "NodeUnreachable", "Transport"]

OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Transport(Protocol):
    """A way to a node. The local one is a subprocess; another is added as one file."""

    def reach(self, directory: Path) -> int:
        """Return the free bytes in our directory on the node, which is made. Raises NodeUnreachable."""
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        timeout_s: float,
        exclusive: Path | None = None,
        on_line: OnLine | None = None,
    ) -> Completed:
        """Run a command to its end.

        `exclusive` is a lock file on the node that the command's processes hold until the last of them has
        ended, so that a command whose starter was killed is waited for instead of being run beside itself.
        `on_line` gets what the command says on stderr. Raises CommandFailed on a timeout.
        """
        ...


class NodeUnreachable(FleetError):
    """A node does not answer."""

    def __init__(self, node: str, why: str) -> None:
        self.node, self.why = node, why
        super().__init__(
            f"node {node} cannot be reached: {why}; nothing was changed", next_command="bascule fleet status"
        )


class CommandFailed(FleetError):
    """A command of the service failed or did not end in time; `said` is its last line."""

    def __init__(self, argv: Sequence[str], returncode: int | None, said: str) -> None:
        self.argv, self.returncode, self.said = list(argv), returncode, said
        name = " ".join([Path(argv[0]).name, *argv[1:]])
        how = "did not end in time" if returncode is None else f"failed with {returncode}"
        super().__init__(f"{name} {how}: {said or 'it printed nothing'}", next_command="bascule upgrade status")
