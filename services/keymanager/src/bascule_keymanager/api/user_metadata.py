"""/v1/secrets/{id}/metadata: what people note beside a secret."""

import re
from typing import Any

import falcon

from bascule_keymanager.api.answers import send
from bascule_keymanager.api.bodies import SECRET_METADATA, SECRET_METADATUM
from bascule_keymanager.api.body import read_json
from bascule_keymanager.api.errors import ApiRefusal, BodyRefused, operation
from bascule_keymanager.api.links import resource_url
from bascule_keymanager.api.owners import Doorkeeper
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.user_metadata import UserMetadata

__all__ = ["MetadataResource", "MetadatumResource"]

_SAFE_KEY = re.compile(r"[A-Za-z0-9_-]*")
_LONGEST = 255


class MetadataResource:
    """All of a secret's user metadata."""

    def __init__(self, settings: Settings, doors: Doorkeeper, store: UserMetadata) -> None:
        self._settings, self._doors, self._store = settings, doors, store

    @operation("Secret metadata retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Show every key with its value."""
        self._doors.secret(req, secret_id, "secret_meta:get")
        send(resp, {"metadata": self._store.all_of(secret_id)})

    @operation("Secret metadata creation")
    def on_put(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Put these keys in the place of all that were there."""
        self._doors.secret(req, secret_id, "secret_meta:put")
        body = read_json(req, self._settings.max_request_bytes, SECRET_METADATA.name)
        SECRET_METADATA.check(body)
        self._store.replace(secret_id, _checked(body["metadata"]))
        send(resp, {"metadata_ref": self._reference(req, secret_id)}, 201)

    @operation("Secret metadatum creation")
    def on_post(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Add one key."""
        self._doors.secret(req, secret_id, "secret_meta:post")
        key, value = _read_pair(req, self._settings)
        if not self._store.add(secret_id, key, value):
            raise ApiRefusal(409, "Conflict. Key in request is already in the secret metadata")
        resp.location = f"{self._reference(req, secret_id)}/{key}"
        send(resp, {"key": key, "value": value}, 201)

    def _reference(self, req: falcon.Request, secret_id: str) -> str:
        return resource_url(req, self._settings, "secrets", f"{secret_id}/metadata")


class MetadatumResource:
    """One key of a secret's user metadata."""

    def __init__(self, settings: Settings, doors: Doorkeeper, store: UserMetadata) -> None:
        self._settings, self._doors, self._store = settings, doors, store

    @operation("Secret metadatum retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str, key: str) -> None:
        """Show the key with its value."""
        self._doors.secret(req, secret_id, "secret_meta:get")
        known = self._store.all_of(secret_id)
        if key not in known:
            raise _not_found()
        send(resp, {"key": key, "value": known[key]})

    @operation("Secret metadatum update")
    def on_put(self, req: falcon.Request, resp: falcon.Response, secret_id: str, key: str) -> None:
        """Give the key another value."""
        self._doors.secret(req, secret_id, "secret_meta:put")
        named, value = _read_pair(req, self._settings)
        if key not in self._store.all_of(secret_id):
            raise _not_found()
        if named != key:
            # Barbican's own text ends here.
            raise ApiRefusal(409, "Key in request data does not match key in the ")
        if not self._store.change(secret_id, key, value):
            raise _not_found()
        send(resp, {"key": key, "value": value})

    @operation("Secret metadatum removal")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, secret_id: str, key: str) -> None:
        """Take the key away; it is no fault if it is not there."""
        self._doors.secret(req, secret_id, "secret_meta:delete")
        self._store.remove(secret_id, key)
        resp.status = 204


def _not_found() -> ApiRefusal:
    return ApiRefusal(404, "Secret metadata not found.")


def _read_pair(req: falcon.Request, settings: Settings) -> tuple[str, str]:
    body = read_json(req, settings.max_request_bytes, SECRET_METADATUM.name)
    SECRET_METADATUM.check(body)
    return _key(body["key"]), body["value"]


def _checked(metadata: dict[str, Any]) -> dict[str, str]:  # Any: JSON from outside
    checked: dict[str, str] = {}
    for key, value in metadata.items():
        name = _key(key)
        if not isinstance(value, str):
            raise ApiRefusal(400, "Invalid Metadata. Keys and Values must be Strings.")
        if "\0" in value:
            raise BodyRefused(SECRET_METADATA.name, "a value contains a NUL character", "metadata")
        if len(key) > _LONGEST or len(value) > _LONGEST:
            # Barbican checks this for a single key only, and fails to store what is longer.
            raise BodyRefused(SECRET_METADATA.name, "a key or value is too long", "metadata")
        if name not in checked or key != name:  # of keys that differ in case, Barbican keeps one with capitals
            checked[name] = value
    return checked


def _key(text: str) -> str:
    if not _SAFE_KEY.fullmatch(text):
        raise ApiRefusal(400, "Invalid Key. Key must be URL safe.")
    return text.lower()
