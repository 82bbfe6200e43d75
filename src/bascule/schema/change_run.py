"""Work on one change under its lease: what it looks at, what it refuses by, and how its steps are run."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bascule.schema.catalog import Table
from bascule.schema.changes import Change
from bascule.schema.databases import Step
from bascule.schema.ddl import run_steps
from bascule.schema.derive import SomeDerivation, derive
from bascule.schema.derive.chain import Link
from bascule.schema.keyset import Keyset
from bascule.schema.lease import Lease
from bascule.schema.march import Walk
from bascule.schema.refusals import OldWritesSeen, PastPointOfNoReturn, StillBuiltUpon, TriggersMissing
from bascule.schema.session import Session
from bascule.schema.state import CHANGES, ChangeRow, Phase
from bascule.schema.surroundings import Fleet, Listener
from bascule.schema.table_copy.settle import undisturbed

__all__ = ["ChangeRun", "links"]

Steps = Callable[[sa.Connection, Table], list[Step]]


@dataclass(frozen=True, slots=True)
class ChangeRun:
    """One change, by whoever holds its lease."""

    lease: Lease
    change: Change
    fleet: Fleet
    watch_s: float
    copies_from: int | None = None

    @property
    def session(self) -> Session:
        """The connection that the lease was taken with."""
        return self.lease.session

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

    def _missing_triggers(self, row: ChangeRow, connection: sa.Connection | None = None) -> tuple[str, ...]:
        derived = self._derived(row)
        wanted = dict(derived.triggers_on())
        if row.phase == Phase.FENCED:
            table = self.change.table
            wanted[table] = (*wanted.get(table, ()), *derived.triggers_of_fence())

        def look(connection: sa.Connection) -> tuple[str, ...]:
            there = {table: self.session.database.triggers(connection, table) for table in wanted}
            return tuple(name for table, names in wanted.items() for name in names if name not in there[table])

        return self.session.read("read the triggers", look) if connection is None else look(connection)

    def _require_triggers(self, row: ChangeRow, connection: sa.Connection | None = None) -> None:
        if missing := self._missing_triggers(row, connection):
            raise TriggersMissing(self.change.id, missing)

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

    def _refuse_purged(self, row: ChangeRow) -> None:
        derived = self._derived(row)
        gone = row.phase in Phase.GONE
        if not gone and row.phase in Phase.WITHOUT_OLD:  # engines before purge was a phase dropped them in contract
            gone = bool(derived.removes()) and self.session.read("read the table", derived.is_purged)
        if gone:
            raise PastPointOfNoReturn(self.change.id, self.change.table, derived.removes())

    def _refuse_chained(self, connection: sa.Connection) -> None:
        """Raise StillBuiltUpon while triggers of another change read what this one would remove."""
        for other in _live(connection, self.change.table):
            if self.change.id in json.loads(other.remembered or "{}").get("goes_on_from", ()):
                raise StillBuiltUpon(self.change.id, other.id, other.phase)


def _live(connection: sa.Connection, table: str) -> Sequence[Any]:  # Any: rows of a few columns
    """Return the changes of a table whose triggers are there."""
    columns = (CHANGES.c.id, CHANGES.c.phase, CHANGES.c.spec_json, CHANGES.c.depth, CHANGES.c.remembered)
    live = CHANGES.c.phase.in_((Phase.EXPANDING, *Phase.WITH_TRIGGERS, Phase.RESTORING))
    return connection.execute(sa.select(*columns).where(CHANGES.c.table_name == table, live)).all()


def links(connection: sa.Connection, table: str) -> Iterator[Link]:
    """Give the live changes of a table as links of a chain."""
    for row in _live(connection, table):
        new = frozenset(json.loads(row.spec_json).get("new", ()))
        yield Link(row.id, new, row.depth, json.loads(row.remembered or "{}").get("seen_before", {}))
