"""What a database must answer so that the phases can run on it; one file per database implements it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bascule.schema.changes import ColumnType, Split
from bascule.schema.keyset import Keyset
from bascule.schema.pace import Pace, PaceName
from bascule.schema.routes import Keys, Route
from bascule.schema.rule import Rule

__all__ = ["Column", "Constraint", "Database", "Impact", "Pace", "Step", "Trigger", "always"]


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
class Impact:
    """What a statement does to everybody else: the lock it takes, whom that keeps waiting, and for how long.

    `work` is done while the lock is held: none at all, one look at every row, one index, or the table written anew.
    """

    lock: str
    blocks: Literal["nobody", "writers", "everybody"]
    work: Literal["instant", "scan", "index", "rebuild"] = "instant"


def always(_: sa.Connection) -> bool:
    """Call for a step whatever the catalog says: its statements are harmless to repeat."""
    return True


@dataclass(frozen=True, slots=True)
class Step:
    """DDL that is run when the catalog says that it is needed, so that running it again is harmless.

    `alone` marks statements that must not be in a transaction, `separate` those that must have one of their own, so
    that a lock of their neighbours is not held meanwhile. `fallback` is tried when the database cannot do the first
    form online-instantly. `undo` is what takes it back, for people to read. `late` says the statements anew at the
    moment of running, where they depend on what earlier steps of the same phase have done.
    """

    what: str
    statements: tuple[str, ...]
    is_needed: Callable[[sa.Connection], bool]
    alone: bool = False
    separate: bool = False
    fallback: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    late: Callable[[sa.Connection], tuple[str, ...]] | None = None
    impact: Impact = Impact("none", "nobody")


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger on one row's insert or update, in words that every database can put into its own.

    `when` is SQL over `NEW.` and `OLD.`; then each column in `sets` is given its value, in this order. `when_now` and
    `sets_now` say the same over the row as it stands in the table, for triggers that come after the write: of several,
    each sees what was written, and not what the others have made of it since. `written` are the columns whose update
    can make it act. `counts` names a tripwire to move, `refuses` a message to fail with
    instead of setting anything. A trigger with an `owner`, a change's id, is spared the backfill of that change, where
    the database can tell it; what that backfill writes is right already. Other changes' triggers see it as any write.
    """

    name: str
    table: str
    event: Literal["insert", "update"]
    when: str
    sets: Mapping[str, str] = field(default_factory=dict)
    when_now: str = ""
    sets_now: Mapping[str, str] = field(default_factory=dict)
    written: tuple[str, ...] = ()
    counts: str = ""
    refuses: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint by name, with its SQL as in a table definition; of a check, also its SQL over the row written.

    `owns_index` when an index that the database makes for it is to go with it.
    """

    table: str
    name: str
    definition: str
    breaks_new: str = ""
    refers_to: str = ""
    owns_index: bool = False


class Database(ABC):
    """One kind of database. Nothing here keeps state; connections come from outside."""

    name: ClassVar[str]
    transactional_ddl: ClassVar[bool]
    isolation: ClassVar[str | None]
    row_values: ClassVar[bool] = True  # whether an index serves `(a, b) > (1, 2)`
    paces: ClassVar[Mapping[PaceName, Pace]]
    now: ClassVar[str]  # SQL for seconds since the epoch, by the database's own clock
    instant: ClassVar[Impact]  # of DDL that only changes the catalog
    relaxes_before_triggers: ClassVar[bool] = False  # its triggers come too late to fill a NOT NULL column

    def __init__(self, dialect: sa.Dialect) -> None:
        self.dialect = dialect

    @property
    def clock(self) -> sa.ColumnElement[float]:
        """Seconds since the epoch, by the database's own clock."""
        return sa.literal_column(self.now, sa.Double)

    def quote(self, name: str) -> str:
        """Quote an identifier where it needs it."""
        return self.dialect.identifier_preparer.quote(name)

    def quote_all(self, names: Sequence[str]) -> str:
        """Quote identifiers, for a list in SQL."""
        return ", ".join(map(self.quote, names))

    def literal(self, value: object) -> str:
        """Return a constant as SQL."""
        if isinstance(value, bool):
            return str(sa.literal(value).compile(dialect=self.dialect, compile_kwargs={"literal_binds": True}))
        if isinstance(value, int | float):
            return repr(value)
        # Not through the compiler: it would double percent signs for drivers that we call without parameters.
        return "'" + str(value).replace("'", "''") + "'"

    def compile(self, column_type: ColumnType) -> str:
        """Return the DDL text of a type."""
        return column_type.compile(dialect=self.dialect)

    def rule(self, split: Split, before: Mapping[str, str] | None = None) -> Rule:
        """Return the sync rule of a change in this database's SQL; see Rule for `before`."""
        return Rule(split, self.name, self.quote, self.differs, before or {})

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
    def differs(self, left: str, right: str, kind: ColumnType | None = None) -> str:
        """Compare two values, of a type if that is known, so that NULL equals NULL, and case and blanks count."""

    @abstractmethod
    def is_lock_trouble(self, error: DBAPIError) -> bool:
        """Whether the error means that a lock was not granted in time, and the transaction may be tried again."""

    @abstractmethod
    def columns(self, connection: sa.Connection, table: str) -> dict[str, Column]:
        """Return the table's columns by name; empty when there is no such table."""

    @abstractmethod
    def triggers(self, connection: sa.Connection, table: str) -> dict[str, str]:
        """Return the table's triggers that really fire: names, and their events where `create_trigger` must know."""

    @abstractmethod
    def create_trigger(self, trigger: Trigger, key: Sequence[str], others: Mapping[str, str]) -> tuple[str, ...]:
        """Return the statements that create a trigger, or replace it, so that it fires in the order of the names.

        `key` is the table's primary key, `others` the triggers that are there already.
        """

    @abstractmethod
    def drop_trigger(self, table: str, name: str) -> tuple[str, ...]:
        """Return the statements that drop one sync trigger, also when it is not there."""

    @abstractmethod
    def size(self, connection: sa.Connection, table: str) -> tuple[int, int]:
        """Return about how many rows the table has, and its bytes, without counting."""

    def set_lazy_commits(self, connection: sa.Connection, *, on: bool) -> None:
        """Let commits of this session return before they are on disk, or no longer.

        A batch is lost together with its cursor, so no crash of the database can leave one without the other.
        """
        del connection, on

    def begin_work(self, connection: sa.Connection, change: str | None) -> None:
        """Note whose backfill this session runs from now on, where triggers ask for it; None at its end."""
        del connection, change

    def begin_batch(self, connection: sa.Connection) -> None:
        """Let the commit of this transaction return before it is on disk, where that can be had for one alone."""
        del connection

    def route(self, connection: sa.Connection, keyset: Keyset) -> Route:
        """Return the fastest way along a table; it need not meet every row, since a scan along the key follows."""
        del connection
        return Keys(keyset)

    def long_transactions(self, connection: sa.Connection, table: str) -> tuple[str, ...]:
        """Return who has a transaction open that a lock on the table would wait for, and not only for a moment."""
        del connection, table
        return ()

    def cut_short(self, connection: sa.Connection, step: Step) -> None:
        """Prepare for a step that takes an instant once it has its lock, or for one that does not."""
        del connection, step

    def wants_fallback(self, error: DBAPIError) -> bool:
        """Whether a step's first form is not possible on this table, and its second should be tried."""
        del error
        return False

    def add_column(
        self, table: str, name: str, type_sql: str, *, default: str | None = None, not_null: bool = False
    ) -> Step:
        """Add a column, with a constant default where there is one."""
        where, column = self.quote(table), self.quote(name)
        extras = (" NOT NULL" if not_null else "") + ("" if default is None else f" DEFAULT {default}")
        sql = f"ALTER TABLE {where} ADD COLUMN {column} {type_sql}{extras}"
        return Step(
            f"add column {table}.{name}",
            (sql,),
            lambda c: name not in self.columns(c, table),
            undo=(f"ALTER TABLE {where} DROP COLUMN {column}",),
            impact=self.instant,
        )

    def drop_column(self, table: str, name: str) -> Step:
        """Drop a column."""
        sql = f"ALTER TABLE {self.quote(table)} DROP COLUMN {self.quote(name)}"
        return Step(
            f"drop column {table}.{name}", (sql,), lambda c: name in self.columns(c, table), impact=self.instant
        )

    def create_index(self, table: str, name: str, columns: Sequence[str], *, unique: bool = False) -> Step:
        """Create an index."""
        kind = "UNIQUE INDEX" if unique else "INDEX"
        sql = f"CREATE {kind} {self.quote(name)} ON {self.quote(table)} ({self.quote_all(columns)})"
        return Step(
            f"create index {name}",
            (sql,),
            lambda c: name not in self.indexes(c, table),
            undo=(f"DROP INDEX {self.quote(name)}",),
            impact=Impact(self.instant.lock, "writers", "index"),
        )

    def drop_index(self, table: str, name: str) -> Step:
        """Drop an index."""
        return Step(
            f"drop index {name}",
            (f"DROP INDEX {self.quote(name)}",),
            lambda c: name in self.indexes(c, table),
            impact=self.instant,
        )

    def indexes(self, connection: sa.Connection, table: str) -> set[str]:
        """Return the names of the table's usable indexes."""
        return {index["name"] for index in sa.inspect(connection).get_indexes(table) if index["name"]}

    def create_table(self, definition: sa.Table) -> list[Step]:
        """Create a table and its indexes."""
        name = definition.name
        plain = sa.schema.CreateTable(definition).compile(dialect=self.dialect)
        indexes = [
            str(sa.schema.CreateIndex(index).compile(dialect=self.dialect))
            for index in sorted(definition.indexes, key=lambda index: str(index.name))
        ]
        return [
            Step(
                f"create table {name}",
                (str(plain).strip(), *indexes),
                lambda c: not sa.inspect(c).has_table(name),
                undo=(f"DROP TABLE {self.quote(name)}",),
                impact=Impact("none on tables in use", "nobody"),
            )
        ]

    def drop_table(self, table: str) -> Step:
        """Drop a table."""
        return Step(
            f"drop table {table}",
            (f"DROP TABLE {self.quote(table)}",),
            lambda c: sa.inspect(c).has_table(table),
            impact=self.instant,
        )

    def set_default(self, connection: sa.Connection, table: str, column: str, default: str) -> Step:
        """Give a column a default."""
        del connection
        where = f"ALTER TABLE {self.quote(table)} ALTER COLUMN {self.quote(column)}"
        return Step(
            f"set a default on {table}.{column}",
            (f"{where} SET DEFAULT {default}",),
            lambda c: column in (now := self.columns(c, table)) and not now[column].has_default,
            undo=(f"{where} DROP DEFAULT",),
            impact=self.instant,
        )

    def drop_default(self, connection: sa.Connection, table: str, column: str, default: str) -> Step:
        """Take a column's default away, which is the given one."""
        del connection, default
        sql = f"ALTER TABLE {self.quote(table)} ALTER COLUMN {self.quote(column)} DROP DEFAULT"
        return Step(
            f"drop the default of {table}.{column}",
            (sql,),
            lambda c: column in (now := self.columns(c, table)) and now[column].has_default,
            impact=self.instant,
        )

    @abstractmethod
    def set_not_null(self, connection: sa.Connection, table: str, column: str) -> list[Step]:
        """Return the steps that forbid NULL in a column that has none, keeping writers waiting for an instant only."""

    @abstractmethod
    def drop_not_null(self, connection: sa.Connection, table: str, column: str) -> list[Step]:
        """Return the steps that allow NULL in a column."""

    @abstractmethod
    def add_constraint(self, connection: sa.Connection | None, constraint: Constraint) -> list[Step]:
        """Return the steps that make a check or foreign key bind for every write from now on."""

    def validate_constraint(self, constraint: Constraint) -> list[Step]:
        """Return the steps that prove it for the rows that are there, where the database keeps account of that."""
        del constraint
        return []

    @abstractmethod
    def drop_constraint(self, connection: sa.Connection | None, constraint: Constraint) -> list[Step]:
        """Return the steps that take a check or foreign key away."""

    @abstractmethod
    def add_unique(self, table: str, name: str, columns: Sequence[str]) -> list[Step]:
        """Return the steps that make columns unique together while writers go on."""

    @abstractmethod
    def drop_unique(self, table: str, name: str) -> list[Step]:
        """Return the steps that let columns repeat."""

    @abstractmethod
    def create_tripwire(self, name: str) -> Step:
        """Return the step that makes a tripwire: a counter that a trigger moves without keeping any writer waiting."""

    @abstractmethod
    def drop_tripwire(self, name: str) -> Step:
        """Return the step that takes it away."""

    @abstractmethod
    def read_tripwire(self, connection: sa.Connection, name: str) -> int:
        """Return how often it was moved; 0 when there is none."""

    def release_old_column(self, connection: sa.Connection, table: str, column: Column) -> list[Step]:
        """Return the steps that let writers omit an old column that is NOT NULL, before its triggers go."""
        if column.nullable or column.has_default:
            return []
        return self.drop_not_null(connection, table, column.name)

    def tighten_old_column(self, connection: sa.Connection, table: str, column: Column) -> list[Step]:
        """Return the steps that take `release_old_column` back; `column` is as it was before."""
        if column.nullable or column.has_default:
            return []
        return self.set_not_null(connection, table, column.name)

    def why_not_expandable(self, column: Column) -> str | None:
        """Return why an old column cannot be kept in sync on this database, if so."""
        del column
        return None

    def charset_of(self, column: Column) -> str:
        """Return what a new column's type needs so that it compares as the old one does."""
        del column
        return ""

    def trigger_step(self, trigger: Trigger, key: Sequence[str], others: Mapping[str, str]) -> Step:
        """Return the step that creates a trigger."""
        return Step(
            f"create trigger {trigger.name}",
            # A disabled one is there, and does not count: hence the drop where a create would not replace it.
            self.create_trigger(trigger, key, others),
            lambda c: trigger.name not in self.triggers(c, trigger.table),
            undo=self.drop_trigger(trigger.table, trigger.name),
            impact=self.trigger_impact,
        )

    def replace_trigger_step(self, trigger: Trigger, key: Sequence[str], others: Mapping[str, str]) -> Step:
        """Return the step that creates a trigger in the place of one of the same name."""
        statements = self.create_trigger(trigger, key, others)
        return Step(f"replace trigger {trigger.name}", statements, always, impact=self.trigger_impact)

    def untrigger_step(self, table: str, name: str) -> Step:
        """Return the step that drops a trigger."""
        return Step(f"drop trigger {name}", self.drop_trigger(table, name), always, impact=self.trigger_impact)

    @property
    def trigger_impact(self) -> Impact:
        """What creating or dropping a trigger does to others."""
        return self.instant
