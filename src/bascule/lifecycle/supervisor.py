"""Keep processes of one command running, and replace them without a gap.

Under systemd or alone: what it hears from its processes it says to systemd, by the same words. Processes are
programs, not forks, so that a reload starts the code that is installed now. A listening socket is opened once, here
or by systemd, and shared by every process that ever serves on it.
"""

import logging
import select
import signal
import socket
import time
from types import FrameType

from bascule.lifecycle.child import Child, tidy
from bascule.lifecycle.environment import ProcessEnvironment
from bascule.lifecycle.notify import Notifier
from bascule.lifecycle.supervision import LONGEST_PAUSE_S, Place, Supervision, open_listener, pause_after

__all__ = ["supervise"]

_LOOK_S = 0.5
_STEADY_AFTER_S = 60.0


def supervise(supervision: Supervision, *, log: logging.Logger | None = None) -> int:
    """Keep the processes running until SIGTERM or SIGINT, and return the exit code.

    SIGHUP reloads: for each process in turn a new one is started, and the old one drains once the new one is ready;
    one that does not get ready leaves the old one serving. A process that ends by itself is started again, after a
    pause that doubles from 0.5 s to 30 s. When a process of the first start ends before it is ready, all are stopped
    and the result is 1.

    The result is 0 only when every process that was told to end has ended with 0 by itself, and none was killed or
    died with work in hand; what was abandoned is logged, by the process that had it or else by the process's name.
    Call it in the main thread.
    """
    return _Supervisor(supervision, log or logging.getLogger(__name__)).run()


class _Supervisor:
    def __init__(self, supervision: Supervision, log: logging.Logger) -> None:
        self.wanted, self.log = supervision, log
        self.notifier = Notifier.take()
        self.environment = ProcessEnvironment.read()
        self.listener = open_listener(self.environment) if supervision.listens else None
        self.environ = tidy()
        names = [self.environment.instance] if supervision.count == 1 else None
        self.places = [
            Place(names[0] if names else f"{self.environment.instance}-{number}")
            for number in range(1, supervision.count + 1)
        ]
        self.leaving: list[Child] = []
        self.signals: list[int] = []
        self.is_stopping = self.has_been_ready = self.is_reloading = False
        self.code = 0
        self.said_alive_at = 0.0

    def run(self) -> int:
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        before = {each: signal.signal(each, self._on_signal) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        try:
            while not (self.is_stopping and not self._children()):
                self._turn()
                heard = [wake, *(child.notices for child in self._children())]
                select.select(heard, [], [], _LOOK_S)
                _drain(wake)
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            wake.close()
            woken.close()
            if self.listener is not None:
                self.listener.close()
        return self.code

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.signals.append(number)  # the turn does the rest: here every lock may be taken

    def _turn(self) -> None:
        """Look at everything once, and do what is due."""
        while self.signals:
            self._obey(self.signals.pop(0))
        for child in self._children():
            child.hear()
        self._mourn()
        now = time.monotonic()
        for place in self.places:
            self._attend(place, now)
        for child in self.leaving:
            if now > child.stop_at and not child.is_abandoned:
                self._abandon(child, f"has not ended {self.wanted.stop_within_s:g} s after SIGTERM")
        self._report(now)

    def _obey(self, number: int) -> None:
        if number == signal.SIGHUP:
            if not self.is_stopping:
                self.is_reloading = True
                self.notifier.reloading()
                for place in self.places:
                    place.wants_successor = True
            return
        self._stop()

    def _stop(self) -> None:
        if self.is_stopping:
            return
        self.is_stopping = True
        self.notifier.stopping()
        for place in self.places:
            self._let_go(place.serving, place.successor)
            place.serving = place.successor = None

    def _attend(self, place: Place, now: float) -> None:
        if self.is_stopping:
            return
        if place.serving is None:
            if now >= place.start_at:
                place.serving, place.wants_successor = self._start(place), False
            return
        self._replace_when_stuck(place, now)
        if place.wants_successor and place.successor is None and self._turn_of(place):
            place.successor = self._start(place)
        if place.successor is not None:
            self._hand_over(place, place.successor, now)

    def _turn_of(self, place: Place) -> bool:
        """Whether no other process is being replaced: one after the other, so that the rest go on at full strength."""
        return all(other.successor is None for other in self.places if other is not place)

    def _hand_over(self, place: Place, successor: Child, now: float) -> None:
        if successor.is_ready:
            self._let_go(place.serving)
            place.serving, place.successor, place.wants_successor = successor, None, False
        elif now - successor.started_at > self.wanted.ready_within_s:
            self.log.error("reload failed: %s was not ready in time; the old process serves on", successor)
            place.successor, place.wants_successor = None, False
            successor.kill()
            self.leaving.append(successor)

    def _replace_when_stuck(self, place: Place, now: float) -> None:
        child = place.serving
        if child is None:
            return
        late = not child.is_ready and now - child.started_at > self.wanted.ready_within_s
        if not (late or child.is_stuck(now)):
            return
        if late:
            child.kill()
            self.log.error("%s was not ready in time", child)
        else:
            self._abandon(child, f"gave no sign of life for {child.watchdog_s:g} s")
        self.leaving.append(child)
        place.serving = None
        self._pause_before_start(place, child)

    def _mourn(self) -> None:
        """Take note of every process that has ended."""
        for place in self.places:
            if place.serving is not None and place.serving.code() is not None:
                self._ended_by_itself(place, place.serving)
                place.serving = None
            if place.successor is not None and place.successor.code() is not None:
                self.log.error("reload failed: %s ended with %s", place.successor, place.successor.code())
                place.successor.forget()
                place.successor, place.wants_successor = None, False
        for child in [each for each in self.leaving if each.code() is not None]:
            self.leaving.remove(child)
            if child.code() and not child.is_abandoned:
                self.log.error("%s ended with %s: it abandoned what its own log names", child, child.code())
                self.code = 1
            child.forget()

    def _ended_by_itself(self, place: Place, child: Child) -> None:
        child.hear()
        child.forget()
        code = child.code()
        if not child.is_ready and not self.has_been_ready:
            self.log.error("%s ended with %s before it was ready", child, code)
            self.code = 1
            self._stop()
            return
        if code and code < 0 and child.is_ready:
            self.log.error("abandoned: whatever %s had in hand when it died of signal %d", child, -code)
            self.code = 1
        self.log.warning("%s ended with %s by itself; starting it again", child, code)
        self._pause_before_start(place, child)

    def _pause_before_start(self, place: Place, ended: Child) -> None:
        if time.monotonic() - ended.started_at > _STEADY_AFTER_S:
            place.failures = 0
        place.start_at = time.monotonic() + pause_after(place.failures)
        place.failures += 1

    def _start(self, place: Place) -> Child | None:
        listen_fd = None if self.listener is None else self.listener.fileno()
        try:
            return Child(
                place.name, self.wanted.command, self.environ, listen_fd=listen_fd, watchdog_s=self.wanted.watchdog_s
            )
        except OSError as error:
            self.log.error("%s cannot be started: %s", place.name, error.strerror)  # noqa: TRY400  # no frames of ours
            place.wants_successor = False
            if not self.has_been_ready:
                self.code = 1
                self._stop()
            place.start_at = time.monotonic() + LONGEST_PAUSE_S
            return None

    def _let_go(self, *children: Child | None) -> None:
        for child in children:
            if child is not None:
                child.stop(self.wanted.stop_within_s)
                self.leaving.append(child)

    def _abandon(self, child: Child, why: str) -> None:
        self.log.error("abandoned: whatever %s had in hand; it %s", child, why)
        self.code = 1
        child.kill()

    def _report(self, now: float) -> None:
        all_ready = all(place.serving is not None and place.serving.is_ready for place in self.places)
        if all_ready and not self.is_stopping:
            reloaded = self.is_reloading and not any(place.wants_successor for place in self.places)
            if not self.has_been_ready or reloaded:
                self.has_been_ready, self.is_reloading = True, False
                self.environment.say_ready()
                self.notifier.ready()
        if self.notifier.watchdog_s is not None and now - self.said_alive_at >= self.notifier.watchdog_s / 4:
            self.said_alive_at = now
            self.notifier.alive()

    def _children(self) -> list[Child]:
        mine = [child for place in self.places for child in (place.serving, place.successor) if child is not None]
        return mine + self.leaving


def _drain(wake: socket.socket) -> None:
    try:
        while wake.recv(4096):
            pass
    except BlockingIOError:
        return
