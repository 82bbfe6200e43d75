"""The parts of one beat: say that this process lives, look at the others, move the pin on, work by it."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bascule.lifecycle.pin import FleetUnsettled, MemberRow, PinRow, settle
from bascule.lifecycle.rows import read_living, read_members, read_pin, write_pin
from bascule.lifecycle.speech import Voice
from bascule.lifecycle.tables import FLEET
from bascule.lifecycle.transaction import dedicated_connection, locked, short
from bascule.lifecycle.watch import Watch, living, watched

if TYPE_CHECKING:
    from bascule.lifecycle.registry import Registry  # the registry makes members; at run time the arrow goes one way

__all__ = ["Heartbeat"]

log = logging.getLogger(__name__)

_PHASES = 4  # proposal, acknowledgement, lift, acknowledgement
_LEAST_STEP_S = 1e-6


class Heartbeat:
    """One process's row and what it sees of the others; for one thread at a time.

    It holds one connection of the engine's pool for its own, so that busy requests cannot keep it from beating.
    `state` and `refused` are what the next beat writes.
    """

    def __init__(self, registry: "Registry", row: MemberRow, voice: Voice) -> None:
        self.registry, self.row, self.voice = registry, row, voice
        self.state = "live"
        self.refused = 0
        self.last_beat_at = row.heartbeat_at
        self._watch = Watch()
        self._connection: sa.Connection | None = None

    def beat(self) -> None:
        """Do all of a beat; raises as Member.beat does."""
        self.say()
        for _ in range(_PHASES):
            before = self.voice.stance
            self._follow()
            self.voice.acknowledge()
            if self.voice.stance.acknowledged != before.acknowledged:
                self.say()
            if self.voice.stance.seen == before.seen:
                break

    def _follow(self) -> None:
        """Look at the registry, and move its pin on when that is due."""
        connection, service = self._dedicated(), self.registry.service
        row, members, now = self._look(connection)
        if row is not None and self._has_news(row, members, now):
            with locked(connection, service):
                # What was read without the lock only told that it is worth taking it.
                row = read_pin(connection, service)
                row = None if row is None else self._move_on(connection, row, now)
        if row is not None:
            self.voice.work_by(row)

    def _look(self, connection: sa.Connection) -> tuple[PinRow | None, tuple[MemberRow, ...], float]:
        with short(connection):
            row = read_pin(connection, self.registry.service)
            members = read_members(connection, self.registry.service)
        now = self.registry.monotonic()
        self._watch = watched(self._watch, members, now=now, ttl_s=self.registry.ttl_s)
        return row, members, now

    def _has_news(self, row: PinRow, members: tuple[MemberRow, ...], now: float) -> bool:
        alive = living(self._watch, members, now=now, ttl_s=self.registry.ttl_s)
        unburied = living(Watch(), members, now=now, ttl_s=self.registry.ttl_s)
        return len(alive) < len(unburied) or settle(row, alive) != row

    def _move_on(self, connection: sa.Connection, row: PinRow, now: float) -> PinRow:
        service = self.registry.service
        after = settle(row, read_living(connection, service, self._watch, now=now, ttl_s=self.registry.ttl_s))
        if after != row:
            write_pin(connection, service, after)
            if after.pin != row.pin:
                log.info("pin of %s moved to %s, epoch %d", service, after.pin, after.epoch)
        return after

    def say(self) -> None:
        """Write this process's row; a row that is gone, or marked dead, is registered anew if the pin lets it."""
        began_at = self.registry.monotonic()
        epoch, connection = self.voice.stance.acknowledged, self._dedicated()
        # Others see that this process lives by the change of this value, so it changes.
        now = max(self.registry.clock(), self.last_beat_at + _LEAST_STEP_S)
        values = {
            "heartbeat_at": now,
            "state": self.state,
            "acknowledged_epoch": epoch,
            "refused": self.refused,
        }
        own = (FLEET.c.id == self.row.id) & (FLEET.c.state != "dead")
        with short(connection):
            found = connection.execute(sa.update(FLEET).where(own).values(**values)).rowcount
        self.last_beat_at = now
        if not found and self.state != "stopped":
            self._come_back(connection, replace(self.row, heartbeat_at=now, state=self.state, refused=self.refused))
        self.voice.beaten(began_at=began_at, ttl_s=self.registry.ttl_s)

    def _come_back(self, connection: sa.Connection, row: MemberRow) -> None:
        log.warning("row of %s was gone or marked dead, registering again", self.row.instance)
        try:
            pin, _ = self.registry.register(connection, row, self._watch)
        except FleetUnsettled:
            self._look(connection)  # so that those who never acknowledge are found dead in the end
            raise
        self.voice.start_anew(pin)

    def _dedicated(self) -> sa.Connection:
        if self._connection is None:
            self._connection = dedicated_connection(self.registry.engine)
        return self._connection

    def hang_up(self) -> None:
        """Give the connection back, or up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except SQLAlchemyError:
                connection.invalidate()
