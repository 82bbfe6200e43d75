"""JSON bodies as Barbican reads them: cut at the limit, every string stripped, the first broken rule named."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import falcon

from bascule_keymanager.api.errors import ApiRefusal, BodyRefused

__all__ = ["Rule", "check_fields", "check_media_type", "media_type", "parse_json", "read_json"]

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "null": type(None),
    "object": dict,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What one field of a body may hold."""

    types: tuple[str, ...]
    longest: int | None = None
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] | None = None
    secret: bool = False


def media_type(req: falcon.Request) -> str:
    """Return the Content-Type without its parameters."""
    return (req.content_type or "").partition(";")[0].strip().lower()


def check_media_type(req: falcon.Request) -> None:
    """Refuse a request whose body is not said to be JSON. Raises ApiRefusal."""
    if media_type(req) != "application/json":
        raise ApiRefusal(415, "Unexpected content type. Expected content types are: ['application/json']")


def read_json(req: falcon.Request, limit: int, schema: str) -> dict[str, Any]:  # Any: JSON from outside
    """Return the request's JSON object with all its strings stripped. Raises ApiRefusal."""
    check_media_type(req)
    return parse_json(req.bounded_stream.read(limit), schema)


def parse_json(raw: bytes, schema: str) -> dict[str, Any]:  # Any: JSON from outside
    """Return the JSON object in these bytes with all its strings stripped. Raises ApiRefusal."""
    try:
        body = _stripped(json.loads(raw))
        if b"\\u" in raw:
            json.dumps(body, ensure_ascii=False).encode()  # refuses half a surrogate pair, which nothing can store
    except (ValueError, RecursionError):  # also what is not UTF-8, and what is nested deeper than Python reads
        raise ApiRefusal(400, "Malformed JSON") from None
    if not isinstance(body, dict):
        raise BodyRefused(schema, f"{body!r} is not of type 'object'", None)
    return body


def check_fields(body: Mapping[str, Any], rules: Mapping[str, Rule], schema: str) -> None:  # Any: as read_json
    """Refuse what breaks its rule, of several the last by name, as Barbican does. Raises BodyRefused."""
    broken = [(name, reason) for name, rule in rules.items() if name in body and (reason := _broken(body[name], rule))]
    if broken:
        name, reason = max(broken)
        raise BodyRefused(schema, reason, name)


def _broken(value: Any, rule: Rule) -> str | None:
    shown = "the value" if rule.secret and value is not None else repr(value)
    allowed = any(_is_type(value, kind) for kind in rule.types)
    if not allowed:
        return f"{shown} is not of type {', '.join(map(repr, rule.types))}"
    if rule.longest is not None and isinstance(value, str) and len(value) > rule.longest:
        return f"{shown} is too long"
    if rule.choices is not None and value not in rule.choices:
        return f"{shown} is not one of {list(rule.choices)}"
    if rule.least is not None and value < rule.least:
        return f"{shown} is less than the minimum of {rule.least}"
    if rule.most is not None and value > rule.most:
        return f"{shown} is greater than the maximum of {rule.most}"
    return None


def _is_type(value: Any, kind: str) -> bool:
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()  # JSON knows one kind of number
    return isinstance(value, _TYPES[kind]) and not (kind == "integer" and isinstance(value, bool))


def _stripped(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    if isinstance(value, dict):
        return {key: _stripped(item) for key, item in value.items()}
    return value
