"""gunicorn's threaded server with a drain that loses nothing and an exit code that tells.

A main process owns the listening socket and one worker process answers in threads. What this adds: SIGTERM is
never lost during a start; the deadline of a drain is the worker's, which names what it abandons; kept connections
stay open for the linger; a worker whose main process is gone drains too; a worker whose threads all hang is replaced;
what a killed worker had in hand is named; and systemd, or a supervisor, hears how the service really stands.
"""

import logging
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # gunicorn ships no types
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]  # as above
from gunicorn.workers import gthread  # type: ignore[import-untyped]  # as above

from bascule.errors import BasculeError, LifecycleError
from bascule.lifecycle.board import Board, Outcome
from bascule.lifecycle.environment import ProcessEnvironment, set_main_pid, set_stoppable, stop_reason
from bascule.lifecycle.inflight import InFlight, set_current
from bascule.lifecycle.notify import Notifier

__all__ = ["LingerUnsupported", "Server", "ServerSettings"]

_STOPS = (signal.SIGTERM, signal.SIGINT)
_MAIN_WAITS_LONGER_S = 5
_KEEPALIVE_S = 30
_ID_HEADERS = ("X-OPENSTACK-REQUEST-ID", "X-REQUEST-ID")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class LingerUnsupported(LifecycleError):
    """This gunicorn has no linger to set, so a stop would close kept connections under their clients' requests."""

    def __init__(self) -> None:
        super().__init__(
            "this gunicorn cannot keep connections open while it stops (gthread.STOP_KEEPALIVE_LINGER is gone); "
            "install the version in the release's lock"
        )


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a service brings: how to build its application, and what to do around its life.

    `deadline_s` is the longest that a drain may take before what is still in flight is abandoned.
    """

    make_app: Callable[[], Callable[..., Any]]  # Any: the WSGI calling convention
    on_start: Callable[[], object]
    on_drain: Callable[[], object]
    on_stop: Callable[[], object]
    threads: int
    deadline_s: int
    environment: ProcessEnvironment
    log: logging.Logger


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """One service on one listening socket, until SIGTERM."""

    def __init__(self, settings: ServerSettings) -> None:
        if not hasattr(gthread, "STOP_KEEPALIVE_LINGER"):
            raise LingerUnsupported
        gthread.STOP_KEEPALIVE_LINGER = settings.environment.drain_s
        self.settings = settings
        self.board = Board()
        self.notifier = Notifier.take()
        super().__init__()

    def load_config(self) -> None:
        """Configure gunicorn; called by its constructor."""
        environment = self.settings.environment
        listen_fd = environment.listen_fd
        options = {
            "bind": environment.listen if listen_fd is None else f"fd://{listen_fd}",
            "workers": 1,
            "worker_class": DrainingWorker,
            "threads": self.settings.threads,
            # A server must not be the first to close a kept connection that its client may still use.
            "keepalive": _KEEPALIVE_S + math.ceil(environment.drain_s),
            # The worker keeps the real deadline; the main process only steps in when the worker hangs.
            "graceful_timeout": self.settings.deadline_s + _MAIN_WAITS_LONGER_S,
            "timeout": max(1, math.ceil(environment.watchdog_s)),
            "control_socket_disable": True,
            "loglevel": "warning",
        }
        for name, value in options.items():
            if name in self.cfg.settings:  # an older gunicorn has no control socket to disable
                self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:  # Any: as in ServerSettings
        """Build the application; called in the worker."""
        return self.settings.make_app()

    def run(self) -> NoReturn:
        """Serve until told to stop; ends the process with 0 after a clean drain, and else with 1."""
        for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
            os.environ.pop(name, None)  # the environment was read: no child may take the socket for its own
        MainProcess(self).run()
        raise AssertionError("the main process ends by SystemExit")


class MainProcess(Arbiter):  # type: ignore[misc]  # gunicorn ships no types
    """The process that signals go to."""

    def __init__(self, app: Server) -> None:
        self._lost = False
        self._said_ready = False
        self._pulse = 0
        super().__init__(app)

    def murder_workers(self) -> None:
        """Replace a worker without a sign of life, and pass on how the service stands; called about every second."""
        super().murder_workers()
        board, notifier = self.app.board, self.app.notifier
        if board.outcome is Outcome.SERVING and not self._said_ready:
            self._said_ready = True
            notifier.ready()
        if board.pulse != self._pulse:
            self._pulse = board.pulse
            notifier.alive()

    def reap_workers(self) -> None:
        """Take note of a worker's end, and name what it had in hand when that was not its own doing."""
        workers = set(self.WORKERS)
        super().reap_workers()
        if workers - set(self.WORKERS):
            self._name_what_was_lost()

    def _name_what_was_lost(self) -> None:
        if self.app.board.outcome is not Outcome.SERVING or self.app.settings.environment.drain_s == 0:
            return  # it has named them itself, or was told to drop everything
        for line in self.app.board.ledger.take_all():
            self._lost = True
            self.app.settings.log.error("abandoned %s: its process was killed", line)

    def handle_hup(self) -> None:
        """Do not reload: a worker forked from this process would run the code that was loaded before."""
        self.app.settings.log.warning("SIGHUP does nothing here; reload with the supervisor, or start a new process")

    handle_ttin = handle_ttou = handle_usr2 = handle_winch = handle_hup

    def spawn_worker(self) -> Any:  # Any: gunicorn's own return value
        """Fork the worker; a signal to stop that comes meanwhile waits until the child can take it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)

    def handle_int(self) -> NoReturn:
        """Drain at Ctrl-C too."""
        raise StopIteration

    def halt(self, reason: str | None = None, exit_status: int = 0) -> NoReturn:
        """Stop the worker and end with the exit code that its outcome deserves."""
        self.app.notifier.stopping()
        try:
            super().halt(reason, exit_status)
        except SystemExit:
            self._name_what_was_lost()
            board, drops_everything = self.app.board, self.app.settings.environment.drain_s == 0
            if board.outcome is Outcome.REFUSED:
                print(board.sentence, file=sys.stderr, flush=True)  # noqa: T201  # a command's last words
                raise SystemExit(1) from None
            unclean = board.outcome in {Outcome.SERVING, Outcome.ABANDONED} and not drops_everything
            raise SystemExit(1 if unclean or self._lost or exit_status else 0) from None
        raise AssertionError("halt ends by SystemExit")


class DrainingWorker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """The process that answers."""

    def init_process(self) -> None:
        """Take over from the fork; ends when the worker ends."""
        self.settings: ServerSettings = self.app.settings
        self.board: Board = self.app.board
        self.in_flight = InFlight(ledger=self.board.ledger)
        set_current(self.in_flight)
        self._draining = False
        self.cfg.set("graceful_timeout", self.settings.deadline_s)
        self.board.outcome = Outcome.NOT_SERVING
        # Nothing is built yet: a stop that came during the fork may end this process on the spot.
        for number in _STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        super().init_process()

    def init_signals(self) -> None:
        """Drain at Ctrl-C too, which reaches the worker as well as the main process."""
        super().init_signals()
        signal.signal(signal.SIGINT, self.handle_exit)
        signal.siginterrupt(signal.SIGINT, False)

    def load_wsgi(self) -> None:
        """Register, build the application and say that it is ready, or refuse with one sentence."""
        set_main_pid(self.ppid)
        set_stoppable(stoppable=True)
        try:
            self.settings.on_start()
            super().load_wsgi()
            if self.alive:
                self.settings.environment.say_ready()
        except BasculeError as refusal:
            self._refuse(refusal)
            self.settings.on_stop()
            sys.exit(Arbiter.APP_LOAD_ERROR)
        except BaseException:
            self.settings.on_stop()
            raise

    def run(self) -> None:
        """Answer until told to stop, then drain, say goodbye and tell how it went."""
        self.board.outcome = Outcome.SERVING
        super().run()
        self._begin_drain()
        unfinished = self.in_flight.unfinished()
        for request in unfinished:
            self.settings.log.error("abandoned %s after %.1f s", request, request.age_s)
        unread = max(0, self.nr_conns - len(unfinished))
        if unread:
            self.settings.log.error("abandoned %d connections whose request had not been read", unread)
        self.settings.on_stop()
        if unfinished or unread:
            self.board.outcome = Outcome.ABANDONED
            logging.shutdown()
            # Not sys.exit: that would wait for the very threads whose time is over.
            os._exit(1)
        self.board.outcome = Outcome.DRAINED
        reason = stop_reason()
        if reason is not None:
            self._refuse(reason)

    def _refuse(self, reason: BasculeError) -> None:
        command = f"; next: {reason.next_command}" if reason.next_command else ""
        self.board.refuse(reason.sentence + command)

    def notify(self) -> None:
        """Give the main process a sign of life, unless every thread has answered the same request for too long."""
        oldest = self.in_flight.unfinished()
        stuck = [each for each in oldest if each.age_s >= self.settings.environment.watchdog_s]
        if len(stuck) < self.settings.threads:
            super().notify()
            self.board.beat()

    def handle_request(self, req: Any, conn: Any) -> Any:  # Any: gunicorn ships no types
        """Answer one request, and know that it is being answered."""
        with self.in_flight.tracking(req.method, req.path or "", _request_id(req.headers)):
            return super().handle_request(req, conn)

    def handle_exit(self, sig: int, frame: Any) -> None:  # Any: as signal handlers have it
        """Begin to drain; a process told to drain for 0 s drops everything here and now."""
        if self.settings.environment.drain_s == 0:
            os._exit(0)
        super().handle_exit(sig, frame)
        # Here is a signal handler, where nothing may be locked: the main loop begins the drain.
        self.method_queue.defer(self._begin_drain)

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
        self._begin_drain()

    def _begin_drain(self) -> None:
        if not self._draining:
            self._draining = True
            # In a thread: a slow database must not keep the loop from handing out the last requests.
            threading.Thread(target=self.settings.on_drain, name="on_drain", daemon=True).start()


def _request_id(headers: list[tuple[str, str]]) -> str:
    """Return the id that the client gave its request, if it is one that a log can bear."""
    found = next((value for name, value in headers if name.upper() in _ID_HEADERS), "")
    return found if _ID.fullmatch(found) else ""
