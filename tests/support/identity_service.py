"""A Keystone of few words: it confirms the tokens that it was told of, over HTTP, to whoever checks them."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_DOMAIN = {"id": "default", "name": "Default"}
_NEVER = "2999-01-01T00:00:00.000000Z"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a token was given to."""

    project: str
    user: str
    roles: tuple[str, ...]


@contextlib.contextmanager
def identity_service(holders: Mapping[str, Holder]) -> Iterator[str]:
    """Serve on the loopback and yield the address; `holders` are by token."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_address[1]}/v3"
    server.identity = (url, dict(holders))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def authtoken_options(url: str) -> dict[str, str]:
    """Return the [keystone_authtoken] of a service that asks this Keystone."""
    return {
        "auth_url": url,
        "www_authenticate_uri": url,
        "auth_type": "password",
        "username": "service",
        "password": "secret",
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }


class _Handler(BaseHTTPRequestHandler):
    """Version discovery, tokens for the service that checks, and what a token says."""

    def do_GET(self) -> None:
        url, holders = self.server.identity
        if not self.path.endswith("/auth/tokens"):
            version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{url}/"}]}
            self._send(200, {"version": version})
            return
        holder = holders.get(self.headers["X-Subject-Token"])
        if holder is None:
            self._send(404, {"error": {"code": 404, "title": "Not Found", "message": "There is no such token."}})
        else:
            self._send(200, {"token": _token(holder, url)})

    def do_POST(self) -> None:
        url, _ = self.server.identity
        self.rfile.read(int(self.headers["Content-Length"]))
        service = Holder("service", "service", ("service",))
        self._send(201, {"token": _token(service, url)}, {"X-Subject-Token": "token-of-the-service"})

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _send(self, status: int, document: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _token(holder: Holder, url: str) -> dict[str, Any]:
    endpoints = [
        {"id": kind, "interface": kind, "region": "here", "region_id": "here", "url": url}
        for kind in ("internal", "public", "admin")
    ]
    return {
        "methods": ["password"],
        "user": {"id": holder.user, "name": holder.user, "domain": _DOMAIN, "password_expires_at": None},
        "project": {"id": holder.project, "name": holder.project, "domain": _DOMAIN},
        "is_domain": False,
        "roles": [{"id": role, "name": role} for role in holder.roles],
        "catalog": [{"id": "identity", "type": "identity", "name": "keystone", "endpoints": endpoints}],
        "audit_ids": [holder.user],
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "expires_at": _NEVER,
    }
