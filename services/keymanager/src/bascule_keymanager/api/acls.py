"""/v1/secrets/{id}/acl and /v1/containers/{id}/acl: who besides the project may read."""

from typing import Any

import falcon

from bascule_keymanager.api.answers import send
from bascule_keymanager.api.bodies import ACL
from bascule_keymanager.api.body import read_json
from bascule_keymanager.api.errors import operation
from bascule_keymanager.api.links import resource_url
from bascule_keymanager.api.owners import Doorkeeper
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.acls import Acl, AclStore

__all__ = ["ContainerAclResource", "SecretAclResource"]


class SecretAclResource:
    """The ACL of one secret."""

    def __init__(self, settings: Settings, doors: Doorkeeper, store: AclStore) -> None:
        self._settings, self._doors, self._store = settings, doors, store

    @operation("SecretACL(s) retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Show the ACL, or what holds without one."""
        self._doors.secret(req, secret_id, "secret_acls:get")
        send(resp, _document(self._store.get(secret_id)))

    @operation("SecretACL(s) Update")
    def on_put(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Put this ACL in the place of the one that was there."""
        self._doors.secret(req, secret_id, "secret_acls:put_patch")
        _replace(req, self._settings, self._store, secret_id)
        send(resp, {"acl_ref": resource_url(req, self._settings, "secrets", f"{secret_id}/acl")})

    @operation("SecretACL(s) Update")
    def on_patch(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Change the ACL in what is named."""
        self._doors.secret(req, secret_id, "secret_acls:put_patch")
        _change(req, self._settings, self._store, secret_id)
        send(resp, {"acl_ref": resource_url(req, self._settings, "secrets", f"{secret_id}/acl")})

    @operation("SecretACL(s) deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Take the ACL away; it is no fault if there is none."""
        self._doors.secret(req, secret_id, "secret_acls:delete")
        self._store.delete(secret_id)
        send(resp, None)


class ContainerAclResource:
    """The ACL of one container."""

    def __init__(self, settings: Settings, doors: Doorkeeper, store: AclStore) -> None:
        self._settings, self._doors, self._store = settings, doors, store

    @operation("ContainerACL(s) retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        """Show the ACL, or what holds without one."""
        self._doors.container(req, container_id, "container_acls:get")
        send(resp, _document(self._store.get(container_id)))

    @operation("ContainerACL(s) Update")
    def on_put(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        """Put this ACL in the place of the one that was there."""
        self._doors.container(req, container_id, "container_acls:put_patch")
        _replace(req, self._settings, self._store, container_id)
        send(resp, {"acl_ref": resource_url(req, self._settings, "containers", f"{container_id}/acl")})

    @operation("ContainerACL(s) Update")
    def on_patch(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        """Change the ACL in what is named."""
        self._doors.container(req, container_id, "container_acls:put_patch")
        _change(req, self._settings, self._store, container_id)
        send(resp, {"acl_ref": resource_url(req, self._settings, "containers", f"{container_id}/acl")})

    @operation("ContainerACL(s) deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        """Take the ACL away; it is no fault if there is none."""
        self._doors.container(req, container_id, "container_acls:delete")
        self._store.delete(container_id)
        send(resp, None)


def _document(acl: Acl | None) -> dict[str, Any]:  # Any: JSON
    if acl is None:
        return {"read": {"project-access": True}}
    return {
        "read": {
            "project-access": acl.project_access,
            "users": list(acl.users),
            "created": acl.created_at.isoformat(),
            "updated": acl.updated_at.isoformat(),
        }
    }


def _read(req: falcon.Request, settings: Settings) -> dict[str, Any]:  # Any: JSON from outside
    body = read_json(req, settings.max_request_bytes, ACL.name)
    ACL.check(body)
    # An empty operation counts as one that is not named.
    read: dict[str, Any] = body.get("read") or {}
    return read


def _replace(req: falcon.Request, settings: Settings, store: AclStore, entity_id: str) -> None:
    read = _read(req, settings)
    if read:
        store.write(entity_id, project_access=read.get("project-access", True), users=read.get("users", []))
    else:
        store.delete(entity_id)


def _change(req: falcon.Request, settings: Settings, store: AclStore, entity_id: str) -> None:
    read = _read(req, settings)
    if read:
        store.write(entity_id, project_access=read.get("project-access"), users=read.get("users"))
