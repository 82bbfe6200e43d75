"""How a release describes itself: one generated, frozen JSON document per release."""

from dataclasses import dataclass, field
from typing import Any

from bascule.release import Release

__all__ = ["Artefact", "Manifest", "RpcMethod"]


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file of the release, relative to the manifest's folder, and the sha256 it must have (hex)."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class RpcMethod:
    """A method of the service's RPC interface: the release it exists since, its version and its arguments."""

    since: Release
    version: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the planner, the pin, the checks and the gate must know of a release without running it.

    `objects` maps an object's name to its frozen schema ({"version": ..., "fields": {name: type}});
    `schema` maps a phase (expand, migrate, contract) to the ids of the changes it runs;
    `skip_level` says that it may be upgraded to over other releases, which are then not run;
    `api` is the range of advertised API versions; `drain_s` the longest that a process may take to stop.
    """

    service: str
    release: Release
    upgrades_from: tuple[Release, ...] = ()
    skip_level: bool = False
    artefacts: tuple[Artefact, ...] = ()
    lock: Artefact | None = None
    recipe: Artefact | None = None
    workload: Artefact | None = None
    schema: dict[str, tuple[str, ...]] = field(default_factory=dict)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)  # Any: frozen schema, read by objects only
    rpc: dict[str, RpcMethod] = field(default_factory=dict)
    api: tuple[str, str] = ("1.0", "1.0")
    drain_s: float = 60.0
    format: int = 1
