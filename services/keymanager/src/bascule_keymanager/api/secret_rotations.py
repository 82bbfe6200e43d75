"""/v1/bascule/secrets/{id}/rotation: have a key made anew every so often, or now."""

from collections.abc import Callable
from typing import Any

import falcon

from bascule_keymanager.api.access import authorize
from bascule_keymanager.api.answers import send
from bascule_keymanager.api.bodies import SECRET_ROTATION
from bascule_keymanager.api.body import read_json
from bascule_keymanager.api.context import caller_of, request_id_of
from bascule_keymanager.api.errors import ApiRefusal, IssueSeen, operation
from bascule_keymanager.api.owners import check_id, target_of
from bascule_keymanager.api.version_answers import Versioned
from bascule_keymanager.log import get_log
from bascule_keymanager.storage.rotations import Rotation, RotationStore, RotationView
from bascule_keymanager.storage.rows import Gone
from bascule_keymanager.stores.generate import CannotGenerate, check_key

__all__ = ["RotateNow", "SecretRotationResource"]

# Has the key of this secret made anew as soon as a worker is free; False where it has no rotation.
RotateNow = Callable[[str, str], bool]

_BYTES = "application/octet-stream"

log = get_log()


class SecretRotationResource:
    """The rotation of one secret."""

    def __init__(self, versioned: Versioned, rotations: RotationStore, rotate_now: RotateNow) -> None:
        self._versioned, self._rotations, self._rotate_now = versioned, rotations, rotate_now

    @operation("Secret rotation retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Show how often the key is made anew, and how that went."""
        with self._versioned.served():
            view = self._look(req, secret_id, "secret_rotation:get")
        send(resp, _document(view))

    @operation("Secret rotation update")
    def on_put(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Have the key made anew so many seconds from now, and again after as many."""
        with self._versioned.served():
            view = self._look(req, secret_id, "secret_rotation:put")
            body = read_json(req, self._versioned.settings.max_request_bytes, SECRET_ROTATION.name)
            SECRET_ROTATION.check(body)
            _check_rotatable(view)
            self._rotations.put(secret_id, int(body["interval_s"]), caller_of(req).user)
            view = self._look(req, secret_id, "secret_rotation:put")
        _tell(req, "secret rotation set", secret_id, interval_s=int(body["interval_s"]))
        send(resp, _document(view))

    @operation("Secret rotation creation")
    def on_post(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Have the key made anew now; the next time comes an interval later."""
        with self._versioned.served():
            self._look(req, secret_id, "secret_rotation:post")
            if not self._rotate_now(secret_id, request_id_of(req)):
                raise _none()
        _tell(req, "secret rotation asked for", secret_id)
        resp.status = 202

    @operation("Secret rotation deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Leave the key as it is from now on."""
        with self._versioned.served():
            self._look(req, secret_id, "secret_rotation:delete")
            if not self._rotations.remove(secret_id):
                raise _none()
        _tell(req, "secret rotation removed", secret_id)
        resp.status = 204

    def _look(self, req: falcon.Request, secret_id: str, rule: str) -> RotationView:
        check_id("secret", secret_id)
        view = self._rotations.view(secret_id, caller_of(req).user)
        if view is None:
            raise Gone("secrets")
        authorize(req, rule, target_of(req, view.owner, "secret"))
        return view


def _check_rotatable(view: RotationView) -> None:
    """Refuse what no worker here can make anew."""
    if view.secret_type != "symmetric" or view.spec is None:  # noqa: S105 - a kind of secret, not one
        raise IssueSeen(409, "Only a symmetric key that says its algorithm and bit length is made anew")
    if view.content_type not in (None, _BYTES):
        raise IssueSeen(409, f"The secret is of type {view.content_type}, and a key that is made is {_BYTES}")
    try:
        check_key(view.spec)
    except CannotGenerate as never:
        raise IssueSeen(409, f"A key of algorithm {view.spec.algorithm!r} and {view.spec.bit_length} bits is not made "
                             "here") from never  # fmt: skip


def _document(view: RotationView) -> dict[str, Any]:  # Any: JSON
    rotation = view.rotation
    if rotation is None:
        raise _none()
    return {"rotation": _shown(rotation)}


def _shown(rotation: Rotation) -> dict[str, Any]:  # Any: JSON
    return {
        "interval_s": rotation.interval_s,
        "next": rotation.next_at.isoformat(),
        "last": rotation.last_at.isoformat() if rotation.last_at else None,
        "failures": rotation.failures,
        "failure": rotation.failure,
    }


def _none() -> ApiRefusal:
    return ApiRefusal(404, "Secret has no rotation.")


def _tell(req: falcon.Request, event: str, secret_id: str, **more: object) -> None:
    caller = caller_of(req)
    log.info(event, secret=secret_id, project=caller.project, user=caller.user, request=request_id_of(req), **more)
