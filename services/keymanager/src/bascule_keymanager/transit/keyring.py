"""Finds the key that a secret is, and among the keys that it has had, the one that sealed something."""

from contextlib import suppress

from bascule_keymanager.storage.secrets import SealedPayload, SecretStore
from bascule_keymanager.storage.version_history import VersionReader
from bascule_keymanager.transit.working_key import KEY_BYTES, WorkingKey

__all__ = ["Keyring", "NotAKey"]

_ALGORITHMS = (None, "", "aes")


class NotAKey(Exception):
    """The secret is nothing that encrypts; `reason` ends a sentence that begins with the secret."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the secret {reason}")


class Keyring:
    """Opens payloads as keys."""

    def __init__(self, secrets: SecretStore, versions: VersionReader) -> None:
        self._secrets, self._versions = secrets, versions

    def find(self, secret_id: str, user: str | None) -> SealedPayload | None:
        """Return what is stored of a living secret, with its owner as `user` would see it: one statement mostly."""
        return self._secrets.sealed_payload(secret_id, user, with_form=True)

    def current(self, sealed: SealedPayload) -> WorkingKey:
        """Return the key that this secret is now. Raises NotAKey, and what the store raises."""
        if sealed.secret_type != "symmetric":  # noqa: S105 - a kind of secret, not one
            raise NotAKey(f"is of type {sealed.secret_type}, and only a symmetric key encrypts")
        if (sealed.algorithm or "").lower() not in _ALGORITHMS:
            raise NotAKey("is a key of another algorithm than aes")
        if not sealed.has_payload:
            raise NotAKey("has no payload yet")
        return self._opened(sealed)

    def others(self, secret_id: str) -> dict[str, WorkingKey]:
        """Return the keys that this secret's other versions are, by their fingerprints. Raises what the store raises.

        One statement; what is no key is left out, and so is what was destroyed.
        """
        keys = []
        for sealed in self._versions.others(secret_id):
            with suppress(NotAKey):
                keys.append(self._opened(sealed))
        return {key.fingerprint: key for key in keys}

    def _opened(self, sealed: SealedPayload) -> WorkingKey:
        if sealed.content_type == "text/plain":
            raise NotAKey("is text, and a key is bytes")
        raw = self._secrets.open(sealed)
        if len(raw) not in KEY_BYTES:
            raise NotAKey("is not 16, 24 or 32 bytes long, as a key of aes is")
        return WorkingKey(sealed.secret_id, raw)
