"""Around every request: its name, what it took, one line in the log, and who answered it."""

import json
import re
import time
from collections.abc import Iterable
from typing import Any

from bascule.lifecycle import name_request
from bascule_keymanager.api.environment import CALLER, GLOBAL_REQUEST_ID, REQUEST_ID, ROUTE, new_request_id
from bascule_keymanager.api.metrics import Metrics
from bascule_keymanager.api.wsgi import Environ, StartResponse, WsgiApp
from bascule_keymanager.identity import RELEASE, instance_name
from bascule_keymanager.log import get_log

__all__ = ["Envelope"]

log = get_log()

# What another OpenStack service calls the request of its own client.
_GLOBAL_ID = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Envelope:
    """The outermost layer. No path, header, query or body reaches the log but the method and the path itself."""

    def __init__(self, app: WsgiApp, metrics: Metrics | None, *, access_log: bool) -> None:
        self._app, self._metrics, self._access_log = app, metrics, access_log
        self._who = [("X-Bascule-Release", str(RELEASE)), ("X-Bascule-Instance", instance_name())]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, whatever happens inside."""
        began = time.perf_counter()
        request_id = environ[REQUEST_ID] = new_request_id()
        name_request(request_id)
        given = environ.get("HTTP_X_OPENSTACK_REQUEST_ID")
        if given and _GLOBAL_ID.fullmatch(given):
            environ[GLOBAL_REQUEST_ID] = given
        status = "500"

        def start(line: str, headers: list[tuple[str, str]], *more: Any) -> Any:  # Any: WSGI's
            nonlocal status
            status = line[:3]
            return start_response(line, [*headers, *self._who, ("X-Openstack-Request-Id", request_id)], *more)

        try:
            return self._app(environ, start)
        except Exception as failure:  # noqa: BLE001 - of a layer around the application, which answers its own
            error = type(failure).__name__  # not its text: see api/errors.py
            log.error("request failed", operation="System", error=error, request_id=request_id)  # noqa: TRY400
            return _failed(start)
        finally:
            self._note(environ, status, time.perf_counter() - began, request_id)

    def _note(self, environ: Environ, status: str, took_s: float, request_id: str) -> None:
        method, route = environ["REQUEST_METHOD"], environ.get(ROUTE)
        if self._metrics is not None:
            self._metrics.answered(method, route, status, took_s)
        if self._access_log and route not in _QUIET:
            caller = environ.get(CALLER)
            log.info(
                "request",
                method=method,
                path=environ["PATH_INFO"],
                status=int(status),
                took_ms=round(took_s * 1000, 1),
                request_id=request_id,
                global_request_id=environ.get(GLOBAL_REQUEST_ID),
                project=caller.project if caller is not None else None,
                user=caller.user if caller is not None else None,
                remote=environ.get("REMOTE_ADDR"),
            )


# Balancers and Prometheus ask these every few seconds.
_QUIET = frozenset({"/healthcheck", "/readiness", "/metrics"})


def _failed(start: StartResponse) -> Iterable[bytes]:
    text = "System failure seen - please contact site administrator."
    body = json.dumps({"code": 500, "title": "Internal Server Error", "description": text}).encode()
    start("500 Internal Server Error", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
