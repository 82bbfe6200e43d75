"""Payloads as objects of a KMIP server, in the form that Barbican's plugin gives them, and back.

What goes in comes out, byte for byte. A key or certificate that Barbican would store in another form than it was given
(with another end of its last line, in PKCS#1, several certificates in one) is kept as opaque data instead: Barbican's
plugin cannot read that back, and it would have returned other bytes.
"""

from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from kmip.core.enums import CryptographicAlgorithm, KeyFormatType, ObjectType, OpaqueDataType, SecretDataType
from kmip.pie import objects

from bascule_keymanager.stores.store import Form

__all__ = ["ASYMMETRIC", "SYMMETRIC", "object_of", "payload_of"]

# Barbican's names, with the lengths in bits that its plugin takes; none is any length.
SYMMETRIC: dict[str, tuple[Any, tuple[int, ...]]] = {  # Any: the library has no types, here and below
    "aes": (CryptographicAlgorithm.AES, (128, 192, 256)),
    "des": (CryptographicAlgorithm.DES, (56,)),
    "desede": (CryptographicAlgorithm.TRIPLE_DES, (56, 64, 112, 128, 168, 192)),
    "hmacsha1": (CryptographicAlgorithm.HMAC_SHA1, ()),
    "hmacsha256": (CryptographicAlgorithm.HMAC_SHA256, ()),
    "hmacsha384": (CryptographicAlgorithm.HMAC_SHA384, ()),
    "hmacsha512": (CryptographicAlgorithm.HMAC_SHA512, ()),
}
ASYMMETRIC: dict[str, tuple[Any, tuple[int, ...]]] = {
    "rsa": (CryptographicAlgorithm.RSA, (1024, 2048, 3072, 4096)),
    "dsa": (CryptographicAlgorithm.DSA, (1024, 2048, 3072)),
}

_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER
_PKCS8, _SPKI = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo
_OPEN = serialization.NoEncryption()


def object_of(payload: bytes, form: Form, name: str, *, pkcs1_only: bool) -> Any:
    """Return the object to register for this payload."""
    make = _MAKERS.get(form.secret_type)
    made = make(payload, form, name, pkcs1_only) if make is not None else None
    if made is not None and (form.secret_type not in _ENCODED or payload_of(made) == payload):
        return made
    return objects.OpaqueObject(payload, OpaqueDataType.NONE, name=name)


def payload_of(found: Any) -> bytes:
    """Return the payload that this object is. Raises ValueError for a key or certificate that nobody can read."""
    value = bytes(found.value)
    encode = _DECODERS.get(found.object_type)
    return encode(value) if encode is not None else value


def _symmetric(payload: bytes, form: Form, name: str, _pkcs1_only: bool) -> Any:
    algorithm, lengths = SYMMETRIC.get((form.algorithm or "").lower(), (None, ()))
    bits = len(payload) * 8
    if algorithm is None or (lengths and bits not in lengths):
        return None
    return objects.SymmetricKey(algorithm, bits, payload, name=name)


def _passphrase(payload: bytes, _form: Form, name: str, _pkcs1_only: bool) -> Any:
    return objects.SecretData(payload, SecretDataType.PASSWORD, name=name)


def _private(payload: bytes, _form: Form, name: str, pkcs1_only: bool) -> Any:
    try:
        key = serialization.load_pem_private_key(payload, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # no PEM, or encrypted
        return None
    algorithm = _algorithm_of(key, pkcs1_only)
    if algorithm is None or not isinstance(key, rsa.RSAPrivateKey | dsa.DSAPrivateKey):
        return None
    layout = serialization.PrivateFormat.TraditionalOpenSSL if pkcs1_only else _PKCS8
    kind = KeyFormatType.PKCS_1 if pkcs1_only else KeyFormatType.PKCS_8
    return objects.PrivateKey(algorithm, key.key_size, key.private_bytes(_DER, layout, _OPEN), kind, name=name)


def _public(payload: bytes, _form: Form, name: str, pkcs1_only: bool) -> Any:
    try:
        key = serialization.load_pem_public_key(payload)
    except (ValueError, UnsupportedAlgorithm):
        return None
    algorithm = _algorithm_of(key, pkcs1_only)
    if algorithm is None or not isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey):
        return None
    layout = serialization.PublicFormat.PKCS1 if pkcs1_only else _SPKI
    kind = KeyFormatType.PKCS_1 if pkcs1_only else KeyFormatType.X_509
    return objects.PublicKey(algorithm, key.key_size, key.public_bytes(_DER, layout), kind, name=name)


def _certificate(payload: bytes, _form: Form, name: str, _pkcs1_only: bool) -> Any:
    try:
        found = x509.load_pem_x509_certificate(payload)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return objects.X509Certificate(found.public_bytes(_DER), name=name)


def _algorithm_of(key: object, pkcs1_only: bool) -> Any:
    """Return what Barbican's plugin calls such a key's algorithm; None for one that it does not keep."""
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return CryptographicAlgorithm.RSA
    return (
        CryptographicAlgorithm.DSA if isinstance(key, dsa.DSAPrivateKey | dsa.DSAPublicKey) and not pkcs1_only else None
    )


def _private_pem(value: bytes) -> bytes:
    return serialization.load_der_private_key(value, None).private_bytes(_PEM, _PKCS8, _OPEN)


def _public_pem(value: bytes) -> bytes:
    return serialization.load_der_public_key(value).public_bytes(_PEM, _SPKI)


def _certificate_pem(value: bytes) -> bytes:
    return x509.load_der_x509_certificate(value).public_bytes(_PEM)


_MAKERS: dict[str, Callable[[bytes, Form, str, bool], Any]] = {
    "symmetric": _symmetric,
    "passphrase": _passphrase,
    "private": _private,
    "public": _public,
    "certificate": _certificate,
}
_ENCODED = ("private", "public", "certificate")
_DECODERS: dict[Any, Callable[[bytes], bytes]] = {
    ObjectType.PRIVATE_KEY: _private_pem,
    ObjectType.PUBLIC_KEY: _public_pem,
    ObjectType.CERTIFICATE: _certificate_pem,
}
