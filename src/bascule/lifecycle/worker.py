"""Run a worker's steps until SIGTERM, without ever cutting the step in hand."""

import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Self

from bascule.errors import BasculeError
from bascule.lifecycle.environment import ProcessEnvironment, set_stoppable, stop_reason
from bascule.lifecycle.inflight import current
from bascule.lifecycle.notify import Notifier

__all__ = ["run_loop"]

_IN_HAND_S = 30.0
_AFTER_FAILURE_S = 1.0


def _nothing() -> None:
    """Do nothing: the default of the hooks."""


def run_loop(
    step: Callable[[], bool],
    *,
    wake: threading.Event | None = None,
    on_start: Callable[[], object] = _nothing,
    on_drain: Callable[[], object] = _nothing,
    on_stop: Callable[[], object] = _nothing,
    sweep: Callable[[], object] = _nothing,
    poll_s: float = 0.2,
    sweep_s: float = 5.0,
    deadline_s: float = _IN_HAND_S,
    threads: int = 1,
    log: logging.Logger | None = None,
    environment: ProcessEnvironment | None = None,
) -> int:
    """Call `step` until SIGTERM or SIGINT and return the exit code; the step in hand is always finished.

    Call it in the main thread. `on_start` (join the registry) runs first, then the ready file is written.
    `step` does one piece of work and returns whether there was any; without any, the loop waits `poll_s` or
    until `wake` is set. With several `threads` as many steps are in hand at once. `sweep` runs every `sweep_s` in
    the main thread, for what no message announced. A step or sweep that raises is logged, without its message, and
    tried again after a second. `on_drain` runs when the signal comes, in a thread of its own; `on_stop` (leave the
    registry) last. A step that is still not done `deadline_s` after the signal is abandoned: the log names what it
    had `in_hand`, and the process ends with 1 there and then. BASCULE_DRAIN_S=0 drops the step at once. A watchdog
    of systemd or of a supervisor hears a sign of life before each step of the main thread, so that its interval
    must be longer than the longest step.

    Raises what `on_start` raises, and why the process was not let back in by its registry, once it has drained.
    """
    environment = environment or ProcessEnvironment.read()
    log = log or logging.getLogger(__name__)
    notifier = Notifier.take()
    stop = _Stop(on_drain, notifier, deadline_s, log, drops_everything=environment.drain_s == 0)
    wake = wake or threading.Event()
    loop = _Loop(step, sweep, wake, poll_s, sweep_s, log, notifier.alive)
    others = [
        threading.Thread(
            target=_Loop(step, _nothing, wake, poll_s, sweep_s, log).run, args=(stop,), name=f"step {number}"
        )
        for number in range(1, threads)
    ]
    set_stoppable(stoppable=True)
    with stop:
        try:
            on_start()
            environment.say_ready()
            notifier.ready()
            for other in others:
                other.start()
            loop.run(stop)
            for other in others:
                other.join()
        finally:
            on_stop()
            set_stoppable(stoppable=False)
    reason = stop_reason()
    if reason is not None:
        raise reason
    return 0


class _Loop:
    """Steps and sweeps, one at a time."""

    def __init__(
        self,
        step: Callable[[], bool],
        sweep: Callable[[], object],
        wake: threading.Event,
        poll_s: float,
        sweep_s: float,
        log: logging.Logger,
        alive: Callable[[], object] = _nothing,
    ) -> None:
        self.alive = alive
        self.step, self.sweep, self.wake = step, sweep, wake
        self.poll_s, self.sweep_s, self.log = poll_s, sweep_s, log
        self.swept_at = time.monotonic()

    def run(self, stop: "_Stop") -> None:
        while not stop.requested:
            self.alive()
            try:
                if time.monotonic() - self.swept_at >= self.sweep_s:
                    self.swept_at = time.monotonic()
                    self.sweep()
                worked = self.step()
            except Exception as error:  # noqa: BLE001  # a worker that ends at one bad step does no other either
                self._report(error)
                self._wait(stop, _AFTER_FAILURE_S)
                continue
            if not worked:
                self._wait(stop, self.poll_s)

    def _wait(self, stop: "_Stop", seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not stop.requested and (left := deadline - time.monotonic()) > 0:
            # In short pieces: the signal handler may not set the event (its lock may be held in this very thread).
            if self.wake.wait(min(left, 0.2)):
                self.wake.clear()
                return

    def _report(self, error: Exception) -> None:
        # Messages of database errors quote values; frames and class are enough to find the line.
        what = error.sentence if isinstance(error, BasculeError) else type(error).__name__
        where = "".join(traceback.format_tb(error.__traceback__))
        self.log.error("step failed, trying again: %s\n%s", what, where)


class _Stop:
    """SIGTERM and SIGINT from the first to the last step, and the deadline after them.

    The handler only sets a flag and writes one byte: it runs in the main thread between any two instructions, where
    every lock may be taken already. A thread at the other end of the pipe does the rest.
    """

    def __init__(
        self,
        on_drain: Callable[[], object],
        notifier: Notifier,
        deadline_s: float,
        log: logging.Logger,
        *,
        drops_everything: bool,
    ) -> None:
        self.notifier = notifier
        self.on_drain, self.deadline_s, self.log = on_drain, deadline_s, log
        self.drops_everything = drops_everything
        self.requested = False
        self.finished = threading.Event()

    def __enter__(self) -> Self:
        self._read_fd, self._write_fd = os.pipe()
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGTERM, signal.SIGINT)}
        self._thread = threading.Thread(target=self._watch, name="drain", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finished.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._write_fd)
        self._thread.join()
        os.close(self._read_fd)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.drops_everything:
            os._exit(0)
        self.requested = True
        os.write(self._write_fd, b"x")

    def _watch(self) -> None:
        if not os.read(self._read_fd, 1):
            return  # the loop ended by itself
        self.notifier.stopping()
        self.on_drain()
        if not self.finished.wait(self.deadline_s):
            jobs = current().unfinished()
            for job in jobs:
                self.log.error("abandoned %s after %.1f s", job, job.age_s)
            if not jobs:
                self.log.error("abandoned the step in hand %.1f s after the signal", self.deadline_s)
            logging.shutdown()
            os._exit(1)
