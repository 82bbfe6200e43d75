"""What every request of the API brings: who asks, in which version of the API, and under which policies."""

import html
import json
from dataclasses import dataclass, field

import falcon

from bascule_keymanager.api.environment import CALLER, REQUEST_ID, ROUTE, is_guarded, new_request_id
from bascule_keymanager.api.microversions import AskedFor, MalformedVersion, Maximum, UnservedVersion, asked_version
from bascule_keymanager.policy.credentials import NOBODY, Credentials
from bascule_keymanager.policy.policies import Policies

__all__ = ["Caller", "Context", "caller_of", "policies_of", "request_id_of", "version_of"]

_SERVICE = "key-manager"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in the identity service's names; `credentials` are what policies know of them."""

    project: str
    user: str | None
    credentials: Credentials = field(default=NOBODY, repr=False)


def caller_of(req: falcon.Request) -> Caller:
    """Return who asks; Context has put it there."""
    caller: Caller = req.context.caller
    return caller


def policies_of(req: falcon.Request) -> Policies:
    """Return the policies in force."""
    policies: Policies = req.context.policies
    return policies


def version_of(req: falcon.Request) -> tuple[int, int]:
    """Return the version of the API that this request is served in, as (1, 0); Context has chosen it."""
    version: tuple[int, int] = req.context.version
    return version


def request_id_of(req: falcon.Request) -> str:
    """Return the name of this request in logs, answers and messages."""
    name: str = req.context.request_id
    return name


class Context:
    """Lets a request of the API pass only with somebody who asks and a version that is served, and signs the answer.

    Who asks was found out before: see bascule_keymanager.api.pipeline.
    """

    def __init__(self, policies: Policies, maximum: Maximum) -> None:
        self._policies, self._maximum = policies, maximum

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Refuse with 401, 400 or 406, or choose the version of the API."""
        environ, context = req.env, req.context
        context.request_id = environ.get(REQUEST_ID) or new_request_id()
        context.policies = self._policies
        context.version = None
        if is_guarded(req.path):
            caller = environ.get(CALLER)
            if caller is None:
                _refuse_unknown(resp)
                return
            context.caller = caller
        elif req.path != "/":
            return
        asked = environ.get("HTTP_OPENSTACK_API_VERSION")
        try:
            context.version = asked_version(asked, _SERVICE, self._maximum) if asked else (1, 0)
        except (UnservedVersion, MalformedVersion) as refusal:
            _refuse_version(req, resp, refusal)

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool) -> None:
        """Say in which version the answer is."""
        version = req.context.version
        if version is not None:
            resp.set_header("OpenStack-API-Version", f"{_SERVICE} {version[0]}.{version[1]}")
            resp.append_header("Vary", "openstack-api-version")
        req.env[ROUTE] = req.uri_template


def _refuse_unknown(resp: falcon.Response) -> None:
    # keystonemiddleware's own words and shape, which are not Barbican's.
    message = "The request you have made requires authentication."
    resp.status = 401
    resp.content_type = "application/json"
    resp.text = json.dumps({"error": {"code": 401, "title": "Unauthorized", "message": message}})
    resp.complete = True


def _refuse_version(req: falcon.Request, resp: falcon.Response, refusal: AskedFor) -> None:
    """Answer as WebOb does for Barbican: in HTML unless the client takes only JSON, or neither, or does not say."""
    resp.status = refusal.status
    resp.complete = True
    title = "Not Acceptable" if refusal.status == 406 else "Bad Request"
    chosen = req.client_prefers(["text/html", "application/json"]) if req.get_header("Accept") else None
    if chosen == "text/html":
        resp.content_type = "text/html; charset=UTF-8"
        resp.text = (
            f"<html><head><title>{refusal.status} {title}</title></head>"
            f"<body><h1>{refusal.status} {title}</h1>{html.escape(str(refusal))}</body></html>"
        )
    elif chosen:
        resp.content_type = "application/json"
        resp.text = json.dumps({"message": str(refusal), "code": f"{refusal.status} {title}", "title": title})
    else:
        resp.content_type = "text/plain; charset=UTF-8"
        resp.text = f"{refusal.status} {title}\n\n{refusal}\n"
