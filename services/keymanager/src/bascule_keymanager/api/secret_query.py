"""The query of GET /v1/secrets: which secrets are listed, and in which order."""

import datetime as dt
import urllib.parse
from typing import cast, get_args

import falcon

from bascule_keymanager.api.context import caller_of
from bascule_keymanager.api.errors import ApiRefusal
from bascule_keymanager.clock import parse_time
from bascule_keymanager.storage.secret_lists import Comparison, SecretFilter, SortKey

__all__ = ["bad_query", "requested_secrets"]

_LONGEST_KEY = 32_767
# By prefix: the prefixes that may not have come before it. What has no prefix means "at this moment".
_EXCLUDES: dict[Comparison, tuple[Comparison, ...]] = {
    "gt": ("gt", "gte"),
    "gte": ("gt", "gte", "eq"),
    "lt": ("lt", "lte"),
    "lte": ("lt", "lte", "eq"),
    "eq": ("eq", "gte", "lte"),
}


def requested_secrets(req: falcon.Request) -> SecretFilter:
    """Return what the query asks for. Raises ApiRefusal."""
    name = req.get_param("name")
    acl_only = (req.get_param("acl_only") or "").lower() == "true"
    return SecretFilter(
        name=urllib.parse.unquote_plus(name) if name else None,
        algorithm=req.get_param("alg") or None,
        mode=req.get_param("mode") or None,
        bit_length=_bits(req.get_param("bits")),
        secret_type=req.get_param("secret_type") or None,
        created=_moments(req.get_param("created")),
        updated=_moments(req.get_param("updated")),
        expiration=_moments(req.get_param("expiration")),
        sort=_sort(req.get_param("sort")),
        acl_user=caller_of(req).user if acl_only else None,
    )


def bad_query() -> ApiRefusal:
    """Return what is told of a query that cannot be read."""
    return ApiRefusal(400, "URI provided invalid query string parameters.")


def _bits(text: str | None) -> int | None:
    try:
        bits = int(text or 0)
    except ValueError:  # as in Barbican, what is no number counts as not said
        return None
    return min(bits, _LONGEST_KEY + 1) if bits > 0 else None


def _moments(text: str | None) -> tuple[tuple[Comparison, dt.datetime], ...]:
    if not text:
        return ()
    moments: dict[Comparison, dt.datetime] = {}
    for part in text.split(","):
        prefix, colon, rest = part.partition(":")
        known = bool(colon) and prefix in _EXCLUDES and prefix != "eq"
        comparison = cast("Comparison", prefix) if known else "eq"
        if not moments.keys().isdisjoint(_EXCLUDES[comparison]):
            raise bad_query()
        try:
            moments[comparison] = parse_time(rest if known else part)
        except ValueError:
            raise bad_query() from None
    return tuple(moments.items())


def _sort(text: str | None) -> tuple[tuple[SortKey, bool], ...]:
    """Return the keys to sort by, each with whether it goes downwards."""
    if not text:
        return ()
    keys: dict[SortKey, bool] = {}
    for part in text.split(","):
        key, colon, direction = part.partition(":")
        if key not in get_args(SortKey) or key in keys or (colon and direction not in ("asc", "desc")):
            raise bad_query()
        keys[cast("SortKey", key)] = direction == "desc"
    return tuple(keys.items())
