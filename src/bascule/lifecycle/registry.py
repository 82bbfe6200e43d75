"""The registry of a service's processes, and the pin that follows from it."""

import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from bascule.documents.codec import fingerprint
from bascule.documents.manifest import Manifest
from bascule.documents.status import ProcessStatus
from bascule.errors import LifecycleError
from bascule.lifecycle.environment import ProcessEnvironment, main_pid, request_stop
from bascule.lifecycle.member import Member
from bascule.lifecycle.pin import LIVE_STATES, FleetUnsettled, MemberRow, PinRow, PinTooOld, admit, held, released
from bascule.lifecycle.retire import observed_dead, remove_dead
from bascule.lifecycle.rows import forget, read_living, read_members, read_pin, write_member, write_pin
from bascule.lifecycle.status import process_status
from bascule.lifecycle.tables import FLEET, PIN, absent_columns, create_missing
from bascule.lifecycle.transaction import dedicated_connection, locked, short
from bascule.lifecycle.watch import Watch, living, watched
from bascule.release import Release

__all__ = ["Registry"]

log = logging.getLogger(__name__)

_FORGET_AFTER_S = 24 * 3600.0
_LOOK_AGAIN_S = 0.2


class Registry:
    """Who of one service runs, at which release, and what they may speak to each other.

    A process that does not beat for `ttl_s` is dead to the others, each by its own `monotonic` clock; `clock`
    gives seconds since the epoch, which are shown to people and compared with nothing that matters. All processes
    of a service must have the same `ttl_s`.
    """

    def __init__(
        self,
        engine: sa.Engine,
        *,
        service: str,
        release: Release,
        supported_from: Release,
        manifest: Manifest | None = None,
        ttl_s: float = 5.0,
        beat_s: float = 0.5,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self.service = service
        self.release = release
        self.supported_from = supported_from
        self.manifest = None if manifest is None else fingerprint(manifest)[:16]
        self.ttl_s = ttl_s
        self.beat_s = beat_s
        self.clock = clock
        self.monotonic = monotonic

    def create_tables(self) -> None:
        """Create the tables and columns that are missing; several processes may do it at once."""
        create_missing(self.engine, (PIN, FLEET))

    def join(
        self,
        instance: str,
        role: str,
        *,
        pin_override: Release | None = None,
        on_outside: Callable[[LifecycleError], object] = request_stop,
    ) -> Member:
        """Register this process and start its heartbeat; use the result as a context manager, or call `leave`.

        Call it in the process that serves, after any fork. An older process cannot slip in while another one
        lifts the pin: both take the same lock. It waits, up to three ttl, for processes that may still say what
        this release cannot read. `pin_override`, and else BASCULE_PIN_OVERRIDE, beats the registry's pin in this
        process. `on_outside` is called, in the heartbeat's thread, when this process was taken for dead and is not
        let back in; by default the process is asked to drain and end, if it runs by `serve_wsgi`, `serve_asgi` or
        `run_loop`. Raises PinTooNew, PinTooOld, FleetUnsettled.
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
            supported_from=self.supported_from,
            manifest=self.manifest,
        )
        self._ensure_pin(self.supported_from)
        began_at, row, member = self._come_in(member)
        return Member(self, member, row, began_at=began_at, on_outside=on_outside)

    def _come_in(self, member: MemberRow) -> tuple[float, PinRow, MemberRow]:
        """Register, and wait for those that only time can settle."""
        deadline, watch, pause = self.monotonic() + 3 * self.ttl_s, Watch(), threading.Event()
        with dedicated_connection(self.engine) as connection:
            while True:
                began_at = self.monotonic()
                try:
                    return began_at, *self.register(connection, member, watch)
                except (FleetUnsettled, PinTooOld) as refusal:
                    before = watch
                    with short(connection):
                        members = read_members(connection, self.service)
                    watch = watched(watch, members, now=self.monotonic(), ttl_s=self.ttl_s)
                    beating = any(
                        before.unchanged.get(each, watch.unchanged[each])[0] != watch.unchanged[each][0]
                        for each in watch.unchanged
                    )
                    nobody = not living(watch, members, now=self.monotonic(), ttl_s=self.ttl_s)
                    hopeless = isinstance(refusal, PinTooOld) and (beating or nobody)
                    if hopeless or self.monotonic() >= deadline:
                        raise
                pause.wait(min(self.beat_s, _LOOK_AGAIN_S))

    def register(self, connection: sa.Connection, member: MemberRow, watch: Watch) -> tuple[PinRow, MemberRow]:
        """Write the row of a process that comes in, or comes back, if the pin lets it; the bones of `join`.

        `watch` is what the process itself saw of the others so far.
        """
        with locked(connection, self.service):
            before = read_pin(connection, self.service)
            if before is None:
                raise AssertionError("the pin row is there before anyone registers")
            now = self.monotonic()
            row = admit(
                before,
                service=self.service,
                release=self.release,
                supported_from=self.supported_from,
                living=read_living(connection, self.service, watch, now=now, ttl_s=self.ttl_s, besides=member.id),
            )
            if row != before:
                write_pin(connection, self.service, row)
            long_ago = self.clock() - _FORGET_AFTER_S
            forget(
                connection, [each for each in read_members(connection, self.service) if each.heartbeat_at < long_ago]
            )
            member = replace(member, acknowledged_epoch=row.epoch)
            write_member(connection, self.service, member)
        return row, member

    def pin(self) -> PinRow | None:
        """Return the pin as the table has it now, or None before the service's first process."""
        with dedicated_connection(self.engine) as connection, short(connection):
            return read_pin(connection, self.service)

    def members(self) -> tuple[MemberRow, ...]:
        """Return the row of every known process, oldest first; none before the tables exist."""
        return self._read()[1]

    def status(self) -> tuple[Release | None, int, Release | None, tuple[ProcessStatus, ...]]:
        """Return pin, epoch, hold and every known process; nothing at all before the tables exist."""
        row, members = self._read()
        processes = tuple(process_status(member, now=self.clock(), ttl_s=self.ttl_s) for member in members)
        if row is None:
            return None, 0, None, processes
        return row.pin, row.epoch, row.hold, processes

    def live_older(self, release: Release) -> list[str]:
        """Return `instance (release, pid)` of every process of an older release that may still work.

        A process that looks dead is watched for a ttl before it is left out.
        """
        return self._may_work(lambda member: member.release is None or member.release < release)

    def live_at_least(self, release: Release) -> list[str]:
        """Return `instance (release, pid)` of every process of this or a newer release that may still work.

        A process that looks dead is watched for a ttl before it is left out.
        """
        return self._may_work(lambda member: member.release is None or member.release >= release)

    def hold(self, release: Release) -> None:
        """Keep the pin at `release` or lower until `release_hold`; a higher pin comes down at once.

        Processes follow within a beat and acknowledge the new epoch; an older process comes in only after that.
        Raises PinTooOld when this release, or one that lives, could not write what `release` reads.
        """
        if release < self.supported_from:
            raise PinTooOld(self.service, release, self.supported_from, self.release)
        self._ensure_pin(min(self.supported_from, release))
        self._change(lambda row, members: held(row, release, service=self.service, living=members))

    def release_hold(self) -> None:
        """Let the pin rise again; safe to call without a hold."""
        self._ensure_pin(self.supported_from)
        self._change(lambda row, _: released(row))

    def retire(self, instance: str) -> int:
        """Forget the processes of this name that are gone, and return how many; the pin no longer waits for them.

        One that looks alive is watched for a ttl. Raises StillAlive, and NobodyToRetire for a name without a row.
        """
        return remove_dead(self, instance)

    def _may_work(self, matters: Callable[[MemberRow], bool]) -> list[str]:
        unburied = [member for member in self.members() if member.state in LIVE_STATES and matters(member)]
        doubtful = [each for each in unburied if self.clock() - each.heartbeat_at >= self.ttl_s]
        dead = observed_dead(self, doubtful) if doubtful else set()
        return [f"{each.instance} ({each.release}, pid {each.pid})" for each in unburied if each.id not in dead]

    def _read(self) -> tuple[PinRow | None, tuple[MemberRow, ...]]:
        with dedicated_connection(self.engine) as connection, short(connection):
            inspector = sa.inspect(connection)
            if not (inspector.has_table(PIN.name) and inspector.has_table(FLEET.name)):
                return None, ()
            # A command of this release may look before any process of it has made the tables grow.
            absent = {name for table in (PIN, FLEET) for name in absent_columns(connection, table)}
            row = read_pin(connection, self.service, absent=absent)
            return row, read_members(connection, self.service, absent=absent)

    def _change(self, change: Callable[[PinRow, tuple[MemberRow, ...]], PinRow]) -> None:
        with dedicated_connection(self.engine) as connection, locked(connection, self.service):
            row = read_pin(connection, self.service)
            if row is None:
                raise AssertionError("the pin row is there before anyone changes it")
            members = living(Watch(), read_members(connection, self.service), now=0.0, ttl_s=self.ttl_s)
            write_pin(connection, self.service, change(row, members))

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
