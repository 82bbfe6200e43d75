"""/v1/bascule/secrets/{id}/encrypt and its like: a secret that is a key is used, and stays here."""

import base64
import http
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import falcon

from bascule.release import Release
from bascule_keymanager.api.access import authorize
from bascule_keymanager.api.answers import send
from bascule_keymanager.api.body import read_exact_json
from bascule_keymanager.api.context import caller_of, request_id_of
from bascule_keymanager.api.errors import ApiRefusal, BodyRefused, IssueSeen, NotAllowed, operation
from bascule_keymanager.api.key_use_bodies import (
    DATA_KEY,
    DECRYPTION,
    ENCRYPTION,
    REWRAP,
    UNWRAP,
    WRAP,
    Item,
    ItemSchema,
)
from bascule_keymanager.api.metrics import Metrics
from bascule_keymanager.api.own import OWN, served_since
from bascule_keymanager.api.owners import check_id, target_of
from bascule_keymanager.config_transit import TransitSettings
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.log import get_log
from bascule_keymanager.storage.rows import Gone
from bascule_keymanager.stores.configured import Speaking
from bascule_keymanager.transit.ciphertext import Algorithm, Ciphertext, NotACiphertext
from bascule_keymanager.transit.keyring import Keyring, NotAKey
from bascule_keymanager.transit.working_key import LengthRefused, NotOpened, WorkingKey, binds_context

__all__ = ["KEY_USES", "KeyUse", "KeyUseResource"]

log = get_log()

SINCE = Release.parse("2028.1")
_DATA_KEY_BITS = 256


@dataclass(slots=True)
class _Desk:
    """One request at work: who asks, the key that the path names, and other keys that its items turned out to need."""

    req: falcon.Request
    keyring: Keyring
    limits: TransitSettings
    key: WorkingKey
    others: dict[tuple[str, str], WorkingKey] = field(default_factory=dict)
    versions: dict[str, dict[str, WorkingKey]] = field(default_factory=dict)

    def opener(self, ciphertext: Ciphertext) -> WorkingKey:
        """Return the key of the path's secret that sealed this. Raises IssueSeen."""
        if ciphertext.key_id != self.key.key_id:
            raise IssueSeen(400, "The ciphertext was made with another secret than the one that the path names")
        return self._that_sealed(ciphertext, self.key)

    def source(self, ciphertext: Ciphertext) -> WorkingKey:
        """Return the key that sealed this, of whatever secret that the caller may open it with. Raises IssueSeen."""
        if ciphertext.key_id == self.key.key_id:
            return self._that_sealed(ciphertext, self.key)
        # Whoever may move a ciphertext to a key of theirs reads it.
        rule = "key:decrypt" if ciphertext.kind == "encrypted" else "key:unwrap"
        key = self.others.get((ciphertext.key_id, rule))
        if key is None:
            key = self.others[ciphertext.key_id, rule] = self._other(ciphertext.key_id, rule)
        return self._that_sealed(ciphertext, key)

    def _other(self, key_id: str, rule: str) -> WorkingKey:
        found = self.keyring.find(key_id, caller_of(self.req).user)
        if found is None:
            raise IssueSeen(400, _NOT_YOURS)
        try:
            authorize(self.req, rule, target_of(self.req, found.owner, "secret"))
            return self.keyring.current(found)
        except NotAllowed:
            raise IssueSeen(400, _NOT_YOURS) from None
        except NotAKey as refused:
            raise IssueSeen(400, f"The secret that the ciphertext names {refused.reason}") from None

    def _that_sealed(self, ciphertext: Ciphertext, current: WorkingKey) -> WorkingKey:
        if ciphertext.fingerprint == current.fingerprint:
            return current
        # Another version of the secret, before the key was rotated; looked up once for all items.
        if current.key_id not in self.versions:
            self.versions[current.key_id] = self.keyring.others(current.key_id)
        key = self.versions[current.key_id].get(ciphertext.fingerprint)
        if key is None:
            raise IssueSeen(400, "The ciphertext was made with a key that its secret does not have")
        return key


_NOT_YOURS = "The ciphertext was made with a secret that is not there, or that you may not open it with"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One way of using a key: what it is called, its last step of the path and its policy, and what it does."""

    name: str
    verb: str
    policy: str
    schema: ItemSchema
    do: Callable[[_Desk, Item], dict[str, str]]

    @property
    def path(self) -> str:
        """The path of a secret's use."""
        return f"{OWN}/secrets/{{secret_id}}/{self.verb}"


class KeyUseResource:
    """Uses one secret as a key."""

    def __init__(
        self, use: KeyUse, limits: TransitSettings, keyring: Keyring, speaking: Speaking, metrics: Metrics | None
    ) -> None:
        self._use, self._limits, self._keyring, self._speaking = use, limits, keyring, speaking
        self._metrics = metrics
        self._guarded = operation(use.name)(self._post)

    def on_post(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Do it for every item of the request."""
        self._guarded(req, resp, secret_id)

    def _post(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        check_id("secret", secret_id)
        with served_since(SINCE, self._speaking):
            self._answer(req, resp, secret_id)

    def _answer(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        found = self._keyring.find(secret_id, caller_of(req).user)
        if found is None:
            raise Gone("secrets")
        authorize(req, self._use.policy, target_of(req, found.owner, "secret"))
        items, several = self._use.schema.items(
            read_exact_json(req, self._limits.max_request_bytes), self._limits.max_items
        )
        try:
            key = self._keyring.current(found)
        except NotAKey as refused:
            raise IssueSeen(400, f"The secret {refused.reason}") from None
        desk = _Desk(req, self._keyring, self._limits, key)
        resp.set_header("Cache-Control", "no-store")
        if several:
            answers = [self._tried(desk, item) for item in items]
            self._note(req, secret_id, len(items), sum("error" in answer for answer in answers))
            send(resp, {"items": answers})
            return
        try:
            send(resp, self._use.do(desk, items[0]))
        except ApiRefusal:
            self._note(req, secret_id, 1, 1)
            raise
        self._note(req, secret_id, 1, 0)

    def _tried(self, desk: _Desk, item: Item) -> dict[str, Any]:  # Any: JSON
        """Return what one of several items comes to: its answer, or why there is none."""
        try:
            return {**self._use.do(desk, item)}
        except ApiRefusal as refusal:
            text = refusal.description
            if isinstance(refusal, IssueSeen):
                text = f"{self._use.name} issue seen - {refusal.reason}."
            title = http.HTTPStatus(refusal.status).phrase
            return {"error": {"code": refusal.status, "title": title, "description": text}}

    def _note(self, req: falcon.Request, secret_id: str, items: int, refused: int) -> None:
        """Leave a trace of what was done with a key, and of nothing that it was done to."""
        if self._metrics is not None:
            self._metrics.key_used(self._use.verb, items - refused, refused)
        caller = caller_of(req)
        log.info(
            "key used",
            operation=self._use.verb,
            secret=secret_id,
            items=items,
            refused=refused,
            project=caller.project,
            user=caller.user,
            request_id=request_id_of(req),
        )


def _encrypt(desk: _Desk, item: Item) -> dict[str, str]:
    plain = _decoded(desk, item, "plaintext", ENCRYPTION)
    return {"ciphertext": str(desk.key.seal("encrypted", plain, item.get("context", "")))}


def _decrypt(desk: _Desk, item: Item) -> dict[str, str]:
    sealed = _parsed(item["ciphertext"])
    if sealed.kind != "encrypted":
        raise IssueSeen(400, "This is a wrapped key, which is unwrapped and not decrypted")
    return {"plaintext": _encoded(_opened(desk.opener(sealed), sealed, item))}


def _wrap(desk: _Desk, item: Item) -> dict[str, str]:
    return {"wrapped": _wrapped(desk, item, _decoded(desk, item, "key", WRAP))}


def _unwrap(desk: _Desk, item: Item) -> dict[str, str]:
    sealed = _parsed(item["wrapped"])
    if sealed.kind == "encrypted":
        raise IssueSeen(400, "This is no wrapped key; it is decrypted and not unwrapped")
    return {"key": _encoded(_opened(desk.opener(sealed), sealed, item))}


def _data_key(desk: _Desk, item: Item) -> dict[str, str]:
    plain = os.urandom(int(item.get("bit_length", _DATA_KEY_BITS)) // 8)
    return {"key": _encoded(plain), "wrapped": _wrapped(desk, item, plain)}


def _wrapped_data_key(desk: _Desk, item: Item) -> dict[str, str]:
    return {"wrapped": _data_key(desk, item)["wrapped"]}


def _rewrap(desk: _Desk, item: Item) -> dict[str, str]:
    sealed = _parsed(item["ciphertext"])
    plain = _opened(desk.source(sealed), sealed, item)
    return {"ciphertext": str(desk.key.seal(sealed.kind, plain, item.get("context", "")))}


def _wrapped(desk: _Desk, item: Item, plain: bytes) -> str:
    context = item.get("context", "")
    algorithm: Algorithm = item.get("algorithm", "aes-gcm" if context else "aes-kwp")
    _check_context(algorithm, context)
    try:
        return str(desk.key.seal(algorithm, plain, context))
    except LengthRefused:
        raise IssueSeen(400, "aes-kw wraps multiples of 8 bytes, 16 at least; aes-kwp wraps any length") from None


def _opened(key: WorkingKey, sealed: Ciphertext, item: Item) -> bytes:
    context = item.get("context", "")
    _check_context(sealed.kind, context)
    try:
        return key.open(sealed, context)
    except NotOpened:
        raise IssueSeen(400, "The ciphertext does not open: it was changed or cut, or its context is another") from None


def _check_context(kind: Any, context: str) -> None:  # Any: one of the kinds
    if context and not binds_context(kind):
        raise IssueSeen(400, f"{kind} takes no context; aes-gcm does")


def _parsed(text: str) -> Ciphertext:
    try:
        return Ciphertext.parse(text)
    except NotACiphertext as other:
        if other.format_version is not None:
            reason = f"The ciphertext is of format {other.format_version}, which release {RELEASE} does not read"
            raise IssueSeen(400, reason) from None
        raise IssueSeen(400, "The text is no ciphertext of this key manager's") from None


def _decoded(desk: _Desk, item: Item, name: str, schema: ItemSchema) -> bytes:
    try:
        plain = base64.b64decode(item[name], validate=True)
    except ValueError:
        raise BodyRefused(schema.item.name, "the value is not base64", name) from None
    if len(plain) > desk.limits.max_plaintext_bytes:
        raise IssueSeen(413, f"At most {desk.limits.max_plaintext_bytes} bytes are encrypted or wrapped at once")
    return plain


def _encoded(plain: bytes) -> str:
    return base64.b64encode(plain).decode("ascii")


KEY_USES = (
    KeyUse("Encryption", "encrypt", "key:encrypt", ENCRYPTION, _encrypt),
    KeyUse("Decryption", "decrypt", "key:decrypt", DECRYPTION, _decrypt),
    KeyUse("Key wrap", "wrap", "key:wrap", WRAP, _wrap),
    KeyUse("Key unwrap", "unwrap", "key:unwrap", UNWRAP, _unwrap),
    KeyUse("Data key creation", "data-key", "key:data_key", DATA_KEY, _data_key),
    KeyUse("Data key creation", "wrapped-data-key", "key:wrapped_data_key", DATA_KEY, _wrapped_data_key),
    KeyUse("Rewrap", "rewrap", "key:rewrap", REWRAP, _rewrap),
)
