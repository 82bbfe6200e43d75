"""PostgreSQL 13 or newer: transactional DDL, BEFORE triggers whose WHEN clause spares the function call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bascule.schema.changes import ColumnType
from bascule.schema.databases.base import Column, Constraint, Database, Impact, Pace, Step, Trigger, always
from bascule.schema.keyset import Keyset
from bascule.schema.refusals import UnsupportedDatabase
from bascule.schema.routes import Keys, Pages, Route

__all__ = ["PostgreSQL"]

_ROWS_PER_PAGE = 50.0  # until the table was vacuumed or analysed once
_LOCK_TROUBLE = {"55P03", "40P01", "40001"}  # lock not available, deadlock, serialization failure
_ADDING_CONSTRAINT = Impact("SHARE ROW EXCLUSIVE", "writers")
_VALIDATING = Impact("SHARE UPDATE EXCLUSIVE", "nobody", "scan")
_INDEXING = Impact("SHARE UPDATE EXCLUSIVE", "nobody", "index")


class PostgreSQL(Database):
    """A change's DDL is one transaction, but for indexes, built outside, and scans, which hold no lock of others."""

    name = "postgresql"
    transactional_ddl = True
    isolation = "READ COMMITTED"
    paces: ClassVar = {
        "fast": Pace(batch_s=0.05, first_rows=500, duty=1.0, most_rows=20_000),
        "gentle": Pace(batch_s=0.003, first_rows=50, duty=0.1),
        "off-hours": Pace(batch_s=0.5, first_rows=5_000, duty=1.0, most_rows=100_000),
    }
    now = "extract(epoch FROM clock_timestamp())::double precision"
    instant = Impact("ACCESS EXCLUSIVE", "everybody")

    def check_version(self, connection: sa.Connection) -> None:
        """Raise UnsupportedDatabase below 13."""
        version = int(connection.scalar(sa.text("SELECT current_setting('server_version_num')")) or 0)
        if version < 130_000:
            raise UnsupportedDatabase(f"PostgreSQL {version // 10_000}", "13 or newer")

    def begin(self, connection: sa.Connection, *, writes: bool) -> None:
        """Set the timeout: a statement that waits for a lock stalls every later query of the table."""
        del writes
        connection.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")

    def differs(self, left: str, right: str, kind: ColumnType | None = None) -> str:
        """Compare; text as bytes, since citext and some collations take 'abc' for 'ABC', and json by its text."""
        if isinstance(kind, sa.String | sa.JSON):
            return f'({left})::text COLLATE "C" IS DISTINCT FROM ({right})::text COLLATE "C"'
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

    def triggers(self, connection: sa.Connection, table: str) -> dict[str, str]:
        """Return the names of the table's triggers that are enabled for ordinary sessions."""
        query = sa.text(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(:table) AND tgenabled IN ('O', 'A') "
            "AND NOT tgisinternal"
        )
        return dict.fromkeys(connection.scalars(query, {"table": self.quote(table)}), "")

    def indexes(self, connection: sa.Connection, table: str) -> set[str]:
        """Return the usable indexes; one whose concurrent build was cut short is not."""
        query = sa.text(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE i.indrelid = to_regclass(:table) AND i.indisvalid"
        )
        return set(connection.scalars(query, {"table": self.quote(table)}))

    def long_transactions(self, connection: sa.Connection, table: str) -> tuple[str, ...]:
        """Return the clients that hold any lock on this very table."""
        query = sa.text(
            "SELECT DISTINCT a.pid, a.usename, extract(epoch FROM now() - a.xact_start)::int AS age FROM pg_locks l "
            "JOIN pg_stat_activity a USING (pid) WHERE l.relation = to_regclass(:table) AND l.granted "
            "AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend' "
            "AND a.xact_start < now() - interval '300 ms' ORDER BY age DESC"
        )
        rows = connection.execute(query, {"table": self.quote(table)})
        return tuple(f"process {row.pid} of {row.usename}, open for {row.age} s" for row in rows)

    def size(self, connection: sa.Connection, table: str) -> tuple[int, int]:
        """Return the planner's number of rows and the table's bytes; of a table never analysed, count up to a few."""
        query = sa.text(
            "SELECT reltuples::bigint, pg_table_size(oid)::bigint FROM pg_class WHERE oid = to_regclass(:table)"
        )
        row = connection.execute(query, {"table": self.quote(table)}).one_or_none()
        if row is None:
            return 0, 0
        if row[0] > 0:
            return int(row[0]), int(row[1])
        some = sa.select(sa.literal_column("1")).select_from(sa.table(table)).limit(100_000).subquery()
        return int(connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0), int(row[1])

    def begin_batch(self, connection: sa.Connection) -> None:
        """Set it for the transaction only: behind a pooler, what is set for a session reaches other people's."""
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")

    def route(self, connection: sa.Connection, keyset: Keyset) -> Route:
        """Return the pages, where the server finds ranges of them (14) and the table is one heap by itself."""
        query = sa.text(
            "SELECT current_setting('server_version_num')::int >= 140000 AND relkind = 'r' AND NOT relhassubclass "
            "AND amname = 'heap' AS walks, relpages, reltuples FROM pg_class JOIN pg_am ON pg_am.oid = relam "
            "WHERE pg_class.oid = to_regclass(:table)"
        )
        found = connection.execute(query, {"table": self.quote(keyset.table)}).one_or_none()
        if found is None or not found.walks:
            return Keys(keyset)
        known = found.relpages > 0 and found.reltuples > 0
        return Pages(self.quote(keyset.table), found.reltuples / found.relpages if known else _ROWS_PER_PAGE)

    def create_index(self, table: str, name: str, columns: Sequence[str], *, unique: bool = False) -> Step:
        """Create an index without blocking writers; what a killed build left is dropped first."""
        index, where = self.quote(name), f"{self.quote(table)} ({self.quote_all(columns)})"
        kind = "UNIQUE INDEX" if unique else "INDEX"
        statements = (f"DROP INDEX CONCURRENTLY IF EXISTS {index}", f"CREATE {kind} CONCURRENTLY {index} ON {where}")
        return Step(
            f"create index {name}",
            statements,
            lambda c: name not in self.indexes(c, table),
            alone=True,
            undo=(f"DROP INDEX {index}",),
            impact=_INDEXING,
        )

    def drop_index(self, table: str, name: str) -> Step:
        """Drop an index, also one whose build was cut short."""
        del table
        sql = f"DROP INDEX IF EXISTS {self.quote(name)}"
        return Step(f"drop index {name}", (sql,), always, impact=self.instant)

    def create_trigger(self, trigger: Trigger, key: Sequence[str], others: Mapping[str, str]) -> tuple[str, ...]:
        """Return a function and a BEFORE trigger of the same name, in the place of what may be there.

        Not `UPDATE OF`: a column that an earlier trigger of a chain has changed does not count as updated there.
        """
        del key, others
        quoted = self.quote(trigger.name)
        body = f"PERFORM nextval('{self.quote(trigger.counts)}'); " if trigger.counts else ""
        if trigger.refuses:
            said = self.literal(trigger.refuses)
            body += f"RAISE EXCEPTION USING MESSAGE = {said}, ERRCODE = 'integrity_constraint_violation';"
        body += " ".join(f"NEW.{self.quote(column)} := {sql};" for column, sql in trigger.sets.items())
        function = (
            f"CREATE OR REPLACE FUNCTION {quoted}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$bascule$ BEGIN {body} RETURN NEW; END $bascule$"
        )
        create = (
            f"CREATE TRIGGER {quoted} BEFORE {trigger.event.upper()} ON {self.quote(trigger.table)} FOR EACH ROW "
            f"WHEN {trigger.when} EXECUTE FUNCTION {quoted}()"
        )
        return (*self.drop_trigger(trigger.table, trigger.name), function, create)

    def drop_trigger(self, table: str, name: str) -> tuple[str, ...]:
        """Return the statements for trigger and function."""
        quoted = self.quote(name)
        return (f"DROP TRIGGER IF EXISTS {quoted} ON {self.quote(table)}", f"DROP FUNCTION IF EXISTS {quoted}()")

    def set_not_null(self, connection: sa.Connection, table: str, column: str) -> list[Step]:
        """Prove by a check that holds no lock of others; with it, SET NOT NULL need not look at any row."""
        del connection
        proof = Constraint(table, f"bsc_nn_{column}"[:60], f"CHECK ({self.quote(column)} IS NOT NULL)")
        where, quoted = f"ALTER TABLE {self.quote(table)}", self.quote(column)

        def nullable(connection: sa.Connection) -> bool:
            return self.columns(connection, table)[column].nullable

        steps = [*self.add_constraint(None, proof), *self.validate_constraint(proof)]
        return [
            *(replace(step, is_needed=_both(nullable, step.is_needed)) for step in steps),
            Step(
                f"set {table}.{column} not null",
                (f"{where} ALTER COLUMN {quoted} SET NOT NULL",),
                nullable,
                undo=(f"{where} ALTER COLUMN {quoted} DROP NOT NULL",),
                impact=self.instant,
            ),
            *self.drop_constraint(None, proof),
        ]

    def drop_not_null(self, connection: sa.Connection, table: str, column: str) -> list[Step]:
        """Allow NULL: the catalog only."""
        del connection
        where = f"ALTER TABLE {self.quote(table)} ALTER COLUMN {self.quote(column)}"
        return [
            Step(
                f"allow NULL in {table}.{column}",
                (f"{where} DROP NOT NULL",),
                lambda c: not self.columns(c, table)[column].nullable,
                undo=(f"{where} SET NOT NULL",),
                impact=self.instant,
            )
        ]

    def add_constraint(self, connection: sa.Connection | None, constraint: Constraint) -> list[Step]:
        """Add a constraint that the rows which are there need not meet yet."""
        del connection
        where, name = f"ALTER TABLE {self.quote(constraint.table)}", self.quote(constraint.name)
        return [
            Step(
                f"add constraint {constraint.name}",
                (f"{where} ADD CONSTRAINT {name} {constraint.definition} NOT VALID",),
                lambda c: self._validated(c, constraint) is None,
                undo=(f"{where} DROP CONSTRAINT {name}",),
                impact=_ADDING_CONSTRAINT if constraint.refers_to else self.instant,
            )
        ]

    def validate_constraint(self, constraint: Constraint) -> list[Step]:
        """Look at every row, in a transaction that holds no lock which keeps writers waiting."""
        where = f"ALTER TABLE {self.quote(constraint.table)}"
        return [
            Step(
                f"validate constraint {constraint.name}",
                (f"{where} VALIDATE CONSTRAINT {self.quote(constraint.name)}",),
                lambda c: self._validated(c, constraint) is False,
                separate=True,
                impact=_VALIDATING,
            )
        ]

    def drop_constraint(self, connection: sa.Connection | None, constraint: Constraint) -> list[Step]:
        """Drop a constraint."""
        del connection
        sql = f"ALTER TABLE {self.quote(constraint.table)} DROP CONSTRAINT IF EXISTS {self.quote(constraint.name)}"
        return [
            Step(
                f"drop constraint {constraint.name}",
                (sql,),
                lambda c: self._validated(c, constraint) is not None,
                impact=self.instant,
            )
        ]

    def _validated(self, connection: sa.Connection, constraint: Constraint) -> bool | None:
        query = sa.text("SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass(:table) AND conname = :n")
        found = {"table": self.quote(constraint.table), "n": constraint.name}
        return connection.execute(query, found).scalar_one_or_none()

    def add_unique(self, table: str, name: str, columns: Sequence[str]) -> list[Step]:
        """Build a unique index beside the writers, then call it a constraint."""
        build = self.create_index(table, name, columns, unique=True)
        index, where = self.quote(name), f"ALTER TABLE {self.quote(table)}"
        name_it = Step(
            f"add constraint {name}",
            (f"{where} ADD CONSTRAINT {index} UNIQUE USING INDEX {index}",),
            lambda c: self._validated(c, Constraint(table, name, "")) is None,
            undo=(f"{where} DROP CONSTRAINT {index}",),
            impact=self.instant,
        )
        return [build, name_it]

    def drop_unique(self, table: str, name: str) -> list[Step]:
        """Drop the constraint with its index, and an index whose build was cut short."""
        return [*self.drop_constraint(None, Constraint(table, name, "")), self.drop_index(table, name)]

    def create_tripwire(self, name: str) -> Step:
        """Make a sequence: it counts writes that were rolled back too, and nobody waits for anybody."""
        sql = f"CREATE SEQUENCE IF NOT EXISTS {self.quote(name)} MINVALUE 0 START 0"
        # Triggers run by the rights of whoever writes, which is seldom the role that owns the table.
        grant = f"GRANT USAGE ON SEQUENCE {self.quote(name)} TO PUBLIC"
        return Step(f"create tripwire {name}", (sql, grant), always, undo=self.drop_tripwire(name).statements)

    def drop_tripwire(self, name: str) -> Step:
        """Drop the sequence."""
        return Step(f"drop tripwire {name}", (f"DROP SEQUENCE IF EXISTS {self.quote(name)}",), always)

    def read_tripwire(self, connection: sa.Connection, name: str) -> int:
        """Return how often nextval was called."""
        if connection.scalar(sa.text("SELECT to_regclass(:name)"), {"name": self.quote(name)}) is None:
            return 0
        query = f"SELECT CASE WHEN is_called THEN last_value + 1 ELSE 0 END FROM {self.quote(name)}"  # noqa: S608 # our own quoted name
        return int(connection.exec_driver_sql(query).scalar_one())

    @property
    def trigger_impact(self) -> Impact:
        """Creating a trigger keeps writers waiting, and no reader."""
        return Impact("SHARE ROW EXCLUSIVE", "writers")


def _both(
    first: Callable[[sa.Connection], bool], second: Callable[[sa.Connection], bool]
) -> Callable[[sa.Connection], bool]:
    return lambda connection: first(connection) and second(connection)
