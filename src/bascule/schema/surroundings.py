"""What a phase is told of the world around it: which processes live, and who follows a long walk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bascule.release import Release
from bascule.schema.march import Progress
from bascule.schema.refusals import FleetTooOld, OlderProcessesAlive, SameReleaseAlive
from bascule.schema.throttle import Throttle

__all__ = ["Fleet", "Listener"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Who lives: the names of processes of older releases than this one, and of this one."""

    release: Release
    live_older: Callable[[Release], Sequence[str]]
    live_same: Callable[[Release], Sequence[str]]

    def require_no_older(self) -> None:
        """Raise OlderProcessesAlive while any lives."""
        if names := tuple(self.live_older(self.release)):
            raise OlderProcessesAlive(self.release, names)

    def require_at_least(self, change: str, release: Release) -> None:
        """Raise FleetTooOld while a process of an older release than this one lives."""
        if names := tuple(self.live_older(release)):
            raise FleetTooOld(change, release, names)

    def require_none_since(self, release: Release) -> None:
        """Raise SameReleaseAlive while a process of this release or a newer one lives."""
        if names := tuple(self.live_same(release)):
            raise SameReleaseAlive(release, names)


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom a long walk tells, who may stop it, what may hold it back, and who takes part in a restore."""

    tell: Callable[[Progress], None] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False
    throttles: tuple[Throttle, ...] = ()
    restore: Callable[[str], object] = lambda _: None
