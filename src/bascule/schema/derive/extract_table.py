"""Columns that move to a table of their own: the table, the triggers on both, and what becomes of the old columns."""

from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.catalog import Table
from bascule.schema.changes import ExtractTable, short_name
from bascule.schema.databases import Impact, Step
from bascule.schema.derive.base import Derivation, Fence
from bascule.schema.derive.mirrors import Mirror, mirror_step
from bascule.schema.extract import Extract, ExtractRows
from bascule.schema.grants import copied_grants
from bascule.schema.refusals import BadChange, NewColumnsWritten, RowsInTheWay
from bascule.schema.rows import sql

__all__ = ["ExtractTableDerivation"]


class ExtractTableDerivation(Derivation[ExtractTable]):
    """Expand makes the new table and keeps both in step; contract ends that; purge drops the old columns."""

    def spec(self) -> dict[str, object]:
        """Return the columns with their types."""
        change, compile_ = self.change, self.database.compile
        return {
            "id": change.id,
            "table": change.table,
            "into_table": change.new,
            "extract": {name: compile_(kind) for name, kind in change.columns.items()},
            "key": {name: compile_(kind) for name, kind in change.key.items()},
        }

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse columns that are not there, or that something else than their values depends on."""
        change, inspector = self.change, sa.inspect(connection)
        if inspector.has_table(change.new):
            raise BadChange(change.id, f"there is a table or view {change.new} already")
        if len(change.key) != len(table.key):
            raise BadChange(change.id, f"the key of {table.name} has {len(table.key)} columns, and `key` has others")
        for name in change.columns:
            if name not in table.columns:
                raise BadChange(change.id, f"table {table.name} has no column {name}")
            if name in table.key:
                raise BadChange(change.id, f"column {name} is part of the primary key")
            if table.columns[name].has_default:
                why = "so that an INSERT of the new release would look like one of the old"
                raise BadChange(change.id, f"column {name} has a default, {why}; drop the default first")
        self._refuse_dependents(inspector, table)

    def remember(self, table: Table) -> dict[str, object]:
        """Return the key, and which columns forbid NULL."""
        return {"key": table.key, "strict": [name for name in self.change.columns if not table.columns[name].nullable]}

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the new table, NULL allowed in the old columns, and the triggers."""
        database = self.database
        steps = [self._create(connection, table)]
        steps += [step for name in self._strict for step in database.drop_not_null(connection, table.name, name)]
        return steps + [mirror_step(database, mirror) for mirror in self._mirrors()]

    def rows(self) -> ExtractRows:
        """Return the fill of the new table."""
        return ExtractRows(self._extract)

    def triggers(self) -> tuple[str, ...]:
        """Return those of the old table."""
        return tuple(mirror.name for mirror in self._mirrors() if mirror.table == self.change.table)

    def triggers_on(self) -> Mapping[str, tuple[str, ...]]:
        """Return those of both tables."""
        others = tuple(mirror.name for mirror in self._mirrors() if mirror.table != self.change.table)
        return {self.change.table: self.triggers(), self.change.new: others}

    def fence(self, connection: sa.Connection, table: Table, mode: Fence) -> list[Step]:
        """Return triggers that count or refuse writes of the old columns that the new table does not say already."""
        del connection, table
        wire = self.database.create_tripwire(self.tripwire())
        return [wire, *(mirror_step(self.database, one, replace=True) for one in self._from_old(mode))]

    def unfence(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the plain triggers."""
        del connection, table
        plain = [mirror_step(self.database, one, replace=True) for one in self._from_old()]
        return [*plain, self.database.drop_tripwire(self.tripwire())]

    def tripwire(self) -> str:
        """Return its name."""
        return short_name(self.change.id, "wire")

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the end of the sync. Deletes are still carried: restore cannot tell a row that went from none yet."""
        del connection, table
        steps = [self._untrigger(one) for one in self._mirrors() if one.event != "delete"]
        return [*steps, self.database.drop_tripwire(self.tripwire())]

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the triggers again."""
        del connection, table
        return [mirror_step(self.database, mirror) for mirror in self._mirrors()]

    def purge(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of the last triggers and of the old columns."""
        del connection
        # By themselves, so that no lock on the new table is held while the old one's is waited for.
        steps = [replace(self._untrigger(mirror), separate=True) for mirror in self._mirrors()]
        return steps + [self.database.drop_column(table.name, name) for name in self.change.columns]

    def removes(self) -> tuple[str, ...]:
        """Return the old columns."""
        return tuple(f"{self.change.table}.{name}" for name in self.change.columns)

    def is_purged(self, connection: sa.Connection) -> bool:
        """Whether an old column is gone."""
        there = self.database.columns(connection, self.change.table)
        return any(name not in there for name in self.change.columns)

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of triggers and new table, and NULL forbidden where it was. Raises RowsInTheWay."""
        database = self.database
        strict = [name for name in self._strict if table.columns[name].nullable]
        if strict and (rows := self._count_null(connection, strict)):
            what = f"have NULL in {', '.join(strict)}, which forbade it before; fill or delete them"
            raise RowsInTheWay(self.change.id, table.name, rows, what)
        there = sa.inspect(connection).has_table(self.change.new)
        # A table takes its triggers along; without it, some databases would not know where to look for them.
        steps = [self._untrigger(one) for one in self._mirrors() if there or one.table == self.change.table]
        steps += [database.drop_tripwire(self.tripwire()), database.drop_table(self.change.new)]
        return steps + [step for name in strict for step in database.set_not_null(connection, table.name, name)]

    def stale_error(self, rows: int) -> SchemaError:
        """Return that both tables hold values that differ, and a person must say which wins."""
        return NewColumnsWritten(self.change.id, self.change.table, rows)

    @property
    def _before(self) -> Mapping[str, list[str]]:
        return self.known.before or {}

    @property
    def _strict(self) -> list[str]:
        return list(self._before.get("strict", ()))

    @property
    def _extract(self) -> Extract:
        return Extract(self.change, self.database, tuple(self._before.get("key", self.change.key)))

    def _untrigger(self, mirror: Mirror) -> Step:
        return self.database.untrigger_step(mirror.table, mirror.name)

    def _mirrors(self) -> list[Mirror]:
        extract, change = self._extract, self.change
        changed = f"({extract.differs('NEW', 'OLD')} OR {extract.moved()})"
        back = (extract.put_in_old(), extract.empty_old(only=extract.moved()))
        # The old table first: writers, too, take a row of it before one of the new.
        mirrors = [
            *self._from_old(),
            Mirror(self._name("new_upd"), change.new, "update", changed, back, change.id),
            Mirror(self._name("new_del"), change.new, "delete", "(1 = 1)", (extract.empty_old(),), change.id),
            Mirror(self._name("new_ins"), change.new, "insert", "(1 = 1)", (extract.put_in_old(),), change.id),
        ]
        if self.database.name == "sqlite":  # which enforces foreign keys only where it is told to
            mirrors.append(
                Mirror(self._name("old_del"), change.table, "delete", "(1 = 1)", (extract.delete_new(),), change.id)
            )
        return mirrors

    def _from_old(self, fence: Fence | None = None) -> list[Mirror]:
        extract, change = self._extract, self.change
        what = f"{', '.join(change.columns)} of {change.table}"
        refusal = f"{change.id}: {what} was written in the old shape, which is fenced off"
        counts, refuses = self.tripwire() if fence == "count" else "", refusal if fence == "refuse" else ""
        put, agrees = extract.put_in_new(), extract.agrees()
        changed, some = extract.differs("NEW", "OLD"), extract.some("NEW")
        return [
            Mirror(self._name("old_upd"), change.table, "update", changed, put, change.id, agrees, counts, refuses),
            Mirror(self._name("old_ins"), change.table, "insert", some, put, change.id, agrees, counts, refuses),
        ]

    def _name(self, suffix: str) -> str:
        return short_name(self.change.id, suffix, order="m_")

    def _create(self, connection: sa.Connection, table: Table) -> Step:
        database, change = self.database, self.change
        quote = database.quote
        lines = [
            f"{quote(name)} {database.compile(kind)}{database.charset_of(table.columns[old])} NOT NULL"
            for (name, kind), old in zip(change.key.items(), table.key, strict=True)
        ]
        lines += [
            f"{quote(name)} {database.compile(kind)}{database.charset_of(table.columns[name])}"
            for name, kind in change.columns.items()
        ]
        keys, old_keys = database.quote_all(list(change.key)), database.quote_all(table.key)
        name = quote(short_name(change.id, "fk")[:60])
        cascade = "ON DELETE CASCADE ON UPDATE CASCADE"
        lines += [
            f"PRIMARY KEY ({keys})",
            f"CONSTRAINT {name} FOREIGN KEY ({keys}) REFERENCES {quote(table.name)} ({old_keys}) {cascade}",
        ]
        return Step(
            f"create table {change.new}",
            (
                f"CREATE TABLE {quote(change.new)} ({', '.join(lines)})",
                *copied_grants(connection, database, table.name, change.new),
            ),
            lambda c: not sa.inspect(c).has_table(change.new),
            undo=(f"DROP TABLE {quote(change.new)}",),
            impact=Impact("SHARE ROW EXCLUSIVE", "writers"),
        )

    def _refuse_dependents(self, inspector: sa.Inspector, table: Table) -> None:
        change, moving = self.change, set(self.change.columns)
        for owner in inspector.get_table_names():
            for key in inspector.get_foreign_keys(owner):
                uses = owner == table.name and moving & set(key["constrained_columns"])
                if uses or (key["referred_table"] == table.name and moving & set(key["referred_columns"])):
                    raise BadChange(change.id, f"a foreign key of {owner} uses a column that moves; drop that first")
        for index in table.indexes_on(moving):
            why = "drop it first, and add one to the new table when that is there"
            raise BadChange(change.id, f"index {index.name} uses a column that moves; {why}")

    def _count_null(self, connection: sa.Connection, names: list[str]) -> int:
        lacks = " OR ".join(f"{self.database.quote(name)} IS NULL" for name in names)
        query = sa.select(sa.func.count()).select_from(sa.table(self.change.table)).where(sql(f"({lacks})"))
        return int(connection.scalar(query) or 0)
