"""Two tables that hold the same columns of the same rows, as SQL: which rows say the same, and what carries them over.

A row of the old table without one of the new stands for columns that are all NULL.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any  # the types of an author's columns do not matter here

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from bascule.schema.changes import ExtractTable
from bascule.schema.databases import Database
from bascule.schema.rows import Prefer, sql
from bascule.schema.rule import all_of, any_of

__all__ = ["Extract", "ExtractRows"]


@dataclass(frozen=True, slots=True)
class Extract:
    """The SQL of an extracted table. `old_key` is the old table's primary key, in the order of the new one's."""

    change: ExtractTable
    database: Database
    old_key: tuple[str, ...]

    @property
    def old(self) -> str:
        """The old table, quoted."""
        return self.database.quote(self.change.table)

    @property
    def new(self) -> str:
        """The new table, quoted."""
        return self.database.quote(self.change.new)

    def meets(self, old_row: str, new_row: str) -> str:
        """Say that two rows have the same key."""
        pairs = zip(self._quoted(self.old_key), self._quoted(self.change.key), strict=True)
        return all_of(f"{new_row}.{new} = {old_row}.{old}" for old, new in pairs)

    def differs(self, left: str, right: str) -> str:
        """Say that two rows differ in a column that moves."""
        columns = {self.database.quote(name): kind for name, kind in self.change.columns.items()}
        return any_of(
            self.database.differs(f"{left}.{name}", f"{right}.{name}", kind) for name, kind in columns.items()
        )

    def some(self, row: str) -> str:
        """Say that a row has a value in a column that moves."""
        return any_of(f"{row}.{name} IS NOT NULL" for name in self._quoted(self.change.columns))

    def moved(self) -> str:
        """Say over NEW and OLD of the new table that the row belongs to another key."""
        return any_of(f"NOT (NEW.{name} = OLD.{name})" for name in self._quoted(self.change.key))

    def agrees(self) -> str:
        """Say that the new table says the same as NEW of the old one."""
        there = f"SELECT 1 FROM {self.new} WHERE {self.meets('NEW', self.new)}"  # noqa: S608 # quoted names
        same = f"EXISTS ({there} AND NOT {self.differs(self.new, 'NEW')})"
        return f"({same} OR (NOT {self.some('NEW')} AND NOT EXISTS ({there})))"

    def put_in_new(self) -> tuple[str, ...]:
        """Return the statements that carry NEW of the old table over, whether there is a row for it or not."""
        keys, columns = self._quoted(self.change.key), self._quoted(self.change.columns)
        names = ", ".join([*keys, *columns])
        values = ", ".join(f"NEW.{name}" for name in [*self._quoted(self.old_key), *columns])
        if self.database.name == "sqlite":  # where the statement that fires a trigger may bring its own ON CONFLICT
            sets = ", ".join(f"{name} = NEW.{name}" for name in columns)
            there = f"SELECT 1 FROM {self.new} WHERE {self.meets('NEW', self.new)}"  # noqa: S608 # quoted names
            return (
                f"UPDATE {self.new} SET {sets} WHERE {self.meets('NEW', self.new)}",  # noqa: S608 # quoted names
                f"INSERT INTO {self.new} ({names}) SELECT {values} WHERE NOT EXISTS ({there})",
            )
        insert = f"INSERT INTO {self.new} ({names}) VALUES ({values})"  # noqa: S608 # quoted names
        if self.database.name == "mariadb":
            return (f"{insert} ON DUPLICATE KEY UPDATE {', '.join(f'{name} = VALUES({name})' for name in columns)}",)
        sets = ", ".join(f"{name} = excluded.{name}" for name in columns)
        return (f"{insert} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets}",)

    def put_in_old(self) -> str:
        """Return the statement that carries NEW of the new table back."""
        sets = ", ".join(f"{name} = NEW.{name}" for name in self._quoted(self.change.columns))
        return f"UPDATE {self.old} SET {sets} WHERE {self.meets(self.old, 'NEW')} AND {self.differs(self.old, 'NEW')}"  # noqa: S608 # quoted names

    def empty_old(self, *, only: str = "(1 = 1)") -> str:
        """Return the statement that empties the columns of the row that OLD of the new table belonged to."""
        sets = ", ".join(f"{name} = NULL" for name in self._quoted(self.change.columns))
        return f"UPDATE {self.old} SET {sets} WHERE {self.meets(self.old, 'OLD')} AND {self.some(self.old)} AND {only}"  # noqa: S608 # quoted names

    def delete_new(self) -> str:
        """Return the statement that deletes the row for OLD of the old table."""
        return f"DELETE FROM {self.new} WHERE {self.meets('OLD', self.new)}"  # noqa: S608 # quoted names

    def _quoted(self, names: Iterable[str]) -> list[str]:
        return [self.database.quote(name) for name in names]


@dataclass(frozen=True, slots=True)
class ExtractRows:
    """The rows of the old table, each of which must have its own in the new one."""

    extract: Extract

    @property
    def change(self) -> str:
        """The change's id."""
        return self.extract.change.id

    @property
    def table(self) -> str:
        """The old table."""
        return self.extract.change.table

    def fill(self, connection: sa.Connection, here: sa.ColumnElement[bool], prefer: Prefer | None) -> None:
        """Insert what is missing; where both sides have a row and differ, only as `prefer` says."""
        self._insert(connection, here)
        extract, columns = self.extract, self.extract.change.columns
        if prefer == "new":
            values = {name: sql(self._from(extract.new, name)) for name in columns}
            old = sa.table(self.table, *map(sa.column, columns))
            connection.execute(sa.update(old).where(here, sql(self._unlike())).values(values))
        if prefer == "old":
            keys: list[sa.ColumnClause[Any]] = [sa.column(name) for name in extract.old_key]
            wrong = sa.select(*keys).select_from(sa.table(self.table)).where(here, sql(self._unlike()))
            new = sa.table(extract.change.new, *map(sa.column, (*extract.change.key, *columns)))
            there = sa.tuple_(*(new.c[name] for name in extract.change.key)).in_(wrong)
            values = {name: sql(self._from(extract.old, name)) for name in columns}
            connection.execute(sa.update(new).where(there).values(values))

    def filling(self) -> tuple[str, Mapping[str, str]]:
        """Return nothing that goes into a column of the table itself."""
        return "FALSE", {}

    def stale(self, *, only_written: bool = False) -> sa.ColumnElement[bool]:
        """Say that the two sides differ; `only_written`, that the new one has a row which the old one does not say."""
        if only_written:
            return sql(self._unlike())
        return sql(f"({self._unlike()} OR {self._missing()})")

    def _insert(self, connection: sa.Connection, here: sa.ColumnElement[bool]) -> None:
        extract, columns = self.extract, self.extract.change.columns
        names = [*extract.change.key, *columns]
        new = sa.table(extract.change.new, *map(sa.column, names))
        # Locked, so that nobody empties a row of which we are about to make one that is not empty.
        picked: list[sa.ColumnClause[Any]] = [sa.column(name) for name in (*extract.old_key, *columns)]
        source = sa.select(*picked).select_from(sa.table(self.table))
        wanted = source.where(here, sql(self._missing())).with_for_update(read=True)
        # A writer whose trigger came first has said something newer.
        match extract.database.name:
            case "mariadb":
                first = next(iter(extract.change.key))
                insert = mysql.insert(new).from_select(names, wanted)
                connection.execute(insert.on_duplicate_key_update({first: new.c[first]}))
            case "postgresql":
                connection.execute(postgresql.insert(new).from_select(names, wanted).on_conflict_do_nothing())
            case _:
                connection.execute(sqlite.insert(new).from_select(names, wanted).on_conflict_do_nothing())

    def _from(self, table: str, column: str) -> str:
        """Return the subquery for a column of the row with the same key in that table."""
        extract = self.extract
        quoted = extract.database.quote(column)
        return f"(SELECT {table}.{quoted} FROM {table} WHERE {extract.meets(extract.old, extract.new)})"  # noqa: S608 # quoted names

    def _unlike(self) -> str:
        extract = self.extract
        where = f"{extract.meets(extract.old, extract.new)} AND {extract.differs(extract.new, extract.old)}"
        return f"EXISTS (SELECT 1 FROM {extract.new} WHERE {where})"  # noqa: S608 # quoted names

    def _missing(self) -> str:
        extract = self.extract
        there = f"SELECT 1 FROM {extract.new} WHERE {extract.meets(extract.old, extract.new)}"  # noqa: S608 # quoted names
        return f"({extract.some(extract.old)} AND NOT EXISTS ({there}))"
