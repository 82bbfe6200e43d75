"""Why the pin is not higher: what `pin show` tells a person who waits for it."""

from collections.abc import Iterable

from bascule.lifecycle.pin import LIVE_STATES, MemberRow, PinRow

__all__ = ["obstacles"]


def obstacles(row: PinRow, members: Iterable[MemberRow]) -> tuple[str, ...]:
    """Return one sentence for each thing that keeps the pin from rising to the newest release that runs."""
    unburied = [member for member in members if member.state in LIVE_STATES]
    newest = max((member.release for member in unburied if member.release is not None), default=row.pin)
    found = [f"it is held at {row.hold}"] if row.hold is not None else []
    for member in unburied:
        name = f"{member.instance} ({member.release or 'a release that cannot be read'}, pid {member.pid})"
        if member.release is None or member.release < newest:
            found.append(f"{name} is not of release {newest}")
        elif member.acknowledged_epoch < row.epoch:
            found.append(f"{name} has not acknowledged epoch {row.epoch}")
    found += _differing(unburied)
    return tuple(found)


def _differing(members: list[MemberRow]) -> list[str]:
    """Two processes that say the same release, and are not of the same code."""
    said: dict[object, set[str]] = {}
    for member in members:
        if member.manifest is not None:
            said.setdefault(member.release, set()).add(member.manifest)
    return [
        f"release {release} runs with {len(each)} different manifests"
        for release, each in said.items()
        if len(each) > 1
    ]
