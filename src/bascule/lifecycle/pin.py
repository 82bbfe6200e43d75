"""The rules of the pin, as pure functions on the rows of the registry.

Nothing here reads a clock or a database, so that every order of registrations, beats, holds and deaths can be
tried (`tests/unit/lifecycle/test_pin_model.py` does). The rules:

- the pin is the lowest release among living members; without any, it stays where it is;
- it rises in two phases: a proposal, which every living member acknowledges, and only then the lift;
- it never rises while a hold is set, or while a member lives whose release nobody can read;
- a hold lowers it at once, but not below what a living member can still write;
- each proposal and each change is a new epoch; a member acknowledges an epoch when all that it says is said by it;
- a process comes in when it can read all that anyone may still say, and everyone can read all that it may say.

Who lives is `watch`'s question, what one process may say is `stance`'s.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from bascule.errors import LifecycleError
from bascule.release import Release

__all__ = [
    "LIVE_STATES",
    "FleetUnsettled",
    "MemberRow",
    "PinRow",
    "PinTooNew",
    "PinTooOld",
    "admit",
    "held",
    "released",
    "settle",
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
    """The service is held at a release that a process cannot write any more; that process must not be there."""

    def __init__(self, service: str, pin: Release, supported_from: Release, release: Release) -> None:
        self.service, self.pin, self.supported_from, self.release = service, pin, supported_from, release
        super().__init__(
            f"the pin of {service} is {pin}, but release {release} understands {supported_from} and newer; "
            f"bring the service to {supported_from} first",
            next_command=f"{service}-manage pin show",
        )


class FleetUnsettled(LifecycleError):
    """Processes that live have not acknowledged the pin yet, and may still say what this release cannot read."""

    def __init__(self, service: str, release: Release, lagging: Iterable["MemberRow"]) -> None:
        self.service, self.release = service, release
        self.lagging = tuple(f"{member.instance} ({member.release}, pid {member.pid})" for member in lagging)
        super().__init__(
            f"release {release} of {service} must not start yet: the pin is not acknowledged by "
            f"{', '.join(self.lagging)}; wait until it is, or stop them",
            next_command=f"{service}-manage pin show",
        )


@dataclass(frozen=True, slots=True)
class PinRow:
    """What one service speaks and stores at most.

    `epoch` counts the proposals and changes, `hold` is an operator's word, and `proposed` what the pin rises to as
    soon as every living member has acknowledged this epoch.
    """

    pin: Release
    epoch: int = 0
    hold: Release | None = None
    proposed: Release | None = None

    def moved_to(self, pin: Release) -> "PinRow":
        """Return the row with this pin and no proposal, in a new epoch when the pin changes."""
        if pin == self.pin:
            return self if self.proposed is None else replace(self, proposed=None)
        return replace(self, pin=pin, epoch=self.epoch + 1, proposed=None)

    def proposing(self, release: Release) -> "PinRow":
        """Return the row with this proposal, in a new epoch so that earlier acknowledgements do not count."""
        return self if self.proposed == release else replace(self, proposed=release, epoch=self.epoch + 1)


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One process as its row says.

    Times are seconds since the epoch by that process's own clock: nobody compares them with another clock to judge
    whether it lives. `release` is None when it is written in a way that this code cannot read. `supported_from` is
    the oldest release that the process can write and read, and None when its release did not say so yet;
    `manifest` begins the sha256 of what its release says of itself.
    """

    id: str
    instance: str
    role: str
    release: Release | None
    host: str
    pid: int
    started_at: float
    heartbeat_at: float
    state: str
    acknowledged_epoch: int = 0
    refused: int = 0
    pin_override: Release | None = None
    supported_from: Release | None = None
    manifest: str | None = None


def settle(row: PinRow, living: Collection[MemberRow]) -> PinRow:
    """Return the row as it must be for these living members; the same row when nothing changes.

    Proposals and lifts are two calls: the second finds the acknowledgements of the first.
    """
    if not living:
        return row
    known = [member.release for member in living if member.release is not None]
    wanted = min(known, default=row.pin)
    if row.hold is not None or len(known) < len(living):
        wanted = min(wanted, row.pin, row.hold or row.pin)
    if wanted <= row.pin:
        return row.moved_to(wanted)
    if row.proposed == wanted and all(member.acknowledged_epoch >= row.epoch for member in living):
        return row.moved_to(wanted)
    return row.proposing(wanted)


def held(row: PinRow, release: Release, *, service: str, living: Iterable[MemberRow]) -> PinRow:
    """Return the row under a hold: the pin comes down to `release` at once and does not rise.

    Raises PinTooOld when a living member could not write what `release` reads.
    """
    for member in living:
        if member.supported_from is not None and member.release is not None and member.supported_from > release:
            raise PinTooOld(service, release, member.supported_from, member.release)
    return replace(row.moved_to(min(row.pin, release)), hold=release)


def released(row: PinRow) -> PinRow:
    """Return the row without its hold; the beats of the members lift the pin if it may rise."""
    return replace(row, hold=None)


def admit(
    row: PinRow, *, service: str, release: Release, supported_from: Release, living: Collection[MemberRow]
) -> PinRow:
    """Return the row after `release` came in, or refuse it.

    With nobody living and no hold, a pin below what this release can write is history, and moves up to the lowest
    release that it supports. Raises PinTooNew, PinTooOld, and FleetUnsettled, after which a later try may succeed.
    """
    if row.pin > release:
        raise PinTooNew(service, row.pin, release)
    lagging = [member for member in living if _may_say_what_is_unreadable(member, row, release, supported_from)]
    if lagging:
        raise FleetUnsettled(service, release, lagging)
    if row.pin >= supported_from:
        return row
    if living or row.hold is not None:
        raise PinTooOld(service, row.pin, supported_from, release)
    return row.moved_to(supported_from)


def _may_say_what_is_unreadable(member: MemberRow, row: PinRow, release: Release, supported_from: Release) -> bool:
    """Whether the member may work by an earlier pin that was above or below what the newcomer can read."""
    if member.acknowledged_epoch >= row.epoch:
        return False
    too_new = member.release is None or member.release > release
    too_old = member.supported_from is not None and member.supported_from < supported_from
    return too_new or too_old
