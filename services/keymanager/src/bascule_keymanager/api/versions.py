"""/, /v1 and /healthcheck: what is served here, and whether it is."""

import json
from typing import Any

import falcon

from bascule_keymanager.api.links import base_url
from bascule_keymanager.config import Settings

__all__ = ["HealthResource", "VersionResource", "VersionsResource"]


class VersionsResource:
    """The versions of the API."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show them, with the status that Barbican gives a choice of one."""
        resp.status = 300
        resp.content_type = "application/json"
        resp.text = json.dumps({"versions": {"values": [_version(req, self._settings)]}})


class VersionResource:
    """The one version there is."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Describe it."""
        resp.content_type = "application/json"
        resp.text = json.dumps({"version": _version(req, self._settings)})


class HealthResource:
    """For balancers: the process answers."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:  # noqa: ARG002 - falcon's signature
        """Say OK."""
        resp.content_type = "text/plain; charset=UTF-8"
        resp.text = "OK"


def _version(req: falcon.Request, settings: Settings) -> dict[str, Any]:  # Any: JSON
    return {
        "id": "v1",
        "status": "stable",
        "links": [
            {"rel": "self", "href": f"{base_url(req, settings)}/v1/"},
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
        ],
        "media-types": [
            {"base": "application/json", "type": "application/vnd.openstack.key-manager-v1+json"},
        ],
    }
