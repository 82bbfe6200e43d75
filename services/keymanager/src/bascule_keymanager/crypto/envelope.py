"""Our own format: a data key for every payload, wrapped by the project's key, all of it AES-256-GCM.

Every seal names the secret and the project, so that a row that is moved to another secret does not open there. The
format is documented in docs/reference/keymanager-stores.md; no release before 2027.2 reads it, nor does Barbican.
"""

import base64
import json
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bascule.release import Release
from bascule_keymanager.crypto.plugin import NewKey, Place, ProjectKey, Sealed, stored_text
from bascule_keymanager.crypto.simple import MasterKeys
from bascule_keymanager.crypto.unwrapped import UnwrappedKeys
from bascule_keymanager.errors import DamagedPayload, UnreadableKek

__all__ = ["Envelope"]

_KEY_BYTES, _NONCE_BYTES = 32, 12
_FORMAT = 1


class Envelope:
    """Seals each payload with a key of its own. The configured master keys wrap the projects' keys."""

    plugin_name = "bascule_keymanager.crypto.envelope.Envelope"
    since = Release.parse("2027.2")
    makes_pairs = True

    def __init__(self, master_keys: MasterKeys, random: Callable[[int], bytes] = os.urandom) -> None:
        self._master, self._random = master_keys, random
        self._unwrapped: UnwrappedKeys[AESGCM] = UnwrappedKeys()

    def new_key(self, label: str) -> NewKey:  # noqa: ARG002 - only what keeps its keys elsewhere labels them
        """Return a new project key, wrapped by the first master key."""
        return NewKey(self._master.wrap(self._random(_KEY_BYTES)), algorithm="aes", bit_length=256, mode="gcm")

    def seal(self, key: ProjectKey, payload: bytes, place: Place) -> Sealed:
        """Return what to store of a payload. Raises UnreadableKek."""
        data_key = self._random(_KEY_BYTES)
        wrapped = self._encrypt(self._unwrap(key), data_key, _about("key", place))
        sealed = self._encrypt(AESGCM(data_key), payload, _about("payload", place))
        extended = json.dumps({"format": _FORMAT, "key": _text(wrapped)}, separators=(",", ":"))
        return Sealed(_text(sealed), extended)

    def open(self, key: ProjectKey, sealed: Sealed, place: Place) -> bytes:
        """Return the payload. Raises UnreadableKek, or DamagedPayload."""
        project_key = self._unwrap(key)
        try:
            wrapped = base64.b64decode(_extended_key(sealed))
            data_key = AESGCM(_decrypt(project_key, wrapped, _about("key", place)))
            return _decrypt(data_key, base64.b64decode(stored_text(sealed.cypher_text)), _about("payload", place))
        except (InvalidTag, ValueError) as damaged:
            raise DamagedPayload(place.secret_id) from damaged

    def can_unwrap(self, key: ProjectKey) -> bool:
        """Whether a configured master key opens this project key."""
        try:
            self._unwrap(key)
        except UnreadableKek:
            return False
        return True

    def _unwrap(self, key: ProjectKey) -> AESGCM:
        known = self._unwrapped.get(key.id)
        if known is not None:
            return known
        plain = self._master.unwrap(key)
        if len(plain) != _KEY_BYTES:
            raise UnreadableKek(key.id)
        cipher = AESGCM(plain)
        self._unwrapped.put(key.id, cipher)
        return cipher

    def _encrypt(self, cipher: AESGCM, plain: bytes, about: bytes) -> bytes:
        nonce = self._random(_NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, plain, about)


def _decrypt(cipher: AESGCM, sealed: bytes, about: bytes) -> bytes:
    return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)


def _about(part: str, place: Place) -> bytes:
    # Compact JSON of a list: no two different places make the same bytes.
    return json.dumps(
        ["bascule-envelope", _FORMAT, part, place.secret_id, place.project], separators=(",", ":")
    ).encode()


def _extended_key(sealed: Sealed) -> str:
    try:
        extended = json.loads(sealed.extended or "")
    except ValueError:
        extended = None
    if not isinstance(extended, dict) or extended.get("format") != _FORMAT or not isinstance(extended.get("key"), str):
        raise ValueError("not of this format")
    key: str = extended["key"]
    return key


def _text(sealed: bytes) -> str:
    return base64.b64encode(sealed).decode("ascii")
