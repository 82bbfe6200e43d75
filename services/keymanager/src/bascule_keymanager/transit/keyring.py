"""Finds the key that a secret is, and among the keys that it has had, the one that sealed something."""

from bascule_keymanager.storage.secrets import SealedPayload, SecretStore
from bascule_keymanager.transit.ciphertext import Ciphertext
from bascule_keymanager.transit.working_key import KEY_BYTES, WorkingKey

__all__ = ["KeyUnknown", "Keyring", "NotAKey"]

_ALGORITHMS = (None, "", "aes")


class NotAKey(Exception):
    """The secret is nothing that encrypts; `reason` ends a sentence that begins with the secret."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the secret {reason}")


class KeyUnknown(Exception):
    """The secret has no key of this fingerprint: it was given another payload, or never had that one."""

    def __init__(self) -> None:
        super().__init__("the secret has no such key")


class Keyring:
    """Opens payloads as keys."""

    def __init__(self, secrets: SecretStore) -> None:
        self._secrets = secrets

    def find(self, secret_id: str, user: str | None) -> SealedPayload | None:
        """Return what is stored of a living secret, with its owner as `user` would see it: one statement mostly."""
        return self._secrets.sealed_payload(secret_id, user)

    def current(self, sealed: SealedPayload) -> WorkingKey:
        """Return the key that this secret is now. Raises NotAKey, and what the store raises."""
        if sealed.secret_type != "symmetric":  # noqa: S105 - a kind of secret, not one
            raise NotAKey(f"is of type {sealed.secret_type}, and only a symmetric key encrypts")
        if (sealed.algorithm or "").lower() not in _ALGORITHMS:
            raise NotAKey("is a key of another algorithm than aes")
        if not sealed.has_payload:
            raise NotAKey("has no payload yet")
        return self._opened(sealed)

    def that_sealed(self, ciphertext: Ciphertext, current: WorkingKey) -> WorkingKey:
        """Return the key of `current`'s secret that sealed this. Raises KeyUnknown, NotAKey."""
        if current.fingerprint != ciphertext.fingerprint:
            raise KeyUnknown
        return current

    def _opened(self, sealed: SealedPayload) -> WorkingKey:
        if sealed.content_type == "text/plain":
            raise NotAKey("is text, and a key is bytes")
        raw = self._secrets.open(sealed)
        if len(raw) not in KEY_BYTES:
            raise NotAKey("is not 16, 24 or 32 bytes long, as a key of aes is")
        return WorkingKey(sealed.secret_id, raw)
