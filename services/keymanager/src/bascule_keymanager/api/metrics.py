"""Figures for Prometheus. Labels are methods, routes and status codes: never an id, a user or a project."""

import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import make_wsgi_app

from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.log import get_log

__all__ = ["CONTENT_TYPE", "Metrics", "MetricsServer"]

log = get_log()

CONTENT_TYPE = CONTENT_TYPE_LATEST

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NO_ROUTE = "none"
_RETRY_S = 1.0


class Metrics:
    """The figures of this process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "keymanager_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "keymanager_http_request_duration_seconds",
            "Time from the first byte of a request to its answer.",
            ["method", "route"],
            registry=registry,
            buckets=_BUCKETS_S,
        )
        self._key_uses = Counter(
            "keymanager_key_uses", "Items done, or refused, with a key.", ["operation", "outcome"], registry=registry
        )
        release = Gauge("keymanager_release", "The release that answers.", ["release"], registry=registry)
        release.labels(str(RELEASE)).set(1)
        # Finding a child by its labels costs more than counting with it.
        self._children: dict[tuple[str, str | None, str], tuple[Counter, Histogram]] = {}

    def watch(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        """Add gauges, each a name with what it is and how to read it; called when somebody asks for the figures."""
        for name, (what, read) in gauges.items():
            Gauge(f"keymanager_{name}", what, registry=self._registry).set_function(read)

    def answered(self, method: str, route: str | None, status: str, took_s: float) -> None:
        """Count one answered request; a route is the pattern of a path, None where there was none."""
        known = self._children.get((method, route, status))
        if known is None:
            named = (method if method in _METHODS else "other", route or _NO_ROUTE)
            known = self._requests.labels(*named, status), self._seconds.labels(*named)
            if method in _METHODS:  # what clients invent is not remembered
                self._children[method, route, status] = known
        known[0].inc()
        known[1].observe(took_s)

    def key_used(self, operation: str, done: int, refused: int) -> None:
        """Count the items of one request that used a key."""
        for outcome, items in (("done", done), ("refused", refused)):
            if items:
                self._key_uses.labels(operation, outcome).inc(items)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def serve(self, address: str) -> "MetricsServer":
        """Serve the figures on a port of their own. Raises ConfigRefused."""
        return MetricsServer(address, self._registry)


class _Threading(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing: every scrape would be a line."""


class MetricsServer:
    """Prometheus' own port. While an older process still holds it, this one waits for its turn."""

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise ConfigRefused(None, f"[metrics] listen = {address} is not HOST:PORT")
        self._host, self._port = host.strip("[]"), int(port)
        self._app = make_wsgi_app(registry)
        self._ending = threading.Event()
        self._server: WSGIServer | None = None
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port; safe to call again."""
        self._ending.set()
        if self._server is not None:
            self._server.shutdown()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        waiting = False
        while not self._ending.is_set():
            try:
                server = make_server(self._host, self._port, self._app, _class(self._host), handler_class=_Silent)
            except OSError as taken:
                if not waiting:
                    log.info("metrics wait for their port", port=self._port, error=taken.strerror)
                waiting = True
                self._ending.wait(_RETRY_S)
                continue
            self._server = server
            with server:
                server.serve_forever(poll_interval=0.2)


def _class(host: str) -> type[WSGIServer]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return type("_Server", (_Threading,), {"address_family": family})
