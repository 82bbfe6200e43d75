"""/ and /v1: what is served here, in the shape of the version that is asked for."""

import json
from typing import Any

import falcon

from bascule_keymanager.api.context import version_of
from bascule_keymanager.api.links import base_url
from bascule_keymanager.api.microversions import OLDEST, Maximum, shown
from bascule_keymanager.config import Settings
from bascule_keymanager.identity import RELEASE

__all__ = ["VersionResource", "VersionsResource"]

_HOME = "application/json-home"


class VersionsResource:
    """The versions of the API."""

    def __init__(self, settings: Settings, maximum: Maximum) -> None:
        self._settings, self._maximum = settings, maximum

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show them, with the status that Barbican gives a choice of one."""
        if _prefers_home(req):
            _redirect(resp, f"{base_url(req, self._settings)}/v1/")
            return
        resp.content_type = "application/json"
        if req.has_param("build"):
            resp.text = json.dumps({"build": str(RELEASE)})
            return
        resp.status = 300
        versions: Any = [_version(req, self._settings, self._maximum)]  # Any: JSON
        if version_of(req) == OLDEST:
            versions = {"values": versions}
        resp.text = json.dumps({"versions": versions})


class VersionResource:
    """The one version there is."""

    def __init__(self, settings: Settings, maximum: Maximum) -> None:
        self._settings, self._maximum = settings, maximum

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Describe it."""
        resp.content_type = "application/json"
        resp.text = json.dumps({"version": _version(req, self._settings, self._maximum)})


def _version(req: falcon.Request, settings: Settings, maximum: Maximum) -> dict[str, Any]:  # Any: JSON
    links = [
        {"rel": "self", "href": f"{base_url(req, settings)}/v1/"},
        {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
    ]
    if version_of(req) == OLDEST:
        media = {"base": "application/json", "type": "application/vnd.openstack.key-manager-v1+json"}
        return {"id": "v1", "status": "stable", "links": links, "media-types": [media]}
    span = {"min_version": shown(OLDEST), "max_version": shown(maximum())}
    return {"id": "v1", "status": "CURRENT", **span, "links": links}


def _prefers_home(req: falcon.Request) -> bool:
    return "json-home" in req.accept and req.client_prefers(["application/json", _HOME]) == _HOME


def _redirect(resp: falcon.Response, url: str) -> None:
    resp.status = 302
    resp.location = url
    resp.content_type = "text/plain; charset=UTF-8"
    resp.text = f"302 Found\n\n{url}\n"
