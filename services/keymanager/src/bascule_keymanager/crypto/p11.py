"""Barbican's p11_crypto: a master key in a PKCS#11 module wraps the projects' keys, and the module seals with those.

A wrapped project key is JSON with the wrapped key, the vector it was wrapped with, and a signature over both by a
second master key; a payload is what the module made of it, beside JSON with its vector and the mechanism.
"""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import padding

from bascule_keymanager.crypto.hsm import Handle, Hsm, OpenHsm, P11Settings, find_key
from bascule_keymanager.crypto.plugin import NewKey, Place, ProjectKey, Sealed, stored_text
from bascule_keymanager.errors import ConfigRefused, DamagedPayload, HsmFailed, UnreadableKek

__all__ = ["P11Crypto"]

_CBC, _GCM = "CKM_AES_CBC", "CKM_AES_GCM"
_BLOCK, _NONCE, _TAG_BITS = 16, 12, 128
# What a wrapping mechanism takes as its vector, in bytes.
_WRAP_IV = {"CKM_AES_CBC_PAD": 16, "CKM_AES_KEY_WRAP_PAD": 8, "CKM_AES_KEY_WRAP_KWP": 4}
_WRAPPED_BEFORE_IT_WAS_SAID = "CKM_AES_CBC_PAD"


class P11Crypto:
    """Seals in a PKCS#11 module; no key ever leaves it unwrapped."""

    plugin_name = "barbican.plugin.crypto.p11_crypto.P11CryptoPlugin"
    since = None
    makes_pairs = False

    def __init__(self, settings: P11Settings) -> None:
        for option in ("mkek_label", "hmac_label"):
            if not getattr(settings, option):
                raise ConfigRefused(None, f"[p11_crypto_plugin] {option} is not set")
        for option, known in (("encryption_mechanism", (_CBC, _GCM)), ("key_wrap_mechanism", tuple(_WRAP_IV))):
            if getattr(settings, option) not in known:
                raise ConfigRefused(None, f"[p11_crypto_plugin] {option} is not one of {', '.join(known)}")
        self._settings = settings
        self.hsm = Hsm(settings)

    def random(self, length: int) -> bytes:
        """Return random bytes of the module's making."""
        return self.hsm.call(lambda opened: _random(opened, length))

    def new_key(self, label: str) -> NewKey:  # noqa: ARG002 - the module keeps no project's key
        """Make a project key in the module, and return it wrapped."""
        settings = self._settings

        def make(opened: OpenHsm) -> dict[str, str | None]:
            api = opened.api
            uses = ("ENCRYPT", "DECRYPT")
            sensitive = settings.always_set_cka_sensitive
            template = _secret_key(api, "CKK_AES", sensitive=sensitive, extractable=True, uses=uses)
            length = (api.CKA_VALUE_LEN, settings.pkek_length)
            key = opened.keeper.generateKey([*template, length], api.Mechanism(api.CKM_AES_KEY_GEN, None))
            return self._wrap(opened, key)

        wrapped = json.dumps(self.hsm.call(make), separators=(",", ":"))
        return NewKey(wrapped, algorithm="AES", bit_length=settings.pkek_length * 8, mode="CBC")

    def seal(self, key: ProjectKey, payload: bytes, place: Place) -> Sealed:  # noqa: ARG002 - bound to no place
        """Return what to store of a payload. Raises UnreadableKek, HsmFailed."""
        mechanism = self._settings.encryption_mechanism

        def encrypt(opened: OpenHsm) -> tuple[bytes, bytes]:
            iv = _random(opened, _BLOCK if mechanism == _CBC else _NONCE)
            handle = self._unwrapped(opened, key)
            with opened.session() as session:
                cipher = _mechanism(opened.api, mechanism, iv)
                return iv, bytes(session.encrypt(handle, _padded(payload) if mechanism == _CBC else payload, cipher))

        iv, cypher = self.hsm.call(encrypt)
        return Sealed(_text(cypher), json.dumps({"iv": _text(iv), "mechanism": mechanism}, separators=(",", ":")))

    def open(self, key: ProjectKey, sealed: Sealed, place: Place) -> bytes:
        """Return the payload. Raises UnreadableKek, DamagedPayload, HsmFailed."""
        try:
            extended = json.loads(stored_text(sealed.extended or ""))
            iv, mechanism = base64.b64decode(extended["iv"]), extended["mechanism"]
            cypher = base64.b64decode(stored_text(sealed.cypher_text))
        except (ValueError, TypeError, KeyError) as damaged:
            raise DamagedPayload(place.secret_id) from damaged
        if mechanism not in (_CBC, _GCM):
            raise HsmFailed(
                f"the payload of secret {place.secret_id} was sealed with {mechanism}, which we do not know"
            )

        def decrypt(opened: OpenHsm) -> bytes:
            handle = self._unwrapped(opened, key)
            try:
                with opened.session() as session:
                    return bytes(session.decrypt(handle, cypher, _mechanism(opened.api, mechanism, iv)))
            except opened.api.PyKCS11Error as refused:
                if refused.value in _data_errors(opened.api):
                    raise DamagedPayload(place.secret_id) from refused
                raise

        plain = self.hsm.call(decrypt)
        try:
            return _unpadded(plain) if mechanism == _CBC else _once_padded(plain, iv)
        except ValueError as damaged:
            raise DamagedPayload(place.secret_id) from damaged

    def can_unwrap(self, key: ProjectKey) -> bool:
        """Whether the module opens this project key with the master keys that the key names. Raises HsmFailed."""
        try:
            self.hsm.call(lambda opened: self._unwrapped(opened, key))
        except UnreadableKek:
            return False
        return True

    def _unwrapped(self, opened: OpenHsm, key: ProjectKey) -> Handle:
        known = opened.project_keys.get(key.id)
        if known is not None:
            return known
        handle = self._unwrap(opened, key)
        opened.project_keys.put(key.id, handle)
        return handle

    def _unwrap(self, opened: OpenHsm, key: ProjectKey) -> Handle:
        api = opened.api
        try:
            meta = json.loads(stored_text(key.wrapped or ""))
            iv = base64.b64decode(meta["iv"]) if meta["iv"] is not None else None
            wrapped, signature = base64.b64decode(meta["wrapped_key"]), base64.b64decode(meta["hmac"])
            mechanism = meta.get("key_wrap_mechanism", _WRAPPED_BEFORE_IT_WAS_SAID)
            labels = meta["mkek_label"], meta["hmac_label"]
        except (ValueError, TypeError, KeyError) as unreadable:
            raise UnreadableKek(key.id) from unreadable
        if mechanism not in _WRAP_IV:
            raise UnreadableKek(key.id)
        mkek, hmac_key = self._mkek(opened, labels[0]), self._hmac_key(opened, labels[1])
        template = _secret_key(api, "CKK_AES", sensitive=True, extractable=True, uses=("ENCRYPT", "DECRYPT"))
        with opened.session() as session:
            if not session.verify(hmac_key, (iv or b"") + wrapped, signature, self._hmac_mechanism(api)):
                raise UnreadableKek(key.id)
        try:
            return opened.keeper.unwrapKey(mkek, wrapped, template, api.Mechanism(getattr(api, mechanism), iv))
        except api.PyKCS11Error as refused:
            if refused.value in (api.CKR_WRAPPED_KEY_INVALID, api.CKR_WRAPPED_KEY_LEN_RANGE):
                raise UnreadableKek(key.id) from refused
            raise

    def rewrap(self, key: ProjectKey) -> str | None:
        """Return a project key wrapped by the configured master key; None where it is so. Raises UnreadableKek."""
        settings = self._settings
        meta = json.loads(stored_text(key.wrapped or "{}"))
        if (meta.get("mkek_label"), meta.get("hmac_label")) == (settings.mkek_label, settings.hmac_label):
            return None
        rewrapped = self.hsm.call(lambda opened: self._wrap(opened, self._unwrap(opened, key)))
        return json.dumps(rewrapped, separators=(",", ":"))

    def _wrap(self, opened: OpenHsm, key: Handle) -> dict[str, str | None]:
        """Return the wrapped key as `kek_data` has it, and destroy it in the module."""
        api, settings, mechanism = opened.api, self._settings, self._settings.key_wrap_mechanism
        mkek, hmac_key = self._mkek(opened, settings.mkek_label), self._hmac_key(opened, settings.hmac_label)
        iv = _random(opened, _WRAP_IV[mechanism]) if settings.key_wrap_generate_iv else None
        with opened.session() as session:
            wrapped = bytes(session.wrapKey(mkek, key, api.Mechanism(getattr(api, mechanism), iv)))
            signature = bytes(session.sign(hmac_key, (iv or b"") + wrapped, self._hmac_mechanism(api)))
            session.destroyObject(key)
        return {
            "iv": _text(iv) if iv else None,
            "wrapped_key": _text(wrapped),
            "hmac": _text(signature),
            "mkek_label": settings.mkek_label,
            "hmac_label": settings.hmac_label,
            "key_wrap_mechanism": mechanism,
        }

    def find_master_key(self, label: str, key_type: str) -> bool:
        """Whether the module has a key of this type and label. Raises HsmFailed."""

        def find(opened: OpenHsm) -> bool:
            with opened.session() as session:
                return find_key(session, opened.api, key_type, label) is not None

        return self.hsm.call(find)

    def generate_master_key(self, label: str, key_type: str, mechanism: str, length: int, *, wraps: bool) -> None:
        """Make a master key that stays in the module: one that wraps, or one that signs. Raises HsmFailed."""
        if self.find_master_key(label, key_type):
            raise HsmFailed(f"there is a key labelled {label} already")

        def make(opened: OpenHsm) -> None:
            api = opened.api
            uses = ("ENCRYPT", "DECRYPT", "WRAP", "UNWRAP") if wraps else ("SIGN", "VERIFY")
            template = _secret_key(api, key_type, sensitive=True, extractable=False, uses=uses, label=label)
            with opened.session() as session:
                session.generateKey(
                    [*template, (api.CKA_VALUE_LEN, length)], api.Mechanism(getattr(api, mechanism), None)
                )

        self.hsm.call(make)

    def _mkek(self, opened: OpenHsm, label: str | None) -> Handle:
        return _master_key(opened, "CKK_AES", label)

    def _hmac_key(self, opened: OpenHsm, label: str | None) -> Handle:
        return _master_key(opened, self._settings.hmac_key_type, label)

    def _hmac_mechanism(self, api: Any) -> Any:  # Any: PyKCS11's own
        return api.Mechanism(getattr(api, self._settings.hmac_mechanism), None)


def _master_key(opened: OpenHsm, key_type: str, label: str | None) -> Handle:
    name = f"{key_type} {label}"
    known = opened.master_keys.get(name)
    if known is None:
        with opened.session() as session:
            known = find_key(session, opened.api, key_type, label or "")
        if known is None:
            raise HsmFailed(f"there is no key labelled {label}")
        opened.master_keys[name] = known
    return known


def _secret_key(
    api: Any, key_type: str, *, sensitive: bool, extractable: bool, uses: tuple[str, ...], label: str | None = None
) -> list[tuple[Any, Any]]:  # Any: attributes of PyKCS11
    every = ("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP")
    template = [
        (api.CKA_CLASS, api.CKO_SECRET_KEY),
        (api.CKA_KEY_TYPE, getattr(api, key_type)),
        (api.CKA_TOKEN, label is not None),
        (api.CKA_PRIVATE, True),
        (api.CKA_SENSITIVE, sensitive),
        (api.CKA_EXTRACTABLE, extractable),
        *((getattr(api, f"CKA_{use}"), use in uses) for use in every),
    ]
    return [*template, (api.CKA_LABEL, label)] if label is not None else template


def _mechanism(api: Any, name: str, iv: bytes) -> Any:  # Any: PyKCS11's own
    return api.Mechanism(api.CKM_AES_CBC, iv) if name == _CBC else api.AES_GCM_Mechanism(iv, b"", _TAG_BITS)


def _data_errors(api: Any) -> tuple[int, ...]:  # Any: PyKCS11 itself
    return (
        api.CKR_ENCRYPTED_DATA_INVALID,
        api.CKR_ENCRYPTED_DATA_LEN_RANGE,
        api.CKR_DATA_LEN_RANGE,
        api.CKR_DATA_INVALID,
    )


def _random(opened: OpenHsm, length: int) -> bytes:
    with opened.session() as session:
        return bytes(session.generateRandom(length))


def _padded(plain: bytes) -> bytes:
    padder = padding.PKCS7(_BLOCK * 8).padder()
    return padder.update(plain) + padder.finalize()


def _unpadded(plain: bytes) -> bytes:
    unpadder = padding.PKCS7(_BLOCK * 8).unpadder()
    return unpadder.update(plain) + unpadder.finalize()


def _once_padded(plain: bytes, iv: bytes) -> bytes:
    # Old Barbicans padded for GCM too; they used vectors of a whole block, which tells what they wrote.
    last = plain[-1] if plain else 0
    if len(iv) == _BLOCK and len(plain) % _BLOCK == 0 and 1 <= last <= _BLOCK and plain.endswith(plain[-1:] * last):
        return plain[:-last]
    return plain


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
