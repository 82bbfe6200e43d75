"""What a path names: an id that is one, of something that is there, and that the caller may use so."""

import uuid

import falcon

from bascule_keymanager.api.access import Target, authorize
from bascule_keymanager.api.context import caller_of
from bascule_keymanager.api.errors import ApiRefusal
from bascule_keymanager.storage.owners import Owner, Owners
from bascule_keymanager.storage.rows import Gone

__all__ = ["Doorkeeper", "check_id", "target_of"]


def check_id(kind: str, value: str) -> None:
    """Refuse an id that we never gave out: not a lower-case UUID of version 4."""
    try:
        valid = str(uuid.UUID(value, version=4)) == value
    except ValueError:
        valid = False
    if not valid:
        raise ApiRefusal(404, f"Not Found. Provided {kind} id is invalid.")


def target_of(req: falcon.Request, owner: Owner, kind: str | None = None) -> Target:
    """Return what policies are asked about, for an owner that was read for this caller; `kind` as in Target."""
    user = caller_of(req).user
    listed = (user,) if owner.is_listed and user is not None else ()
    return Target(owner.project, owner.creator_id, owner.project_access, listed, kind)


class Doorkeeper:
    """Lets a caller through to what hangs on a secret or a container: its ACL, its metadata, its consumers."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners

    def secret(self, req: falcon.Request, secret_id: str, rule: str) -> Owner:
        """Return the owner of a secret that is there and that `rule` opens. Raises ApiRefusal, Gone."""
        check_id("secret", secret_id)
        owner = self._owners.of_secret(secret_id, caller_of(req).user)
        if owner is None:
            raise Gone("secrets")
        authorize(req, rule, target_of(req, owner, "secret"))
        return owner

    def container(self, req: falcon.Request, container_id: str, rule: str) -> Owner:
        """Return the owner of a container that is there and that `rule` opens. Raises ApiRefusal, Gone."""
        check_id("container", container_id)
        owner = self._owners.of_container(container_id, caller_of(req).user)
        if owner is None:
            raise Gone("containers")
        authorize(req, rule, target_of(req, owner, "container"))
        return owner
