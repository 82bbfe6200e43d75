"""As much of Keystone as keystonemiddleware asks: discovery, a token for the service, and what a token stands for."""

import contextlib
import datetime as dt
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Keystone", "running"]

_SERVICE = "token-of-the-service"


def _later(seconds):
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


class Keystone:
    """The tokens that there are, and how often somebody asked about one."""

    def __init__(self):
        self.tokens, self.asked, self.away, self.url = {}, [], False, ""
        self.answer_of_unknown = {}

    def issue(self, token, *, project="p1", user="u1", roles=("member", "reader"), valid_s=3600, **more):
        """Let there be a token; without a project it is of the whole system."""
        scope = {"project": {"id": project, "name": project, "domain": {"id": "d", "name": "d"}}} if project else {}
        self.tokens[token] = {
            "methods": ["password"],
            "user": {"id": user, "name": user, "domain": {"id": "d", "name": "d"}},
            "roles": [{"id": role, "name": role} for role in roles],
            "expires_at": _later(valid_s),
            "issued_at": _later(0),
            "catalog": [
                {"type": "identity", "name": "keystone", "id": "i", "endpoints": self._endpoints()},
                {"type": "key-manager", "name": "keys", "id": "k", "endpoints": self._endpoints()},
            ],
            **(scope or {"system": {"all": True}}),
            **more,
        }
        return token

    def _endpoints(self):
        return [
            {"id": name, "interface": name, "region": "r", "region_id": "r", "url": f"{self.url}/v3"}
            for name in ("public", "internal", "admin")
        ]

    def answer(self, handler):
        """One request: its status, headers and body."""
        if self.away:
            return 503, {}, {}
        if handler.command == "POST":
            return 201, {"X-Subject-Token": _SERVICE}, {"token": self.tokens[_SERVICE]}
        path = handler.path.partition("?")[0]
        if not path.endswith("/auth/tokens"):
            version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{self.url}/v3/"}]}
            if "v3" in path:
                return 200, {}, {"version": version}
            return 300, {}, {"versions": {"values": [version]}}
        subject = handler.headers["X-Subject-Token"]
        self.asked.append(subject)
        return (
            (200, {}, {"token": self.tokens[subject]}) if subject in self.tokens else (404, {}, self.answer_of_unknown)
        )


@contextlib.contextmanager
def running():
    """A Keystone on a port of its own."""
    keystone = Keystone()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, document = keystone.answer(self)
            body = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers, "Content-Length": len(body)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - the base class calls them so

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        keystone.url = f"http://127.0.0.1:{server.server_port}"
        keystone.issue(_SERVICE, user="keys", roles=("service",))
        try:
            yield keystone
        finally:
            server.shutdown()
            thread.join()
