"""recipe.toml: how one service is checked, migrated, started and stopped. Data only."""

import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bascule.documents.codec import fingerprint, from_plain
from bascule.errors import DocumentError, FleetError

__all__ = ["Probe", "Ready", "Recipe", "RoleRecipe", "builtin_recipes"]

_BUILTIN = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class Ready:
    """How a started process is known to be ready: exactly one of these."""

    file: bool = False
    http: str | None = None
    status: tuple[int, ...] = (200, 299)
    command: tuple[str, ...] = ()
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class RoleRecipe:
    """One kind of process. Roles are replaced in ascending `order`; `listens` means that it takes requests."""

    command: tuple[str, ...]
    order: int = 1
    listens: bool = False
    ready: Ready = field(default_factory=lambda: Ready(file=True))
    ready_timeout_s: float = 30.0
    stop_signal: str = "TERM"
    stop_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Probe:
    """A command whose output must contain `expect` when the phase's effect is there."""

    command: tuple[str, ...]
    expect: str


@dataclass(frozen=True, slots=True)
class ReleaseVariables:
    """Values of one release that the recipe's commands use."""

    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """The file as it is written."""

    service: str
    roles: dict[str, RoleRecipe]
    format: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    probes: dict[str, Probe] = field(default_factory=dict)
    estimates: dict[str, float] = field(default_factory=dict)
    releases: dict[str, ReleaseVariables] = field(default_factory=dict)


COMMANDS = (
    "install",
    "check",
    "expand",
    "migrate",
    "contract",
    "rollback",
    "verify",
    "status",
    "settle",
    "pin_hold",
    "pin_release",
    "pin_lower",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe and the folder it stands in."""

    path: Path
    file: RecipeFile

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read recipe.toml. Raises DocumentError with one sentence that names the file."""
        try:
            data = tomllib.loads(path.read_text())
        except FileNotFoundError as missing:
            raise DocumentError(f"there is no recipe at {path}") from missing
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as broken:
            raise DocumentError(f"{path} cannot be read: {broken}", next_command=f"edit {path}") from broken
        file = from_plain(RecipeFile, data, strict=True, where=f"recipe {path.parent.name}/{path.name}")
        for name in file.commands:
            if name not in COMMANDS:
                raise DocumentError(f"{path} has an unknown command {name!r}; known are {', '.join(COMMANDS)}")
        return cls(path.absolute(), file)

    @property
    def fingerprint(self) -> str:
        """Return the sha256 of what the recipe says."""
        return fingerprint(self.file)

    def expand(self, words: tuple[str, ...], variables: Mapping[str, str]) -> list[str]:
        """Fill ${...} into a command's words. Raises UnknownVariable."""
        return [self.fill(word, variables) for word in words]

    def fill(self, text: str, variables: Mapping[str, str]) -> str:
        """Fill ${...} into one text. Raises UnknownVariable."""
        try:
            return string.Template(text).substitute(variables)
        except (KeyError, ValueError) as unknown:
            raise UnknownVariable(self.path, text, sorted(variables)) from unknown


class UnknownVariable(FleetError):
    """A recipe names a variable that neither it nor the fleet file defines."""

    def __init__(self, path: Path, text: str, known: list[str]) -> None:
        self.path, self.text, self.known = path, text, known
        super().__init__(
            f"{path} uses an undefined variable in {text!r}; defined are {', '.join(known)}",
            next_command="add the variable to [variables] in fleet.toml",
        )


def builtin_recipes() -> dict[str, Path]:
    """Return the recipes that ship with bascule, by name."""
    return {path.parent.name: path for path in sorted(_BUILTIN.glob("*/recipe.toml"))}
