"""gunicorn's own ASGI worker with a drain that loses nothing.

Ready means that the application's lifespan has started. A stop keeps idle connections open for the linger and answers
what comes on them; what is in flight, WebSockets too, is waited for until the deadline and named after it.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gunicorn.workers import gasgi  # type: ignore[import-untyped]  # gunicorn ships no types

from bascule.lifecycle.board import Outcome
from bascule.lifecycle.boot import WorkerLife
from bascule.lifecycle.gthread import request_id_of

__all__ = ["DrainingAsgiWorker"]

_LOOK_S = 0.05

_Scope = MutableMapping[str, Any]  # Any: the calling convention of ASGI
_App = Callable[[_Scope, Any, Any], Awaitable[None]]


class DrainingAsgiWorker(WorkerLife, gasgi.ASGIWorker):  # type: ignore[misc]  # gunicorn ships no types
    """The process that answers, in one event loop."""

    ready_when_loaded = False
    asgi: _App

    def init_signals(self) -> None:
        """Drain at Ctrl-C too, which reaches the worker as well as the main process."""
        super().init_signals()
        self.loop.add_signal_handler(signal.SIGINT, self.handle_exit_signal)

    def load_wsgi(self) -> None:
        """Register and build the application; the event loop says that it is ready."""
        super().load_wsgi()
        self.asgi = self._tracked(self.asgi)

    def handle_exit_signal(self) -> None:
        """Begin to drain; a process told to drain for 0 s drops everything here and now."""
        if self.settings.environment.drain_s == 0:
            os._exit(0)
        super().handle_exit_signal()

    def notify(self) -> None:
        """Give the main process a sign of life; the first one comes once the lifespan has started."""
        if self.board.outcome is Outcome.NOT_SERVING:
            self.board.outcome = Outcome.SERVING
            self.settings.environment.say_ready()
        super().notify()
        self.board.beat()

    def run(self) -> None:
        """Answer until told to stop, then drain, say goodbye and tell how it went."""
        try:
            super().run()
        except BaseException:
            self.settings.on_stop()
            raise

    async def _shutdown(self) -> None:
        self.begin_drain()
        for server in self.servers:
            server.close()
        now = self.loop.time()
        linger_until, deadline = now + self.settings.environment.drain_s, now + self.settings.deadline_s
        while self._has_work(linger_until) and self.loop.time() < deadline:
            self.notify()
            await asyncio.sleep(_LOOK_S)
        unfinished = self.in_flight.unfinished()
        if self.lifespan is not None and not unfinished:
            await self.lifespan.shutdown()
        self.end(unfinished, unread=0)

    def _has_work(self, linger_until: float) -> bool:
        lingers = self.loop.time() < linger_until and self.nr_conns > 0
        return lingers or bool(self.in_flight.unfinished())

    def _tracked(self, app: _App) -> _App:
        async def tracked(scope: _Scope, receive: Any, send: Any) -> None:  # Any: as above
            if scope["type"] == "lifespan":
                await app(scope, receive, send)
                return
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
            method = scope.get("method", "WEBSOCKET")
            with self.in_flight.tracking(method, scope["path"], request_id_of(headers)):
                await app(scope, receive, send)

        return tracked
