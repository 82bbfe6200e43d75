"""One virtual environment per release, built by uv from the release's own hash-pinned lock and wheels."""

import shutil
import sys
from pathlib import Path

from bascule.errors import StepFailed
from bascule.fleet.drivers.local import last_line
from bascule.fleet.releases import ReleaseFolder
from bascule.fleet.transport import OnLine, Transport
from bascule.release import Release

__all__ = ["VenvArtefacts"]


class VenvArtefacts:
    """Environments below one directory of a node."""

    def __init__(self, root: Path, transport: Transport) -> None:
        self._root = root
        self._transport = transport

    def path(self, release: Release) -> Path:
        """Return the environment's directory."""
        return self._root / str(release)

    def is_staged(self, folder: ReleaseFolder) -> bool:
        """Whether the marker, which is written last, names exactly this release's digests."""
        marker = self.path(folder.release) / ".complete"
        return marker.exists() and marker.read_text() == folder.fingerprint

    def staged(self) -> tuple[Release, ...]:
        """Return the releases with a marker."""
        return tuple(sorted(Release.parse(marker.parent.name) for marker in self._root.glob("*/.complete")))

    def stage(self, folder: ReleaseFolder, *, timeout_s: float, on_line: OnLine | None = None) -> None:
        """Build the environment. Files are compared with their sha256 before anything is made.

        What a killed run left half-built is removed first. Raises WrongDigest, StepFailed.
        """
        folder.verify_files()
        if self.is_staged(folder):
            return
        venv = self.path(folder.release)
        self._uv(["true"], timeout_s, on_line)  # an orphan of a killed run may still be building: wait for it
        shutil.rmtree(venv, ignore_errors=True)
        self._uv([_uv_binary(), "venv", "--quiet", "--python", sys.executable, str(venv)], timeout_s, on_line)
        install = [_uv_binary(), "pip", "install", "--python", str(venv / "bin" / "python"), "--compile-bytecode"]
        if folder.lock:
            self._uv([*install, "--require-hashes", "-r", str(folder.lock)], timeout_s, on_line)
        if folder.wheels:
            wheels = [str(wheel) for wheel in folder.wheels]
            self._uv([*install, "--no-deps", "--offline", "--no-index", *wheels], timeout_s, on_line)
        (venv / ".complete").write_text(folder.fingerprint)

    def _uv(self, argv: list[str], timeout_s: float, on_line: OnLine | None) -> None:
        done = self._transport.run(
            argv,
            env={"VIRTUAL_ENV": "", "UV_NO_CONFIG": "1"},
            timeout_s=timeout_s,
            exclusive=self._root / "stage.lock",
            on_line=on_line,
        )
        if done.returncode != 0:
            raise StagingFailed(self._root, last_line(done.stderr))


class StagingFailed(StepFailed):
    """An environment could not be built; the half-built one is removed by the next try."""

    def __init__(self, root: Path, said: str) -> None:
        self.root, self.said = root, said
        super().__init__(
            f"the environment below {root} could not be built: {said or 'uv printed nothing'}",
            next_command="bascule upgrade apply",
        )


def _uv_binary() -> str:
    import uv  # noqa: PLC0415  # only where something is staged: it need not slow down `bascule --help`

    return str(uv.find_uv_bin())
