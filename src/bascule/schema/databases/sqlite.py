"""SQLite 3.35 or newer, best in WAL mode: transactional DDL, one writer at a time, AFTER triggers only."""

import sqlite3
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bascule.schema.changes import Split
from bascule.schema.databases.base import Column, Database, Pace
from bascule.schema.refusals import UnsupportedDatabase

__all__ = ["SQLite"]

_BUSY_TIMEOUT_MS = 1_000


class SQLite(Database):
    """A pause between batches is mandatory here: without one, waiting writers starve."""

    name = "sqlite"
    transactional_ddl = True
    isolation = None
    pace = Pace(batch_s=0.02, first_rows=200, duty=0.5)
    now = "(julianday('now') - 2440587.5) * 86400.0"

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

    def differs(self, left: str, right: str) -> str:
        """Compare; a column's own NOCASE collation must not hide a change of case."""
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

    def triggers(self, connection: sa.Connection, table: str) -> set[str]:
        """Return the names of the table's triggers."""
        query = sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(:name)")
        return set(connection.scalars(query, {"name": table}))

    def create_trigger(self, split: Split, event: str, name: str, key: Sequence[str]) -> tuple[str, ...]:
        """Return one AFTER trigger that updates the row just written, found by its primary key."""
        rule = self.rule(split)
        what = "INSERT"
        if event.startswith("upd"):
            what = f"UPDATE OF {', '.join(map(self.quote, split.new if event == 'upd_new' else split.old))}"
        sets = ", ".join(f"{self.quote(column)} = {sql}" for column, sql in rule.action(event).items())
        row = " AND ".join(f"{self.quote(column)} = NEW.{self.quote(column)}" for column in key)
        table = self.quote(split.table)
        sql = (
            f"CREATE TRIGGER {self.quote(name)} AFTER {what} ON {table} "  # noqa: S608 # quoted names, the author's SQL
            f"FOR EACH ROW WHEN {rule.condition(event)} "
            f"BEGIN UPDATE {table} SET {sets} WHERE {row}; END"
        )
        return (sql,)

    def drop_trigger(self, table: str, name: str) -> tuple[str, ...]:
        """Return one statement."""
        del table
        return (f"DROP TRIGGER IF EXISTS {self.quote(name)}",)

    def why_not_expandable(self, column: Column) -> str | None:
        """Return why: an AFTER trigger comes too late to fill a NOT NULL column that a new writer leaves out."""
        if column.nullable or column.has_default:
            return None
        return f"column {column.name} is NOT NULL without a default, which no trigger of SQLite can fill in time"
