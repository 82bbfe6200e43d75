"""One process's membership, from its first beat to its goodbye, and what it may say meanwhile."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sqlalchemy.exc import SQLAlchemyError

from bascule.errors import LifecycleError
from bascule.lifecycle.heartbeat import Heartbeat
from bascule.lifecycle.pin import FleetUnsettled, MemberRow, PinRow
from bascule.lifecycle.speech import Speech, Voice
from bascule.lifecycle.stance import Stance
from bascule.release import Release

if TYPE_CHECKING:
    from bascule.lifecycle.registry import Registry  # the registry makes members; at run time the arrow goes one way

__all__ = ["Member"]

log = logging.getLogger(__name__)

_GOODBYE_ATTEMPTS = 3
_THREAD_ENDS_WITHIN_S = 10.0
_HASTE_S = 0.1


class Member:
    """This process in its service's registry, from `Registry.join` to `leave`; safe to use from any thread.

    A database out of reach is logged once and tried again at each beat; after four fifths of the ttl the
    process may say nothing, since others are about to take it for dead, until a beat is written again.
    """

    def __init__(
        self,
        registry: "Registry",
        row: MemberRow,
        pin: PinRow,
        *,
        began_at: float,
        on_outside: Callable[[LifecycleError], object],
    ) -> None:
        self.registry = registry
        self.id = row.id
        self.override = row.pin_override
        self._row = row
        stance = Stance(registry.release, pin, row.acknowledged_epoch, 0.0)
        self._voice = Voice(stance.beaten(began_at=began_at, ttl_s=registry.ttl_s), registry.monotonic, self.override)
        self._heart = Heartbeat(registry, row, self._voice)
        self._on_outside = on_outside
        self._outside: LifecycleError | None = None
        self._counting = threading.Lock()
        self._beating = threading.Lock()
        self._wake = threading.Event()
        self._left = False
        self._unreachable = False
        self._thread = threading.Thread(target=self._run, name=f"heartbeat of {row.instance}", daemon=True)
        self._thread.start()

    @property
    def pin(self) -> Release:
        """The release that caps what this process sends and stores right now; one word costs no lock.

        For what takes longer than a moment, such as a whole request, use `speaking`. Raises OutOfTouch.
        """
        return self._voice.pin(self.registry.service)

    @contextmanager
    def speaking(self) -> Iterator[Speech]:
        """Give one pin for the length of the block, such as a request and its transaction.

        The process does not acknowledge a changed pin before the block has ended, and nobody who could not read
        what is said here comes in before that. Raises OutOfTouch.
        """
        with self._voice.speaking(self.registry.service) as speech:
            yield speech

    def advertised(self) -> Release:
        """Return the release whose API version this process shows to clients.

        It never goes back while nobody holds the pin: neither in this process nor from one process to another. In
        the moments before the pin rises that costs a query. Raises OutOfTouch, and what the database raises.
        """
        if self.override is None and self._voice.stance.must_look():
            self._voice.pin(self.registry.service)  # silence comes first
            row = self.registry.pin()
            if row is not None:
                return min(row.pin, self.registry.release)
        return self.pin

    @property
    def in_force(self) -> bool:
        """Whether this process may say anything, and take work, right now."""
        return self._voice.in_force()

    @property
    def outside(self) -> LifecycleError | None:
        """Why this process is not let back in after it was taken for dead; it must end."""
        return self._outside

    @property
    def epoch(self) -> int:
        """The epoch of the pin that this process works by."""
        return self._voice.stance.seen.epoch

    @property
    def refused(self) -> int:
        """How many messages or objects this process could not read because they were too new for it."""
        return self._heart.refused

    def refuse(self) -> None:
        """Count one message or object that is too new for this process; the count is in the registry at once."""
        with self._counting:
            self._heart.refused += 1
        self._wake.set()

    def draining(self) -> None:
        """Say that this process takes no new work and finishes what it has; nothing after `leave`."""
        with self._counting:
            if not self._left:
                self._heart.state = "draining"
        self._wake.set()

    def leave(self) -> None:
        """Stop the heartbeat and mark the row stopped; safe to call again.

        When the database cannot be reached the row is left to die by its age, which is logged.
        """
        with self._counting:
            if self._left:
                return
            self._left = True
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(_THREAD_ENDS_WITHIN_S)
        self._heart.state = "stopped"
        for _ in range(_GOODBYE_ATTEMPTS):
            with self._beating:
                try:
                    self._heart.say()
                    break
                except SQLAlchemyError as error:
                    self._heart.hang_up()
                    reason = type(error).__name__
        else:
            log.warning("goodbye of %s not written: %s", self._row.instance, reason)
        self._voice.fall_silent()
        with self._beating:
            self._heart.hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def beat(self) -> None:
        """Say that this process lives, follow the pin, and move it on when that is due; the thread calls this.

        Raises what the database raises, and PinTooNew or PinTooOld when this process was taken for dead and is not
        let back in; nothing is lost by calling again.
        """
        with self._beating:
            self._heart.beat()

    def _run(self) -> None:
        while not self._left and self._outside is None:
            try:
                self.beat()
            except FleetUnsettled as wait:
                self._trouble(wait)
            except LifecycleError as refusal:
                self._go_outside(refusal)
                return
            except Exception as error:  # noqa: BLE001  # a heart that stops would let others lift the pin over us
                self._trouble(error)
            else:
                self._recovered()
            proposed = self._voice.stance.must_look()
            self._wake.wait(min(self.registry.beat_s, _HASTE_S) if proposed else self.registry.beat_s)
            self._wake.clear()

    def _go_outside(self, refusal: LifecycleError) -> None:
        self._outside = refusal
        self._voice.fall_silent()
        with self._beating:
            self._heart.hang_up()
        log.error("%s was taken for dead and is not let back in: %s", self._row.instance, refusal.sentence)
        self._on_outside(refusal)

    def _trouble(self, error: Exception) -> None:
        with self._beating:
            self._heart.hang_up()
        if self._unreachable:
            return
        self._unreachable = True
        reason = error.sentence if isinstance(error, LifecycleError) else type(error).__name__
        log.warning("heartbeat of %s not written, trying on: %s", self._row.instance, reason)

    def _recovered(self) -> None:
        if self._unreachable:
            self._unreachable = False
            log.warning("heartbeat of %s written again", self._row.instance)
