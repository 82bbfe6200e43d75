"""As much of Keystone as keystonemiddleware and clients ask: discovery, tokens, and what a token stands for."""

import contextlib
import datetime as dt
import itertools
import json
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["Keystone", "running"]

_SERVICE = "token-of-the-service"
_HEADERS = {"Content-Type": "application/json", "x-openstack-request-id": f"req-{uuid.uuid4()}"}


def _refusal(status, title, message):
    return status, {}, {"error": {"code": status, "title": title, "message": message}}


def _endpoints(region, url):
    return [
        {"id": f"{region}-{name}", "interface": name, "region": region, "region_id": region, "url": url}
        for name in ("public", "internal", "admin")
    ]


def _later(seconds):
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


class Keystone:
    """The tokens that there are, and how often somebody asked about one."""

    def __init__(self):
        self.tokens, self.asked, self.away, self.url = {}, [], False, ""
        self.answer_of_unknown = {}
        self.people, self.key_managers, self._logins = {}, {}, itertools.count()

    def enrol(self, username, password, **identity):
        """Let there be somebody who logs in; `identity` is as for `issue`."""
        self.people[username] = (password, {"username": username, **identity})

    def issue(self, token, *, project="p1", user="u1", username=None, roles=("member", "reader"), valid_s=3600, **more):
        """Let there be a token; without a project it is of the whole system."""
        scope = {"project": {"id": project, "name": project, "domain": {"id": "d", "name": "d"}}} if project else {}
        self.tokens[token] = {
            "methods": ["password"],
            "user": {"id": user, "name": username or user, "domain": {"id": "d", "name": "d"}},
            "roles": [{"id": role, "name": role} for role in roles],
            "expires_at": _later(valid_s),
            "issued_at": _later(0),
            "catalog": [
                {"type": "identity", "name": "keystone", "id": "i", "endpoints": _endpoints("r", f"{self.url}/v3")},
                *(
                    {"type": "key-manager", "name": "keys", "id": f"k-{region}", "endpoints": _endpoints(region, url)}
                    for region, url in (self.key_managers or {"r": f"{self.url}/v3"}).items()
                ),
            ],
            **(scope or {"system": {"all": True}}),
            **more,
        }
        return token

    def _log_in(self, asked):
        """Give a token to whoever has a password or a token; the service itself gets its own."""
        identity = asked["auth"]["identity"]
        if "token" in identity["methods"]:
            known = self.tokens.get(identity["token"]["id"])
            if known is None:
                return _refusal(404, "Not Found", "Could not recognize Fernet token")
            who = self.people[known["user"]["name"]]
        else:
            user = identity["password"]["user"]
            if user["name"] not in self.people:
                return 201, {"X-Subject-Token": _SERVICE}, {"token": self.tokens[_SERVICE]}
            who = self.people[user["name"]]
            who = who if who[0] == user["password"] else None
        if who is None:
            return _refusal(401, "Unauthorized", "The request you have made requires authentication.")
        token = self.issue(f"token-of-login-{next(self._logins)}", **who[1])
        return 201, {"X-Subject-Token": token}, {"token": self.tokens[token]}

    def answer(self, handler, body):
        """One request: its status, headers and body."""
        if self.away:
            return 503, {}, {}
        if handler.command == "POST":
            return self._log_in(json.loads(body))
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
def running(port=0):
    """A Keystone on this port, or on a port of its own."""
    keystone = Keystone()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, document = keystone.answer(self, asked)
            body = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**_HEADERS, **headers, "Content-Length": len(body)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - the base class calls them so

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
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


def main(port, tokens):
    """Confirm these tokens until the process is killed."""
    with running(int(port)) as keystone:
        for line in Path(tokens).read_text().splitlines():
            token, project = line.split()
            keystone.issue(token, project=project)
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
