"""Serve a WSGI or ASGI application so that its process can be replaced without a lost request."""

import logging
import math
import os
import socket
from collections.abc import Callable
from typing import Any, NoReturn

from bascule.lifecycle.arbiter import Server, ServerSettings
from bascule.lifecycle.environment import EnvironmentUnreadable, ProcessEnvironment
from bascule.lifecycle.gthread import DrainingWorker, set_linger

__all__ = ["serve_asgi", "serve_wsgi"]

_IN_FLIGHT_S = 30


def _nothing() -> None:
    """Do nothing: the default of the hooks."""


def serve_wsgi(
    make_app: Callable[[], Callable[..., Any]],  # Any: the WSGI calling convention
    *,
    on_start: Callable[[], object] = _nothing,
    on_drain: Callable[[], object] = _nothing,
    on_stop: Callable[[], object] = _nothing,
    threads: int = 16,
    deadline_s: float | None = None,
    log: logging.Logger | None = None,
    environment: ProcessEnvironment | None = None,
) -> NoReturn:
    """Serve until SIGTERM, then drain; ends this process: 0 after a clean drain, 1 after a refusal or a loss.

    All hooks run in the one worker process, after its fork: `on_start` (open the pool, join the registry), then
    `make_app`, then the ready file is written; `on_drain` when the drain begins, in a thread of its own; `on_stop`
    last (leave the registry), also when the start failed. A BasculeError from `on_start` or `make_app` is a
    refusal: its sentence is the last line on stderr.

    The drain: no new connections; what is in flight is answered; kept connections stay open for the seconds of
    BASCULE_DRAIN_S, and a late request on one is answered with `Connection: close`. What is still unanswered
    `deadline_s` after the signal (default: 30 s more than the linger) is abandoned, and logged by method, path
    without query, request id (X-OpenStack-Request-ID, X-Request-ID, `name_request`) and age; so is what a worker
    had in hand that was killed. A worker without a sign of life for BASCULE_WATCHDOG_S is replaced. systemd, or a
    supervisor, is told by NOTIFY_SOCKET when the service is ready, alive and stopping.
    """
    environment = environment or ProcessEnvironment.read()
    set_linger(environment.drain_s)
    _serve(DrainingWorker, make_app, on_start, on_drain, on_stop, threads, deadline_s, environment, log)


def serve_asgi(
    make_app: Callable[[], Callable[..., Any]],  # Any: the ASGI calling convention
    *,
    on_start: Callable[[], object] = _nothing,
    on_drain: Callable[[], object] = _nothing,
    on_stop: Callable[[], object] = _nothing,
    deadline_s: float | None = None,
    log: logging.Logger | None = None,
    environment: ProcessEnvironment | None = None,
) -> NoReturn:
    """Serve an ASGI application as `serve_wsgi` does a WSGI one, in one event loop.

    The process is ready when the application's lifespan has started. WebSockets count as in flight until they end.
    A request that was not read in whole when the deadline comes is not told from an idle connection.
    """
    from bascule.lifecycle.asgi import DrainingAsgiWorker  # noqa: PLC0415  # a WSGI service need not load an event loop

    environment = environment or ProcessEnvironment.read()
    _serve(DrainingAsgiWorker, make_app, on_start, on_drain, on_stop, 1, deadline_s, environment, log)


def _serve(
    worker_class: type,
    make_app: Callable[[], Callable[..., Any]],  # Any: the calling convention of either
    on_start: Callable[[], object],
    on_drain: Callable[[], object],
    on_stop: Callable[[], object],
    threads: int,
    deadline_s: float | None,
    environment: ProcessEnvironment,
    log: logging.Logger | None,
) -> NoReturn:
    if environment.listen_fd is not None:
        _check_listening(environment.listen_fd)
    Server(
        ServerSettings(
            worker_class=worker_class,
            make_app=make_app,
            on_start=on_start,
            on_drain=on_drain,
            on_stop=on_stop,
            threads=threads,
            deadline_s=math.ceil(environment.drain_s + _IN_FLIGHT_S if deadline_s is None else deadline_s),
            environment=environment,
            log=log or logging.getLogger(__name__),
        )
    ).run()


def _check_listening(descriptor: int) -> None:
    expected = "the number of an inherited, listening TCP socket"
    try:
        with socket.socket(fileno=os.dup(descriptor)) as listener:
            listening = bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError as error:
        raise EnvironmentUnreadable("BASCULE_LISTEN_FD", str(descriptor), expected) from error
    if not listening:
        raise EnvironmentUnreadable("BASCULE_LISTEN_FD", str(descriptor), expected)
