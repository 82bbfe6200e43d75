"""Which keys can be made, and how: Barbican's algorithms, lengths and encodings."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa

from bascule_keymanager.errors import KeyManagerError
from bascule_keymanager.stores.store import KeySpec

__all__ = ["CannotGenerate", "KeyPair", "Reason", "check_algorithm", "check_key", "make_key", "make_pair"]

Reason = Literal["no store", "wrong algorithm", "unsupported"]

_SYMMETRIC = ("aes", "des", "hmacsha1", "hmacsha256", "hmacsha384", "hmacsha512")
_SYMMETRIC_BITS = (64, 128, 192, 256)
_ASYMMETRIC = ("rsa", "dsa")
_ASYMMETRIC_BITS = (1024, 2048, 4096)
# Barbican's stores know these names, and its crypto plugins do not: an order for one fails with another reason.
_KNOWN = (*_SYMMETRIC, *_ASYMMETRIC, "desede", "diffie_hellman", "ec")


class CannotGenerate(KeyManagerError):
    """Nobody here makes such a key, today or later."""

    def __init__(self, spec: KeySpec, reason: Reason) -> None:
        self.algorithm, self.bit_length, self.reason = spec.algorithm, spec.bit_length, reason
        super().__init__(f"no key of algorithm {spec.algorithm!r} and {spec.bit_length} bits can be made here")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Two keys, encoded."""

    private: bytes = field(repr=False)
    public: bytes


def check_algorithm(spec: KeySpec, *, symmetric: bool) -> None:
    """Refuse an algorithm that is of no known kind, or of the other one. Raises CannotGenerate."""
    algorithm = spec.algorithm.lower()
    if algorithm not in _KNOWN:
        raise CannotGenerate(spec, "no store")
    if algorithm not in (_SYMMETRIC if symmetric else _ASYMMETRIC):
        raise CannotGenerate(spec, "wrong algorithm")


def check_key(spec: KeySpec) -> None:
    """Refuse a symmetric key that cannot be made. Raises CannotGenerate."""
    check_algorithm(spec, symmetric=True)
    # XTS uses two keys, and is ordered by the length of both.
    xts = spec.mode is not None and spec.mode.lower() == "xts"
    if spec.bit_length not in ([2 * bits for bits in _SYMMETRIC_BITS] if xts else _SYMMETRIC_BITS):
        raise CannotGenerate(spec, "unsupported")


def make_key(spec: KeySpec, random: Callable[[int], bytes] = os.urandom) -> bytes:
    """Return a new symmetric key. Raises CannotGenerate."""
    check_key(spec)
    return random(spec.bit_length // 8)


def make_pair(spec: KeySpec) -> KeyPair:
    """Return a new private key, encrypted where there is a passphrase, and its public key. Raises CannotGenerate.

    RSA comes as PEM, DSA as DER: so Barbican's clients expect it.
    """
    check_algorithm(spec, symmetric=False)
    if spec.bit_length not in _ASYMMETRIC_BITS:
        raise CannotGenerate(spec, "unsupported")
    key: rsa.RSAPrivateKey | dsa.DSAPrivateKey
    if spec.algorithm.lower() == "rsa":
        encoding, key = serialization.Encoding.PEM, rsa.generate_private_key(65_537, spec.bit_length)
    else:
        encoding, key = serialization.Encoding.DER, dsa.generate_private_key(spec.bit_length)
    protection: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(spec.passphrase.encode())
        if spec.passphrase
        else serialization.NoEncryption()
    )
    return KeyPair(
        private=key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, protection),
        public=key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo),
    )
