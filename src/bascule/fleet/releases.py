"""The folder of releases: a manifest per release, and the files it vouches for."""

import difflib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bascule.documents.codec import fingerprint, from_plain
from bascule.documents.manifest import Artefact, Manifest
from bascule.errors import DocumentError, FleetError, ReleaseError
from bascule.fleet.recipe import Recipe
from bascule.release import Release, Train

__all__ = ["ReleaseFolder", "Releases", "UnknownRelease", "WrongDigest"]


@dataclass(frozen=True, slots=True)
class ReleaseFolder:
    """One release as it was cut."""

    path: Path
    manifest: Manifest

    @property
    def release(self) -> Release:
        """Return the release's name."""
        return self.manifest.release

    @property
    def fingerprint(self) -> str:
        """Return the sha256 of the manifest, which holds the sha256 of every file."""
        return fingerprint(self.manifest)

    @property
    def wheels(self) -> tuple[Path, ...]:
        """Return the wheels of the release."""
        return tuple(self.path / artefact.file for artefact in self.manifest.artefacts)

    @property
    def lock(self) -> Path | None:
        """Return the hash-pinned requirements of the release."""
        return self.path / self.manifest.lock.file if self.manifest.lock else None

    def verify_files(self) -> None:
        """Compare every file with its sha256. Raises WrongDigest or FleetError for the first that differs."""
        manifest = self.manifest
        extra = [artefact for artefact in (manifest.lock, manifest.recipe, manifest.workload) if artefact]
        for artefact in (*manifest.artefacts, *extra):
            verify_digest(self.path / artefact.file, artefact, self.release)

    def recipe(self, fallback: Path | None) -> Recipe:
        """Return the recipe that ships with the release, or else the fleet's."""
        if self.manifest.recipe:
            return Recipe.load(self.path / self.manifest.recipe.file)
        if fallback is None:
            raise FleetError(
                f"release {self.release} ships no recipe and the fleet file names none",
                next_command="set recipe in the [fleet] section of fleet.toml",
            )
        return Recipe.load(fallback)


def verify_digest(path: Path, artefact: Artefact, release: Release) -> None:
    """Compare one file with its sha256. Raises WrongDigest, or FleetError when it is missing."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as broken:
        raise FleetError(
            f"release {release} lacks its file {path}: {broken.strerror}",
            next_command=f"restore {path} from where the release was published",
        ) from broken
    if found != artefact.sha256:
        raise WrongDigest(path, artefact.sha256, found)


class WrongDigest(FleetError):
    """A file of a release is not the one its manifest vouches for."""

    def __init__(self, path: Path, wanted: str, found: str) -> None:
        self.path, self.wanted, self.found = path, wanted, found
        super().__init__(
            f"{path} has sha256 {found[:16]}..., but its manifest vouches for {wanted[:16]}...; nothing was installed",
            next_command=f"restore {path} from where the release was published",
        )


class UnknownRelease(FleetError):
    """Nobody has cut such a release, as far as the releases folder tells."""

    def __init__(self, name: str, folder: Path, known: list[str]) -> None:
        self.name, self.folder, self.known = name, folder, known
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'no releases'}"
        super().__init__(f"there is no release {name!r} in {folder}; {hint}", next_command="bascule fleet releases")


@dataclass(frozen=True, slots=True)
class Releases:
    """All releases of a folder."""

    path: Path
    folders: dict[Release, ReleaseFolder]

    @classmethod
    def load(cls, path: Path, *more: Path) -> Self:
        """Read every manifest below `path`, and those below `more` whose releases are not there.

        Raises FleetError when there is no such folder, DocumentError for a manifest that cannot be read.
        """
        folders: dict[Release, ReleaseFolder] = {}
        for root in (path, *more):
            if not root.is_dir():
                raise FleetError(
                    f"there is no folder of releases at {root}", next_command="set releases in [fleet] of fleet.toml"
                )
            for manifest_path in sorted(root.glob("*/manifest.json")):
                try:
                    manifest = from_plain(Manifest, json.loads(manifest_path.read_text()))
                except (ValueError, OSError) as broken:
                    raise DocumentError(f"{manifest_path} cannot be read: {broken}") from broken
                folders.setdefault(manifest.release, ReleaseFolder(manifest_path.parent, manifest))
        return cls(path, folders)

    @property
    def train(self) -> Train:
        """Return the releases in order."""
        return Train.of(self.folders)

    def get(self, release: Release | str) -> ReleaseFolder:
        """Return one release. Raises UnknownRelease with a near match."""
        try:
            return self.folders[Release.parse(release) if isinstance(release, str) else release]
        except (KeyError, ReleaseError) as unknown:
            raise UnknownRelease(str(release), self.path, [str(known) for known in self.train.releases]) from unknown
