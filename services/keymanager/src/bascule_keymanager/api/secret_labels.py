"""/v1/bascule/secrets/{id}/labels: names for versions, which move from one to another at once."""

import falcon

from bascule_keymanager.api.answers import send
from bascule_keymanager.api.bodies import SECRET_LABEL
from bascule_keymanager.api.body import read_json
from bascule_keymanager.api.errors import ApiRefusal, IssueSeen, operation
from bascule_keymanager.api.version_answers import LABEL, Versioned, expectation, refusals, tag
from bascule_keymanager.storage.version_history import CURRENT, PREVIOUS

__all__ = ["SecretLabelResource", "SecretLabelsResource"]


class SecretLabelsResource:
    """All labels of one secret's versions."""

    def __init__(self, versioned: Versioned) -> None:
        self._versioned = versioned

    @operation("Secret label(s) retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Show each with the number of its version."""
        with self._versioned.served():
            history = self._versioned.look(req, secret_id, "secret_versions:get")
        send(resp, {"labels": history.labels})
        resp.etag = tag(history.revision)


class SecretLabelResource:
    """One label."""

    def __init__(self, versioned: Versioned) -> None:
        self._versioned = versioned

    @operation("Secret label update")
    def on_put(self, req: falcon.Request, resp: falcon.Response, secret_id: str, label: str) -> None:
        """Put it at a version, wherever it was, or only where it was expected."""
        versioned = self._versioned
        with versioned.served(), refusals():
            versioned.look(req, secret_id, "secret_labels:put")
            body = read_json(req, versioned.settings.max_request_bytes, SECRET_LABEL.name)
            SECRET_LABEL.check(body)
            if not LABEL.fullmatch(label):
                text = "A label is a lower-case letter, followed by up to 62 of a-z, 0-9, '.', '_' and '-'"
                raise IssueSeen(400, text)
            if label == PREVIOUS:
                raise IssueSeen(409, "Label 'previous' follows label 'current' by itself")
            changed = versioned.store.move(secret_id, label, int(body["version"]), expectation(req, body))
        versioned.tell(req, "secret label moved", secret_id, changed, label=label)
        send(resp, {"label": label, "version": changed.number})
        resp.etag = tag(changed.revision)

    @operation("Secret label deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, secret_id: str, label: str) -> None:
        """Take it away; its version stays."""
        versioned = self._versioned
        with versioned.served(), refusals():
            versioned.look(req, secret_id, "secret_labels:delete")
            if label in (CURRENT, PREVIOUS):
                raise IssueSeen(409, f"Label '{label}' is never taken away")
            if not LABEL.fullmatch(label):
                raise ApiRefusal(404, "Secret has no such label.")
            changed = versioned.store.remove_label(secret_id, label, expectation(req, {}))
        versioned.tell(req, "secret label removed", secret_id, changed, label=label)
        resp.etag = tag(changed.revision)
        resp.status = 204
