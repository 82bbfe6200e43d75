"""/v1/bascule/secrets/{id}/versions: list, add, describe, read and destroy the versions of a secret."""

import re

import falcon

from bascule_keymanager.api.access import authorize
from bascule_keymanager.api.answers import send
from bascule_keymanager.api.bodies import SECRET_VERSION
from bascule_keymanager.api.body import read_json
from bascule_keymanager.api.context import caller_of
from bascule_keymanager.api.errors import ApiRefusal, operation
from bascule_keymanager.api.links import page_document, requested_page, resource_url
from bascule_keymanager.api.owners import check_id, target_of
from bascule_keymanager.api.payloads import PayloadReader
from bascule_keymanager.api.secret_body import parse_payload
from bascule_keymanager.api.version_answers import (
    LABEL,
    Versioned,
    expectation,
    refusals,
    tag,
    version_document,
    version_path,
)
from bascule_keymanager.storage.rows import Gone
from bascule_keymanager.storage.version_history import CURRENT, PREVIOUS, NoVersion
from bascule_keymanager.storage.versions import Expected, NewVersion

__all__ = ["SecretVersionPayloadResource", "SecretVersionResource", "SecretVersionsResource"]

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class SecretVersionsResource:
    """All versions of one secret."""

    def __init__(self, versioned: Versioned) -> None:
        self._versioned = versioned

    @operation("Secret version(s) retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """List them, the newest first."""
        with self._versioned.served():
            history = self._versioned.look(req, secret_id, "secret_versions:get")
        settings = self._versioned.settings
        page = requested_page(req, settings)
        shown = history.versions[page.offset : page.offset + page.limit]
        items = [version_document(req, settings, secret_id, version) for version in shown]
        total, path = len(history.versions), version_path(secret_id)
        send(resp, page_document(req, settings, "versions", page, items, total, path=path))
        resp.etag = tag(history.revision)

    @operation("Secret version creation")
    def on_post(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Add one. Unless labels are named it is current from now on, and what was current is previous."""
        versioned = self._versioned
        with versioned.served(), refusals():
            history = versioned.look(req, secret_id, "secret_versions:post")
            payload, new, expected = self._new(req)
            # Before anything is sealed; the transaction looks again.
            expected.check(CURRENT, history.revision, history.labels)
            project = versioned.projects.get_or_create(history.owner.project)
            changed = versioned.store.add(
                project, secret_id, new, lambda store: store.keep(project, secret_id, payload), expected=expected
            )
        versioned.tell(req, "secret version added", secret_id, changed, labels=list(new.labels))
        reference = resource_url(req, versioned.settings, version_path(secret_id, changed.number))
        resp.location = reference
        resp.etag = tag(changed.revision)
        send(resp, {"version": changed.number, "version_ref": reference}, 201)

    def _new(self, req: falcon.Request) -> tuple[bytes, NewVersion, Expected]:
        settings = self._versioned.settings
        body = read_json(req, settings.max_request_bytes, SECRET_VERSION.name)
        SECRET_VERSION.check(body)
        payload, content_type = parse_payload(body, SECRET_VERSION.name, settings.max_secret_bytes)
        labels = tuple(dict.fromkeys(body.get("labels", (CURRENT,))))
        if PREVIOUS in labels:
            raise ApiRefusal(409, "Label 'previous' follows label 'current' by itself.")
        return payload, NewVersion(content_type, caller_of(req).user, labels), expectation(req, body)


class SecretVersionResource:
    """One version, by its number or by a label."""

    def __init__(self, versioned: Versioned) -> None:
        self._versioned = versioned

    @operation("Secret version retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str, version: str) -> None:
        """Describe it."""
        versioned = self._versioned
        with versioned.served(), refusals():
            history = versioned.look(req, secret_id, "secret_versions:get")
            found = history.find(_name(version))
        send(resp, version_document(req, versioned.settings, secret_id, found))
        resp.etag = tag(history.revision)


class SecretVersionPayloadResource:
    """The payload of one version, by its number or by a label."""

    def __init__(self, versioned: Versioned, reader: PayloadReader) -> None:
        self._versioned, self._reader = versioned, reader

    @operation("Secret version payload retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str, version: str) -> None:
        """Return it; Content-Location says of which version it is."""
        versioned = self._versioned
        with versioned.served():
            check_id("secret", secret_id)
            # No version has the empty label: who asks for what is no name is told so after the policies are asked.
            name = _name(version) if _is_name(version) else ""
            found = versioned.store.reader.payload(secret_id, caller_of(req).user, name)
        if found is None:
            raise Gone("secrets")
        authorize(req, "secret_version:decrypt", target_of(req, found.owner, "secret"))
        if found.number is None:
            raise ApiRefusal(404, f"Secret has no version {version!r}.")
        if found.sealed is None or not found.sealed.has_payload:
            raise ApiRefusal(404, f"The payload of version {found.number} was destroyed.")
        self._reader.show(req, resp, found.sealed)
        resp.etag = tag(found.revision)
        path = version_path(secret_id, found.number) + "/payload"
        resp.content_location = resource_url(req, versioned.settings, path)

    @operation("Secret version deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, secret_id: str, version: str) -> None:
        """Destroy it for good; the version's number and description stay."""
        versioned = self._versioned
        with versioned.served(), refusals():
            history = versioned.look(req, secret_id, "secret_version:delete")
            found = history.find(_name(version))
            changed = versioned.store.destroy(secret_id, found.number, expectation(req, {}))
        versioned.tell(req, "secret version destroyed", secret_id, changed)
        resp.etag = tag(changed.revision)
        resp.status = 204


def _is_name(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text) or LABEL.fullmatch(text))


def _name(text: str) -> int | str:
    """Return the number or the label that a path names. Raises NoVersion for what is neither."""
    if not _is_name(text):
        raise NoVersion(text)
    return int(text) if _NUMBER.fullmatch(text) else text
