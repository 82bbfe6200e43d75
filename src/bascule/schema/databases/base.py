"""What a database must answer so that the phases can run on it; one file per database implements it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bascule.schema.changes import EVENTS, ColumnType, Split, short_name
from bascule.schema.rule import Rule

__all__ = ["Column", "Database", "Pace", "Step"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the catalog has it; `charset` and `collation` only where they matter (MariaDB text)."""

    name: str
    nullable: bool
    has_default: bool
    type: str
    charset: str | None = None
    collation: str | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How a backfill goes: seconds per batch, rows of the first batch, and the share of the time it may work."""

    batch_s: float
    first_rows: int
    duty: float


@dataclass(frozen=True, slots=True)
class Step:
    """DDL that is run when the catalog says that it is needed, so that running it again is harmless.

    `alone` marks statements that must not be in a transaction. `fallback` is tried when the database cannot do the
    first form online-instantly.
    """

    what: str
    statements: tuple[str, ...]
    is_needed: Callable[[sa.Connection], bool]
    alone: bool = False
    fallback: tuple[str, ...] = ()


class Database(ABC):
    """One kind of database. Nothing here keeps state; connections come from outside."""

    name: ClassVar[str]
    transactional_ddl: ClassVar[bool]
    isolation: ClassVar[str | None]
    pace: ClassVar[Pace]
    now: ClassVar[str]  # SQL for seconds since the epoch, by the database's own clock

    def __init__(self, dialect: sa.Dialect) -> None:
        self.dialect = dialect

    @property
    def clock(self) -> sa.ColumnElement[float]:
        """Seconds since the epoch, by the database's own clock."""
        return sa.literal_column(self.now, sa.Double)

    def quote(self, name: str) -> str:
        """Quote an identifier where it needs it."""
        return self.dialect.identifier_preparer.quote(name)

    def compile(self, column_type: ColumnType) -> str:
        """Return the DDL text of a type."""
        return column_type.compile(dialect=self.dialect)

    def rule(self, split: Split) -> Rule:
        """Return the sync rule of a change in this database's SQL."""
        return Rule(split, self.name, self.quote, self.differs)

    @abstractmethod
    def begin(self, connection: sa.Connection, *, writes: bool) -> None:
        """Prepare a transaction that has just begun: short lock timeouts, and locks it must have from the start."""

    @abstractmethod
    def error_code(self, error: DBAPIError) -> str:
        """Return the database's own code of an error: never its text, which may quote stored values."""

    @abstractmethod
    def check_version(self, connection: sa.Connection) -> None:
        """Raise UnsupportedDatabase when the server is too old."""

    @abstractmethod
    def differs(self, left: str, right: str) -> str:
        """Compare two values so that NULL equals NULL, and case and trailing blanks count."""

    @abstractmethod
    def is_lock_trouble(self, error: DBAPIError) -> bool:
        """Whether the error means that a lock was not granted in time, and the transaction may be tried again."""

    @abstractmethod
    def columns(self, connection: sa.Connection, table: str) -> dict[str, Column]:
        """Return the table's columns by name; empty when there is no such table."""

    @abstractmethod
    def triggers(self, connection: sa.Connection, table: str) -> set[str]:
        """Return the names of the table's triggers that really fire."""

    @abstractmethod
    def create_trigger(self, split: Split, event: str, name: str, key: Sequence[str]) -> tuple[str, ...]:
        """Return the statements that create one sync trigger."""

    @abstractmethod
    def drop_trigger(self, table: str, name: str) -> tuple[str, ...]:
        """Return the statements that drop one sync trigger, also when it is not there."""

    def wants_fallback(self, error: DBAPIError) -> bool:
        """Whether a step's first form is not possible on this table, and its second should be tried."""
        del error
        return False

    def add_column(self, table: str, name: str, type_sql: str) -> Step:
        """Add a nullable column without default."""
        sql = f"ALTER TABLE {self.quote(table)} ADD COLUMN {self.quote(name)} {type_sql}"
        return Step(f"add column {table}.{name}", (sql,), lambda c: name not in self.columns(c, table))

    def drop_column(self, table: str, name: str) -> Step:
        """Drop a column."""
        sql = f"ALTER TABLE {self.quote(table)} DROP COLUMN {self.quote(name)}"
        return Step(f"drop column {table}.{name}", (sql,), lambda c: name in self.columns(c, table))

    def create_index(self, table: str, name: str, columns: Sequence[str]) -> Step:
        """Create a plain index."""
        sql = f"CREATE INDEX {self.quote(name)} ON {self.quote(table)} ({', '.join(map(self.quote, columns))})"
        return Step(f"create index {name}", (sql,), lambda c: name not in self.indexes(c, table))

    def drop_index(self, table: str, name: str) -> Step:
        """Drop an index."""
        return Step(f"drop index {name}", (f"DROP INDEX {self.quote(name)}",), lambda c: name in self.indexes(c, table))

    def indexes(self, connection: sa.Connection, table: str) -> set[str]:
        """Return the names of the table's usable indexes."""
        return {index["name"] for index in sa.inspect(connection).get_indexes(table) if index["name"]}

    def release_old_column(self, table: str, column: Column) -> Step | None:
        """Return the step that lets writers omit an old column before its triggers go, where one is needed."""
        del table, column
        return None  # transactional DDL has no moment between the two

    def why_not_expandable(self, column: Column) -> str | None:
        """Return why an old column cannot be kept in sync on this database, if so."""
        del column
        return None

    def charset_of(self, column: Column) -> str:
        """Return what a new column's type needs so that it compares as the old one does."""
        del column
        return ""

    def trigger_steps(self, split: Split, key: Sequence[str]) -> list[Step]:
        """Return the steps that create the change's triggers."""
        return [self._trigger_step(split, event, key) for event in EVENTS]

    def _trigger_step(self, split: Split, event: str, key: Sequence[str]) -> Step:
        name = short_name(split.id, event)
        create = self.create_trigger(split, event, name, key)
        statements = (*self.drop_trigger(split.table, name), *create)  # a disabled one is there, and does not count
        return Step(f"create trigger {name}", statements, lambda c: name not in self.triggers(c, split.table))

    def untrigger_steps(self, split: Split) -> list[Step]:
        """Return the steps that drop the change's triggers."""
        names = [short_name(split.id, event) for event in EVENTS]
        return [Step(f"drop trigger {name}", self.drop_trigger(split.table, name), lambda _: True) for name in names]
