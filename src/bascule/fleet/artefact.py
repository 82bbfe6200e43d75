"""How a release gets onto a node. Implementations are in `drivers`."""

from pathlib import Path
from typing import Protocol

from bascule.fleet.releases import ReleaseFolder
from bascule.fleet.transport import OnLine
from bascule.release import Release

__all__ = ["Artefacts"]


class Artefacts(Protocol):
    """The environments of one node, one per release, side by side."""

    def stage(self, folder: ReleaseFolder, *, timeout_s: float, on_line: OnLine | None = None) -> None:
        """Build the release's environment, unless it stands complete with the same digests."""
        ...

    def is_staged(self, folder: ReleaseFolder) -> bool:
        """Whether the environment stands complete, built from exactly these files."""
        ...

    def staged(self) -> tuple[Release, ...]:
        """Return the releases whose environments stand complete."""
        ...

    def path(self, release: Release) -> Path:
        """Return the environment's directory (`${venv}` in recipes)."""
        ...
