"""Barbican's simple_crypto: a master key wraps one key per project, and that key seals the project's payloads.

A wrapped project key is a Fernet token of the master; a stored payload is a Fernet token of the project key, in base64
once more. Both are text: bytes bound to a text column come back changed on PostgreSQL.
"""

import base64
import threading
from collections import OrderedDict
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bascule_keymanager.errors import KekRefused, UnreadableKek

__all__ = ["CRYPTO_PLUGIN", "KEK_ALGORITHM", "KEK_BIT_LENGTH", "KEK_MODE", "STORE_PLUGIN", "Vault", "stored_text"]

# Full class names of Barbican are part of its stored format.
STORE_PLUGIN = "barbican.plugin.store_crypto.StoreCryptoAdapterPlugin"
CRYPTO_PLUGIN = "barbican.plugin.crypto.simple_crypto.SimpleCryptoPlugin"
KEK_ALGORITHM, KEK_BIT_LENGTH, KEK_MODE = "aes", 128, "cbc"

_UNWRAPPED = 1_000


class Vault:
    """Seals and opens payloads. Unwrapped project keys are kept, so that a read costs one decryption, not two."""

    def __init__(self, master_keys: Sequence[str]) -> None:
        self._master = MultiFernet([_fernet(key, position) for position, key in enumerate(master_keys, start=1)])
        self._unwrapped: OrderedDict[str, Fernet] = OrderedDict()
        self._lock = threading.Lock()

    def new_wrapped_key(self) -> str:
        """Return a new project key, wrapped by the first master key."""
        return self._master.encrypt(Fernet.generate_key()).decode("ascii")

    def can_unwrap(self, wrapped_key: str | bytes) -> bool:
        """Whether a configured master key opens this project key."""
        try:
            self._master.decrypt(stored_text(wrapped_key).encode("ascii"))
        except (InvalidToken, ValueError):
            return False
        return True

    def seal(self, kek_id: str, wrapped_key: str | bytes, payload: bytes) -> str:
        """Return the text to store for this payload. Raises UnreadableKek."""
        return base64.b64encode(self._unwrap(kek_id, wrapped_key).encrypt(payload)).decode("ascii")

    def open(self, kek_id: str, wrapped_key: str | bytes, cypher_text: str | bytes) -> bytes:
        """Return the payload behind a stored text. Raises UnreadableKek, or InvalidToken for a damaged text."""
        return self._unwrap(kek_id, wrapped_key).decrypt(base64.b64decode(stored_text(cypher_text)))

    def _unwrap(self, kek_id: str, wrapped_key: str | bytes) -> Fernet:
        with self._lock:
            known = self._unwrapped.get(kek_id)
            if known is not None:
                self._unwrapped.move_to_end(kek_id)
                return known
        try:
            fernet = Fernet(self._master.decrypt(stored_text(wrapped_key).encode("ascii")))
        except (InvalidToken, ValueError) as unreadable:
            raise UnreadableKek(kek_id) from unreadable
        with self._lock:
            self._unwrapped[kek_id] = fernet
            if len(self._unwrapped) > _UNWRAPPED:
                self._unwrapped.popitem(last=False)
        return fernet


def stored_text(value: str | bytes) -> str:
    r"""Return what Barbican stored: it binds bytes, which SQLite hands back as bytes and PostgreSQL as \x and hex."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("ascii")
    if value.startswith("\\x"):
        return bytes.fromhex(value[2:]).decode("ascii")
    return value


def _fernet(key: str, position: int) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise KekRefused(position) from None  # the original message would repeat nothing secret, but its cause might
