"""gunicorn's main process with an exit code that tells.

It owns the listening socket, and one worker process answers. What this adds: SIGTERM is never lost during a start;
the deadline of a drain is the worker's, which names what it abandons; a worker that hangs is replaced; what a killed
worker had in hand is named; and systemd, or a supervisor, hears how the service really stands.
"""

import logging
import math
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # gunicorn ships no types
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]  # as above

from bascule.lifecycle.board import Board, Outcome
from bascule.lifecycle.environment import ProcessEnvironment
from bascule.lifecycle.notify import Notifier

__all__ = ["APP_LOAD_ERROR", "STOPS", "Server", "ServerSettings"]

STOPS = (signal.SIGTERM, signal.SIGINT)
APP_LOAD_ERROR: int = Arbiter.APP_LOAD_ERROR
_MAIN_WAITS_LONGER_S = 5
_KEEPALIVE_S = 30


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a service brings: how to build its application, and what to do around its life.

    `deadline_s` is the longest that a drain may take before what is still in flight is abandoned.
    """

    worker_class: type
    make_app: Callable[[], Callable[..., Any]]  # Any: the calling convention of WSGI or ASGI
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
            "worker_class": self.settings.worker_class,
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
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

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
