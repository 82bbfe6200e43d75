"""/v1/secrets: make, list, describe, complete and delete secrets."""

from typing import Any

import falcon

from bascule_keymanager.api.access import authorize
from bascule_keymanager.api.answers import send
from bascule_keymanager.api.body import read_json
from bascule_keymanager.api.context import caller_of, version_of
from bascule_keymanager.api.errors import ApiRefusal, IssueSeen, operation
from bascule_keymanager.api.links import page_document, requested_page, resource_url
from bascule_keymanager.api.owners import check_id, target_of
from bascule_keymanager.api.payloads import PayloadReader, read_payload
from bascule_keymanager.api.secret_body import parse_secret
from bascule_keymanager.api.secret_document import secret_document
from bascule_keymanager.api.secret_query import bad_query, requested_secrets
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.owners import Owner
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.rows import Gone
from bascule_keymanager.storage.secrets import SecretInUse, SecretStore
from bascule_keymanager.storage.shown_secrets import Secret
from bascule_keymanager.storage.transport_keys import TransportKeys
from bascule_keymanager.stores.store import OPAQUE, Form

__all__ = ["SecretResource", "SecretsResource"]

_WITH_CONSUMERS, _HELD_BY_CONSUMERS = (1, 1), (1, 2)
_TRUE, _FALSE = ("1", "t", "true", "on", "y", "yes"), ("0", "f", "false", "off", "n", "no")
_IN_USE = "Secret cannot be deleted as it has consumers."


class SecretsResource:
    """The collection."""

    def __init__(
        self, settings: Settings, store: SecretStore, projects: Projects, transport_keys: TransportKeys
    ) -> None:
        self._settings, self._store, self._projects = settings, store, projects
        self._transport_keys = transport_keys

    @operation("Secret creation")
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Keep a new secret."""
        authorize(req, "secrets:post")
        caller = caller_of(req)
        body = read_json(req, self._settings.max_request_bytes, "Secret")
        new = parse_secret(body, caller.user, self._settings.max_secret_bytes)
        self._check_transport(body)
        secret_id = self._store.add(self._projects.get_or_create(caller.project), new)
        reference = resource_url(req, self._settings, "secrets", secret_id)
        resp.location = reference
        send(resp, {"secret_ref": reference}, 201)

    @operation("Secret(s) retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show one page of the caller's secrets, or of those whose ACL names the caller."""
        authorize(req, "secrets:get")
        page = requested_page(req, self._settings)
        wanted = requested_secrets(req)
        found, total = self._store.page(caller_of(req).project, wanted, limit=page.limit, offset=page.offset)
        items = self._documents(req, found)
        send(resp, page_document(req, self._settings, "secrets", page, items, total, keep_query=True))

    def _documents(self, req: falcon.Request, found: list[Secret]) -> list[dict[str, Any]]:  # Any: JSON
        if version_of(req) < _WITH_CONSUMERS:
            return [secret_document(req, self._settings, secret) for secret in found]
        consumers = self._store.consumers_of(found)
        return [secret_document(req, self._settings, secret, consumers[secret.id]) for secret in found]

    def _check_transport(self, body: dict[str, Any]) -> None:  # Any: JSON that was checked
        # Stores that unwrap what comes in have transport keys; none of ours has.
        if "payload" not in body:
            if body.get("transport_key_needed", "").lower() == "true":
                raise IssueSeen(400, "No plugin was found that could support your request")
        elif "transport_key_id" in body:
            known = self._transport_keys.get(body["transport_key_id"]) is not None
            missing = "Provided transport key was not found."
            raise IssueSeen(400, "Secret store supported plugin not found." if known else missing)


class SecretResource:
    """One secret."""

    def __init__(self, settings: Settings, store: SecretStore, projects: Projects, reader: PayloadReader) -> None:
        self._settings, self._store, self._projects, self._reader = settings, store, projects, reader

    @operation("Secret retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Describe the secret; asked for anything but JSON, return its payload as Barbican once did."""
        check_id("secret", secret_id)
        if req.get_header("Accept") not in (None, "application/json", "*/*"):
            self._reader.send(req, resp, secret_id)
            return
        secret, owner, consumers = self._find(req, secret_id, with_consumers=version_of(req) >= _WITH_CONSUMERS)
        authorize(req, "secret:get", target_of(req, owner))
        send(resp, secret_document(req, self._settings, secret, consumers))

    @operation("Secret update")
    def on_put(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Give a secret its payload, the second of two steps."""
        check_id("secret", secret_id)
        sealed = self._store.sealed_payload(secret_id, caller_of(req).user, with_form=True)
        if sealed is None:
            raise Gone("secrets")
        authorize(req, "secret:put", target_of(req, sealed.owner))
        payload, content_type = read_payload(req, self._settings)
        project = self._projects.get_or_create(sealed.owner.project)
        form = Form(sealed.secret_type or OPAQUE.secret_type, sealed.algorithm)
        if sealed.has_payload or not self._store.add_payload(project, secret_id, payload, content_type, form):
            raise ApiRefusal(409, "Secret already has data, cannot modify it.")
        resp.status = 204

    @operation("Secret deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Delete the secret and its payload; from 1.2 on, not while somebody uses it, unless told to."""
        check_id("secret", secret_id)
        held = version_of(req) >= _HELD_BY_CONSUMERS
        _, owner, consumers = self._find(req, secret_id, with_consumers=held)
        authorize(req, "secret:delete", target_of(req, owner))
        unless_used = held and not _flag(req, "force")
        if unless_used and consumers:
            raise IssueSeen(400, _IN_USE)
        try:
            deleted = self._store.delete(secret_id, unless_used=unless_used)
        except SecretInUse:
            raise IssueSeen(400, _IN_USE) from None
        if not deleted:
            raise Gone("secrets")
        resp.status = 204

    def _find(
        self, req: falcon.Request, secret_id: str, *, with_consumers: bool
    ) -> tuple[Secret, Owner, list[dict[str, str]] | None]:
        user = caller_of(req).user
        if with_consumers:
            found = self._store.get_with_consumers(secret_id, user)
            if found is not None:
                return found
        else:
            alone = self._store.get(secret_id, user)
            if alone is not None:
                return *alone, None
        raise Gone("secrets")


def _flag(req: falcon.Request, name: str) -> bool:
    text = req.get_param(name)
    if text is None:
        return False
    word = text.strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise bad_query()
    return word in _TRUE
