"""A tiny real store over HTTP with faults to order, and what the gate's tests need around it."""

import itertools
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
KEYMANAGER_WORKLOAD = ROOT / "services/keymanager/workload.toml"


@dataclass
class Store:
    """Keys and orders in memory. A fault is a plain attribute that a test sets."""

    releases: tuple[str, ...] = ("2026.2",)
    forget_every: int = 0  # acknowledge every n-th create without keeping it
    fail_every: int = 0  # answer every n-th request with 500
    reset_every: int = 0  # close the connection instead of answering every n-th request
    rename_every: int = 0  # keep another name than the one that came
    never_done: bool = False  # orders stay pending
    create_s: float = 0.0  # how long a create takes
    secrets: dict = field(default_factory=dict)
    orders: dict = field(default_factory=dict)
    connections: int = 0
    requests: int = 0

    def __post_init__(self):
        self.lock = threading.Lock()
        self.creates = itertools.count(1)
        self.arrived = itertools.count(1)

    def answer(self, method, path, body):
        """Return (status, JSON or bytes)."""
        path, _, query = path.partition("?")
        parts = path.strip("/").split("/")
        if parts[1] == "orders":
            return self._order(method, parts, body)
        if method == "POST":
            return 201, {"secret_ref": f"http://elsewhere:1/v1/secrets/{self._create(body)}"}
        if len(parts) == 2:
            asked = dict(pair.split("=") for pair in query.split("&"))
            offset, limit = int(asked["offset"]), int(asked["limit"])
            page = list(self.secrets)[offset : offset + limit]
            items = [{"secret_ref": f"http://elsewhere:1/v1/secrets/{each}"} for each in page]
            return 200, {"secrets": items, "total": len(self.secrets)}
        if parts[2] not in self.secrets:
            return 404, {}
        secret = self.secrets[parts[2]]
        if method == "DELETE":
            del self.secrets[parts[2]]
            return 204, b""
        if len(parts) == 4:
            return 200, secret["payload"]
        return 200, {"name": secret["name"], "content_types": {"default": "text/plain"}}

    def _create(self, body, payload=None):
        key, number = str(uuid.uuid4()), next(self.creates)
        name = body["name"] if not (self.rename_every and number % self.rename_every == 0) else "other"
        if not (self.forget_every and number % self.forget_every == 0):
            self.secrets[key] = {"name": name, "payload": payload or body["payload"].encode()}
        return key

    def _order(self, method, parts, body):
        if method == "POST":
            order = str(uuid.uuid4())
            self.orders[order] = {"name": body["meta"]["name"], "polls": 0, "secret": None}
            return 202, {"order_ref": f"/v1/orders/{order}"}
        order = self.orders[parts[2]]
        order["polls"] += 1
        answer = {"status": "PENDING", "meta": {"name": order["name"]}}
        if order["polls"] > 1 and not self.never_done:
            order["secret"] = order["secret"] or self._create({"name": order["name"]}, uuid.uuid4().bytes)
            answer |= {"status": "ACTIVE", "sub_status_message": "Unknown"}
            answer["secret_ref"] = f"/v1/secrets/{order['secret']}"
        return 200, answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.store.connections += 1

    def _serve(self):
        store = self.server.store
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/v1/secrets" and store.create_s:
            threading.Event().wait(store.create_s)
        with store.lock:
            number = next(store.arrived)
            store.requests = number
            if store.reset_every and number % store.reset_every == 0:
                self.close_connection = True
                return
            if store.fail_every and number % store.fail_every == 0:
                status, answer = 500, {}
            else:
                status, answer = store.answer(self.command, self.path, json.loads(body) if body else None)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        release = store.releases[number % len(store.releases)]
        self.send_header("X-Bascule-Release", release)
        self.send_header("X-Bascule-Instance", f"api-{number % 3 + 1}")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815  # the names that http.server calls

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that lets go of its connection is no news."""


@pytest.fixture
def store():
    """Return a store that serves on loopback; its `url` is the target."""
    served = Store()
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.store = served
        served.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture
def workload_file():
    return KEYMANAGER_WORKLOAD


@pytest.fixture
def wait_for():
    """Return a function that waits for a condition, with a deadline."""

    def wait(condition, timeout_s=20.0):
        deadline = time.monotonic() + timeout_s
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come about in time"
            pause.wait(0.01)

    return wait
