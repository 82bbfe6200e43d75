"""What every request brings and every answer carries: who asks, which version of the API, and who answered."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

import falcon

from bascule_keymanager.identity import RELEASE, instance_name

__all__ = ["ANONYMOUS_PROJECT", "API_VERSION", "Caller", "Context", "caller_of", "request_id_of", "version_of"]

API_VERSION = "1.0"
ANONYMOUS_PROJECT = "default"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in the identity service's names; `system_scope` is "all" for a token of the whole system."""

    project: str
    user: str | None
    roles: tuple[str, ...] = ()
    domain: str | None = None
    user_domain: str | None = None
    project_domain: str | None = None
    system_scope: str | None = None
    is_admin_project: bool = True


def caller_of(req: falcon.Request) -> Caller:
    """Return who asks; Context has put it there."""
    caller: Caller = req.context.caller
    return caller


def version_of(req: falcon.Request) -> tuple[int, int]:
    """Return the version of the API that this request is served in, as (1, 0); Context has chosen it."""
    version: tuple[int, int] = req.context.version
    return version


def request_id_of(req: falcon.Request) -> str:
    """Return the name of this request in logs, answers and messages."""
    name: str = req.context.request_id
    return name


class Context:
    """Reads the identity headers and the API version before a request, and signs the answer after it.

    The identity headers are taken as they come, as keystonemiddleware would set them: until the key manager checks
    tokens itself, whatever stands before it must set them and let none through from outside.
    """

    def __init__(self, *, allow_anonymous: bool) -> None:
        self._allow_anonymous = allow_anonymous
        self._release, self._instance = str(RELEASE), instance_name()

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let the request pass only with an identity and a version that we speak."""
        req.context.request_id = f"req-{uuid.uuid4()}"
        req.context.version = (1, 0)
        if req.path == "/healthcheck":
            return
        _check_version(req, resp)
        if req.path == "/" or resp.complete:
            return
        project, user = req.get_header("X-Project-Id"), req.get_header("X-User-Id")
        if project:
            req.context.caller = Caller(project, user)
        elif self._allow_anonymous:
            req.context.caller = Caller(ANONYMOUS_PROJECT, user)
        else:
            _refuse_unknown(resp)

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: Any,
        _succeeded: bool,  # Any: any responder
    ) -> None:
        """Sign the answer."""
        resp.set_header("X-Bascule-Release", self._release)
        resp.set_header("X-Bascule-Instance", self._instance)
        resp.set_header("X-Openstack-Request-Id", req.context.request_id)
        if req.path != "/healthcheck" and resp.status_code != 401:
            resp.set_header("OpenStack-API-Version", f"key-manager {API_VERSION}")
            resp.append_header("Vary", "openstack-api-version")


def _check_version(req: falcon.Request, resp: falcon.Response) -> None:
    asked = req.get_header("OpenStack-API-Version")
    if not asked:
        return
    for entry in asked.split(","):
        service, _, version = entry.strip().partition(" ")
        if service.lower() == "key-manager" and version.strip() not in (API_VERSION, "latest"):
            resp.status = 406
            resp.content_type = "text/html; charset=UTF-8"
            resp.text = "<html><body><h1>406 Not Acceptable</h1>This version of the API is not served.</body></html>"
            resp.complete = True


def _refuse_unknown(resp: falcon.Response) -> None:
    # keystonemiddleware's own words and shape, which are not Barbican's.
    message = "The request you have made requires authentication."
    resp.status = 401
    resp.content_type = "application/json"
    resp.text = json.dumps({"error": {"code": 401, "title": "Unauthorized", "message": message}})
    resp.complete = True
