"""Barbican's simple_crypto: a master key wraps one key per project, and that key seals the project's payloads.

A wrapped project key is a Fernet token of the master; a stored payload is a Fernet token of the project key, in base64
once more. Both are text: bytes bound to a text column come back changed on PostgreSQL.
"""

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bascule_keymanager.crypto.plugin import NewKey, Place, ProjectKey, Sealed, stored_text
from bascule_keymanager.crypto.unwrapped import UnwrappedKeys
from bascule_keymanager.errors import DamagedPayload, KekRefused, UnreadableKek

__all__ = ["MasterKeys", "SimpleCrypto"]


class MasterKeys:
    """The configured master keys: the first wraps, all are tried for reading."""

    def __init__(self, keys: Sequence[str]) -> None:
        fernets = [_fernet(key, position) for position, key in enumerate(keys, start=1)]
        self._first, self._all = fernets[0], MultiFernet(fernets)

    def wrap(self, key: bytes) -> str:
        """Return a project key wrapped by the first master key."""
        return self._all.encrypt(key).decode("ascii")

    def unwrap(self, key: ProjectKey) -> bytes:
        """Return the project key itself. Raises UnreadableKek."""
        try:
            return self._all.decrypt(stored_text(key.wrapped or "").encode("ascii"))
        except (InvalidToken, ValueError) as unreadable:
            raise UnreadableKek(key.id) from unreadable

    def rewrap(self, key: ProjectKey) -> str | None:
        """Return the project key wrapped by the first master key; None where it is so already. Raises UnreadableKek."""
        plain = self.unwrap(key)
        try:
            self._first.decrypt(stored_text(key.wrapped or "").encode("ascii"))
        except InvalidToken:
            return self.wrap(plain)
        return None


class SimpleCrypto:
    """Seals with Fernet, as Barbican does, and reads what Barbican sealed."""

    plugin_name = "barbican.plugin.crypto.simple_crypto.SimpleCryptoPlugin"
    since = None
    makes_pairs = True

    def __init__(self, master_keys: MasterKeys) -> None:
        self._master = master_keys
        self._unwrapped: UnwrappedKeys[Fernet] = UnwrappedKeys()

    def new_key(self, label: str) -> NewKey:  # noqa: ARG002 - only what keeps its keys elsewhere labels them
        """Return a new project key, wrapped by the first master key."""
        # Barbican writes 128 for what are two keys of 128 bits.
        return NewKey(self._master.wrap(Fernet.generate_key()), algorithm="aes", bit_length=128, mode="cbc")

    def seal(self, key: ProjectKey, payload: bytes, place: Place) -> Sealed:  # noqa: ARG002 - Fernet binds to no place
        """Return what to store of a payload. Raises UnreadableKek."""
        return Sealed(base64.b64encode(self._unwrap(key).encrypt(payload)).decode("ascii"))

    def open(self, key: ProjectKey, sealed: Sealed, place: Place) -> bytes:
        """Return the payload. Raises UnreadableKek, or DamagedPayload."""
        fernet = self._unwrap(key)
        try:
            return fernet.decrypt(base64.b64decode(stored_text(sealed.cypher_text)))
        except (InvalidToken, ValueError) as damaged:
            raise DamagedPayload(place.secret_id) from damaged

    def can_unwrap(self, key: ProjectKey) -> bool:
        """Whether a configured master key opens this project key."""
        try:
            self._master.unwrap(key)
        except UnreadableKek:
            return False
        return True

    def _unwrap(self, key: ProjectKey) -> Fernet:
        known = self._unwrapped.get(key.id)
        if known is not None:
            return known
        try:
            fernet = Fernet(self._master.unwrap(key))
        except ValueError as unreadable:
            raise UnreadableKek(key.id) from unreadable
        self._unwrapped.put(key.id, fernet)
        return fernet


def _fernet(key: str, position: int) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise KekRefused(position) from None  # the original message would repeat nothing secret, but its cause might
