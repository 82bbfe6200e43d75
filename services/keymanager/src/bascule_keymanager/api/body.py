"""JSON bodies as Barbican reads them: cut at the limit, every string stripped, the first broken rule named."""

import json
from collections.abc import Callable
from typing import Any

import falcon

from bascule_keymanager.api.errors import ApiRefusal, BodyRefused, IssueSeen

__all__ = ["check_media_type", "media_type", "parse_json", "read_exact_json", "read_json"]


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


def read_exact_json(req: falcon.Request, limit: int) -> dict[str, Any]:  # Any: JSON from outside
    """Return the request's JSON object as it is; one that is longer than the limit is refused. Raises ApiRefusal."""
    check_media_type(req)
    raw = req.bounded_stream.read(limit + 1)
    if len(raw) > limit:
        raise IssueSeen(413, "Provided information too large to process")
    body = _parsed(raw)
    if not isinstance(body, dict):
        raise ApiRefusal(400, "The body is not a JSON object.")
    return body


def parse_json(raw: bytes, schema: str) -> dict[str, Any]:  # Any: JSON from outside
    """Return the JSON object in these bytes with all its strings stripped. Raises ApiRefusal."""
    body = _parsed(raw, _stripped)
    if not isinstance(body, dict):
        raise BodyRefused(schema, f"{body!r} is not of type 'object'", None)
    return body


def _parsed(raw: bytes, change: Callable[[Any], Any] = lambda value: value) -> Any:  # Any: JSON from outside
    try:
        body = change(json.loads(raw))
        if b"\\u" in raw:
            json.dumps(body, ensure_ascii=False).encode()  # refuses half a surrogate pair, which nothing can store
    except (ValueError, RecursionError):  # also what is not UTF-8, and what is nested deeper than Python reads
        raise ApiRefusal(400, "Malformed JSON") from None
    return body


def _stripped(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    if isinstance(value, dict):
        return {key: _stripped(item) for key, item in value.items()}
    return value
