"""Make sure that processes are gone, by watching their rows, and take their rows away."""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bascule.errors import LifecycleError
from bascule.lifecycle.pin import LIVE_STATES, MemberRow
from bascule.lifecycle.rows import forget, read_members
from bascule.lifecycle.transaction import dedicated_connection, locked
from bascule.lifecycle.watch import Watch, living, watched

if TYPE_CHECKING:
    from bascule.lifecycle.registry import Registry  # the registry calls this; at run time the arrow goes one way

__all__ = ["NobodyToRetire", "StillAlive", "observed_dead", "remove_dead"]

_LOOK_AGAIN_S = 0.2


class StillAlive(LifecycleError):
    """The process that should be forgotten beats."""

    def __init__(self, service: str, member: MemberRow) -> None:
        self.service, self.instance = service, member.instance
        super().__init__(
            f"{member.instance} ({member.release}, pid {member.pid} on {member.host}) is alive; stop it first",
            next_command=f"{service}-manage pin show",
        )


class NobodyToRetire(LifecycleError):
    """No process of this name is known."""

    def __init__(self, service: str, instance: str) -> None:
        self.service, self.instance = service, instance
        super().__init__(f"{service} knows no process named {instance!r}", next_command=f"{service}-manage pin show")


def observed_dead(registry: "Registry", doubtful: Iterable[MemberRow]) -> set[str]:
    """Watch these processes for a ttl, and return the ids of those that did not beat; returns early when all do."""
    ids, watch, pause = {member.id for member in doubtful}, Watch(), threading.Event()
    beaten: set[str] = set()
    while True:
        members = [member for member in registry.members() if member.id in ids]
        now, before = registry.monotonic(), watch
        watch = watched(watch, members, now=now, ttl_s=registry.ttl_s)
        beaten |= {
            each for each, (beat, _) in watch.unchanged.items() if before.unchanged.get(each, (beat,))[0] != beat
        }
        waiting = {member.id for member in living(watch, members, now=now, ttl_s=registry.ttl_s)} - beaten
        if not waiting:
            return ids - beaten
        pause.wait(min(_LOOK_AGAIN_S, registry.ttl_s / 5))


def remove_dead(registry: "Registry", instance: str) -> int:
    """Forget the processes of this name; see Registry.retire."""
    named = [member for member in registry.members() if member.instance == instance]
    if not named:
        raise NobodyToRetire(registry.service, instance)
    unburied = [member for member in named if member.state in LIVE_STATES]
    dead = observed_dead(registry, unburied)
    for member in unburied:
        if member.id not in dead:
            raise StillAlive(registry.service, member)
    with dedicated_connection(registry.engine) as connection, locked(connection, registry.service):
        seen = {member.id: member.heartbeat_at for member in named}
        # One that beat between the last look and now keeps its row.
        gone = [each for each in read_members(connection, registry.service) if seen.get(each.id) == each.heartbeat_at]
        forget(connection, gone)
    return len(gone)
