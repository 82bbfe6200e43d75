"""Serve a WSGI application so that its process can be replaced without a lost request."""

import logging
import math
import os
import socket
from collections.abc import Callable
from typing import Any, NoReturn

from bascule.lifecycle.environment import EnvironmentUnreadable, ProcessEnvironment
from bascule.lifecycle.gthread import Server, ServerSettings

__all__ = ["serve_wsgi"]

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
    without query, and age.
    """
    environment = environment or ProcessEnvironment.read()
    if environment.listen_fd is not None:
        _check_listening(environment.listen_fd)
    Server(
        ServerSettings(
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
