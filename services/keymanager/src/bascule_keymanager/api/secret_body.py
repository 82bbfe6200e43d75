"""The rules for the JSON that makes a secret, and for the meta of an order, which is nearly the same."""

import base64
import datetime as dt
from collections.abc import Mapping
from typing import Any

from bascule_keymanager.api.bodies import ORDER, SECRET
from bascule_keymanager.api.errors import ApiRefusal, BodyRefused
from bascule_keymanager.clock import parse_time, utc_now
from bascule_keymanager.content import SPELLINGS, SUPPORTED, encodings_of, normalise
from bascule_keymanager.storage.new_secrets import NewSecret

__all__ = ["check_order", "expiration_of", "parse_payload", "parse_secret"]

Body = Mapping[str, Any]  # Any: JSON from outside


def parse_secret(body: Body, creator_id: str | None, max_payload_bytes: int) -> NewSecret:
    """Return the secret that this body describes. Raises ApiRefusal."""
    schema = "Secret"
    SECRET.check(body)
    expiration = expiration_of(body, schema)
    payload, content_type = _payload(body, schema, max_payload_bytes)
    return NewSecret(
        creator_id=creator_id,
        secret_type=body.get("secret_type", "opaque"),
        display_name=body.get("name"),
        algorithm=body.get("algorithm"),
        bit_length=_whole(body.get("bit_length")),
        mode=body.get("mode"),
        expiration=expiration,
        payload=payload,
        content_type=content_type,
    )


def parse_payload(body: Body, schema: str, max_payload_bytes: int) -> tuple[bytes, str]:
    """Return the payload that a checked body brings, and the type that is stored with it. Raises ApiRefusal."""
    payload, content_type = _payload(body, schema, max_payload_bytes)
    if payload is None or content_type is None:
        raise AssertionError("the schema of the body demands both")
    return payload, content_type


def check_order(body: Body, max_payload_bytes: int) -> tuple[str, dict[str, Any]]:
    """Return an order's type and its meta as it is stored. Raises ApiRefusal."""
    ORDER.check(body)
    kind, meta = body["type"], dict(body["meta"])
    inner = "Secret' within 'Order"
    SECRET.check(meta, name=inner)
    expiration = expiration_of(meta, inner)
    _check_order_payload(kind, meta, inner, max_payload_bytes)
    _check_key("key" if kind == "key" else "asymmetric key", meta)
    meta["name"] = meta.get("name")
    meta["expiration"] = expiration.isoformat(timespec="microseconds") if expiration else None
    return kind, meta


def _check_order_payload(kind: str, meta: Body, schema: str, max_payload_bytes: int) -> None:
    """Refuse a payload: first for what is wrong with it as a secret's, then because an order has none."""
    if "payload" in meta:
        _payload(meta, schema, max_payload_bytes)
        raise BodyRefused("Order", f"'payload' not allowed for {kind} type order", "meta")
    content_type = meta.get("payload_content_type")
    if content_type and normalise(content_type) not in SUPPORTED:
        raise BodyRefused(schema, f"payload_content_type is not one of {list(SPELLINGS)}", "payload_content_type")


def expiration_of(body: Body, schema: str) -> dt.datetime | None:
    """Return when the secret ends, as naive UTC. Raises BodyRefused for a time that is none, or past."""
    text = body.get("expiration")
    if not text:
        return None
    try:
        moment = parse_time(text)
    except ValueError:
        raise BodyRefused(schema, "Invalid date for 'expiration'", "expiration") from None
    if moment <= utc_now():
        raise BodyRefused(schema, "'expiration' is before current time", "expiration")
    return moment


def _check_key(kind: str, meta: Body) -> None:
    for required in ("algorithm", "bit_length"):
        if not meta.get(required):
            raise BodyRefused("Order", f"'{required}' is required field for {kind} type order", "meta")
    if meta["algorithm"].lower() == "ec":
        supported = meta["bit_length"] in (256, 384, 521)
    else:
        supported = meta["bit_length"] % 8 == 0
    if not supported:
        raise ApiRefusal(400, "Provided field value is not supported")


def _payload(body: Body, schema: str, max_payload_bytes: int) -> tuple[bytes | None, str | None]:
    content_type = body.get("payload_content_type")
    if "payload" not in body:
        if "payload_content_type" in body:
            reason = "payload must be provided when payload_content_type is specified"
            raise BodyRefused(schema, reason, "payload")
        return None, None
    if content_type is None:
        reason = "If 'payload' is supplied, 'payload_content_type' must also be supplied."
        raise BodyRefused(schema, reason, "payload_content_type")
    stored_type = normalise(content_type)
    if stored_type not in SUPPORTED:
        raise BodyRefused(schema, f"payload_content_type is not one of {list(SPELLINGS)}", "payload_content_type")
    encoding, encodings = body.get("payload_content_encoding"), encodings_of(stored_type)
    if (encoding is not None) if encodings is None else (encoding not in encodings):
        shown = list(encodings) if encodings is not None else None
        raise BodyRefused(schema, f"payload_content_encoding is not one of {shown}", "payload_content_encoding")
    return _decoded(body["payload"], encoding, schema, max_payload_bytes), stored_type


def _decoded(text: str, encoding: str | None, schema: str, max_payload_bytes: int) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell and UTF-8 cannot
        raise BodyRefused(schema, "Invalid payload for payload_content_encoding", "payload") from None
    if len(raw) > max_payload_bytes:
        raise ApiRefusal(413, "Provided information too large to process")
    if not raw:
        raise BodyRefused(schema, "If 'payload' specified, must be non empty", "payload")
    if encoding is None:
        return raw
    try:
        return base64.b64decode(raw)
    except ValueError:
        raise BodyRefused(schema, "Invalid payload for payload_content_encoding", "payload") from None


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
