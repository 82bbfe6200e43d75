"""What every worker of ours does between its fork and its end, whatever its server."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from bascule.errors import BasculeError
from bascule.lifecycle.arbiter import APP_LOAD_ERROR, STOPS, ServerSettings
from bascule.lifecycle.board import Board, Outcome
from bascule.lifecycle.environment import set_main_pid, set_stoppable, stop_reason
from bascule.lifecycle.inflight import InFlight, UnfinishedRequest, set_current

__all__ = ["WorkerLife"]

# How long the hook of the stop waits for that of the drain, which a process without requests has only just begun.
_HOOK_S = 2.0


class WorkerLife:
    """A mixin before a gunicorn worker class, whose attributes it uses."""

    app: Any  # Any: as all of gunicorn's, which ships no types
    cfg: Any
    alive: bool
    ppid: int

    ready_when_loaded = True
    """Whether the worker answers as soon as its application is built."""

    def init_process(self) -> None:
        """Take over from the fork; ends when the worker ends."""
        self.settings: ServerSettings = self.app.settings
        self.board: Board = self.app.board
        self.in_flight = InFlight(ledger=self.board.ledger)
        set_current(self.in_flight)
        self._drain_hook: threading.Thread | None = None
        self.cfg.set("graceful_timeout", self.settings.deadline_s)
        self.board.outcome = Outcome.NOT_SERVING
        # Nothing is built yet: a stop that came during the fork may end this process on the spot.
        for number in STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        super().init_process()  # type: ignore[misc]  # the worker class's

    def load_wsgi(self) -> None:
        """Register, build the application and say that it is ready, or refuse with one sentence."""
        set_main_pid(self.ppid)
        set_stoppable(stoppable=True)
        try:
            self.settings.on_start()
            super().load_wsgi()  # type: ignore[misc]  # the worker class's
            if self.alive and self.ready_when_loaded:
                self.settings.environment.say_ready()
        except BasculeError as refusal:
            self._refuse(refusal)
            self.settings.on_stop()
            sys.exit(APP_LOAD_ERROR)
        except BaseException:
            self.settings.on_stop()
            raise

    def begin_drain(self) -> None:
        """Run the hook of the drain, once."""
        if self._drain_hook is None:
            # In a thread: a slow database must not keep the loop from handing out the last requests.
            self._drain_hook = threading.Thread(target=self.settings.on_drain, name="on_drain", daemon=True)
            self._drain_hook.start()

    def end(self, unfinished: Sequence[UnfinishedRequest], unread: int) -> None:
        """Say goodbye and tell how it went; ends the process here and now when something is abandoned."""
        for request in unfinished:
            self.settings.log.error("abandoned %s after %.1f s", request, request.age_s)
        if unread:
            self.settings.log.error("abandoned %d connections whose request had not been read", unread)
        if self._drain_hook is not None:
            self._drain_hook.join(_HOOK_S)
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
