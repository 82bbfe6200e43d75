"""MariaDB 10.6 or newer: every DDL commits by itself, so each step is idempotent; BEFORE triggers set NEW."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bascule.schema.changes import Split
from bascule.schema.databases.base import Column, Database, Pace, Step
from bascule.schema.refusals import UnsupportedDatabase

__all__ = ["BACKFILL_VARIABLE", "MariaDB"]

_LOCK_TROUBLE = {1205, 1213, 1020}  # lock wait timeout, deadlock, record changed since the snapshot
_INSTANT, _ONLINE = "ALGORITHM=INSTANT, LOCK=NONE", "ALGORITHM=INPLACE, LOCK=NONE"
_WRITABLE_DEFAULTS = {
    **dict.fromkeys(("char", "varchar", "binary", "varbinary", "text", "tinytext", "mediumtext", "longtext"), "''"),
    **dict.fromkeys(("blob", "tinyblob", "mediumblob", "longblob"), "''"),
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit"), "0"),
    **dict.fromkeys(("date", "datetime", "timestamp"), "'1970-01-02 00:00:01'"),
}

BACKFILL_VARIABLE = "@bascule_backfill"  # set in the backfill's session only: triggers double its cost otherwise


class MariaDB(Database):
    """Every ALTER states its algorithm, so that an unexpected table copy is an error and not an outage."""

    name = "mariadb"
    transactional_ddl = False
    isolation = "READ COMMITTED"  # REPEATABLE READ would lock gaps, and so other writers' inserts, during a batch
    pace = Pace(batch_s=0.05, first_rows=500, duty=1.0)
    now = "CAST(UNIX_TIMESTAMP(NOW(6)) AS DOUBLE)"

    def check_version(self, connection: sa.Connection) -> None:
        """Raise UnsupportedDatabase below 10.6."""
        version = str(connection.scalar(sa.text("SELECT version()")))
        numbers = tuple(int(part) for part in version.split("-", maxsplit=1)[0].split(".")[:2])
        if numbers < (10, 6):
            raise UnsupportedDatabase(f"MariaDB {version}", "10.6 or newer")

    def begin(self, connection: sa.Connection, *, writes: bool) -> None:
        """Set the timeouts: a statement that waits for a metadata lock stalls every later query of the table."""
        del writes
        connection.exec_driver_sql("SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1")
        connection.exec_driver_sql(f"SET {BACKFILL_VARIABLE} = 1")

    def differs(self, left: str, right: str) -> str:
        """Compare bytes: under the usual collations 'abc' equals 'ABC', and 'a ' equals 'a'."""
        return f"NOT (BINARY {left} <=> BINARY {right})"

    def is_lock_trouble(self, error: DBAPIError) -> bool:
        """Whether a lock was not granted in time, or a deadlock was broken."""
        return _code(error) in _LOCK_TROUBLE

    def error_code(self, error: DBAPIError) -> str:
        """Return the server's error number."""
        return str(_code(error) or "")

    def wants_fallback(self, error: DBAPIError) -> bool:
        """Whether the server cannot do this ALTER by the algorithm that was asked for."""
        return _code(error) in (1845, 1846)

    def columns(self, connection: sa.Connection, table: str) -> dict[str, Column]:
        """Return the table's columns by name."""
        query = sa.text(
            "SELECT column_name AS name, is_nullable AS nullable, column_default AS dflt, data_type AS type, "
            "character_set_name AS charset, collation_name AS collation FROM information_schema.columns "
            "WHERE table_schema = database() AND table_name = :table"
        )
        return {
            row.name: Column(
                row.name, row.nullable == "YES", row.dflt is not None, row.type.lower(), row.charset, row.collation
            )
            for row in connection.execute(query, {"table": table})
        }

    def triggers(self, connection: sa.Connection, table: str) -> set[str]:
        """Return the names of the table's triggers."""
        query = sa.text(
            "SELECT trigger_name FROM information_schema.triggers "
            "WHERE event_object_schema = database() AND event_object_table = :table"
        )
        return set(connection.scalars(query, {"table": table}))

    def create_trigger(self, split: Split, event: str, name: str, key: Sequence[str]) -> tuple[str, ...]:
        """Return one BEFORE trigger that does nothing in the backfill's own session."""
        del key
        rule = self.rule(split)
        when = "INSERT" if event.startswith("ins") else "UPDATE"
        sets = " ".join(f"SET NEW.{self.quote(column)} = {sql};" for column, sql in rule.action(event).items())
        sql = (
            f"CREATE TRIGGER {self.quote(name)} BEFORE {when} ON {self.quote(split.table)} FOR EACH ROW "
            f"BEGIN IF {BACKFILL_VARIABLE} IS NULL AND {rule.condition(event)} THEN {sets} END IF; END"
        )
        return (sql,)

    def drop_trigger(self, table: str, name: str) -> tuple[str, ...]:
        """Return one statement."""
        del table
        return (f"DROP TRIGGER IF EXISTS {self.quote(name)}",)

    def add_column(self, table: str, name: str, type_sql: str) -> Step:
        """Add a nullable column, instantly or at least without a lock."""
        return _online(super().add_column(table, name, f"{type_sql} NULL"))

    def drop_column(self, table: str, name: str) -> Step:
        """Drop a column, instantly or at least without a lock."""
        return _online(super().drop_column(table, name))

    def create_index(self, table: str, name: str, columns: Sequence[str]) -> Step:
        """Create an index while writers go on."""
        names = ", ".join(map(self.quote, columns))
        sql = f"ALTER TABLE {self.quote(table)} ADD INDEX {self.quote(name)} ({names}), ALGORITHM=NOCOPY, LOCK=NONE"
        return replace(super().create_index(table, name, columns), statements=(sql,))

    def drop_index(self, table: str, name: str) -> Step:
        """Drop an index while writers go on."""
        sql = f"ALTER TABLE {self.quote(table)} DROP INDEX {self.quote(name)}, ALGORITHM=NOCOPY, LOCK=NONE"
        return replace(super().drop_index(table, name), statements=(sql,))

    def release_old_column(self, table: str, column: Column) -> Step | None:
        """Give a NOT NULL column a default: after its triggers are gone, new writers leave it out."""
        if column.nullable or column.has_default:
            return None
        default = _WRITABLE_DEFAULTS[column.type]
        sql = (
            f"ALTER TABLE {self.quote(table)} ALTER COLUMN {self.quote(column.name)} SET DEFAULT {default}, {_INSTANT}"
        )

        def is_needed(connection: sa.Connection) -> bool:
            now = self.columns(connection, table).get(column.name)
            return now is not None and not now.has_default

        return Step(f"set a default on {table}.{column.name}", (sql,), is_needed)

    def why_not_expandable(self, column: Column) -> str | None:
        """Return why: a NOT NULL column of a type whose default we cannot choose."""
        if column.nullable or column.has_default or column.type in _WRITABLE_DEFAULTS:
            return None
        return f"column {column.name} is NOT NULL without a default and of type {column.type}"

    def charset_of(self, column: Column) -> str:
        """Return the old text column's character set and collation: the table's may be others."""
        if column.charset is None or column.collation is None:
            return ""
        return f" CHARACTER SET {column.charset} COLLATE {column.collation}"


def _code(error: DBAPIError) -> int:
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def _online(step: Step) -> Step:
    (sql,) = step.statements
    return replace(step, statements=(f"{sql}, {_INSTANT}",), fallback=(f"{sql}, {_ONLINE}",))
