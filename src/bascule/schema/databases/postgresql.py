"""PostgreSQL 13 or newer: transactional DDL, BEFORE triggers whose WHEN clause spares the function call."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bascule.schema.changes import Split
from bascule.schema.databases.base import Column, Database, Pace, Step
from bascule.schema.refusals import UnsupportedDatabase

__all__ = ["PostgreSQL"]

_LOCK_TROUBLE = {"55P03", "40P01", "40001"}  # lock not available, deadlock, serialization failure


class PostgreSQL(Database):
    """All of a change's DDL is one transaction; only its indexes are built outside, concurrently."""

    name = "postgresql"
    transactional_ddl = True
    isolation = "READ COMMITTED"
    pace = Pace(batch_s=0.05, first_rows=500, duty=1.0)
    now = "extract(epoch FROM clock_timestamp())::double precision"

    def check_version(self, connection: sa.Connection) -> None:
        """Raise UnsupportedDatabase below 13."""
        version = int(connection.scalar(sa.text("SELECT current_setting('server_version_num')")) or 0)
        if version < 130_000:
            raise UnsupportedDatabase(f"PostgreSQL {version // 10_000}", "13 or newer")

    def begin(self, connection: sa.Connection, *, writes: bool) -> None:
        """Set the timeout: a statement that waits for a lock stalls every later query of the table."""
        del writes
        connection.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")

    def differs(self, left: str, right: str) -> str:
        """Compare."""
        return f"{left} IS DISTINCT FROM {right}"

    def is_lock_trouble(self, error: DBAPIError) -> bool:
        """Whether a lock was not granted in time, or a deadlock was broken."""
        return getattr(error.orig, "sqlstate", None) in _LOCK_TROUBLE

    def error_code(self, error: DBAPIError) -> str:
        """Return the SQLSTATE."""
        return str(getattr(error.orig, "sqlstate", None) or "")

    def columns(self, connection: sa.Connection, table: str) -> dict[str, Column]:
        """Return the table's columns by name."""
        query = sa.text(
            "SELECT attname, attnotnull, atthasdef, format_type(atttypid, atttypmod) AS type FROM pg_attribute "
            "WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped"
        )
        rows = connection.execute(query, {"table": self.quote(table)})
        return {row.attname: Column(row.attname, not row.attnotnull, row.atthasdef, row.type) for row in rows}

    def triggers(self, connection: sa.Connection, table: str) -> set[str]:
        """Return the names of the table's triggers that are enabled for ordinary sessions."""
        query = sa.text("SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(:table) AND tgenabled IN ('O', 'A')")
        return set(connection.scalars(query, {"table": self.quote(table)}))

    def indexes(self, connection: sa.Connection, table: str) -> set[str]:
        """Return the usable indexes; one whose concurrent build was cut short is not."""
        query = sa.text(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE i.indrelid = to_regclass(:table) AND i.indisvalid"
        )
        return set(connection.scalars(query, {"table": self.quote(table)}))

    def create_index(self, table: str, name: str, columns: Sequence[str]) -> Step:
        """Create an index without blocking writers; what a killed build left is dropped first."""
        index, where = self.quote(name), f"{self.quote(table)} ({', '.join(map(self.quote, columns))})"
        statements = (f"DROP INDEX CONCURRENTLY IF EXISTS {index}", f"CREATE INDEX CONCURRENTLY {index} ON {where}")
        return Step(f"create index {name}", statements, lambda c: name not in self.indexes(c, table), alone=True)

    def drop_index(self, table: str, name: str) -> Step:
        """Drop an index, also one whose build was cut short."""
        del table
        return Step(f"drop index {name}", (f"DROP INDEX IF EXISTS {self.quote(name)}",), lambda _: True)

    def create_trigger(self, split: Split, event: str, name: str, key: Sequence[str]) -> tuple[str, ...]:
        """Return a function and a BEFORE trigger of the same name."""
        del key
        rule, quoted = self.rule(split), self.quote(name)
        what = "INSERT"
        if event.startswith("upd"):
            what = f"UPDATE OF {', '.join(map(self.quote, split.new if event == 'upd_new' else split.old))}"
        sets = " ".join(f"NEW.{self.quote(column)} := {sql};" for column, sql in rule.action(event).items())
        function = (
            f"CREATE OR REPLACE FUNCTION {quoted}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$bascule$ BEGIN {sets} RETURN NEW; END $bascule$"
        )
        trigger = (
            f"CREATE TRIGGER {quoted} BEFORE {what} ON {self.quote(split.table)} FOR EACH ROW "
            f"WHEN {rule.condition(event)} EXECUTE FUNCTION {quoted}()"
        )
        return (function, trigger)

    def drop_trigger(self, table: str, name: str) -> tuple[str, ...]:
        """Return the statements for trigger and function."""
        quoted = self.quote(name)
        return (f"DROP TRIGGER IF EXISTS {quoted} ON {self.quote(table)}", f"DROP FUNCTION IF EXISTS {quoted}()")
