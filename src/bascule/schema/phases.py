"""What each phase does to one change, under its lease: look, refuse or act, and record."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bascule.documents.codec import canonical, fingerprint
from bascule.errors import SchemaError
from bascule.release import Release
from bascule.schema.backfill import Progress, Walk, backfill, count_rows, count_stale
from bascule.schema.catalog import Table
from bascule.schema.changes import Blocked, Change, Synced
from bascule.schema.combining import refuse_combination
from bascule.schema.databases import Step
from bascule.schema.ddl import run_steps
from bascule.schema.derive import Fence, Known, SomeDerivation, derive
from bascule.schema.derive.chain import Link, place_of
from bascule.schema.keyset import Keyset
from bascule.schema.lease import Lease
from bascule.schema.refusals import (
    BadChange,
    FleetTooOld,
    NotContracted,
    NotExpanded,
    NotSynced,
    OldColumnsUsed,
    OlderProcessesAlive,
    OldWritesSeen,
    PastPointOfNoReturn,
    RollbackUnfinished,
    RowsBlocked,
    SameReleaseAlive,
    SpecChanged,
    StaleRows,
    StillBuiltUpon,
    TriggersMissing,
)
from bascule.schema.rows import Prefer, RowWork
from bascule.schema.session import Session
from bascule.schema.state import CHANGES, ChangeRow, Phase
from bascule.schema.table_copy.copy import copy_table
from bascule.schema.table_copy.settle import abandon, undisturbed
from bascule.schema.throttle import Throttle
from bascule.schema.transform import TransformRows
from bascule.schema.transform_rows import transform_rows

__all__ = ["Fleet", "Listener", "PhaseRun", "require_started"]

Steps = Callable[[sa.Connection, Table], list[Step]]


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
    """Whom a long walk tells, who may stop it, and what may hold it back."""

    tell: Callable[[Progress], None] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False
    throttles: tuple[Throttle, ...] = ()


def require_started(change: Change, row: ChangeRow | None) -> ChangeRow:
    """Return the row of a change whose expand is done. Raises NotExpanded or RollbackUnfinished."""
    if row is None or row.phase in (*Phase.UNTOUCHED, Phase.EXPANDING):
        raise NotExpanded(change.id, Phase.PLANNED if row is None else row.phase)
    if row.phase == Phase.ROLLING_BACK:
        raise RollbackUnfinished(change.id)
    return row


@dataclass(frozen=True, slots=True)
class PhaseRun:
    """One phase of one change, by whoever holds its lease."""

    lease: Lease
    change: Change
    fleet: Fleet
    watch_s: float
    copies_from: int | None = None

    @property
    def session(self) -> Session:
        """The connection that the lease was taken with."""
        return self.lease.session

    def expand(self) -> None:
        """Add what both releases can live with, and what keeps them in step; put back what is missing of it."""
        row = self._row()
        if row.phase in Phase.WITHOUT_OLD:
            return
        if row.phase == Phase.ROLLING_BACK:
            raise RollbackUnfinished(self.change.id)
        if row.phase in Phase.UNTOUCHED:
            self.session.transaction(f"check {self.change.table}", self._begin_expand)
            row = self._row()
        elif row.spec_sha != fingerprint(self._derived(row).spec()):
            raise SpecChanged(self.change.id, row.phase)
        elif row.phase in Phase.WITH_TRIGGERS and not self._missing_triggers(row):
            return
        # Writes may have passed a missing trigger by, so the backfill starts over with the first row.
        self._steps(
            self._derived(row).expand,
            first=self.lease.renew,
            last=lambda c: self.lease.write(c, phase=Phase.EXPANDED, cursor=None, rows_done=0, fence=None),
        )

    def migrate(self, listener: Listener, prefer: Prefer | None) -> None:
        """Make every row right, and prove that all are."""
        row = require_started(self.change, self._row())
        if row.phase in Phase.WITHOUT_OLD:
            return
        self._require_triggers(row)
        if row.phase == Phase.FENCED:
            if not row.rows_stale and prefer is None:
                return
            self.restore(listener)
            row = self._row()
        derived = self._derived(row)
        if row.phase == Phase.SYNCED and not row.rows_stale and prefer is None and not derived.goes_stale:
            return
        if needed := derived.required_fleet():
            self.fleet.require_at_least(self.change.id, Release.parse(needed))
        rows = derived.rows()
        if row.phase != Phase.BACKFILLING or prefer is not None:
            total = self.session.read("count rows", self._count_rows)
            self.session.transaction("begin the backfill", lambda c: self._begin_backfill(c, total))
        blocked, stale = self._fill(derived, rows, listener, prefer)
        # Rows that old writers made stale since are no reason: contract counts them again, when there are none left.
        if stale and (blocked is not None or not derived.goes_stale):
            # From the first row next time, since the cursor has passed the stale ones.
            self.session.transaction("record stale rows", lambda c: self.lease.write(c, cursor=None, rows_done=0))
            raise blocked or derived.stale_error(stale)
        total = self.session.read("count rows", self._count_rows)
        self._steps(derived.prove, first=self.lease.renew, last=lambda c: self._record_synced(c, total, stale))

    def fence(self, mode: Fence) -> None:
        """Have writes of the old release counted or refused; fencing again counts from now on."""
        row = require_started(self.change, self._row())
        if row.phase in Phase.WITHOUT_OLD:
            return
        if row.phase not in (Phase.SYNCED, Phase.FENCED):
            raise NotSynced(self.change.id, row.phase)
        self.fleet.require_no_older()
        self._require_triggers(row)
        derived = self._derived(row)

        def record(connection: sa.Connection) -> None:
            self.lease.write(connection, phase=Phase.FENCED, fence=mode, tripwire=self._read_tripwire(connection))

        self._steps(lambda c, table: derived.fence(c, table, mode), first=self.lease.renew, last=record)

    def contract(self) -> None:
        """End the old release's part: nothing is kept in step any more. What purge takes away stays for now."""
        row = require_started(self.change, self._row())
        if row.phase in (Phase.CONTRACTED, *Phase.GONE):
            return
        self.fleet.require_no_older()
        if row.phase == Phase.RESTORING:
            raise NotSynced(self.change.id, row.phase)
        if row.phase != Phase.CONTRACTING:
            if row.phase not in (Phase.SYNCED, Phase.FENCED):
                raise NotSynced(self.change.id, row.phase)
            if row.phase == Phase.SYNCED:
                self.fence("count")
                row = self._row()
            self._require_triggers(row)
            derived = self._derived(row)
            if stale := self._count_stale(derived, Listener()):
                raise self._stale(derived, stale)
            self._watch_tripwire(row)
            self.fleet.require_no_older()  # again, since the scan took its time
        self._steps(
            self._derived(row).contract,
            first=self._begin_contract,
            last=lambda c: self.lease.write(
                c, phase=Phase.CONTRACTED, fence=None, last_error=None, contracted_by=str(self.fleet.release)
            ),
        )

    def purge(self) -> None:
        """Remove what only the old release needed: the point of no return."""
        row = self._row()
        if row.phase == Phase.PURGED:
            return
        if row.phase not in (Phase.CONTRACTED, Phase.PURGING):
            raise NotContracted(self.change.id, row.phase)
        self.fleet.require_no_older()
        self.session.read("read the changes", self._refuse_chained)
        self._steps(
            self._derived(row).purge,
            first=lambda c: self.lease.write(c, phase=Phase.PURGING),
            last=lambda c: self.lease.write(c, phase=Phase.PURGED, last_error=None),
        )

    def restore(self, listener: Listener, *, accept_loss: bool = False) -> None:
        """Take fence and contract back: both sides are in step again, the old one by what the new one says."""
        row = self._row()
        if row.phase == Phase.FENCED:
            derived = self._derived(row)
            self._steps(
                derived.unfence,
                first=self.lease.renew,
                last=lambda c: self.lease.write(c, phase=Phase.SYNCED, fence=None, tripwire=None),
            )
            return
        if row.phase not in (Phase.CONTRACTING, Phase.CONTRACTED, Phase.RESTORING):
            return
        self._refuse_purged(row)
        derived = self._derived(row)
        if not accept_loss and isinstance(rows := derived.rows(), TransformRows) and rows.down is None:
            self._refuse_loss(derived, rows)
        self._steps(
            derived.restore,
            first=lambda c: self.lease.write(c, phase=Phase.RESTORING, cursor=None, rows_done=0),
            last=self.lease.renew,
        )
        if (rows := derived.rows_to_restore()) is not None:
            blocked, stale = self._fill(derived, rows, listener, "new")
            if stale:
                raise blocked or derived.stale_error(stale)
        self._steps(
            derived.tighten,
            first=self.lease.renew,
            last=lambda c: self.lease.write(c, phase=Phase.SYNCED, fence=None, tripwire=None, last_error=None),
        )

    def rollback(self, *, accept_loss: bool, listener: Listener) -> None:
        """Take everything back: the new side goes; what was written is on the old one."""
        row = self._row()
        if row.phase in Phase.UNTOUCHED:
            return
        self._refuse_purged(row)
        if row.phase in (*Phase.WITHOUT_OLD, Phase.FENCED):
            self.restore(listener, accept_loss=accept_loss)
            row = self._row()
        self.fleet.require_none_since(Release.parse(self.change.release or str(self.fleet.release)))
        self.session.read("read the changes", self._refuse_chained)
        abandon(self.lease, self.change.table)
        derived = self._derived(row)
        rows = derived.rows() if row.phase in Phase.WITH_TRIGGERS else None
        if isinstance(rows, TransformRows):
            blocked = self._take_down(rows, self._walk(derived, listener))
            if blocked is not None and not accept_loss:
                raise blocked
        if rows is not None and not accept_loss:
            self._refuse_loss(derived, rows)
        if row.phase in Phase.WITH_TRIGGERS and (back := derived.rows_to_roll_back()) is not None:
            self.session.read("look for values", derived.refuse_rollback)
            self.session.transaction("begin to copy", lambda c: self.lease.write(c, cursor=None, rows_done=0))
            copy_table(self.lease, back, self._walk(derived, listener), from_rows=0)
        self._steps(
            derived.rollback,
            first=lambda c: self.lease.write(c, phase=Phase.ROLLING_BACK),
            last=lambda c: self.lease.write(
                c, phase=Phase.ROLLED_BACK, cursor=None, rows_done=0, rows_stale=0, last_error=None
            ),
        )

    def verify(self, listener: Listener) -> None:
        """Count stale rows and record them; look for triggers, or for what should be gone."""
        row = self._row()
        derived = self._derived(row)
        if row.phase == Phase.PURGED and derived.removes():
            if not self.session.read("read the table", derived.is_purged):
                raise OldColumnsUsed(self.change.id, self.change.table, derived.removes())
            return
        if row.phase not in Phase.WITH_TRIGGERS:
            return
        stale = self._count_stale(derived, listener)
        self._require_triggers(row)
        if row.phase in (Phase.SYNCED, Phase.FENCED) and stale:
            raise self._stale(derived, stale)

    def _fill(
        self, derived: SomeDerivation, rows: RowWork | None, listener: Listener, prefer: Prefer | None
    ) -> tuple[RowsBlocked | None, int]:
        """Make rows right; return the refusal for those that a data migration's function will not do now.

        And how many rows are wrong all the same, which is recorded.
        """
        if rows is None:
            return None, self._count_stale(derived, listener)
        walk = self._walk(derived, listener)
        if not isinstance(rows, TransformRows):
            proved = backfill(self.lease, rows, walk, prefer=prefer, copies_from=self.copies_from)
            return None, self._record_stale(proved.stale)
        blocked = transform_rows(self.lease, rows.up, walk)
        if prefer == "new" and (undone := self._take_down(rows, walk)) is not None:
            raise undone
        return self._blocked(blocked), self._count_stale(derived, listener)

    def _take_down(self, rows: TransformRows, walk: Walk) -> RowsBlocked | None:
        """Make the old side of rows that have only a new one, where there is a function for that."""
        if rows.down is None:
            return None
        return self._blocked(transform_rows(self.lease, rows.down, walk, from_start=True))

    def _blocked(self, rows: Sequence[Blocked]) -> RowsBlocked | None:
        if not rows:
            return None
        return RowsBlocked(self.change.id, self.change.table, len(rows), [row.pk for row in rows])

    def _refuse_loss(self, derived: SomeDerivation, rows: RowWork) -> None:
        """Raise StaleRows when there are rows that a rollback would lose."""
        lost = count_stale(self.lease, rows, self._walk(derived, Listener()), only_written=True)
        if lost:
            raise StaleRows(self.change.id, self.change.table, lost, next_command="rollback --accept-loss")

    def _stale(self, derived: SomeDerivation, stale: int) -> SchemaError:
        """Return the refusal for rows that were right when the change was synced."""
        if isinstance(self.change, Synced):
            return StaleRows(self.change.id, self.change.table, stale)
        return derived.stale_error(stale)

    def _refuse_purged(self, row: ChangeRow) -> None:
        derived = self._derived(row)
        gone = row.phase in Phase.GONE
        if not gone and row.phase in Phase.WITHOUT_OLD:  # engines before purge was a phase dropped them in contract
            gone = bool(derived.removes()) and self.session.read("read the table", derived.is_purged)
        if gone:
            raise PastPointOfNoReturn(self.change.id, self.change.table, derived.removes())

    def _row(self) -> ChangeRow:
        return self.session.read("read the change", self.lease.row)

    def _derived(self, row: ChangeRow) -> SomeDerivation:
        return derive(self.change, self.session.database, row.known)

    def _table(self, derived: SomeDerivation) -> Table:
        return self.session.read("read the table", derived.look)

    def _steps(
        self,
        steps: Steps,
        *,
        first: Callable[[sa.Connection], None],
        last: Callable[[sa.Connection], None],
    ) -> None:
        row = self._row()
        derived = self._derived(row)

        def build(connection: sa.Connection) -> list[Step]:
            return steps(connection, derived.look(connection))

        with undisturbed(self.lease):
            steps_now = self.session.read("read the table", build)
            run_steps(self.lease, self.change.table, steps_now, first=first, last=last)

    def _walk(self, derived: SomeDerivation, listener: Listener) -> Walk:
        table = self._table(derived)
        return Walk(Keyset(table.name, table.key), listener.tell, listener.should_stop, listener.throttles)

    def _begin_expand(self, connection: sa.Connection) -> None:
        """Check the table, and record that new columns found from now on are ours."""
        database = self.session.database
        plain = derive(self.change, database, Known())
        refuse_combination(connection, self.change, plain.spec())
        table = plain.look(connection)
        if not table.columns and not plain.makes_table:
            raise BadChange(self.change.id, f"there is no table {self.change.table}")
        plain.check(connection, table)
        spec, place = plain.spec(), place_of(self.change, _links(connection, self.change.table))
        remembered = {**plain.remember(table), "before": place.before, "goes_on_from": place.goes_on_from}
        known = derive(self.change, database, Known(place.depth, remembered))
        remembered["seen_before"] = known.seen_before()
        remembered["expanded_by"] = str(self.fleet.release)
        self.lease.write(
            connection,
            phase=Phase.EXPANDING,
            release=self.change.release or str(self.fleet.release),
            table_name=self.change.table,
            spec_json=canonical(spec),
            spec_sha=fingerprint(spec),
            rows_total=count_rows(connection, self.change.table) if table.columns else 0,
            rows_done=0,
            rows_stale=0,
            cursor=None,
            last_error=None,
            depth=place.depth,
            remembered=json.dumps(remembered),
            fence=None,
            tripwire=None,
        )

    def _refuse_chained(self, connection: sa.Connection) -> None:
        """Raise StillBuiltUpon while triggers of another change read what this one would remove."""
        for other in _live(connection, self.change.table):
            if self.change.id in json.loads(other.remembered or "{}").get("goes_on_from", ()):
                raise StillBuiltUpon(self.change.id, other.id, other.phase)

    def _begin_backfill(self, connection: sa.Connection, total: int) -> None:
        self.lease.write(connection, phase=Phase.BACKFILLING, rows_total=total, rows_done=0, cursor=None)

    def _count_rows(self, connection: sa.Connection) -> int:
        return count_rows(connection, self.change.table)

    def _record_synced(self, connection: sa.Connection, total: int, stale: int) -> None:
        self._require_triggers(self.lease.row(connection), connection)  # again: one may have gone while the scan ran
        self.lease.write(
            connection,
            phase=Phase.SYNCED,
            rows_total=total,
            rows_done=max(total - stale, 0),
            rows_stale=stale,
            last_error=None,
        )

    def _begin_contract(self, connection: sa.Connection) -> None:
        row = self.lease.row(connection)
        if row.phase != Phase.CONTRACTING:
            self._require_triggers(row, connection)
            self._require_no_old_writes(row, connection)
            self.lease.write(connection, phase=Phase.CONTRACTING)

    def _count_stale(self, derived: SomeDerivation, listener: Listener) -> int:
        stale = self.session.read(f"verify {self.change.table}", derived.count_wrong)
        if stale is None:
            rows: RowWork | None = derived.rows()
            stale = 0 if rows is None else count_stale(self.lease, rows, self._walk(derived, listener))
        return self._record_stale(stale)

    def _record_stale(self, stale: int) -> int:
        self.session.transaction("record stale rows", lambda c: self.lease.write(c, rows_stale=stale))
        return stale

    def _read_tripwire(self, connection: sa.Connection) -> int:
        name = self._derived(self.lease.row(connection)).tripwire()
        return self.session.database.read_tripwire(connection, name) if name else 0

    def _require_no_old_writes(self, row: ChangeRow, connection: sa.Connection) -> None:
        moved = self._read_tripwire(connection) - (row.tripwire or 0)
        if row.phase == Phase.FENCED and moved > 0:
            raise OldWritesSeen(self.change.id, self.change.table, moved)

    def _watch_tripwire(self, row: ChangeRow) -> None:
        """Refuse when the tripwire moved since the fence, or moves while we watch."""
        if not self._derived(row).tripwire():
            return
        for pause_s in (self.watch_s, 0.0):
            self.session.read("read the tripwire", lambda c: self._require_no_old_writes(row, c))
            if pause_s:
                self.session.pause(pause_s)

    def _missing_triggers(self, row: ChangeRow, connection: sa.Connection | None = None) -> tuple[str, ...]:
        wanted = self._derived(row).triggers_on()

        def look(connection: sa.Connection) -> tuple[str, ...]:
            there = {table: self.session.database.triggers(connection, table) for table in wanted}
            return tuple(name for table, names in wanted.items() for name in names if name not in there[table])

        return self.session.read("read the triggers", look) if connection is None else look(connection)

    def _require_triggers(self, row: ChangeRow, connection: sa.Connection | None = None) -> None:
        if missing := self._missing_triggers(row, connection):
            raise TriggersMissing(self.change.id, missing)


def _live(connection: sa.Connection, table: str) -> Sequence[Any]:  # Any: rows of a few columns
    """Return the changes of a table whose triggers are there."""
    columns = (CHANGES.c.id, CHANGES.c.phase, CHANGES.c.spec_json, CHANGES.c.depth, CHANGES.c.remembered)
    live = CHANGES.c.phase.in_((Phase.EXPANDING, *Phase.WITH_TRIGGERS, Phase.RESTORING))
    return connection.execute(sa.select(*columns).where(CHANGES.c.table_name == table, live)).all()


def _links(connection: sa.Connection, table: str) -> Iterator[Link]:
    """Give the live changes of a table as links of a chain."""
    for row in _live(connection, table):
        new = frozenset(json.loads(row.spec_json).get("new", ()))
        yield Link(row.id, new, row.depth, json.loads(row.remembered or "{}").get("seen_before", {}))
