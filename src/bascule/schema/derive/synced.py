"""Changes with two sides: new columns, triggers that keep both sides in step, and what becomes of the old ones."""

from collections.abc import Mapping
from typing import Literal

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.catalog import Index, Table, names_any
from bascule.schema.changes import ColumnType, Rename, Split, Synced, short_name, trigger_name, trigger_names
from bascule.schema.changes.names import EVENTS
from bascule.schema.databases import Column, Step, Trigger
from bascule.schema.derive.base import Derivation, Fence
from bascule.schema.refusals import BadChange, NewColumnsWritten
from bascule.schema.rows import RowWork, SyncRows, sql
from bascule.schema.rule import Rule, all_of, any_of

__all__ = ["SyncedDerivation"]

_WRITES: tuple[Literal["insert", "update"], ...] = ("insert", "update")


class SyncedDerivation(Derivation[Synced]):
    """Expand adds the new side and four triggers; contract ends the sync; purge drops the old side."""

    @property
    def split(self) -> Split:
        """The change in its general form."""
        return self.change.as_split()

    @property
    def rule(self) -> Rule:
        """The rule of its triggers."""
        return self.database.rule(self.split, (self.known.before or {}).get("before"))

    def spec(self) -> dict[str, object]:
        """Return columns with their types and expressions."""
        split = self.split

        def side(columns: Mapping[str, ColumnType]) -> dict[str, list[str]]:
            return {
                name: [self.database.compile(kind), split.expression(name, self.database.name)]
                for name, kind in columns.items()
            }

        return {"id": split.id, "table": split.table, "old": side(split.old), "new": side(split.new)}

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse columns that are not there or already there, and what would have to be built on the new side too."""
        split = self.split
        for name in split.old:
            if name not in table.columns:
                raise BadChange(split.id, f"table {split.table} has no column {name}")
            why_not = self.database.why_not_expandable(table.columns[name])
            if why_not:
                raise BadChange(split.id, why_not)
        for name in split.new:
            if name in table.columns:
                raise BadChange(split.id, f"table {split.table} already has a column {name}")
        self._refuse_constraints(connection, table)
        self._refuse_indexes(table)

    def remember(self, table: Table) -> dict[str, object]:
        """Return whether the old columns allow NULL and have defaults: contract relaxes them."""
        return {
            "old": {name: [table.columns[name].nullable, table.columns[name].has_default] for name in self.split.old}
        }

    def seen_before(self) -> dict[str, str]:
        """Return what the rule says."""
        return self.rule.seen_before()

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return new columns, then triggers, then indexes. On SQLite, new writers must be able to omit old columns."""
        steps = self._release(connection, table) if self.database.relaxes_before_triggers else []
        for name, kind in self.split.new.items():
            type_sql = self.database.compile(kind)
            if isinstance(self.change, Rename):
                type_sql += self.database.charset_of(table.columns[self.change.old])
            steps.append(self.database.add_column(table.name, name, type_sql))
        steps += [self.database.trigger_step(guard, table.key, self._others(table)) for guard in self._guards()]
        steps += [self.database.trigger_step(self._trigger(event), table.key, self._others(table)) for event in EVENTS]
        return steps + [
            self.database.create_index(table.name, twin, columns) for _, twin, columns in self._twins(table)
        ]

    def rows(self) -> RowWork:
        """Return the fill of new columns."""
        return SyncRows(self.rule)

    def rows_to_restore(self) -> RowWork:
        """Return the same, but NULL in all new columns is what the new release wrote: no row was unfilled at contract.

        Only where an old column forbids the NULL that follows from it, the value that is there stays.
        """
        rule, before = self.rule, (self.known.before or {}).get("old", {})
        backward = rule.old_from_new()
        forbidden = [f"{backward[name]} IS NULL" for name, (nullable, _) in before.items() if not nullable]
        return SyncRows(rule, all_of((rule.virgin(), any_of(forbidden or ["1 = 0"]))))

    def triggers(self) -> tuple[str, ...]:
        """Return the four, and those that stand for NOT NULL."""
        return (*trigger_names(self.change, self.known.depth), *(guard.name for guard in self._guards()))

    def fence(self, connection: sa.Connection, table: Table, mode: Fence) -> list[Step]:
        """Return triggers for old-shape writes that count or refuse; new-shape writes are synced as before."""
        del connection
        wire = [self.database.create_tripwire(self.tripwire())]
        return wire + [
            self.database.replace_trigger_step(self._trigger(event, mode), table.key, self._others(table))
            for event in self._fenced_events(table)
        ]

    def unfence(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the plain triggers."""
        del connection
        steps = [
            self.database.replace_trigger_step(self._trigger(event), table.key, self._others(table))
            for event in self._fenced_events(table)
        ]
        return [*steps, self.database.drop_tripwire(self.tripwire())]

    def tripwire(self) -> str:
        """Return its name."""
        return short_name(self.change.id, "wire")

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the end of the sync, in the order in which no write ever fails.

        Where DDL commits by itself, new writers must be able to leave the old columns out before the triggers go.
        """
        steps = self._release(connection, table)
        steps += [self.database.untrigger_step(table.name, name) for name in self.triggers()]
        return [*steps, self.database.drop_tripwire(self.tripwire())]

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the triggers again."""
        del connection
        guards = [self.database.trigger_step(guard, table.key, self._others(table)) for guard in self._guards()]
        return guards + [
            self.database.trigger_step(self._trigger(event), table.key, self._others(table)) for event in EVENTS
        ]

    def tighten(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return what lets the old columns be as strict as they were, but where new writers leave them out."""
        if self.database.relaxes_before_triggers:
            return []
        return self._tighten(connection, table)

    def purge(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of the old columns with their indexes."""
        del connection
        there = [name for name in self.split.old if name in table.columns]
        steps = [self.database.drop_index(table.name, index.name) for index in table.indexes_on(there)]
        return steps + [self.database.drop_column(table.name, name) for name in self.split.old]

    def removes(self) -> tuple[str, ...]:
        """Return the old columns."""
        return tuple(f"{self.change.table}.{name}" for name in self.split.old)

    def is_purged(self, connection: sa.Connection) -> bool:
        """Whether an old column is gone."""
        there = self.database.columns(connection, self.change.table)
        return any(name not in there for name in self.split.old)

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of triggers and new columns."""
        steps = [self.database.untrigger_step(table.name, name) for name in self.triggers()]
        steps.append(self.database.drop_tripwire(self.tripwire()))
        there = [name for name in self.split.new if name in table.columns]
        steps += [self.database.drop_index(table.name, index.name) for index in table.indexes_on(there)]
        steps += [self.database.drop_column(table.name, name) for name in self.split.new]
        if self.database.relaxes_before_triggers:
            steps += self._tighten(connection, table)
        return steps

    def loses(self) -> str:
        """Return the author's words."""
        return self.split.lossy

    def count_lost(self, connection: sa.Connection) -> int:
        """Return how many rows have a new side that does not come back from the old one that it makes."""
        table = self.split.table
        query = sa.select(sa.func.count()).select_from(sa.table(table)).where(sql(self.rule.inexpressible()))
        there = self.database.columns(connection, table)
        return int(connection.scalar(query) or 0) if set(self.split.new) <= set(there) else 0

    def stale_error(self, rows: int) -> SchemaError:
        """Return that both sides hold values that disagree, and a person must say which wins."""
        return NewColumnsWritten(self.change.id, self.change.table, rows)

    def _trigger(self, event: str, fence: Fence | None = None) -> Trigger:
        """Return a sync trigger; with a fence, that of old-shape writes."""
        rule, split = self.rule, self.split
        acts = fence != "refuse"
        what = f"{', '.join(split.old)} of {split.table}"
        refusal = f"{split.id}: {what} was written in the old shape, which is fenced off"
        return Trigger(
            name=trigger_name(split.id, event, self.known.depth),
            table=split.table,
            owner=split.id,
            event="insert" if event.startswith("ins") else "update",
            when=rule.condition(event),
            sets=rule.action(event) if acts else {},
            when_now=rule.condition(event, ""),
            sets_now=rule.action(event, "") if acts else {},
            written=tuple(split.new if event == "upd_new" else split.old) if event.startswith("upd") else (),
            counts=self.tripwire() if fence == "count" else "",
            refuses=refusal if fence == "refuse" else "",
        )

    def _guards(self) -> list[Trigger]:
        """Return triggers that refuse NULL in the place of NOT NULL, where that had to be relaxed for the sync."""
        if not self.database.relaxes_before_triggers:
            return []
        before, split = (self.known.before or {}).get("old", {}), self.split
        filled = self.rule.old_from_new("NEW.")
        strict = [name for name, (nullable, has_default) in before.items() if not nullable and not has_default]
        return [
            Trigger(
                name=short_name(split.id, f"{event[:3]}_nn{number}", order="z_"),
                table=split.table,
                event=event,
                when=f"(NEW.{self.database.quote(name)} IS NULL AND {filled[name]} IS NULL)",
                written=(name, *split.new) if event == "update" else (),
                refuses=f"NOT NULL constraint failed: {split.table}.{name}",
            )
            for number, name in enumerate(strict)
            for event in _WRITES
        ]

    def _fenced_events(self, table: Table) -> list[str]:
        """Return the events of old-shape writes. Where an old column has a default, any insert looks like one."""
        has_default = any(table.columns[name].has_default for name in self.split.old if name in table.columns)
        return ["upd_old"] if has_default else ["upd_old", "ins_old"]

    def _others(self, table: Table) -> dict[str, str]:
        own = set(self.triggers())
        return {name: event for name, event in table.triggers.items() if name not in own}

    def _release(self, connection: sa.Connection, table: Table) -> list[Step]:
        old = [table.columns[name] for name in self.split.old if name in table.columns]
        return [step for column in old for step in self.database.release_old_column(connection, table.name, column)]

    def _tighten(self, connection: sa.Connection, table: Table) -> list[Step]:
        before = (self.known.before or {}).get("old", {})
        steps = []
        for name, (nullable, has_default) in before.items():
            if name in table.columns:
                was = Column(name, nullable, has_default, table.columns[name].type)
                steps += self.database.tighten_old_column(connection, table.name, was)
        return steps

    def _twins(self, table: Table) -> list[tuple[Index, str, tuple[str, ...]]]:
        """Return each index on an old column with its twin's name and columns; only a rename takes indexes along."""
        if not isinstance(self.change, Rename):
            return []
        rename = {self.change.old: self.change.new}
        return [
            (
                index,
                short_name(self.change.id, f"ix_{index.name}")[:60],
                tuple(rename.get(name, name) for name in index.columns),
            )
            for index in table.indexes_on(self.split.old)
        ]

    def _refuse_constraints(self, connection: sa.Connection, table: Table) -> None:
        """Refuse what would have to be built on the new columns too, and is not yet."""
        split, inspector = self.split, sa.inspect(connection)
        old = set(split.old)
        if old & set(table.key):
            raise BadChange(split.id, "an old column is part of the primary key")
        for owner in inspector.get_table_names():
            for key in inspector.get_foreign_keys(owner):
                uses = owner == split.table and old & set(key["constrained_columns"])
                if uses or (key["referred_table"] == split.table and old & set(key["referred_columns"])):
                    raise BadChange(split.id, f"a foreign key of {owner} uses an old column")
        for unique in inspector.get_unique_constraints(split.table):
            if old & set(unique["column_names"]):
                raise BadChange(split.id, f"unique constraint {unique['name'] or ''} uses an old column")
        for check in inspector.get_check_constraints(split.table):
            if names_any(old, str(check["sqltext"])):
                raise BadChange(split.id, f"check constraint {check['name'] or ''} uses an old column")

    def _refuse_indexes(self, table: Table) -> None:
        """Refuse an index on an old column that cannot simply be built again on the new one."""
        for index in table.indexes_on(self.split.old):
            if not isinstance(self.change, Rename):
                raise BadChange(
                    self.change.id, f"index {index.name} uses an old column, and only a rename takes indexes along"
                )
            if not index.is_plain:
                raise BadChange(
                    self.change.id, f"index {index.name} uses the old column and is more than a plain index"
                )
