"""fleet.toml: the one file an operator writes, parsed once into frozen dataclasses."""

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from bascule.documents.codec import from_plain
from bascule.errors import DocumentError, FleetError

__all__ = ["BalancerConfig", "FleetConfig", "FleetSection", "NodeConfig", "PolicyConfig", "RoleConfig"]


@dataclass(frozen=True, slots=True)
class FleetSection:
    """Its name, how its service is upgraded (a built-in recipe's name or a path), and where state is kept."""

    name: str
    recipe: str | None = None
    releases: str | None = None
    state: str = "state"


@dataclass(frozen=True, slots=True)
class BalancerConfig:
    """What stands before the API processes.

    shared-socket: one listening socket on this machine, `bind` is its address.
    haproxy: `socket` is its admin socket, `backend` the backend with free server slots, `url` where clients go.
    """

    kind: Literal["shared-socket", "haproxy"] = "shared-socket"
    bind: str = "127.0.0.1:9311"
    socket: str = ""
    backend: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """A machine: how it is reached and the directory on it that is ours (default: below the state directory)."""

    name: str
    transport: Literal["local"] = "local"
    directory: str | None = None


@dataclass(frozen=True, slots=True)
class RoleConfig:
    """How many instances of a role run on which nodes; `ports` is a range for balancers that need addresses."""

    count: int = 1
    nodes: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """Seconds to watch after the first instances (canary) and before the point of no return (soak)."""

    canary_s: float = 5.0
    soak_s: float = 5.0


@dataclass(frozen=True, slots=True)
class FleetFile:
    """The file as it is written."""

    fleet: FleetSection
    roles: dict[str, RoleConfig]
    nodes: tuple[NodeConfig, ...] = (NodeConfig("local"),)
    balancer: BalancerConfig = field(default_factory=BalancerConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    variables: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """fleet.toml with its relative paths resolved against the folder it stands in."""

    path: Path
    file: FleetFile
    state: Path

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read fleet.toml. Raises FleetError or DocumentError with one sentence that names the file."""
        path = path.absolute()
        try:
            data = tomllib.loads(path.read_text())
        except FileNotFoundError as missing:
            raise FleetFileMissing(path) from missing
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as broken:
            raise DocumentError(f"{path} cannot be read: {broken}", next_command=f"edit {path}") from broken
        try:
            file = from_plain(FleetFile, data, strict=True, where=path.name)
        except DocumentError as wrong:
            raise DocumentError(wrong.sentence, next_command=f"edit {path}") from wrong
        config = cls(path, file, (path.parent / os.path.expanduser(file.fleet.state)).absolute())  # noqa: PTH111
        config.check()
        return config

    def resolve(self, text: str) -> Path:
        """Return a path of the file as an absolute one."""
        return (self.path.parent / Path(text).expanduser()).absolute()

    def check(self) -> None:
        """Refuse what types cannot say: roles on unknown nodes, balancers without an address."""
        names = [node.name for node in self.file.nodes]
        for role, wanted in self.file.roles.items():
            for node in wanted.nodes:
                if node not in names:
                    raise DocumentError(
                        f"{self.path.name}: role {role} names the node {node!r}, which is not among {', '.join(names)}",
                        next_command=f"edit {self.path}",
                    )
            if wanted.count < 1 or len(wanted.ports) not in (0, 2):
                raise DocumentError(
                    f"{self.path.name}: role {role} needs a count of at least 1 and ports as [first, last]",
                    next_command=f"edit {self.path}",
                )
        balancer = self.file.balancer
        if balancer.kind == "haproxy" and not (balancer.socket and balancer.backend):
            raise DocumentError(
                f"{self.path.name}: an haproxy balancer needs socket and backend", next_command=f"edit {self.path}"
            )

    @property
    def url(self) -> str:
        """Where clients reach the service."""
        return self.file.balancer.url or f"http://{self.file.balancer.bind}"


class FleetFileMissing(FleetError):
    """There is no fleet.toml where we looked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"there is no fleet file at {path}; name one with --fleet or BASCULE_FLEET",
            next_command="bascule --fleet PATH/fleet.toml fleet status",
        )
