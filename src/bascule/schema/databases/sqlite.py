"""SQLite 3.35 or newer, best in WAL mode: transactional DDL, one writer at a time, AFTER triggers only."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bascule.schema.changes import ColumnType
from bascule.schema.databases.base import Column, Constraint, Database, Impact, Pace, Step, Trigger, always
from bascule.schema.databases.sqlite_table import TableText
from bascule.schema.keyset import Keyset
from bascule.schema.refusals import UnsupportedDatabase
from bascule.schema.routes import Keys, Route, RowIds

__all__ = ["SQLite"]

_BUSY_TIMEOUT_MS = 1_000
_EARLY_PAGES = 200
_TRIPWIRES = "bascule_tripwire"


class SQLite(Database):
    """A pause between batches is mandatory here: without one, waiting writers starve."""

    name = "sqlite"
    transactional_ddl = True
    isolation = None
    paces: ClassVar = {
        "fast": Pace(batch_s=0.01, first_rows=200, duty=0.5),
        "gentle": Pace(batch_s=0.005, first_rows=100, duty=0.25),
        "off-hours": Pace(batch_s=0.1, first_rows=1_000, duty=0.9, most_rows=50_000),
    }
    now = "(julianday('now') - 2440587.5) * 86400.0"
    instant = Impact("the write lock", "writers")
    relaxes_before_triggers = True

    def check_version(self, connection: sa.Connection) -> None:
        """Raise UnsupportedDatabase below 3.35, which cannot drop columns."""
        del connection
        if sqlite3.sqlite_version_info < (3, 35):
            raise UnsupportedDatabase(f"SQLite {sqlite3.sqlite_version}", "3.35 or newer")

    def begin(self, connection: sa.Connection, *, writes: bool) -> None:
        """Take the write lock of a writing transaction now, so that no later statement fails for want of it.

        Python's driver begins late and deferred by itself; an engine whose owner set event hooks may have begun
        already, in whichever mode. Both end here in one BEGIN of our choice; the connection is ours alone.
        """
        driver = connection.connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection)  # noqa: S101 # other drivers are refused in `of`
        if driver.in_transaction:
            driver.execute("ROLLBACK")
        driver.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    def differs(self, left: str, right: str, kind: ColumnType | None = None) -> str:
        """Compare; a column's own NOCASE collation must not hide a change of case."""
        del kind
        return f"{left} COLLATE BINARY IS NOT {right}"

    def is_lock_trouble(self, error: DBAPIError) -> bool:
        """Whether the database was busy or locked."""
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

    def error_code(self, error: DBAPIError) -> str:
        """Return SQLite's name of the error."""
        return str(getattr(error.orig, "sqlite_errorname", ""))

    def columns(self, connection: sa.Connection, table: str) -> dict[str, Column]:
        """Return the table's columns by name."""
        rows = connection.execute(
            sa.text('SELECT name, type, "notnull", dflt_value FROM pragma_table_xinfo(:name)'), {"name": table}
        )
        return {row.name: Column(row.name, not row.notnull, row.dflt_value is not None, row.type) for row in rows}

    def triggers(self, connection: sa.Connection, table: str) -> dict[str, str]:
        """Return the names of the table's triggers."""
        query = sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(:name)")
        return dict.fromkeys(connection.scalars(query, {"name": table}), "")

    def size(self, connection: sa.Connection, table: str) -> tuple[int, int]:
        """Return the number of rows, and the size of the whole file, which is all that can be had."""
        if not sa.inspect(connection).has_table(table):
            return 0, 0
        rows = connection.scalar(sa.select(sa.func.count()).select_from(sa.table(table)))
        pages = connection.execute(sa.text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
        return int(rows or 0), int(pages.scalar_one())

    def set_lazy_commits(self, connection: sa.Connection, *, on: bool) -> None:
        """Flush at checkpoints only (in WAL mode), and make those early: whoever commits the thousandth page pays."""
        driver = connection.connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection)  # noqa: S101 # other drivers are refused in `of`
        if driver.in_transaction:
            driver.execute("COMMIT")  # the level cannot be changed inside a transaction
        if driver.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            driver.execute(f"PRAGMA synchronous = {'NORMAL' if on else 'FULL'}")
            driver.execute(f"PRAGMA wal_autocheckpoint = {_EARLY_PAGES if on else 1_000}")

    def route(self, connection: sa.Connection, keyset: Keyset) -> Route:
        """Return the row ids, where the table has them under a name of their own and its key is another."""
        columns = self.columns(connection, keyset.table)
        query = sa.text("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = :name")
        if sqlite3.sqlite_version_info < (3, 37) or connection.scalar(query, {"name": keyset.table}) != 0:
            return Keys(keyset)
        if [columns[name].type.upper() for name in keyset.key] == ["INTEGER"]:
            return Keys(keyset)  # which is the row id
        names = {name.lower() for name in columns}
        free = [name for name in ("rowid", "_rowid_", "oid") if name not in names]
        return RowIds(replace(keyset, key=(free[0],)), keyset.key) if free else Keys(keyset)

    def create_trigger(self, trigger: Trigger, key: Sequence[str], others: Mapping[str, str]) -> tuple[str, ...]:
        """Return an AFTER trigger that updates the row just written, found by its primary key.

        Their order does not matter: each one's update fires the others, until nothing is left to do. One that refuses
        comes before the row is written, so that no other has acted yet.
        """
        del others
        what = "INSERT"
        if trigger.event == "update":
            what = f"UPDATE OF {self.quote_all(trigger.written)}" if trigger.written else "UPDATE"
        row = " AND ".join(f"{self.quote(column)} = NEW.{self.quote(column)}" for column in key)
        table, body = self.quote(trigger.table), ""
        if trigger.counts:
            body += f"UPDATE {_TRIPWIRES} SET moved = moved + 1 WHERE name = {self.literal(trigger.counts)}; "  # noqa: S608
        if trigger.refuses:
            body += f"SELECT RAISE(ABORT, {self.literal(trigger.refuses)});"
        if trigger.sets_now:
            sets = ", ".join(f"{self.quote(column)} = {sql}" for column, sql in trigger.sets_now.items())
            body += f"UPDATE {table} SET {sets} WHERE {row} AND {trigger.when_now};"  # noqa: S608 # quoted names, the author's SQL
        when = "BEFORE" if trigger.refuses else "AFTER"
        sql = (
            f"CREATE TRIGGER {self.quote(trigger.name)} {when} {what} ON {table} "
            f"FOR EACH ROW WHEN {trigger.when} BEGIN {body} END"
        )
        return (*self.drop_trigger(trigger.table, trigger.name), sql)

    def drop_trigger(self, table: str, name: str) -> tuple[str, ...]:
        """Return one statement."""
        del table
        return (f"DROP TRIGGER IF EXISTS {self.quote(name)}",)

    def drop_column(self, table: str, name: str) -> Step:
        """Drop a column: the table is written anew."""
        return replace(super().drop_column(table, name), impact=Impact(self.instant.lock, "writers", "rebuild"))

    def set_default(self, connection: sa.Connection, table: str, column: str, default: str) -> Step:
        """Give a column a default by rewriting the table's text."""
        return self._rewrite(
            connection,
            table,
            f"set a default on {table}.{column}",
            lambda text: text.with_default(column, default),
            lambda c: not self.columns(c, table)[column].has_default,
        )

    def drop_default(self, connection: sa.Connection, table: str, column: str, default: str) -> Step:
        """Take a default away that `set_default` gave."""
        return self._rewrite(
            connection,
            table,
            f"drop the default of {table}.{column}",
            lambda text: text.without_default(column, default),
            lambda c: self.columns(c, table)[column].has_default,
        )

    def set_not_null(self, connection: sa.Connection, table: str, column: str) -> list[Step]:
        """Forbid NULL by rewriting the table's text; that no row has NULL was proved before."""
        return [
            self._rewrite(
                connection,
                table,
                f"forbid NULL in {table}.{column}",
                lambda text: text.with_not_null(column),
                lambda c: self.columns(c, table)[column].nullable,
            )
        ]

    def drop_not_null(self, connection: sa.Connection, table: str, column: str) -> list[Step]:
        """Allow NULL by rewriting the table's text."""
        return [
            self._rewrite(
                connection,
                table,
                f"allow NULL in {table}.{column}",
                lambda text: text.without_not_null(column),
                lambda c: not self.columns(c, table)[column].nullable,
            )
        ]

    def add_constraint(self, connection: sa.Connection | None, constraint: Constraint) -> list[Step]:
        """Add it to the table's text: it binds for every write from then on."""
        assert connection is not None  # noqa: S101 # only PostgreSQL does without
        name, definition = self.quote(constraint.name), constraint.definition
        return [
            self._rewrite(
                connection,
                constraint.table,
                f"add constraint {constraint.name}",
                lambda text: text.with_constraint(name, definition),
                lambda c: not self._text(c, constraint.table).has_constraint(constraint.name),
            )
        ]

    def drop_constraint(self, connection: sa.Connection | None, constraint: Constraint) -> list[Step]:
        """Take it out of the table's text."""
        assert connection is not None  # noqa: S101 # only PostgreSQL does without
        return [
            self._rewrite(
                connection,
                constraint.table,
                f"drop constraint {constraint.name}",
                lambda text: text.without_constraint(constraint.name),
                lambda c: self._text(c, constraint.table).has_constraint(constraint.name),
            )
        ]

    def _text(self, connection: sa.Connection, table: str) -> TableText:
        query = sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(:name)")
        return TableText.parse(str(connection.scalar(query, {"name": table})))

    def _rewrite(
        self,
        connection: sa.Connection,
        table: str,
        what: str,
        change: Callable[[TableText], TableText],
        is_needed: Callable[[sa.Connection], bool],
    ) -> Step:
        """Return the step that rewrites the table's text.

        Creating a table and dropping it again tells every other connection to read the schema anew; RESET tells ours.
        """

        def rewrite(text: TableText) -> tuple[str, ...]:
            sql, name = self.literal(text), self.literal(table)
            return (
                "PRAGMA writable_schema = ON",
                f"UPDATE sqlite_master SET sql = {sql} WHERE type = 'table' AND lower(name) = lower({name})",  # noqa: S608 # quoted by `literal`
                "CREATE TABLE bascule_touch (x)",
                "DROP TABLE bascule_touch",
                "PRAGMA writable_schema = RESET",
            )

        before = self._text(connection, table)
        return Step(
            what,
            rewrite(change(before)),
            is_needed,
            late=lambda c: rewrite(change(self._text(c, table))),
            undo=rewrite(before),
            impact=self.instant,
        )

    def add_unique(self, table: str, name: str, columns: Sequence[str]) -> list[Step]:
        """Build a unique index; writers wait for it."""
        return [self.create_index(table, name, columns, unique=True)]

    def drop_unique(self, table: str, name: str) -> list[Step]:
        """Drop the index."""
        return [self.drop_index(table, name)]

    def create_tripwire(self, name: str) -> Step:
        """Make a row: with one writer at a time, a counter keeps nobody waiting. What is rolled back is not counted."""
        table = f"CREATE TABLE IF NOT EXISTS {_TRIPWIRES} (name TEXT PRIMARY KEY, moved INTEGER NOT NULL)"
        row = f"INSERT OR IGNORE INTO {_TRIPWIRES} VALUES ({self.literal(name)}, 0)"  # noqa: S608 # quoted
        return Step(f"create tripwire {name}", (table, row), always, undo=self.drop_tripwire(name).statements)

    def drop_tripwire(self, name: str) -> Step:
        """Drop the row; the table stays for others."""
        sql = f"DELETE FROM {_TRIPWIRES} WHERE name = {self.literal(name)}"  # noqa: S608 # quoted
        return Step(f"drop tripwire {name}", (sql,), lambda c: sa.inspect(c).has_table(_TRIPWIRES))

    def read_tripwire(self, connection: sa.Connection, name: str) -> int:
        """Return the counter."""
        if not sa.inspect(connection).has_table(_TRIPWIRES):
            return 0
        query = sa.text(f"SELECT moved FROM {_TRIPWIRES} WHERE name = :name")  # noqa: S608 # our own constant
        return int(connection.execute(query, {"name": name}).scalar() or 0)
