"""An AES key at work: what it seals, and what it opens.

Keys of 16, 24 or 32 bytes. What is encrypted gets an AES-256-GCM key of its own, derived from the key and 32 random
bytes by HKDF-SHA256, so that no number of ciphertexts uses a nonce up. Key wrap is RFC 3394 and RFC 5649 with the key
itself, so that whoever else has the key can unwrap.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bascule_keymanager.transit.ciphertext import Ciphertext, Kind

__all__ = ["KEY_BYTES", "LengthRefused", "NotOpened", "WorkingKey", "binds_context"]

KEY_BYTES = (16, 24, 32)

_SALT_BYTES, _MESSAGE_KEY_BYTES, _NONCE_BYTES = 32, 32, 12
_FINGERPRINT = b"bascule:1:fingerprint"
_KW_LEAST, _KW_STEP = 16, 8


class NotOpened(Exception):
    """The seal does not hold: changed, cut, of another context, or not made with this key. Nobody is told which."""

    def __init__(self) -> None:
        super().__init__("the seal does not hold")


class LengthRefused(Exception):
    """RFC 3394 wraps whole blocks of 8 bytes, two at least."""

    def __init__(self) -> None:
        super().__init__("not a length that aes-kw wraps")


def binds_context(kind: Kind) -> bool:
    """Whether what is sealed so opens only with the context that it was sealed with."""
    return kind in ("encrypted", "aes-gcm")


@dataclass(frozen=True, slots=True)
class WorkingKey:
    """A key, and the id of the secret that it is. Safe to share between threads."""

    key_id: str
    _raw: bytes = field(repr=False)
    _random: Callable[[int], bytes] = field(default=os.urandom, repr=False, compare=False)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        if len(self._raw) not in KEY_BYTES:
            raise AssertionError("the caller looks at the length of a key")
        object.__setattr__(self, "fingerprint", _derived(self._raw, None, _FINGERPRINT, 8).hex())

    def seal(self, kind: Kind, plain: bytes, context: str = "") -> Ciphertext:
        """Return this sealed with the key. Raises LengthRefused."""
        if kind == "aes-kw":
            if len(plain) < _KW_LEAST or len(plain) % _KW_STEP:
                raise LengthRefused
            return self._made(kind, keywrap.aes_key_wrap(self._raw, plain))
        if kind == "aes-kwp":
            return self._made(kind, keywrap.aes_key_wrap_with_padding(self._raw, plain))
        salt = self._random(_SALT_BYTES)
        header = self._made(kind, b"").header
        cipher, nonce = self._of_message(salt, header)
        return self._made(kind, salt + cipher.encrypt(nonce, plain, _bound(header, context)))

    def open(self, sealed: Ciphertext, context: str = "") -> bytes:
        """Return what was sealed. Raises NotOpened."""
        try:
            if sealed.kind == "aes-kw":
                return keywrap.aes_key_unwrap(self._raw, sealed.body)
            if sealed.kind == "aes-kwp":
                return keywrap.aes_key_unwrap_with_padding(self._raw, sealed.body)
            salt, rest = sealed.body[:_SALT_BYTES], sealed.body[_SALT_BYTES:]
            cipher, nonce = self._of_message(salt, sealed.header)
            return cipher.decrypt(nonce, rest, _bound(sealed.header, context))
        except (InvalidTag, keywrap.InvalidUnwrap, ValueError):
            raise NotOpened from None

    def _made(self, kind: Kind, body: bytes) -> Ciphertext:
        return Ciphertext(kind, self.key_id, self.fingerprint, body)

    def _of_message(self, salt: bytes, header: str) -> tuple[AESGCM, bytes]:
        """Return the cipher and the nonce of one message: nobody else's while its salt is."""
        derived = _derived(self._raw, salt, header.encode("ascii"), _MESSAGE_KEY_BYTES + _NONCE_BYTES)
        return AESGCM(derived[:_MESSAGE_KEY_BYTES]), derived[_MESSAGE_KEY_BYTES:]


def _derived(raw: bytes, salt: bytes | None, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(raw)


def _bound(header: str, context: str) -> bytes:
    # No header has a NUL: no two different pairs make the same bytes.
    return f"{header}\0{context}".encode()
