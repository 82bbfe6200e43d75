"""What each phase does to one change, under its lease: look, refuse or act, and record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from bascule.documents.codec import canonical, fingerprint
from bascule.release import Release
from bascule.schema.backfill import Prefer, Progress, Walk, backfill, count_rows, count_stale
from bascule.schema.changes import Change, Split, as_split, trigger_names
from bascule.schema.ddl import contract_steps, expand_steps, rollback_steps, run_steps
from bascule.schema.keyset import Keyset
from bascule.schema.lease import Lease
from bascule.schema.preflight import Table, check_expandable, look_at
from bascule.schema.refusals import (
    NewColumnsWritten,
    NotExpanded,
    NotSynced,
    OldColumnsUsed,
    OlderProcessesAlive,
    PastPointOfNoReturn,
    RollbackUnfinished,
    SameReleaseAlive,
    SpecChanged,
    StaleRows,
    TriggersMissing,
)
from bascule.schema.rows import SyncRows
from bascule.schema.session import Session
from bascule.schema.state import ChangeRow, Phase, spec_of

__all__ = ["Fleet", "Listener", "PhaseRun", "require_started"]


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

    def require_none_of_ours(self) -> None:
        """Raise SameReleaseAlive while any lives."""
        if names := tuple(self.live_same(self.release)):
            raise SameReleaseAlive(self.release, names)


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom a long walk tells, and who may stop it."""

    tell: Callable[[Progress], None] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False


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

    @property
    def session(self) -> Session:
        """The connection that the lease was taken with."""
        return self.lease.session

    @property
    def split(self) -> Split:
        """The change in its general form."""
        return as_split(self.change)

    @property
    def rows(self) -> SyncRows:
        """What the change wants of its rows."""
        return SyncRows(self.session.database.rule(self.split))

    def expand(self) -> None:
        """Add columns, indexes and triggers; put back what is missing of them."""
        row, spec = self._row(), spec_of(self.split, self.session.database)
        if row.phase in Phase.WITHOUT_OLD:
            return
        if row.phase == Phase.ROLLING_BACK:
            raise RollbackUnfinished(self.change.id)
        if row.phase in Phase.UNTOUCHED:
            self.session.transaction(f"check {self.change.table}", lambda c: self._begin_expand(c, spec))
        elif row.spec_sha != fingerprint(spec):
            raise SpecChanged(self.change.id, row.phase)
        elif row.phase in Phase.WITH_TRIGGERS and not self._missing_triggers():
            return
        # Writes may have passed a missing trigger by, so the backfill starts over with the first row.
        run_steps(
            self.lease,
            expand_steps(self.session.database, self.change, self._table()),
            first=self.lease.renew,
            last=lambda c: self.lease.write(c, phase=Phase.EXPANDED, cursor=None, rows_done=0),
        )

    def migrate(self, listener: Listener, prefer: Prefer | None) -> None:
        """Fill rows that were never filled, and prove that all agree."""
        row = require_started(self.change, self._row())
        if row.phase in Phase.WITHOUT_OLD:
            return
        self._require_triggers()
        if row.phase == Phase.SYNCED and not row.rows_stale and prefer is None:
            return
        if row.phase != Phase.BACKFILLING or prefer is not None:
            self.session.transaction("begin the backfill", self._begin_backfill)
        backfill(self.lease, self.rows, self._walk(listener), prefer=prefer)
        if stale := self._count_stale(listener):
            # From the first row next time, since the cursor has passed the stale ones.
            self.session.transaction("record stale rows", lambda c: self.lease.write(c, cursor=None, rows_done=0))
            raise NewColumnsWritten(self.change.id, self.change.table, stale)
        self.session.transaction("record synced", self._record_synced)

    def contract(self) -> None:
        """Remove triggers and old columns."""
        row = require_started(self.change, self._row())
        if row.phase == Phase.CONTRACTED:
            return
        self.fleet.require_no_older()
        if row.phase != Phase.CONTRACTING:
            if row.phase != Phase.SYNCED:
                raise NotSynced(self.change.id, row.phase)
            self._require_triggers()
            if stale := self._count_stale(Listener()):
                raise StaleRows(self.change.id, self.change.table, stale)
            self.fleet.require_no_older()  # again, since the scan took its time
        run_steps(
            self.lease,
            contract_steps(self.session.database, self.split, self._table()),
            first=self._begin_contract,
            last=lambda c: self.lease.write(c, phase=Phase.CONTRACTED, last_error=None),
        )

    def rollback(self, *, accept_loss: bool) -> None:
        """Remove triggers and new columns."""
        row = self._row()
        if row.phase in Phase.UNTOUCHED:
            return
        if row.phase in Phase.WITHOUT_OLD:
            raise PastPointOfNoReturn(self.change.id, self.change.table, tuple(self.split.old))
        self.fleet.require_none_of_ours()
        if row.phase in Phase.WITH_TRIGGERS and not accept_loss:
            lost = count_stale(self.lease, self.rows, self._walk(Listener()), only_written=True)
            if lost:
                raise StaleRows(self.change.id, self.change.table, lost, next_command="rollback --accept-loss")
        run_steps(
            self.lease,
            rollback_steps(self.session.database, self.split, self._table()),
            first=lambda c: self.lease.write(c, phase=Phase.ROLLING_BACK),
            last=lambda c: self.lease.write(
                c, phase=Phase.ROLLED_BACK, cursor=None, rows_done=0, rows_stale=0, last_error=None
            ),
        )

    def verify(self, listener: Listener) -> None:
        """Count stale rows and record them; look for triggers, or for columns that should be gone."""
        row = self._row()
        if row.phase == Phase.CONTRACTED:
            columns = self.session.read("read the table", lambda c: self.session.database.columns(c, self.split.table))
            if left := [name for name in self.split.old if name in columns]:
                raise OldColumnsUsed(self.change.id, self.change.table, left)
        if row.phase not in Phase.WITH_TRIGGERS:
            return
        stale = self._count_stale(listener)
        self._require_triggers()
        if row.phase == Phase.SYNCED and stale:
            raise StaleRows(self.change.id, self.change.table, stale)

    def _row(self) -> ChangeRow:
        return self.session.read("read the change", self.lease.row)

    def _table(self) -> Table:
        return self.session.read("read the table", lambda c: look_at(c, self.session.database, self.change))

    def _walk(self, listener: Listener) -> Walk:
        return Walk(Keyset(self.change.table, self._table().key), listener.tell, listener.should_stop)

    def _begin_expand(self, connection: sa.Connection, spec: dict[str, object]) -> None:
        """Check the table, and record that new columns found from now on are ours."""
        check_expandable(connection, self.session.database, self.change)
        self.lease.write(
            connection,
            phase=Phase.EXPANDING,
            release=str(self.fleet.release),
            table_name=self.change.table,
            spec_json=canonical(spec),
            spec_sha=fingerprint(spec),
            rows_total=count_rows(connection, self.change.table),
            rows_done=0,
            rows_stale=0,
            cursor=None,
            last_error=None,
        )

    def _begin_backfill(self, connection: sa.Connection) -> None:
        total = count_rows(connection, self.change.table)
        self.lease.write(connection, phase=Phase.BACKFILLING, rows_total=total, rows_done=0, cursor=None)

    def _record_synced(self, connection: sa.Connection) -> None:
        self._require_triggers(connection)  # again: one may have been dropped while the scan ran
        total = count_rows(connection, self.change.table)
        self.lease.write(
            connection, phase=Phase.SYNCED, rows_total=total, rows_done=total, rows_stale=0, last_error=None
        )

    def _begin_contract(self, connection: sa.Connection) -> None:
        if self.lease.row(connection).phase != Phase.CONTRACTING:
            self._require_triggers(connection)
            self.lease.write(connection, phase=Phase.CONTRACTING)

    def _count_stale(self, listener: Listener) -> int:
        stale = count_stale(self.lease, self.rows, self._walk(listener))
        self.session.transaction("record stale rows", lambda c: self.lease.write(c, rows_stale=stale))
        return stale

    def _missing_triggers(self, connection: sa.Connection | None = None) -> tuple[str, ...]:
        def look(connection: sa.Connection) -> tuple[str, ...]:
            there = self.session.database.triggers(connection, self.split.table)
            return tuple(name for name in trigger_names(self.change) if name not in there)

        return self.session.read("read the triggers", look) if connection is None else look(connection)

    def _require_triggers(self, connection: sa.Connection | None = None) -> None:
        if missing := self._missing_triggers(connection):
            raise TriggersMissing(self.change.id, missing)
