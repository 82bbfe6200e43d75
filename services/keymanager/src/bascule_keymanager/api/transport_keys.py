"""/v1/transport_keys: what clients may wrap a payload with on its way."""

import urllib.parse

import falcon

from bascule_keymanager.api.access import authorize
from bascule_keymanager.api.answers import send
from bascule_keymanager.api.bodies import TRANSPORT_KEY
from bascule_keymanager.api.body import read_json
from bascule_keymanager.api.errors import ApiRefusal, BodyRefused, operation
from bascule_keymanager.api.links import page_document, requested_page, resource_url
from bascule_keymanager.api.owners import check_id
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.transport_keys import TransportKeys

__all__ = ["TransportKeyResource", "TransportKeysResource"]


class TransportKeysResource:
    """The collection."""

    def __init__(self, settings: Settings, store: TransportKeys) -> None:
        self._settings, self._store = settings, store

    @operation("Transport Key(s) retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show one page of references."""
        authorize(req, "transport_keys:get")
        page = requested_page(req, self._settings)
        plugin = req.get_param("plugin_name")
        named = urllib.parse.unquote_plus(plugin) if plugin is not None else None
        found, total = self._store.page(named, limit=page.limit, offset=page.offset)
        items = [resource_url(req, self._settings, "transport_keys", key_id) for key_id in found]
        send(resp, page_document(req, self._settings, "transport_keys", page, items, total))

    @operation("Transport Key Creation")
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Keep a new key."""
        authorize(req, "transport_keys:post")
        body = read_json(req, self._settings.max_request_bytes, TRANSPORT_KEY.name)
        TRANSPORT_KEY.check(body)
        for field in ("plugin_name", "transport_key"):
            if not body.get(field):
                raise BodyRefused(TRANSPORT_KEY.name, f"{field} must be provided", field)
        key_id = self._store.add(body["plugin_name"], body["transport_key"])
        reference = resource_url(req, self._settings, "transport_keys", key_id)
        resp.location = reference
        send(resp, {"transport_key_ref": reference}, 201)


class TransportKeyResource:
    """One key."""

    def __init__(self, store: TransportKeys) -> None:
        self._store = store

    @operation("Transport Key retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Show it, as Barbican does: its row."""
        check_id("transport key", key_id)
        authorize(req, "transport_key:get")
        key = self._store.get(key_id)
        if key is None:
            raise _not_found()
        document = {
            "id": key.id,
            "created_at": str(key.created_at),
            "updated_at": str(key.updated_at),
            "deleted_at": None,
            "deleted": False,
            "status": key.status,
            "plugin_name": key.plugin_name,
            "transport_key": key.transport_key,
        }
        send(resp, document)

    @operation("Transport Key deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Delete it."""
        check_id("transport key", key_id)
        authorize(req, "transport_key:delete")
        if not self._store.delete(key_id):
            raise _not_found()
        resp.status = 204


def _not_found() -> ApiRefusal:
    return ApiRefusal(404, "Not Found. Transport Key not found.")
