"""MariaDB 10.6 or newer: every DDL commits by itself, so each step is idempotent; BEFORE triggers set NEW."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bascule.schema.changes import ColumnType
from bascule.schema.databases.base import Column, Constraint, Database, Impact, Pace, Step, Trigger, always
from bascule.schema.refusals import UnsupportedDatabase

__all__ = ["BACKFILL_VARIABLE", "MariaDB"]

# Lock wait timeout, deadlock, record changed since the snapshot; and the statement's time was up, see `cut_short`.
_LOCK_TROUBLE = {1205, 1213, 1020, 1969}
_NEEDS_PRIVILEGE = 1227
_LOCK_WAIT_S = 0.5
_BETWEEN_LOOKS_S = (0.01, 0.02, 0.07, 0.1, 0.1)  # most are gone at the second look
_INSTANT, _ONLINE = "ALGORITHM=INSTANT, LOCK=NONE", "ALGORITHM=INPLACE, LOCK=NONE"
_WRITABLE_DEFAULTS = {
    **dict.fromkeys(("char", "varchar", "binary", "varbinary", "text", "tinytext", "mediumtext", "longtext"), "''"),
    **dict.fromkeys(("blob", "tinyblob", "mediumblob", "longblob"), "''"),
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit"), "0"),
    **dict.fromkeys(("date", "datetime", "timestamp"), "'1970-01-02 00:00:01'"),
}
_NO_LOCK = "LOCK=NONE; the metadata lock at its begin and end"
_INDEXING = Impact(_NO_LOCK, "nobody", "index")
_REBUILDING = Impact(_NO_LOCK, "nobody", "rebuild")

# The change whose backfill the session runs, so that its own triggers, which double the cost, do nothing; 1 is for all.
BACKFILL_VARIABLE = "@bascule_backfill"


class MariaDB(Database):
    """Every ALTER states its algorithm, so that an unexpected table copy is an error and not an outage."""

    name = "mariadb"
    transactional_ddl = False
    row_values = False
    isolation = "READ COMMITTED"  # REPEATABLE READ would lock gaps, and so other writers' inserts, during a batch
    paces: ClassVar = {
        "fast": Pace(batch_s=0.05, first_rows=500, duty=1.0, most_rows=20_000),
        "gentle": Pace(batch_s=0.004, first_rows=50, duty=0.1),
        "off-hours": Pace(batch_s=0.5, first_rows=5_000, duty=1.0, most_rows=20_000),
    }
    now = "CAST(UNIX_TIMESTAMP(NOW(6)) AS DOUBLE)"
    instant = Impact("metadata lock", "everybody")

    def check_version(self, connection: sa.Connection) -> None:
        """Raise UnsupportedDatabase below 10.6."""
        version = str(connection.scalar(sa.text("SELECT version()")))
        numbers = tuple(int(part) for part in version.split("-", maxsplit=1)[0].split(".")[:2])
        if numbers < (10, 6):
            raise UnsupportedDatabase(f"MariaDB {version}", "10.6 or newer")

    def begin(self, connection: sa.Connection, *, writes: bool) -> None:
        """Set the timeouts: a statement that waits for a metadata lock stalls every later query of the table."""
        del writes
        connection.exec_driver_sql(
            "SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1, max_statement_time = 0"
        )

    def differs(self, left: str, right: str, kind: ColumnType | None = None) -> str:
        """Compare bytes: under the usual collations 'abc' equals 'ABC', and 'a ' equals 'a'."""
        del kind
        return f"NOT (BINARY {left} <=> BINARY {right})"

    def literal(self, value: object) -> str:
        """Return a constant as SQL; a backslash means something in strings here."""
        return super().literal(value.replace("\\", "\\\\") if isinstance(value, str) else value)

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
        # The catalog tells the default NULL of a nullable column as the word NULL.
        return {
            row.name: Column(
                row.name,
                row.nullable == "YES",
                row.dflt not in (None, "NULL"),
                row.type.lower(),
                row.charset,
                row.collation,
            )
            for row in connection.execute(query, {"table": table})
        }

    def triggers(self, connection: sa.Connection, table: str) -> dict[str, str]:
        """Return the names of the table's triggers."""
        query = sa.text(
            "SELECT trigger_name, lower(event_manipulation) FROM information_schema.triggers "
            "WHERE event_object_schema = database() AND event_object_table = :table"
        )
        return {row[0]: row[1] for row in connection.execute(query, {"table": table})}

    def long_transactions(self, connection: sa.Connection, table: str) -> tuple[str, ...]:
        """Return all of them, since the server does not tell which tables one has touched; none without PROCESS.

        Its clock of transactions knows whole seconds only: so those that are there at several looks in a row.
        """
        del table
        query = sa.text(
            "SELECT trx_mysql_thread_id AS id, trx_id AS trx, trx_started AS began, "
            "timestampdiff(SECOND, trx_started, now()) AS age FROM information_schema.innodb_trx "
            "WHERE trx_mysql_thread_id NOT IN (0, connection_id()) ORDER BY age DESC"
        )
        try:
            rows = connection.execute(query).all()
            for pause_s in _BETWEEN_LOOKS_S:
                if not rows:
                    return ()
                time.sleep(pause_s)
                seen = {(row.id, row.trx, row.began) for row in rows}
                rows = [row for row in connection.execute(query) if (row.id, row.trx, row.began) in seen]
        except DBAPIError as error:
            if _code(error) != _NEEDS_PRIVILEGE:
                raise
            return ()
        return tuple(f"connection {row.id}, open for {row.age} s" for row in rows)

    def begin_work(self, connection: sa.Connection, change: str | None) -> None:
        """Set the variable that the change's own triggers look at."""
        connection.execute(sa.text(f"SET {BACKFILL_VARIABLE} = :change"), {"change": change})

    def cut_short(self, connection: sa.Connection, step: Step) -> None:
        """Let an instant step wait for half a second, where the lock timeout knows only whole ones."""
        limit = _LOCK_WAIT_S if step.impact.work == "instant" else 0
        connection.exec_driver_sql(f"SET SESSION max_statement_time = {limit}")

    def size(self, connection: sa.Connection, table: str) -> tuple[int, int]:
        """Return InnoDB's estimates."""
        query = sa.text(
            "SELECT coalesce(table_rows, 0), coalesce(data_length + index_length, 0) FROM information_schema.tables "
            "WHERE table_schema = database() AND table_name = :table"
        )
        row = connection.execute(query, {"table": table}).one_or_none()
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    def create_trigger(self, trigger: Trigger, key: Sequence[str], others: Mapping[str, str]) -> tuple[str, ...]:
        """Return one BEFORE trigger, created before those that are to fire after it.

        One with an owner does nothing in the session that backfills it.
        """
        del key
        body = f"DO NEXTVAL({self.quote(trigger.counts)}); " if trigger.counts else ""
        if trigger.refuses:
            body += f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = {self.literal(trigger.refuses)};"
        body += " ".join(f"SET NEW.{self.quote(column)} = {sql};" for column, sql in trigger.sets.items())
        same_event = [name for name, event in others.items() if event == trigger.event and name.startswith("bsc_")]
        acts = f"IF {trigger.when} THEN {body} END IF;"
        if trigger.owner:  # by itself: joined with AND, all of the condition would be set up for every row
            spared = f"{BACKFILL_VARIABLE} IN ({self.literal(trigger.owner)}, '1')"
            acts = f"IF {BACKFILL_VARIABLE} IS NULL OR NOT {spared} THEN {acts} END IF;"
        later = sorted(name for name in same_event if name > trigger.name)
        order = f"PRECEDES {self.quote(later[0])} " if later else ""
        sql = (
            f"CREATE OR REPLACE TRIGGER {self.quote(trigger.name)} BEFORE {trigger.event.upper()} "
            f"ON {self.quote(trigger.table)} FOR EACH ROW {order}"
            f"BEGIN {acts} END"
        )
        return (sql,)

    def drop_trigger(self, table: str, name: str) -> tuple[str, ...]:
        """Return one statement."""
        del table
        return (f"DROP TRIGGER IF EXISTS {self.quote(name)}",)

    def add_column(
        self, table: str, name: str, type_sql: str, *, default: str | None = None, not_null: bool = False
    ) -> Step:
        """Add a column, instantly or at least without a lock."""
        nullable = "" if not_null else " NULL"
        return _online(super().add_column(table, name, f"{type_sql}{nullable}", default=default, not_null=not_null))

    def drop_column(self, table: str, name: str) -> Step:
        """Drop a column, instantly or at least without a lock."""
        return _online(super().drop_column(table, name))

    def create_index(self, table: str, name: str, columns: Sequence[str], *, unique: bool = False) -> Step:
        """Create an index while writers go on."""
        kind = "UNIQUE INDEX" if unique else "INDEX"
        where, index = f"ALTER TABLE {self.quote(table)}", self.quote(name)
        sql = f"{where} ADD {kind} {index} ({self.quote_all(columns)}), ALGORITHM=NOCOPY, LOCK=NONE"
        undo = f"{where} DROP INDEX {index}"
        plain = super().create_index(table, name, columns)
        return replace(plain, statements=(sql,), undo=(undo,), impact=_INDEXING)

    def drop_index(self, table: str, name: str) -> Step:
        """Drop an index while writers go on."""
        sql = f"ALTER TABLE {self.quote(table)} DROP INDEX {self.quote(name)}, ALGORITHM=NOCOPY, LOCK=NONE"
        return replace(super().drop_index(table, name), statements=(sql,))

    def set_default(self, connection: sa.Connection, table: str, column: str, default: str) -> Step:
        """Give a column a default, in the catalog only."""
        step = super().set_default(connection, table, column, default)
        return replace(step, statements=(f"{step.statements[0]}, {_INSTANT}",))

    def drop_default(self, connection: sa.Connection, table: str, column: str, default: str) -> Step:
        """Take a column's default away, in the catalog only."""
        step = super().drop_default(connection, table, column, default)
        return replace(step, statements=(f"{step.statements[0]}, {_INSTANT}",))

    def set_not_null(self, connection: sa.Connection, table: str, column: str) -> list[Step]:
        """Forbid NULL: the table is written anew while writers go on."""
        return [self._modify(connection, table, column, nullable=False)]

    def drop_not_null(self, connection: sa.Connection, table: str, column: str) -> list[Step]:
        """Allow NULL: the table is written anew while writers go on."""
        return [self._modify(connection, table, column, nullable=True)]

    def _modify(self, connection: sa.Connection, table: str, column: str, *, nullable: bool) -> Step:
        """Restate the column as it is, but for NULL: whatever MODIFY leaves out is lost."""
        where, quoted = f"ALTER TABLE {self.quote(table)} MODIFY COLUMN", self.quote(column)
        before = self._definition(connection, table, column)
        bare = re.sub(r" (?:NOT )?NULL\b", "", before.replace(" DEFAULT NULL", ""), count=1)
        # After the type with its character set, before whatever else there is.
        cut = re.search(r" (?:DEFAULT|COMMENT|ON UPDATE|CHECK|AUTO_INCREMENT|INVISIBLE)\b", bare)
        at = cut.start() if cut else len(bare)
        after = f"{bare[:at]}{' NULL' if nullable else ' NOT NULL'}{bare[at:]}"
        return Step(
            f"{'allow' if nullable else 'forbid'} NULL in {table}.{column}",
            (f"{where} {quoted} {after}, {_INSTANT}",),
            lambda c: self.columns(c, table)[column].nullable != nullable,
            fallback=(f"{where} {quoted} {after}, {_ONLINE}",),
            undo=(f"{where} {quoted} {before}",),
            impact=_REBUILDING,
        )

    def retyped(self, connection: sa.Connection, table: str, column: str, type_sql: str) -> str:
        """Return what gives an integer column another width in an ALTER, and leaves everything else as it is."""
        definition = self._definition(connection, table, column)
        return f"MODIFY COLUMN {self.quote(column)} {re.sub(r'^[a-z]*int(?:[(][0-9]+[)])?', type_sql, definition)}"

    def _definition(self, connection: sa.Connection, table: str, column: str) -> str:
        """Return what stands behind the column's name in the table's definition."""
        text = str(connection.exec_driver_sql(f"SHOW CREATE TABLE {self.quote(table)}").one()[1])
        name = f"  `{column.replace('`', '``')}` "
        for line in text.splitlines():
            if line.lower().startswith(name.lower()):
                return line[len(name) :].removesuffix(",")
        raise LookupError(f"table {table} has no column {column}")

    def add_constraint(self, connection: sa.Connection | None, constraint: Constraint) -> list[Step]:
        """Make a constraint bind: a foreign key without looking at the rows; a check by triggers.

        Adding a CHECK copies the whole table and keeps every writer waiting, whatever is asked for.
        """
        if constraint.refers_to:
            return [self._add_foreign_key(constraint)]
        assert connection is not None  # noqa: S101 # only PostgreSQL does without
        there = self.triggers(connection, constraint.table)
        triggers = [self._guard(constraint, event) for event in ("insert", "update")]
        return [self.trigger_step(trigger, (), there) for trigger in triggers]

    def drop_constraint(self, connection: sa.Connection | None, constraint: Constraint) -> list[Step]:
        """Take a constraint away, and triggers that stood for it."""
        where, name = f"ALTER TABLE {self.quote(constraint.table)}", self.quote(constraint.name)
        if constraint.refers_to:
            sql = f"{where} DROP FOREIGN KEY {name}, ALGORITHM=INSTANT, LOCK=NONE"
        else:
            sql = f"{where} DROP CONSTRAINT {name}"
        steps = [
            Step(
                f"drop constraint {constraint.name}",
                (sql,),
                lambda c: self._has_constraint(c, constraint),
                impact=self.instant,
            )
        ]
        if constraint.refers_to:
            return [*steps, self.drop_index(constraint.table, constraint.name)] if constraint.owns_index else steps
        names = [self._guard(constraint, event).name for event in ("insert", "update")]
        del connection
        return [*steps, *(self.untrigger_step(constraint.table, name) for name in names)]

    def _guard(self, constraint: Constraint, event: str) -> Trigger:
        return Trigger(
            name=f"bsc_z_{constraint.name}_{event[:3]}"[:64],  # z: after all others, whose values it judges
            table=constraint.table,
            event="insert" if event == "insert" else "update",
            when=constraint.breaks_new,
            refuses=f"CONSTRAINT `{constraint.name}` failed for `{constraint.table}`",
        )

    def _add_foreign_key(self, constraint: Constraint) -> Step:
        where, name = f"ALTER TABLE {self.quote(constraint.table)}", self.quote(constraint.name)
        add = f"{where} ADD CONSTRAINT {name} {constraint.definition}, ALGORITHM=NOCOPY, LOCK=NONE"
        return Step(
            f"add constraint {constraint.name}",
            # With the checks on, the table is copied. The rows that are there have been looked at before.
            ("SET SESSION foreign_key_checks = 0", add, "SET SESSION foreign_key_checks = 1"),
            lambda c: not self._has_constraint(c, constraint),
            undo=(f"{where} DROP FOREIGN KEY {name}",),
            impact=_INDEXING,
        )

    def _has_constraint(self, connection: sa.Connection, constraint: Constraint) -> bool:
        query = sa.text(
            "SELECT count(*) FROM information_schema.table_constraints WHERE constraint_schema = database() "
            "AND table_name = :table AND constraint_name = :name"
        )
        return bool(connection.scalar(query, {"table": constraint.table, "name": constraint.name}))

    def add_unique(self, table: str, name: str, columns: Sequence[str]) -> list[Step]:
        """Build a unique index while writers go on."""
        return [self.create_index(table, name, columns, unique=True)]

    def drop_unique(self, table: str, name: str) -> list[Step]:
        """Drop the index."""
        return [self.drop_index(table, name)]

    def create_tripwire(self, name: str) -> Step:
        """Make a sequence; without a cache, so that what it says is what was counted."""
        sql = f"CREATE SEQUENCE IF NOT EXISTS {self.quote(name)} MINVALUE 0 START WITH 0 NOCACHE"
        return Step(f"create tripwire {name}", (sql,), always, undo=self.drop_tripwire(name).statements)

    def drop_tripwire(self, name: str) -> Step:
        """Drop the sequence."""
        return Step(f"drop tripwire {name}", (f"DROP SEQUENCE IF EXISTS {self.quote(name)}",), always)

    def read_tripwire(self, connection: sa.Connection, name: str) -> int:
        """Return how often it was asked for a number."""
        there = sa.text(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_name = :name"
        )
        if not connection.scalar(there, {"name": name}):
            return 0
        query = f"SELECT next_not_cached_value FROM {self.quote(name)}"  # noqa: S608 # our own quoted name
        return int(connection.exec_driver_sql(query).scalar_one())

    def release_old_column(self, connection: sa.Connection, table: str, column: Column) -> list[Step]:
        """Give a NOT NULL column a default: cheaper than to allow NULL, which writes the table anew."""
        if column.nullable or column.has_default:
            return []
        return [self.set_default(connection, table, column.name, _WRITABLE_DEFAULTS[column.type])]

    def tighten_old_column(self, connection: sa.Connection, table: str, column: Column) -> list[Step]:
        """Take the default away again."""
        if column.nullable or column.has_default:
            return []
        return [self.drop_default(connection, table, column.name, _WRITABLE_DEFAULTS[column.type])]

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
