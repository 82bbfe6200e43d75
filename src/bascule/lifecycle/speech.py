"""What one process says while its pin moves: blocks that keep one pin, and the acknowledgement that waits for them."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bascule.errors import LifecycleError
from bascule.lifecycle.pin import PinRow
from bascule.lifecycle.stance import Stance
from bascule.release import Release

__all__ = ["OutOfTouch", "Speech", "Voice"]


class OutOfTouch(LifecycleError):
    """This process has not been seen by its registry for so long that it cannot tell what may be said."""

    def __init__(self, service: str) -> None:
        self.service = service
        super().__init__(
            f"this process of {service} has not reached its registry and may be taken for dead, so it says nothing; "
            "look at its database",
            next_command=f"{service}-manage pin show",
        )


class Voice:
    """The stance of this process, shared between its heartbeat, which changes it, and everyone who speaks."""

    def __init__(self, stance: Stance, monotonic: Callable[[], float], override: Release | None) -> None:
        self.stance = stance  # replaced as a whole, so that one word needs no lock
        self.monotonic, self.override = monotonic, override
        self._numbers = itertools.count()
        self._open: dict[int, Release] = {}
        self._term = 0
        self._silent = False
        self._lock = threading.Lock()

    def in_force(self) -> bool:
        """Whether this process may say anything now."""
        return not self._silent and self.stance.in_force(self.monotonic())

    def pin(self, service: str) -> Release:
        """Return the release by which something may be said now. Raises OutOfTouch."""
        if self.override is not None:
            return self.override
        pin = None if self._silent else self.stance.speaks(self.monotonic())
        if pin is None:
            raise OutOfTouch(service)
        return pin

    @contextmanager
    def speaking(self, service: str) -> "Iterator[Speech]":
        """Keep one pin for the length of the block."""
        with self._lock:
            pin, number, term = self.pin(service), next(self._numbers), self._term
            epoch = self.stance.seen.epoch if self.override is None else None
            if self.override is None:
                self._open[number] = pin
        try:
            yield Speech(self, pin, epoch, term, service)
        finally:
            with self._lock:
                self._open.pop(number, None)

    def may_go_on(self, term: int) -> bool:
        """Whether what was begun in `term` may still be said: the process was never taken for dead since."""
        return self.override is not None or (term == self._term and self.in_force())

    def work_by(self, row: PinRow) -> None:
        """Follow the pin: what begins from now on is said by `row`."""
        with self._lock:
            self.stance = self.stance.saw(row)

    def acknowledge(self) -> None:
        """Acknowledge what was seen, unless a block still speaks by another pin."""
        with self._lock:
            self.stance = self.stance.acknowledging(self._open.values())

    def beaten(self, *, began_at: float, ttl_s: float) -> None:
        """Renew the lease."""
        with self._lock:
            self.stance = self.stance.beaten(began_at=began_at, ttl_s=ttl_s)

    def start_anew(self, row: PinRow) -> None:
        """Work by `row`, and acknowledge it, after a death: what was begun before it may not be finished."""
        with self._lock:
            self._term += 1
            self._open.clear()
            self.stance = Stance(self.stance.release, row, row.epoch, self.stance.lease_until)

    def fall_silent(self) -> None:
        """Say nothing any more."""
        self._silent = True


class Speech:
    """One block of `Member.speaking`."""

    def __init__(self, voice: Voice, pin: Release, epoch: int | None, term: int, service: str) -> None:
        self._voice, self._pin, self._term, self._service = voice, pin, term, service
        self.epoch = epoch
        """The number of the pin's last change, None where the pin is overridden.

        Within one epoch nobody is in the fleet who does not support its pin: what a process has found out of the
        data that only such releases write stays true until the epoch changes.
        """

    @property
    def pin(self) -> Release:
        """The release that caps what is said in this block. Raises OutOfTouch once it may not be said any more."""
        if not self._voice.may_go_on(self._term):
            raise OutOfTouch(self._service)
        return self._pin
