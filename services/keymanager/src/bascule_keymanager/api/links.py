"""References to what the API holds, and the pages of its lists."""

import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import falcon

from bascule_keymanager.config import Settings

__all__ = ["Page", "base_url", "page_document", "requested_page", "resource_url"]


_LARGEST_OFFSET = 2**31 - 1  # what every database takes for an OFFSET


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for."""

    limit: int
    offset: int


def base_url(req: falcon.Request, settings: Settings) -> str:
    """Return what references begin with: the configured address, or the one that the client used."""
    if settings.host_href:
        return settings.host_href
    scheme = req.get_header("X-Forwarded-Proto") or "http"
    return f"{scheme}://{req.get_header('Host') or req.netloc}"


def resource_url(req: falcon.Request, settings: Settings, resource: str, name: str | None = None) -> str:
    """Return the reference of a collection, or of one of its members."""
    collection = f"{base_url(req, settings)}/v1/{resource}"
    return collection if name is None else f"{collection}/{name}"


def requested_page(req: falcon.Request, settings: Settings) -> Page:
    """Return the page that the query asks for; what is no number counts as not said, as in Barbican."""
    limit = _number(req.get_param("limit"))
    offset = _number(req.get_param("offset"))
    return Page(
        limit=settings.default_limit if limit is None else max(1, min(limit, settings.max_limit)),
        offset=0 if offset is None else max(0, min(offset, _LARGEST_OFFSET)),
    )


def page_document(
    req: falcon.Request,
    settings: Settings,
    resource: str,
    page: Page,
    items: Sequence[Any],  # Any: JSON
    total: int,
    *,
    keep_query: bool = False,
    path: str | None = None,
    link_empty: bool = False,
) -> dict[str, Any]:
    """Return a list's JSON with the links to its neighbours; an empty page has none, unless `link_empty` says so.

    `path` is where the list is found below /v1, when that is not what it is called in the document.
    """
    document: dict[str, Any] = {resource: list(items), "total": total}
    if not items and not link_empty:
        return document
    others = list(_other_parameters(req)) if keep_query else []

    def link(offset: int) -> str:
        query = urllib.parse.urlencode([("limit", page.limit), ("offset", offset), *others])
        return f"{resource_url(req, settings, path or resource)}?{query}"

    if page.offset > 0:
        document["previous"] = link(max(0, page.offset - page.limit))
    if total > page.offset + page.limit:
        document["next"] = link(page.offset + page.limit)
    return document


def _other_parameters(req: falcon.Request) -> Iterable[tuple[str, str]]:
    for name, value in req.params.items():
        if name not in ("limit", "offset"):
            yield from ((name, item) for item in (value if isinstance(value, list) else [value]))


def _number(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None
