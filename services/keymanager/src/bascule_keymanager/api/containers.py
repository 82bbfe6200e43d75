"""/v1/containers: make, list, show, change and delete containers."""

from collections.abc import Iterable
from typing import Any

import falcon

from bascule_keymanager.api.access import authorize
from bascule_keymanager.api.answers import send
from bascule_keymanager.api.bodies import CONTAINER, CONTAINER_SECRET
from bascule_keymanager.api.body import read_json
from bascule_keymanager.api.container_document import container_document
from bascule_keymanager.api.context import caller_of
from bascule_keymanager.api.errors import ApiRefusal, BodyRefused, operation
from bascule_keymanager.api.links import base_url, page_document, requested_page, resource_url
from bascule_keymanager.api.owners import Doorkeeper, check_id, target_of
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.containers import Container, ContainerStore, Link, NewContainer, SecretMissing
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.rows import Gone

__all__ = ["ContainerResource", "ContainerSecretsResource", "ContainersResource"]

# By type: the names that its secrets may have, those that must be there, and what is said of a wrong or missing one.
_RSA = (
    {"public_key", "private_key", "private_key_passphrase"},
    {"public_key", "private_key"},
    "only 'private_key', 'public_key' and 'private_key_passphrase' reference names are allowed for RSA type",
    # Barbican's own text lacks the space.
    "The minimum required reference names are 'public_key' and'private_key' for RSA type",
)
_CERTIFICATE = (
    {"certificate", "private_key", "private_key_passphrase", "intermediates"},
    {"certificate"},
    (
        "only 'private_key', 'certificate' , 'private_key_passphrase',  or 'intermediates' "
        "reference names are allowed for Certificate type"
    ),
    "The minimum required reference name is 'certificate' for Certificate type",
)
_TYPES = {"rsa": _RSA, "certificate": _CERTIFICATE}

Body = dict[str, Any]  # Any: JSON from outside


class ContainersResource:
    """The collection."""

    def __init__(self, settings: Settings, store: ContainerStore, projects: Projects) -> None:
        self._settings, self._store, self._projects = settings, store, projects

    @operation("Container creation")
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Keep a new container."""
        authorize(req, "containers:post")
        caller = caller_of(req)
        body = read_json(req, self._settings.max_request_bytes, CONTAINER.name)
        new = _parse(body, caller.user, base_url(req, self._settings))
        try:
            container_id = self._store.add(self._projects.get_or_create(caller.project).id, new)
        except SecretMissing as missing:
            raise ApiRefusal(404, f"Secret provided for '{missing.name}' doesn't exist.") from None
        reference = resource_url(req, self._settings, "containers", container_id)
        resp.location = reference
        send(resp, {"container_ref": reference}, 201)

    @operation("Containers(s) retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show one page of the caller's containers."""
        authorize(req, "containers:get")
        page = requested_page(req, self._settings)
        found, total = self._store.page(
            caller_of(req).project,
            name=req.get_param("name"),
            kind=req.get_param("type"),
            limit=page.limit,
            offset=page.offset,
        )
        items = [container_document(req, self._settings, container) for container in found]
        send(resp, page_document(req, self._settings, "containers", page, items, total))


class ContainerResource:
    """One container."""

    def __init__(self, settings: Settings, store: ContainerStore, doors: Doorkeeper) -> None:
        self._settings, self._store, self._doors = settings, store, doors

    @operation("Container retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        """Show it."""
        container = _find(req, self._store, container_id, "container:get")
        send(resp, container_document(req, self._settings, container))

    @operation("Container deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        """Delete it; its secrets stay."""
        self._doors.container(req, container_id, "container:delete")
        # Whatever the policy allows: one project does not delete another's containers.
        if not self._store.delete(container_id, caller_of(req).project):
            raise Gone("containers")
        resp.status = 204


class ContainerSecretsResource:
    """The secrets of one container."""

    def __init__(self, settings: Settings, store: ContainerStore, doors: Doorkeeper, projects: Projects) -> None:
        self._settings, self._store, self._doors, self._projects = settings, store, doors, projects

    @operation("Container Secret creation")
    def on_post(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        """Name one more secret."""
        container = _find(req, self._store, container_id, "container_secret:post")
        if container.type != "generic":
            raise ApiRefusal(400, "Only 'generic' containers can be modified.")
        link, reference = self._read(req)
        if not reference.startswith(base_url(req, self._settings)):
            raise ApiRefusal(400, "Provided field value is not supported")
        try:
            linked = self._store.link(self._project(req), container_id, link)
        except SecretMissing:
            raise ApiRefusal(404, "Secret provided doesn't exist.") from None
        if not linked:
            text = (
                "Conflict. A secret with that name and ID is already stored in this container. The same secret can "
                "exist in a container as long as the name is unique."
            )
            raise ApiRefusal(409, text)
        changed = resource_url(req, self._settings, "containers", container_id)
        resp.location = changed
        send(resp, {"container_ref": changed}, 201)

    @operation("Container Secret deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        """Take a secret away."""
        self._doors.container(req, container_id, "container_secret:delete")
        link, reference = self._read(req)
        try:
            unlinked = self._store.unlink(self._project(req), container_id, link)
        except SecretMissing:
            text = f"Secret '{link.name}' with reference '{reference}' doesn't exist."
            raise ApiRefusal(404, text) from None
        if not unlinked:
            raise ApiRefusal(404, "Secret provided is not in the container")
        resp.status = 204

    def _project(self, req: falcon.Request) -> str:
        return self._projects.get_or_create(caller_of(req).project).id

    def _read(self, req: falcon.Request) -> tuple[Link, str]:
        body = read_json(req, self._settings.max_request_bytes, CONTAINER_SECRET.name)
        CONTAINER_SECRET.check(body)
        reference: str = body["secret_ref"]
        return Link(body.get("name"), reference.rpartition("/")[2]), reference


def _find(req: falcon.Request, store: ContainerStore, container_id: str, rule: str) -> Container:
    check_id("container", container_id)
    container = store.get(container_id, caller_of(req).user)
    if container is None:
        raise Gone("containers")
    authorize(req, rule, target_of(req, container.owner))
    return container


def _parse(body: Body, creator_id: str | None, base: str) -> NewContainer:
    CONTAINER.check(body)
    refs: list[Body] = body.get("secret_refs") or []
    links = tuple(Link(ref.get("name"), _secret_id(ref["secret_ref"])) for ref in refs)
    if links:
        _check_links(body["type"], refs, links, base)
    return NewContainer(creator_id=creator_id, type=body["type"], name=body.get("name"), links=links)


def _check_links(kind: str, refs: Iterable[Body], links: tuple[Link, ...], base: str) -> None:
    names = {ref.get("name", "") for ref in refs}  # null is a name of its own here, and a missing one is empty
    _demand(len(names) == len(links), "Duplicate reference names are not allowed")
    _demand(len({link.secret_id for link in links}) == len(links), "Duplicate secret ids are not allowed")
    if not all(ref["secret_ref"].startswith(base) for ref in refs):
        raise ApiRefusal(400, "Provided field value is not supported")
    if kind in _TYPES:
        allowed, required, wrong, missing = _TYPES[kind]
        _demand(names <= allowed, wrong)
        _demand(required <= names, missing)


def _demand(fact: bool, reason: str) -> None:
    if not fact:
        raise BodyRefused(CONTAINER.name, reason, "secret_refs")


def _secret_id(reference: str) -> str:
    return reference.removesuffix("/").rpartition("/")[2]
