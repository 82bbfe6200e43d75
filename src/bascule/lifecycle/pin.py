"""The rules of the pin, as pure functions on the rows of the registry.

Nothing here reads a clock or a database, so that every order of registrations, beats, holds and deaths can be
tried. The rules:

- the pin is the lowest release among live members; without any, it stays where it is;
- it never rises while a hold is set, and a hold lowers it at once;
- a member whose heart stopped counts as live until somebody who could have seen it beat has waited a whole ttl;
- each change of the pin is a new epoch, which every member acknowledges once it works by it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bascule.errors import LifecycleError
from bascule.release import Pin, Release

__all__ = [
    "LIVE_STATES",
    "MemberRow",
    "PinRow",
    "PinTooNew",
    "PinTooOld",
    "admit",
    "follow",
    "held",
    "is_live",
    "released",
]

LIVE_STATES = ("live", "draining")


class PinTooNew(LifecycleError):
    """This release is older than what the service already speaks and stores; the process must not start."""

    def __init__(self, service: str, pin: Release, release: Release) -> None:
        self.service, self.pin, self.release = service, pin, release
        super().__init__(
            f"the pin of {service} is {pin}, which release {release} cannot read; "
            f"run {pin} or newer, or lower the pin to {release} first",
            next_command=f"{service}-manage pin hold {release}",
        )


class PinTooOld(LifecycleError):
    """The service is held at a release that this one cannot write any more; the process must not start."""

    def __init__(self, service: str, pin: Release, supported_from: Release, release: Release) -> None:
        self.service, self.pin, self.supported_from, self.release = service, pin, supported_from, release
        super().__init__(
            f"the pin of {service} is {pin}, but release {release} understands {supported_from} and newer; "
            f"bring the service to {supported_from} first",
            next_command=f"{service}-manage pin show",
        )


@dataclass(frozen=True, slots=True)
class PinRow:
    """What one service speaks and stores at most; `epoch` counts the changes, `hold` is an operator's word."""

    pin: Release
    epoch: int = 0
    hold: Release | None = None

    def moved_to(self, pin: Release) -> "PinRow":
        """Return the row with this pin, in a new epoch when that is a change."""
        return self if pin == self.pin else replace(self, pin=pin, epoch=self.epoch + 1)


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One process as its row says; times are seconds since the epoch by that process's own clock."""

    id: str
    instance: str
    role: str
    release: Release
    host: str
    pid: int
    started_at: float
    heartbeat_at: float
    state: str
    acknowledged_epoch: int = 0
    refused: int = 0
    pin_override: Release | None = None


def is_live(member: MemberRow, *, now: float, ttl_s: float) -> bool:
    """Whether the member said within the last `ttl_s` that it lives; a beat from the future counts as now."""
    return member.state in LIVE_STATES and now - member.heartbeat_at < ttl_s


def follow(row: PinRow, members: Iterable[MemberRow], *, now: float, ttl_s: float, may_bury: bool) -> PinRow:
    """Return the row as it must be for these members; the same row when nothing changes.

    `may_bury` says that the one who asks has itself beaten without a gap for a whole ttl. Whoever has not, cannot
    tell a dead process from one that was kept from the database by the same fault, and so takes every member that
    did not say goodbye for live.
    """
    live = [
        member.release
        for member in members
        if member.state in LIVE_STATES and (not may_bury or is_live(member, now=now, ttl_s=ttl_s))
    ]
    wanted = Pin.of_live(live, lowest_supported=row.pin).release
    if row.hold is not None:
        wanted = min(wanted, row.pin, row.hold)
    return row.moved_to(wanted)


def held(row: PinRow, release: Release) -> PinRow:
    """Return the row under a hold: the pin comes down to `release` at once and does not rise."""
    return replace(row.moved_to(min(row.pin, release)), hold=release)


def released(row: PinRow) -> PinRow:
    """Return the row without its hold; the next beat of any member lifts the pin if it may rise."""
    return replace(row, hold=None)


def admit(row: PinRow, *, service: str, release: Release, supported_from: Release, anyone_live: bool) -> PinRow:
    """Return the row after `release` came in, or refuse it.

    With nobody live and no hold, a pin below what this release can write is history, and moves up to the lowest
    release that it supports. Raises PinTooNew, PinTooOld.
    """
    if row.pin > release:
        raise PinTooNew(service, row.pin, release)
    if row.pin >= supported_from:
        return row
    if anyone_live or row.hold is not None:
        raise PinTooOld(service, row.pin, supported_from, release)
    return row.moved_to(supported_from)
