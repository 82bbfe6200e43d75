"""The rows of one change under its lease: made right, counted, taken back."""

from collections.abc import Sequence

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.backfill import backfill, count_rows, count_stale
from bascule.schema.change_run import ChangeRun
from bascule.schema.changes import Blocked, Synced
from bascule.schema.derive import SomeDerivation
from bascule.schema.march import Walk
from bascule.schema.refusals import RowsBlocked, StaleRows
from bascule.schema.rows import Prefer, RowWork
from bascule.schema.surroundings import Listener
from bascule.schema.transform import TransformRows
from bascule.schema.transform_rows import transform_rows

__all__ = ["RowRun"]


class RowRun(ChangeRun):
    """What the phases do to rows, and by which rows they refuse."""

    __slots__ = ()

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

    def _count_stale(self, derived: SomeDerivation, listener: Listener) -> int:
        stale = self.session.read(f"verify {self.change.table}", derived.count_wrong)
        if stale is None:
            rows: RowWork | None = derived.rows()
            stale = 0 if rows is None else count_stale(self.lease, rows, self._walk(derived, listener))
        return self._record_stale(stale)

    def _record_stale(self, stale: int) -> int:
        self.session.transaction("record stale rows", lambda c: self.lease.write(c, rows_stale=stale))
        return stale

    def _count_rows(self, connection: sa.Connection) -> int:
        return count_rows(connection, self.change.table)
