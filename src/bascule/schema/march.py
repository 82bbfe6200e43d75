"""Going along a table stretch by stretch: stops when asked, waits when held back, pauses, and tells how far it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from bascule.schema.keyset import Keyset
from bascule.schema.lease import Lease
from bascule.schema.pace import Eta, Pace, Pacer
from bascule.schema.refusals import Stopped
from bascule.schema.throttle import Throttle

__all__ = ["March", "Progress", "Walk"]

_ASK_EVERY_S = 1.0
_LOOK_UP_EVERY_S = 0.1  # whoever asks to stop waits no longer than this


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a walk is: rows done of rows in all, stale rows seen, seconds left when that can be told.

    Of a large table, `total` is the database's estimate. `waiting_for` says what holds the walk back, in words.
    """

    change: str
    activity: Literal["backfill", "verify"]
    done: int
    total: int
    stale: int = 0
    eta_s: float | None = None
    waiting_for: str = ""


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk needs besides the change: its table's key, whom it tells, who may stop it, what may hold it back."""

    keyset: Keyset
    tell: Callable[[Progress], None]
    should_stop: Callable[[], bool]
    throttles: tuple[Throttle, ...] = ()


@dataclass(slots=True)
class March:
    """One walk under way, by whoever holds the lease."""

    lease: Lease
    walk: Walk
    activity: Literal["backfill", "verify"]
    done: int
    total: int
    stale: int = 0
    pace: Pace | None = None  # the session's, unless given
    pacer: Pacer = field(init=False)
    eta: Eta = field(init=False)
    _renewed: float = field(init=False)
    _asked: float = field(init=False)

    def __post_init__(self) -> None:
        session = self.lease.session
        self.pacer, self.eta = Pacer(self.pace or session.pace), Eta(session.retry.clock)
        self._renewed, self._asked = session.retry.clock(), -_ASK_EVERY_S

    def go(self, step: Callable[[int], int], *, renews: bool) -> None:
        """Call `step` with how many rows to do until it has done none. `renews` says that each step renews the lease.

        Raises: Stopped, between two steps; what a throttle raises.
        """
        clock = self.lease.session.retry.clock
        while True:
            self._stop_if_asked()
            self._wait_while_held_back()
            started = clock()
            walked = step(self.pacer.rows)
            if not walked:
                return
            took_s = clock() - started
            if renews:
                self._renewed = started
            self.done += walked
            self.total = max(self.total, self.done)
            self.eta.walked(walked)
            self._tell()
            self._pause(self.pacer.after(took_s, walked=walked))

    def _tell(self, waiting_for: str = "") -> None:
        eta_s = None if waiting_for else self.eta.left_s(self.total - self.done)
        self.walk.tell(
            Progress(self.lease.change, self.activity, self.done, self.total, self.stale, eta_s, waiting_for)
        )

    def _stop_if_asked(self) -> None:
        if self.walk.should_stop():
            raise Stopped(self.lease.change, self.done, self.total)

    def _wait_while_held_back(self) -> None:
        session = self.lease.session
        if not self.walk.throttles or session.retry.clock() - self._asked < _ASK_EVERY_S:
            self._renew()
            return
        while (why := self._why_wait()) is not None:
            self._tell(waiting_for=why)
            self._pause(_ASK_EVERY_S)
        self._asked = session.retry.clock()

    def _why_wait(self) -> str | None:
        for throttle in self.walk.throttles:
            why = throttle.why_wait(self.lease.session, self.walk.should_stop)
            self._renew()
            if why is not None:
                return why
        return None

    def _pause(self, seconds: float) -> None:
        """Leave the database to others; stop at once when asked meanwhile."""
        retry = self.lease.session.retry
        until = retry.clock() + seconds
        while (left_s := until - retry.clock()) > 0:
            if left_s > _LOOK_UP_EVERY_S:
                self._stop_if_asked()
            self.lease.session.pause(min(left_s, _LOOK_UP_EVERY_S))
        self._renew()

    def _renew(self) -> None:
        session = self.lease.session
        if session.retry.clock() - self._renewed > self.lease.lease_s / 3:
            session.transaction("renew the lease", self.lease.renew)
            self._renewed = session.retry.clock()
