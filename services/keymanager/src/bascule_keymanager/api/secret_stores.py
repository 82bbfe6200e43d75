"""/v1/secret-stores: which stores there are, and which one the caller's project prefers."""

from typing import Any

import falcon

from bascule_keymanager.api.access import authorize
from bascule_keymanager.api.answers import send
from bascule_keymanager.api.context import caller_of
from bascule_keymanager.api.errors import ApiRefusal, operation
from bascule_keymanager.api.links import resource_url
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.secret_stores import ChoosableStore, ChoosableStores

__all__ = [
    "GlobalDefaultResource",
    "PreferenceResource",
    "PreferredResource",
    "SecretStoreResource",
    "SecretStoresResource",
]


class _Resource:
    def __init__(self, settings: Settings, store: ChoosableStores, projects: Projects) -> None:
        self._settings, self._store, self._projects = settings, store, projects

    def _require_choice(self) -> None:
        if not self._settings.secret_stores:
            text = "Not Found. Multiple backends support is not enabled in service configuration."
            raise ApiRefusal(404, text)

    def _project(self, req: falcon.Request) -> str:
        return self._projects.get_or_create(caller_of(req).project).id

    def _find(self, store_id: str) -> ChoosableStore:
        self._require_choice()
        found = self._store.get(store_id)
        if found is None:
            raise ApiRefusal(404, "Not Found. Secret store not found.")
        return found

    def _document(self, req: falcon.Request, store: ChoosableStore) -> dict[str, Any]:  # Any: JSON
        return {
            "created": store.created_at.isoformat(),
            "updated": store.updated_at.isoformat(),
            "status": store.status,
            "name": store.name,
            "secret_store_plugin": store.store_plugin,
            "crypto_plugin": store.crypto_plugin,
            "global_default": store.global_default,
            "secret_store_ref": resource_url(req, self._settings, "secret-stores", store.id),
        }


class SecretStoresResource(_Resource):
    """All stores."""

    @operation("List available secret stores")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show them."""
        authorize(req, "secretstores:get")
        self._require_choice()
        self._project(req)
        send(resp, {"secret_stores": [self._document(req, store) for store in self._store.all()]})


class GlobalDefaultResource(_Resource):
    """The store that takes what no project chose a store for."""

    @operation("Retrieve global default secret store")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show it."""
        authorize(req, "secretstores:get_global_default")
        self._require_choice()
        self._project(req)
        found = self._store.default()
        if found is None:
            raise ApiRefusal(404, "Not Found. Secret store not found.")
        send(resp, self._document(req, found))


class PreferredResource(_Resource):
    """The store that the caller's project chose."""

    @operation("Retrieve project preferred store")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show it."""
        authorize(req, "secretstores:get_preferred")
        self._require_choice()
        found = self._store.preferred(self._project(req))
        if found is None:
            raise _none_preferred()
        send(resp, self._document(req, found))


class SecretStoreResource(_Resource):
    """One store."""

    @operation("Secret store retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, store_id: str) -> None:
        """Show it."""
        found = self._find(store_id)
        authorize(req, "secretstore:get")
        send(resp, self._document(req, found))


class PreferenceResource(_Resource):
    """Whether the caller's project prefers one store."""

    @operation("Setting preferred secret store")
    def on_post(self, req: falcon.Request, resp: falcon.Response, store_id: str) -> None:
        """Prefer this one."""
        found = self._find(store_id)
        authorize(req, "secretstore_preferred:post")
        self._store.prefer(self._project(req), found.id)
        resp.status = 204

    @operation("Removing preferred secret store")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, store_id: str) -> None:
        """Prefer none; as in Barbican, whichever store the path names."""
        self._find(store_id)
        authorize(req, "secretstore_preferred:delete")
        if not self._store.prefer_none(self._project(req)):
            raise _none_preferred()
        resp.status = 204


def _none_preferred() -> ApiRefusal:
    return ApiRefusal(404, "Not Found. No preferred secret store defined for this project.")
