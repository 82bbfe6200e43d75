"""The registry of a service's processes, and the pin that follows from it."""

import logging
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from bascule.documents.status import ProcessStatus
from bascule.lifecycle.environment import ProcessEnvironment, main_pid
from bascule.lifecycle.heartbeat import Member
from bascule.lifecycle.pin import MemberRow, PinRow, PinTooOld, admit, held, is_live, released
from bascule.lifecycle.rows import insert_member, read_members, read_pin, write_pin
from bascule.lifecycle.tables import FLEET, PIN, create_missing
from bascule.lifecycle.transaction import dedicated_connection, locked, short
from bascule.release import Release

__all__ = ["Registry"]

log = logging.getLogger(__name__)

_FORGET_AFTER_S = 24 * 3600.0


class Registry:
    """Who of one service runs, at which release, and what they may speak to each other.

    Ages are differences of wall clocks: `clock` gives seconds since the epoch, and hosts may differ by less than
    `ttl_s - beat_s` before a live process looks dead to another; keep them synchronised (NTP).
    """

    def __init__(
        self,
        engine: sa.Engine,
        *,
        service: str,
        release: Release,
        supported_from: Release,
        ttl_s: float = 5.0,
        beat_s: float = 0.5,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.engine = engine
        self.service = service
        self.release = release
        self.supported_from = supported_from
        self.ttl_s = ttl_s
        self.beat_s = beat_s
        self.clock = clock

    def create_tables(self) -> None:
        """Create the registry's tables where they are missing; several processes may do it at once."""
        create_missing(self.engine, (PIN, FLEET))

    def join(self, instance: str, role: str, *, pin_override: Release | None = None) -> Member:
        """Register this process and start its heartbeat; use the result as a context manager, or call `leave`.

        Call it in the process that serves, after any fork. An older process cannot slip in while another one
        lifts the pin: both take the same lock. `pin_override`, and else BASCULE_PIN_OVERRIDE, beats the
        registry's pin in this process. Raises PinTooNew, PinTooOld.
        """
        override = ProcessEnvironment.read().pin_override if pin_override is None else pin_override
        if override is not None:
            log.warning("pin of %s overridden with %s", self.service, override)
        now = self.clock()
        member = MemberRow(
            id=str(uuid.uuid4()),
            instance=instance,
            role=role,
            release=self.release,
            host=socket.gethostname(),
            pid=main_pid(),
            started_at=now,
            heartbeat_at=now,
            state="live",
            pin_override=override,
        )
        self._ensure_pin(self.supported_from)
        with dedicated_connection(self.engine) as connection:
            row, member = self.register(connection, member)
        return Member(self, member, row)

    def register(self, connection: sa.Connection, member: MemberRow) -> tuple[PinRow, MemberRow]:
        """Write the row of a process that comes in, or comes back, if the pin lets it; the bones of `join`."""
        with locked(connection, self.service):
            before = read_pin(connection, self.service)
            if before is None:
                raise AssertionError("the pin row is there before anyone registers")
            now = self.clock()
            members = read_members(connection, self.service)
            row = admit(
                before,
                service=self.service,
                release=self.release,
                supported_from=self.supported_from,
                anyone_live=any(is_live(other, now=now, ttl_s=self.ttl_s) for other in members),
            )
            if row != before:
                write_pin(connection, self.service, row)
            _forget_the_long_gone(connection, members, now)
            member = replace(member, acknowledged_epoch=row.epoch)
            insert_member(connection, self.service, member)
        return row, member

    def status(self) -> tuple[Release | None, int, Release | None, tuple[ProcessStatus, ...]]:
        """Return pin, epoch, hold and every known process; nothing at all before the tables exist."""
        with dedicated_connection(self.engine) as connection, short(connection):
            inspector = sa.inspect(connection)
            if not (inspector.has_table(PIN.name) and inspector.has_table(FLEET.name)):
                return None, 0, None, ()
            row = read_pin(connection, self.service)
            members = read_members(connection, self.service)
        now = self.clock()
        processes = tuple(_status(member, now=now, ttl_s=self.ttl_s) for member in members)
        if row is None:
            return None, 0, None, processes
        return row.pin, row.epoch, row.hold, processes

    def live_older(self, release: Release) -> list[str]:
        """Return `instance (release, pid)` of every process of an older release that may still work."""
        return [
            f"{process.instance} ({process.release}, pid {process.pid})"
            for process in self.status()[3]
            if process.state in {"live", "draining"} and process.release < release
        ]

    def live_at_least(self, release: Release) -> list[str]:
        """Return `instance (release, pid)` of every process of this or a newer release that may still work."""
        return [
            f"{process.instance} ({process.release}, pid {process.pid})"
            for process in self.status()[3]
            if process.state in {"live", "draining"} and process.release >= release
        ]

    def hold(self, release: Release) -> None:
        """Keep the pin at `release` or lower until `release_hold`; a higher pin comes down at once.

        Processes follow within a beat and acknowledge the new epoch. Raises PinTooOld when this release could
        not write what `release` reads.
        """
        if release < self.supported_from:
            raise PinTooOld(self.service, release, self.supported_from, self.release)
        self._ensure_pin(min(self.supported_from, release))
        self._change(lambda row: held(row, release))

    def release_hold(self) -> None:
        """Let the pin rise again; safe to call without a hold."""
        self._ensure_pin(self.supported_from)
        self._change(released)

    def _change(self, change: Callable[[PinRow], PinRow]) -> None:
        with dedicated_connection(self.engine) as connection, locked(connection, self.service):
            row = read_pin(connection, self.service)
            if row is None:
                raise AssertionError("the pin row is there before anyone changes it")
            write_pin(connection, self.service, change(row))

    def _ensure_pin(self, pin: Release) -> None:
        """Write the first pin of a service; an unknown pin is the lowest supported release, never the newest."""
        with dedicated_connection(self.engine) as connection:
            with short(connection):
                if read_pin(connection, self.service) is not None:
                    return
            try:
                with short(connection):
                    connection.execute(sa.insert(PIN).values(service=self.service, pin=str(pin), epoch=1, hold=None))
            except IntegrityError:
                log.debug("another process wrote the first pin of %s", self.service)


def _forget_the_long_gone(connection: sa.Connection, members: tuple[MemberRow, ...], now: float) -> None:
    gone = [member.id for member in members if member.heartbeat_at < now - _FORGET_AFTER_S]
    if gone:
        connection.execute(sa.delete(FLEET).where(FLEET.c.id.in_(gone)))


def _status(member: MemberRow, *, now: float, ttl_s: float) -> ProcessStatus:
    alive = is_live(member, now=now, ttl_s=ttl_s)
    state = member.state if alive or member.state == "stopped" else "dead"
    return ProcessStatus(
        instance=member.instance,
        role=member.role,
        release=member.release,
        pid=member.pid,
        state=state,  # type: ignore[arg-type]  # the column holds the document's own words
        age_s=round(max(0.0, now - member.heartbeat_at), 3),
        acknowledged_epoch=member.acknowledged_epoch,
        refused=member.refused,
        pin_override=member.pin_override,
    )
