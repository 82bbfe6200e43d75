"""Data migrations: new columns that a Python function fills.

Two kinds of triggers live on the table. One empties the new columns when somebody writes only the old ones. Where the
new release stops writing the old columns, others mark the rows that hold something on the new side only (1), so that
a way back knows what it must take down, or would lose. What the engine itself writes always changes the mark, and is
thereby told from what anybody else writes.
"""

from collections.abc import Iterable
from dataclasses import replace

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.catalog import Table
from bascule.schema.changes import DataMigration, short_name
from bascule.schema.databases import Column, Step, Trigger
from bascule.schema.derive.base import Derivation, Fence
from bascule.schema.refusals import BadChange, RowsInTheWay, StaleRows
from bascule.schema.rows import sql
from bascule.schema.rule import all_of, any_of
from bascule.schema.transform import Pass, TransformRows

__all__ = ["DataMigrationDerivation"]

_ORDER = "i_"  # behind all triggers that keep columns in step, whose effect must be seen


class DataMigrationDerivation(Derivation[DataMigration]):
    """Expand adds the new columns and the triggers; purge drops the old columns."""

    goes_stale = True

    def spec(self) -> dict[str, object]:
        """Return the columns; a function has no checksum."""
        change = self.change
        return {
            "id": change.id,
            "table": change.table,
            "data": sorted(change.old),
            "into": {name: self.database.compile(kind) for name, kind in change.new.items()},
            "old_stays_written": change.old_stays_written,
        }

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse columns that are not there or already there, and old ones that purge could not drop."""
        change = self.change
        for name in change.old:
            if name not in table.columns:
                raise BadChange(change.id, f"table {table.name} has no column {name}")
            if name in table.key:
                raise BadChange(change.id, f"column {name} is part of the primary key")
            why_not = self.database.why_not_expandable(table.columns[name])
            if change.old_stays_written and why_not:
                raise BadChange(change.id, why_not)
        for name in change.new:
            if name in table.columns:
                raise BadChange(change.id, f"table {table.name} already has a column {name}")
        inspector = sa.inspect(connection)
        for owner in inspector.get_table_names():
            for key in inspector.get_foreign_keys(owner):
                uses = owner == table.name and set(change.old) & set(key["constrained_columns"])
                if uses or (key["referred_table"] == table.name and set(change.old) & set(key["referred_columns"])):
                    raise BadChange(change.id, f"a foreign key of {owner} uses an old column; drop that first")

    def remember(self, table: Table) -> dict[str, object]:
        """Return whether the old columns allow NULL and have defaults."""
        return {
            "old": {name: [table.columns[name].nullable, table.columns[name].has_default] for name in self.change.old}
        }

    def required_fleet(self) -> str:
        """Return the author's."""
        return self.change.requires_fleet

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the columns, then the triggers; old columns that new writers leave out must allow NULL."""
        database, steps = self.database, []
        if self._mark:
            steps += [step for name in self._strict for step in database.drop_not_null(connection, table.name, name)]
            steps.append(database.add_column(table.name, self._mark, database.compile(sa.SmallInteger())))
        steps += [
            database.add_column(table.name, name, database.compile(kind)) for name, kind in self.change.new.items()
        ]
        return steps + [database.trigger_step(one, table.key, table.triggers) for one in self._triggers()]

    def rows(self) -> TransformRows:
        """Return the two ways through the rows."""
        change, mark = self.change, self._mark
        quoted, also = self.database.quote(mark), self._flip()
        new_side_only = f"({quoted} = 1 AND {self._some(change.new)})" if mark else "(1 = 0)"
        wanting = f"({self._none(change.new)} AND {self._some(change.old)})"
        down = None
        if change.down is not None:
            down = Pass(change.id, change.table, change.down, change.new, change.old, new_side_only, also)
        up = Pass(change.id, change.table, change.up, change.old, change.new, wanting, also)
        return TransformRows(change.id, change.table, up, down, new_side_only)

    def triggers(self) -> tuple[str, ...]:
        """Return the one that empties and, where there are any, those that mark."""
        return tuple(trigger.name for trigger in self._triggers())

    def triggers_of_fence(self) -> tuple[str, ...]:
        """Return that of old-shape inserts, which nobody has to keep in step."""
        return (self._fencing_inserts("count").name,)

    def fence(self, connection: sa.Connection, table: Table, mode: Fence) -> list[Step]:
        """Return triggers that count or refuse writes of the old columns alone."""
        del connection
        database, others = self.database, self._others(table)
        fenced = [self._emptying(mode), self._fencing_inserts(mode)]
        wire = database.create_tripwire(self.tripwire())
        return [wire, *(database.replace_trigger_step(trigger, table.key, others) for trigger in fenced)]

    def unfence(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the plain trigger."""
        del connection
        database = self.database
        return [
            database.replace_trigger_step(self._emptying(), table.key, self._others(table)),
            *(database.untrigger_step(table.name, name) for name in self.triggers_of_fence()),
            database.drop_tripwire(self.tripwire()),
        ]

    def tripwire(self) -> str:
        """Return its name."""
        return short_name(self.change.id, "wire")

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the end of the trigger that empties. Marks are kept on: restore must know what was written since."""
        database, steps = self.database, []
        if not self._mark:
            steps = [
                step for one in self._old(table) for step in database.release_old_column(connection, table.name, one)
            ]
        steps += [
            database.untrigger_step(table.name, name) for name in (self._emptying().name, *self.triggers_of_fence())
        ]
        return [*steps, database.drop_tripwire(self.tripwire())]

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the trigger that empties."""
        del connection
        return [self.database.trigger_step(self._emptying(), table.key, self._others(table))]

    def tighten(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return what contract had relaxed."""
        if self._mark:
            return []
        database = self.database
        return [
            step for one in self._before(table) for step in database.tighten_old_column(connection, table.name, one)
        ]

    def purge(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of the marks and of the old columns with their indexes."""
        del connection
        steps = [self.database.untrigger_step(table.name, name) for name in self.triggers()]
        there = [name for name in self.change.old if name in table.columns]
        steps += [self.database.drop_index(table.name, index.name) for index in table.indexes_on(there)]
        gone = [*([self._mark] if self._mark else []), *self.change.old]
        return steps + [self.database.drop_column(table.name, name) for name in gone]

    def removes(self) -> tuple[str, ...]:
        """Return the old columns."""
        return tuple(f"{self.change.table}.{name}" for name in self.change.old)

    def is_purged(self, connection: sa.Connection) -> bool:
        """Whether an old column is gone."""
        there = self.database.columns(connection, self.change.table)
        return any(name not in there for name in self.change.old)

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of triggers and new columns, and NOT NULL again. Raises RowsInTheWay where NULL is there."""
        database = self.database
        if self._mark and (rows := self._count_missing(connection, table)):
            what = f"have NULL in {', '.join(self._strict)}, which forbade it before; fill or delete them"
            raise RowsInTheWay(self.change.id, table.name, rows, what)
        names = (*self.triggers(), *self.triggers_of_fence())
        steps = [database.untrigger_step(table.name, name) for name in names]
        steps.append(database.drop_tripwire(self.tripwire()))
        gone = [*self.change.new, *([self._mark] if self._mark else [])]
        there = [name for name in gone if name in table.columns]
        steps += [database.drop_index(table.name, index.name) for index in table.indexes_on(there)]
        steps += [database.drop_column(table.name, name) for name in gone]
        if self._mark:
            strict = [name for name in self._strict if name in table.columns]
            steps += [step for name in strict for step in database.set_not_null(connection, table.name, name)]
        return steps

    def loses(self) -> str:
        """Say that what stands on the new side only goes."""
        if self.change.down is not None or self.change.old_stays_written:
            return ""
        return f"what the new release wrote to {', '.join(self.change.new)} of {self.change.table} only"

    def count_lost(self, connection: sa.Connection) -> int:
        """Return how many rows have nothing but their new side, and no way down."""
        if self.change.down is not None or self._mark not in self.database.columns(connection, self.change.table):
            return 0
        query = sa.select(sa.func.count()).select_from(sa.table(self.change.table))
        return int(connection.scalar(query.where(self.rows().stale(only_written=True))) or 0)

    def stale_error(self, rows: int) -> SchemaError:
        """Return that somebody wrote old columns since, which another run will do."""
        return StaleRows(self.change.id, self.change.table, rows)

    @property
    def _mark(self) -> str:
        """Return the name of the column with the marks; none where the old side is always written."""
        return "" if self.change.old_stays_written else short_name(self.change.id, "mark")

    @property
    def _strict(self) -> list[str]:
        """Return the old columns that forbade NULL before."""
        before = (self.known.before or {}).get("old", {})
        return [name for name, (nullable, _) in before.items() if not nullable]

    def _old(self, table: Table) -> list[Column]:
        return [table.columns[name] for name in self.change.old if name in table.columns]

    def _before(self, table: Table) -> list[Column]:
        before = (self.known.before or {}).get("old", {})
        there = [one for one in self._old(table) if one.name in before]
        return [replace(one, nullable=before[one.name][0], has_default=before[one.name][1]) for one in there]

    def _triggers(self) -> list[Trigger]:
        marking = [self._marking_updates(), self._marking_inserts()] if self._mark else []
        return [self._emptying(), *marking]

    def _emptying(self, fence: Fence | None = None) -> Trigger:
        """Return the trigger that acts when somebody writes old columns and not the new ones."""
        change = self.change
        same_mark = f" AND NOT ({self._changed([self._mark])})" if self._mark else ""
        when = f"({self._changed(change.old)} AND NOT {self._changed(change.new)}{same_mark})"
        if fence is None:
            when = f"({when} AND {self._some(change.new, 'NEW.')})"
        empty = {**dict.fromkeys(change.new, "NULL"), **self._flip("NEW.")}
        now = {**dict.fromkeys(change.new, "NULL"), **self._flip()}
        trigger = self._trigger("old", "update", when, {} if fence == "refuse" else empty, fence)
        return replace(trigger, when_now=self._some(change.new), sets_now={} if fence == "refuse" else now)

    def _flip(self, row: str = "") -> dict[str, str]:
        """Return the mark that the engine sets, which is never the one that was there."""
        return (
            {self._mark: f"CASE WHEN {row}{self.database.quote(self._mark)} = 0 THEN 2 ELSE 0 END"}
            if self._mark
            else {}
        )

    def _fencing_inserts(self, fence: Fence) -> Trigger:
        change = self.change
        when = f"({self._none(change.new, 'NEW.')} AND {self._some(change.old, 'NEW.')})"
        return self._trigger("ins", "insert", when, {}, fence)

    def _marking_updates(self) -> Trigger:
        change = self.change
        when = f"({self._changed(change.new)} AND NOT ({self._changed([self._mark])}))"
        mark = f"CASE WHEN {self._changed(change.old)} THEN 0 ELSE 1 END"
        return self._trigger("mark_upd", "update", when, {self._mark: mark})

    def _marking_inserts(self) -> Trigger:
        """Return the mark of new rows. Where an old column has a default, whether it was left out cannot be seen."""
        change = self.change
        defaults = any(has_default for _, has_default in (self.known.before or {}).get("old", {}).values())
        mark = "1" if defaults else f"CASE WHEN {self._some(change.old, 'NEW.')} THEN 0 ELSE 1 END"
        when = f"({self._some(change.new, 'NEW.')} AND NEW.{self.database.quote(self._mark)} IS NULL)"
        return self._trigger("mark_ins", "insert", when, {self._mark: mark})

    def _trigger(self, suffix: str, event: str, when: str, sets: dict[str, str], fence: Fence | None = None) -> Trigger:
        change = self.change
        refusal = (
            f"{change.id}: {', '.join(change.old)} of {change.table} was written in the old shape, which is fenced off"
        )
        return Trigger(
            when_now="(1 = 1)",
            sets_now=sets,
            name=short_name(change.id, suffix, order=_ORDER),
            owner=change.id,
            table=change.table,
            event="insert" if event == "insert" else "update",
            when=when,
            sets=sets,
            counts=self.tripwire() if fence == "count" else "",
            refuses=refusal if fence == "refuse" else "",
        )

    def _others(self, table: Table) -> dict[str, str]:
        own = {*self.triggers(), *self.triggers_of_fence()}
        return {name: event for name, event in table.triggers.items() if name not in own}

    def _count_missing(self, connection: sa.Connection, table: Table) -> int:
        strict = [name for name in self._strict if name in table.columns]
        if not strict:
            return 0
        lacks = " OR ".join(f"{self.database.quote(name)} IS NULL" for name in strict)
        query = sa.select(sa.func.count()).select_from(sa.table(table.name)).where(sql(f"({lacks})"))
        return int(connection.scalar(query) or 0)

    def _some(self, names: Iterable[str], row: str = "") -> str:
        return any_of(f"{row}{self.database.quote(name)} IS NOT NULL" for name in names)

    def _none(self, names: Iterable[str], row: str = "") -> str:
        return all_of(f"{row}{self.database.quote(name)} IS NULL" for name in names)

    def _changed(self, names: Iterable[str]) -> str:
        kinds = {**self.change.old, **self.change.new}
        quoted = {self.database.quote(name): kinds.get(name) for name in names}
        return any_of(self.database.differs(f"NEW.{name}", f"OLD.{name}", kind) for name, kind in quoted.items())
