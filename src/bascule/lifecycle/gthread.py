"""gunicorn's threaded worker with a drain that loses nothing.

Kept connections stay open for the linger, a worker whose main process is gone drains too, and a worker whose threads
all hang gives no sign of life any more.
"""

import os
import re
import select
import signal
import socket
from typing import Any

from gunicorn.workers import gthread  # type: ignore[import-untyped]  # gunicorn ships no types

from bascule.errors import LifecycleError
from bascule.lifecycle.answering import AnsweringSocket
from bascule.lifecycle.board import Outcome
from bascule.lifecycle.boot import WorkerLife

__all__ = ["DrainingWorker", "LingerUnsupported", "request_id_of", "set_linger"]

_ID_HEADERS = ("X-OPENSTACK-REQUEST-ID", "X-REQUEST-ID")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BODY_HEADERS = frozenset({"CONTENT-LENGTH", "TRANSFER-ENCODING"})
# How long a thread stays with a connection whose next request may come: a client that asks in turn needs less.
_STAY_MS = 20


class LingerUnsupported(LifecycleError):
    """This gunicorn has no linger to set, so a stop would close kept connections under their clients' requests."""

    def __init__(self) -> None:
        super().__init__(
            "this gunicorn cannot keep connections open while it stops (gthread.STOP_KEEPALIVE_LINGER is gone); "
            "install the version in the release's lock"
        )


def set_linger(seconds: float) -> None:
    """Set how long a stopping worker of this process keeps its connections open. Raises LingerUnsupported."""
    if not hasattr(gthread, "STOP_KEEPALIVE_LINGER"):
        raise LingerUnsupported
    gthread.STOP_KEEPALIVE_LINGER = seconds


class DrainingWorker(WorkerLife, gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """The process that answers, in threads."""

    def init_signals(self) -> None:
        """Drain at Ctrl-C too, which reaches the worker as well as the main process."""
        super().init_signals()
        signal.signal(signal.SIGINT, self.handle_exit)
        signal.siginterrupt(signal.SIGINT, False)

    def run(self) -> None:
        """Answer until told to stop, then drain, say goodbye and tell how it went."""
        self.board.outcome = Outcome.SERVING
        super().run()
        self.begin_drain()
        unfinished = self.in_flight.unfinished()
        self.end(unfinished, unread=max(0, self.nr_conns - len(unfinished)))

    def notify(self) -> None:
        """Give the main process a sign of life, unless every thread has answered the same request for too long."""
        oldest = self.in_flight.unfinished()
        stuck = [each for each in oldest if each.age_s >= self.settings.environment.watchdog_s]
        if len(stuck) < self.settings.threads:
            super().notify()
            self.board.beat()

    def handle(self, conn: Any) -> Any:  # Any: as above
        """Answer a connection's request, and the next ones too as long as they follow each other at once.

        Handing the connection to the main loop and back costs more than a small answer. A thread stays only while
        there is one for every connection, so that nobody ever waits for it.
        """
        if type(conn.sock) is socket.socket and not self.cfg.is_ssl:
            conn.sock = AnsweringSocket.of(conn.sock)
        kept = super().handle(conn)
        while kept is True and self.alive and self._may_stay(conn) and _is_readable(conn.sock, _STAY_MS):
            kept = super().handle(conn)
        return kept

    def _keepalive_after(self, conn: Any, keepalive: Any) -> Any:  # Any: as above
        # Of a request without a body nothing can be left unread.
        headers = {name for name, _ in conn.parser.mesg.headers} if keepalive else ()
        if keepalive and not _BODY_HEADERS.intersection(headers):
            return True
        return super()._keepalive_after(conn, keepalive)

    def _may_stay(self, conn: Any) -> bool:  # Any: as above
        # What was read ahead does not make a socket readable: the main loop knows of that.
        return self.nr_conns <= self.cfg.threads and not self.cfg.is_ssl and not conn.parser.unreader.buf.getvalue()

    def handle_request(self, req: Any, conn: Any) -> Any:  # Any: gunicorn ships no types
        """Answer one request, and know that it is being answered."""
        with self.in_flight.tracking(req.method, req.path or "", request_id_of(req.headers)):
            if not isinstance(conn.sock, AnsweringSocket):
                return super().handle_request(req, conn)
            conn.sock.hold()
            try:
                return super().handle_request(req, conn)
            finally:
                conn.sock.release()

    def handle_exit(self, sig: int, frame: Any) -> None:  # Any: as signal handlers have it
        """Begin to drain; a process told to drain for 0 s drops everything here and now."""
        if self.settings.environment.drain_s == 0:
            os._exit(0)
        super().handle_exit(sig, frame)
        # Here is a signal handler, where nothing may be locked: the main loop begins the drain.
        self.method_queue.defer(self.begin_drain)

    def is_parent_alive(self) -> bool:
        """Whether the main process lives; without it, this process drains, and answers `Connection: close`."""
        if super().is_parent_alive():
            return True
        self.alive = False
        return False

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        # Connections that never sent a request would otherwise hold the drain for the whole keepalive time.
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)
        self.begin_drain()


def request_id_of(headers: list[tuple[str, str]]) -> str:
    """Return the id that the client gave its request, if it is one that a log can bear."""
    found = next((value for name, value in headers if name.upper() in _ID_HEADERS), "")
    return found if _ID.fullmatch(found) else ""


def _is_readable(connection: Any, for_ms: int) -> bool:  # Any: a socket
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(for_ms))
