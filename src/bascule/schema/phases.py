"""What each phase does to one change, under its lease: look, refuse or act, and record."""

import json

import sqlalchemy as sa

from bascule.documents.codec import canonical, fingerprint
from bascule.release import Release
from bascule.schema.backfill import count_rows
from bascule.schema.change_run import links
from bascule.schema.changes import Change
from bascule.schema.combining import refuse_combination
from bascule.schema.derive import Fence, Known, derive
from bascule.schema.derive.chain import place_of
from bascule.schema.refusals import (
    BadChange,
    NotContracted,
    NotExpanded,
    NotSynced,
    OldColumnsUsed,
    RollbackUnfinished,
    SpecChanged,
)
from bascule.schema.row_run import RowRun
from bascule.schema.rows import Prefer
from bascule.schema.state import ChangeRow, Phase
from bascule.schema.surroundings import Listener
from bascule.schema.table_copy.copy import copy_table
from bascule.schema.table_copy.settle import abandon
from bascule.schema.transform import TransformRows

__all__ = ["PhaseRun", "require_started"]


def require_started(change: Change, row: ChangeRow | None) -> ChangeRow:
    """Return the row of a change whose expand is done. Raises NotExpanded or RollbackUnfinished."""
    if row is None or row.phase in (*Phase.UNTOUCHED, Phase.EXPANDING):
        raise NotExpanded(change.id, Phase.PLANNED if row is None else row.phase)
    if row.phase == Phase.ROLLING_BACK:
        raise RollbackUnfinished(change.id)
    return row


class PhaseRun(RowRun):
    """One phase of one change, by whoever holds its lease."""

    __slots__ = ()

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
        if row.phase == Phase.FENCED:
            self.restore(Listener())  # what is left of the fence would go on refusing writes that may be made again
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
            last=lambda c: self.lease.renew(c, for_long=True),
        )
        listener.restore(self.change.id)
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

    def _begin_expand(self, connection: sa.Connection) -> None:
        """Check the table, and record that new columns found from now on are ours."""
        database = self.session.database
        plain = derive(self.change, database, Known())
        refuse_combination(connection, self.change, plain.spec())
        table = plain.look(connection)
        if not table.columns and not plain.makes_table:
            raise BadChange(self.change.id, f"there is no table {self.change.table}")
        plain.check(connection, table)
        spec, place = plain.spec(), place_of(self.change, links(connection, self.change.table))
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

    def _begin_backfill(self, connection: sa.Connection, total: int) -> None:
        self.lease.write(connection, phase=Phase.BACKFILLING, rows_total=total, rows_done=0, cursor=None)

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
