"""/v1/secrets: make, list, describe, read, complete and delete secrets."""

import base64
import json
import urllib.parse
from typing import Any

import falcon

from bascule_keymanager.api.access import authorize
from bascule_keymanager.api.body import media_type, read_json
from bascule_keymanager.api.context import caller_of
from bascule_keymanager.api.errors import ApiRefusal, IssueSeen, operation
from bascule_keymanager.api.links import page_document, requested_page, resource_url
from bascule_keymanager.api.owners import check_id, target_of
from bascule_keymanager.api.secret_body import parse_secret
from bascule_keymanager.api.secret_document import secret_document
from bascule_keymanager.config import Settings
from bascule_keymanager.content import SPELLINGS, is_read_as_text, is_readable_as
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.rows import Gone
from bascule_keymanager.storage.secrets import SealedPayload, SecretFilter, SecretStore

__all__ = ["PayloadResource", "SecretResource", "SecretsResource"]

_UPDATABLE = ("application/octet-stream", "text/plain")


class SecretsResource:
    """The collection."""

    def __init__(self, settings: Settings, store: SecretStore, projects: Projects) -> None:
        self._settings, self._store, self._projects = settings, store, projects

    @operation("Secret creation")
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Keep a new secret."""
        authorize(req, "secrets:post")
        caller = caller_of(req)
        body = read_json(req, self._settings.max_request_bytes, "Secret")
        new = parse_secret(body, caller.user, self._settings.max_secret_bytes)
        secret_id = self._store.add(self._projects.get_or_create(caller.project), new)
        reference = resource_url(req, self._settings, "secrets", secret_id)
        resp.status = 201
        resp.location = reference
        _json(resp, {"secret_ref": reference})

    @operation("Secret(s) retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show one page of the caller's secrets."""
        authorize(req, "secrets:get")
        page = requested_page(req, self._settings)
        found, total = self._store.page(caller_of(req).project, _filter(req), limit=page.limit, offset=page.offset)
        items = [secret_document(req, self._settings, secret) for secret in found]
        _json(resp, page_document(req, self._settings, "secrets", page, items, total, keep_query=True))


class SecretResource:
    """One secret."""

    def __init__(self, settings: Settings, store: SecretStore, projects: Projects) -> None:
        self._settings, self._store, self._projects = settings, store, projects

    @operation("Secret retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Describe the secret; asked for anything but JSON, return its payload as Barbican once did."""
        check_id("secret", secret_id)
        if req.get_header("Accept") not in (None, "application/json", "*/*"):
            _send_payload(req, resp, self._store, secret_id)
            return
        secret = self._store.get(secret_id, caller_of(req).user)
        if secret is None:
            raise Gone("secrets")
        authorize(req, "secret:get", target_of(req, secret.owner))
        _json(resp, secret_document(req, self._settings, secret))

    @operation("Secret update")
    def on_put(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Give a secret its payload, the second of two steps."""
        check_id("secret", secret_id)
        content_type = media_type(req)
        if content_type not in _UPDATABLE:
            expected = list(_UPDATABLE)
            raise ApiRefusal(415, f"Unexpected content type. Expected content types are: {expected}")
        payload = self._read_payload(req, content_type)
        sealed = self._store.sealed_payload(secret_id, caller_of(req).user)
        if sealed is None:
            raise Gone("secrets")
        authorize(req, "secret:put", target_of(req, sealed.owner))
        project = self._projects.get_or_create(sealed.owner.project)
        if sealed.has_payload or not self._store.add_payload(project, secret_id, payload, content_type):
            raise ApiRefusal(409, "Secret already has data, cannot modify it.")
        resp.status = 204

    @operation("Secret deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Delete the secret and its payload."""
        check_id("secret", secret_id)
        secret = self._store.get(secret_id, caller_of(req).user)
        if secret is None:
            raise Gone("secrets")
        authorize(req, "secret:delete", target_of(req, secret.owner))
        if not self._store.delete(secret_id):
            raise Gone("secrets")
        resp.status = 204

    def _read_payload(self, req: falcon.Request, content_type: str) -> bytes:
        limit = self._settings.max_secret_bytes
        payload: bytes = req.bounded_stream.read(limit + 1)
        if not payload:
            raise IssueSeen(400, "No data supplied to process.")
        if len(payload) > limit:
            raise IssueSeen(413, "Provided information too large to process")
        encoding = req.get_header("Content-Encoding")
        if encoding is None or content_type == "text/plain":
            return payload
        wanted = "Text-based binary secret payloads must specify a content-encoding of 'base64'"
        if encoding.lower() != "base64":
            raise IssueSeen(400, wanted)
        try:
            return base64.b64decode(payload)
        except ValueError:
            raise IssueSeen(400, "The payload is not base64") from None


class PayloadResource:
    """The payload of one secret."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store

    @operation("Secret payload retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Return the payload."""
        check_id("secret", secret_id)
        _send_payload(req, resp, self._store, secret_id)


def _send_payload(req: falcon.Request, resp: falcon.Response, store: SecretStore, secret_id: str) -> None:
    accept = req.get_header("Accept") or "application/octet-stream"
    sealed = store.sealed_payload(secret_id, caller_of(req).user)
    if sealed is None:
        raise Gone("secrets")
    authorize(req, "secret:decrypt", target_of(req, sealed.owner))
    if not sealed.has_payload:
        raise ApiRefusal(404, "Not Found. Sorry but your secret has no payload.")
    # Barbican compares the header as one text: lists and ranges of types are not understood.
    if req.query_string:
        _refuse_wrapping(req)
    if not is_readable_as(accept):
        raise IssueSeen(406, "Wrong payload content-type")
    if accept not in (*SPELLINGS, "*/*"):  # known, in a spelling of the client's own
        raise IssueSeen(400, f"content-type of {accept!r} not supported")
    resp.data = _readable(store, sealed, accept)
    resp.content_type = "text/plain; charset=UTF-8" if accept == "text/plain" else accept


def _refuse_wrapping(req: falcon.Request) -> None:
    # Only Dogtag's store ever wrapped a payload in a key of the client's own.
    if not req.get_param("trans_wrapped_session_key"):
        return
    if not req.get_param("transport_key_id"):
        text = (
            "Transport key wrapped session key has been provided to wrap secrets for retrieval, "
            "but the transport key id has not been provided."
        )
        raise ApiRefusal(400, text)
    raise ApiRefusal(400, "No secret store of this key manager wraps payloads; ask without trans_wrapped_session_key.")


def _readable(store: SecretStore, sealed: SealedPayload, accept: str) -> bytes:
    payload = store.open(sealed)
    if is_read_as_text(accept):
        try:
            payload.decode()
        except UnicodeDecodeError:
            raise IssueSeen(406, "Wrong payload content-type") from None
    return payload


def _filter(req: falcon.Request) -> SecretFilter:
    bits = req.get_param("bits") or ""
    name = req.get_param("name")
    return SecretFilter(
        name=urllib.parse.unquote(name) if name is not None else None,
        algorithm=req.get_param("alg"),
        mode=req.get_param("mode"),
        bit_length=int(bits) if bits.isdecimal() and 0 < int(bits) <= 32_767 else None,
        secret_type=req.get_param("secret_type"),
    )


def _json(resp: falcon.Response, document: dict[str, Any]) -> None:  # Any: JSON
    resp.content_type = "application/json"
    resp.text = json.dumps(document)
