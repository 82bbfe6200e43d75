"""What a crypto plugin does: seal payloads with a project's key. What it makes is kept in our own tables."""

from dataclasses import dataclass, field
from typing import Protocol

from bascule.release import Release

__all__ = ["CryptoPlugin", "NewKey", "Place", "ProjectKey", "Sealed", "stored_text"]


@dataclass(frozen=True, slots=True)
class ProjectKey:
    """A project's key as `kek_data` has it; only the plugin that wrapped it can use it."""

    id: str
    plugin_name: str
    label: str | None
    wrapped: str | bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a plugin says of a project key that it has just made."""

    wrapped: str = field(repr=False)
    algorithm: str
    bit_length: int
    mode: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed payload as `encrypted_data` has it: the text, and what else the plugin must know to open it."""

    cypher_text: str | bytes = field(repr=False)
    extended: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a payload belongs: its secret, and the project by the name that the identity service gives it."""

    secret_id: str
    project: str


class CryptoPlugin(Protocol):
    """One way of sealing payloads. `plugin_name` is stored with every key that the plugin made."""

    @property
    def plugin_name(self) -> str:
        """The name in `kek_data`."""

    @property
    def since(self) -> Release | None:
        """The first release of ours that reads what it seals; None for what all of them read, or Barbican's own."""

    @property
    def makes_pairs(self) -> bool:
        """Whether pairs of keys can be ordered where this plugin seals."""

    def new_key(self, label: str) -> NewKey:
        """Make a key for a project."""

    def seal(self, key: ProjectKey, payload: bytes, place: Place) -> Sealed:
        """Return what to store of a payload. Raises UnreadableKek."""

    def open(self, key: ProjectKey, sealed: Sealed, place: Place) -> bytes:
        """Return the payload. Raises UnreadableKek, or DamagedPayload."""

    def can_unwrap(self, key: ProjectKey) -> bool:
        """Whether the configured master keys open this project key."""


def stored_text(value: str | bytes) -> str:
    r"""Return what Barbican stored: it binds bytes, which SQLite hands back as bytes and PostgreSQL as \x and hex."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("ascii")
    if value.startswith("\\x"):
        return bytes.fromhex(value[2:]).decode("ascii")
    return value
