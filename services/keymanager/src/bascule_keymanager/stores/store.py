"""What a secret store does, and what it leaves behind in our tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bascule_keymanager.crypto.plugin import Place, ProjectKey, Sealed
from bascule_keymanager.storage.projects import Project

__all__ = ["OPAQUE", "Form", "Found", "Kept", "KeptPair", "KeySpec", "PairIds", "Store"]


@dataclass(frozen=True, slots=True)
class KeySpec:
    """Which key to make."""

    algorithm: str
    bit_length: int
    mode: str | None = None
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Form:
    """What a payload is, for stores that keep a key as a key: its secret's type, and the algorithm if it says one."""

    secret_type: str = "opaque"  # noqa: S105 - a kind of secret, not one
    algorithm: str | None = None


OPAQUE = Form()


@dataclass(frozen=True, slots=True)
class Kept:
    """What our tables get of a payload: rows of metadata, and for a store that keeps it here, the sealed payload."""

    plugin_name: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    kek_id: str | None = None
    sealed: Sealed | None = None


@dataclass(frozen=True, slots=True)
class PairIds:
    """The ids of the secrets that a pair of keys is made of."""

    private: str
    public: str
    passphrase: str | None = None


@dataclass(frozen=True, slots=True)
class KeptPair:
    """What our tables get of a pair of keys."""

    private: Kept
    public: Kept
    passphrase: Kept | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What our tables know of a payload that is to be read."""

    place: Place
    key: ProjectKey | None
    sealed: Sealed | None
    metadata: Mapping[str, str] = field(default_factory=dict)


class Store(Protocol):
    """One secret store. `plugin_name` is stored with every secret that it keeps.

    Nothing here runs inside a transaction: the caller inserts what comes back, and when that fails, forgets it.
    """

    @property
    def plugin_name(self) -> str:
        """The name in `secret_store_metadata`."""

    def keep(self, project: Project, secret_id: str, payload: bytes, form: Form = OPAQUE) -> Kept:
        """Keep a payload."""

    def read(self, found: Found) -> bytes:
        """Return a payload."""

    def forget(self, metadata: Mapping[str, str]) -> None:
        """Delete what is kept outside our tables; nothing happens where it is gone already."""

    def generate_symmetric(self, project: Project, secret_id: str, spec: KeySpec) -> Kept:
        """Make a key and keep it. Raises CannotGenerate."""

    def generate_asymmetric(self, project: Project, ids: PairIds, spec: KeySpec) -> KeptPair:
        """Make a pair of keys, with the passphrase where one is asked for, and keep them. Raises CannotGenerate."""
