"""What one process may say right now: pure functions on what it saw of the pin and when it last beat.

A process speaks only under a lease, which each beat renews and which ends before anyone can take the process for
dead. With its lease lapsed it cannot tell what may be said: the pin that it saw last may be too new (an operator
lowered it), and the lowest release that it supports may be too old for others. So it says nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bascule.lifecycle.pin import PinRow
from bascule.release import Release

__all__ = ["LEASE_SHARE", "Stance"]

LEASE_SHARE = 0.8
"""The part of the ttl that a lease lasts; the rest covers what is on its way when it lapses."""


@dataclass(frozen=True, slots=True)
class Stance:
    """One process: the pin row that it works by, the epoch that it acknowledges, and the end of its lease.

    `lease_until` is of the process's own monotonic clock.
    """

    release: Release
    seen: PinRow
    acknowledged: int
    lease_until: float

    @property
    def cap(self) -> Release:
        """The newest release that this process works by."""
        return min(self.seen.pin, self.release)

    def beaten(self, *, began_at: float, ttl_s: float) -> "Stance":
        """Return the stance after a beat that was written; the lease counts from before the writing."""
        return replace(self, lease_until=began_at + ttl_s * LEASE_SHARE)

    def saw(self, row: PinRow) -> "Stance":
        """Return the stance that works by `row` from now on."""
        return replace(self, seen=row)

    def acknowledging(self, spoken: Iterable[Release]) -> "Stance":
        """Return the stance that acknowledges what it saw, unless something is still being said by another pin."""
        if any(pin != self.cap for pin in spoken):
            return self
        return replace(self, acknowledged=self.seen.epoch)

    def in_force(self, now: float) -> bool:
        """Whether the lease lasts."""
        return now < self.lease_until

    def speaks(self, now: float) -> Release | None:
        """Return the release by which something may be said now, or None for silence."""
        return self.cap if self.in_force(now) else None

    def must_look(self) -> bool:
        """Whether the table must be read to tell what is advertised, because the pin may rise at any moment.

        Every living member acknowledges a proposal before the pin rises, so that nobody advertises from memory at
        the moment of the rise, and no client sees the newer version and then the older one.
        """
        return self.seen.proposed is not None
