"""A member's row as the status document shows it to people and to the fleet."""

from bascule.documents.status import ProcessStatus
from bascule.lifecycle.pin import LIVE_STATES, MemberRow
from bascule.release import Release

__all__ = ["UNKNOWN", "process_status"]

UNKNOWN = Release((0,))
"""How a release is shown whose name cannot be read: the lowest there is, never the newest."""


def process_status(member: MemberRow, *, now: float, ttl_s: float) -> ProcessStatus:
    """Return the status of one process at `now`, seconds since the epoch.

    A single look cannot tell by anything but the clocks of two hosts whether a process lives, so this is for the
    eye; the pin and the guards watch for themselves.
    """
    state = member.state
    if state in LIVE_STATES and now - member.heartbeat_at >= ttl_s:
        state = "dead"
    return ProcessStatus(
        instance=member.instance,
        role=member.role,
        release=member.release or UNKNOWN,
        pid=member.pid,
        state=state,  # type: ignore[arg-type]  # the column holds the document's own words
        age_s=round(max(0.0, now - member.heartbeat_at), 3),
        acknowledged_epoch=member.acknowledged_epoch,
        refused=member.refused,
        pin_override=member.pin_override,
    )
