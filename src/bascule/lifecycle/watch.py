"""Who still lives, as one process sees it: pure functions on what it saw and when it looked.

A member is dead for an observer when its row has not changed for a whole ttl *of the observer's own monotonic
clock*, during which the observer looked without a gap. No two clocks are ever compared, so that a host whose clock
is wrong by years loses nobody. Whoever could not look itself (a database out of reach, a machine that slept) begins
to watch anew: others may have been kept from beating by the same fault.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bascule.lifecycle.pin import LIVE_STATES, MemberRow

__all__ = ["Watch", "living", "watched"]


@dataclass(frozen=True, slots=True)
class Watch:
    """What an observer knows: of each member its last beat and since when (monotonic) it has stood unchanged."""

    unchanged: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    looked_at: float | None = None


def watched(watch: Watch, members: Iterable[MemberRow], *, now: float, ttl_s: float) -> Watch:
    """Return the watch after the observer looked at `now`, its own monotonic clock."""
    without_gap = watch.looked_at is not None and now - watch.looked_at <= ttl_s / 2
    unchanged = {}
    for member in members:
        beat, since = watch.unchanged.get(member.id, (None, now))
        if beat != member.heartbeat_at or not without_gap:
            since = now
        unchanged[member.id] = (member.heartbeat_at, since)
    return Watch(unchanged, now)


def living(watch: Watch, members: Iterable[MemberRow], *, now: float, ttl_s: float) -> tuple[MemberRow, ...]:
    """Return the members that neither said goodbye, nor were found dead, nor stood unchanged for a ttl."""
    return tuple(
        member for member in members if member.state in LIVE_STATES and not _is_dead(watch, member, now, ttl_s)
    )


def _is_dead(watch: Watch, member: MemberRow, now: float, ttl_s: float) -> bool:
    if watch.looked_at is None or now - watch.looked_at > ttl_s / 2:
        return False  # who did not look lately knows nothing
    beat, since = watch.unchanged.get(member.id, (None, now))
    return beat == member.heartbeat_at and now - since >= ttl_s
