"""What a fleet looked like at one moment, and the fingerprint that a plan is bound to."""

from dataclasses import dataclass, field, replace

from bascule.documents.codec import fingerprint
from bascule.release import Release

__all__ = ["Facts", "InstanceFact", "NodeFact"]


@dataclass(frozen=True, slots=True)
class NodeFact:
    """One machine. `staged` are the releases whose environment stands ready on it."""

    name: str
    staged: tuple[Release, ...] = ()
    free_bytes: int = 0


@dataclass(frozen=True, slots=True)
class InstanceFact:
    """One running process of the service, as its node's runtime knows it."""

    name: str
    role: str
    node: str
    release: Release


@dataclass(frozen=True, slots=True)
class Facts:
    """The observed fleet. `phases` maps a schema change's id to its phase; sha256 fields are hex."""

    fleet: str
    service: str
    nodes: tuple[NodeFact, ...]
    instances: tuple[InstanceFact, ...]
    pin: Release | None = None
    pin_hold: Release | None = None
    phases: dict[str, str] = field(default_factory=dict)
    config_sha256: str = ""
    releases_sha256: dict[str, str] = field(default_factory=dict)
    format: int = 1

    @property
    def fingerprint(self) -> str:
        """Return the sha256 of what a plan depends on: not free space, nor what happens to be staged already."""
        nodes = tuple(NodeFact(node.name) for node in self.nodes)
        return fingerprint(replace(self, nodes=nodes))

    def releases(self) -> tuple[Release, ...]:
        """Return the releases that run, oldest first."""
        return tuple(sorted({instance.release for instance in self.instances}))

    def differences(self, other: "Facts") -> list[str]:
        """Return what differs from `other`, one short phrase each, for a refusal that a person can follow."""
        names = ("fleet", "service", "instances", "pin", "pin_hold", "phases", "config_sha256", "releases_sha256")
        differing = (name for name in names if getattr(self, name) != getattr(other, name))
        return [name.removesuffix("_sha256").replace("_", " ") for name in differing]
