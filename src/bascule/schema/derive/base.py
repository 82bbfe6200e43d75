"""What one change does to one database, phase by phase: the answers that every kind of change must give."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.catalog import Table, look_at
from bascule.schema.changes import Change, Expression, fill_row
from bascule.schema.databases import Database, Step
from bascule.schema.refusals import StaleRows
from bascule.schema.rows import RowWork

__all__ = ["Derivation", "Fence", "Known", "SomeDerivation"]

C = TypeVar("C", bound=Change)
Fence = Literal["count", "refuse"]


@dataclass(frozen=True, slots=True)
class Known:
    """What was recorded when the change was expanded: its place in a chain, and what the table was like before."""

    depth: int | None = 0
    before: Mapping[str, Any] | None = None  # Any: parsed JSON that `remember` wrote


class Derivation(ABC, Generic[C]):
    """One change on one database. Every list of steps is harmless to run again; an empty one means nothing to do.

    The steps of a phase run in their order, each journalled. Rows are made right and counted between expand and
    `prove`; the ways back are `rollback` (before contract) and `restore`, the rows, `tighten` (after it).
    """

    makes_table: ClassVar[bool] = False  # all other kinds need theirs to be there
    goes_stale: ClassVar[bool] = False  # old writers make rows wrong again after migrate has proved that none is

    def __init__(self, change: C, database: Database, known: Known) -> None:
        self.change, self.database, self.known = change, database, known

    @abstractmethod
    def spec(self) -> dict[str, object]:
        """Return the change as this database would apply it, in plain values: what its checksum is made of."""

    @abstractmethod
    def check(self, connection: sa.Connection, table: Table) -> None:
        """Raise BadChange with the reason why this change cannot be made on this table."""

    def row_sql(self, written: Expression, what: str, prefix: str = "") -> str:
        """Return an author's expression over one row as SQL; `prefix` is `NEW.` in a trigger."""
        database = self.database
        return f"({fill_row(self.change.id, written, database.name, what, quote=database.quote, prefix=prefix)})"

    def look(self, connection: sa.Connection) -> Table:
        """Return the table."""
        return look_at(connection, self.database, self.change.id, self.change.table)

    def remember(self, table: Table) -> dict[str, object]:
        """Return what the way back must know of the table as it is before expand, as JSON."""
        del table
        return {}

    def seen_before(self) -> dict[str, str]:
        """Return SQL over `OLD.` for each new column as it would be had the row been filled; see Rule."""
        return {}

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return what both releases can live with, and what keeps them in step."""
        del connection, table
        return []

    def rows(self) -> RowWork | None:
        """Return what is to be done to rows, one range after the other."""
        return None

    def rows_to_restore(self) -> RowWork | None:
        """Return what is to be done to rows when contract is taken back and the new side has the last word."""
        return self.rows()

    def rows_to_roll_back(self) -> RowWork | None:
        """Return what is to be done to rows before expand is taken back."""
        return None

    def refuse_rollback(self, connection: sa.Connection) -> None:
        """Raise RowsInTheWay where a value is there that the old release cannot have."""
        del connection

    def required_fleet(self) -> str:
        """Return the release that all live processes must have reached before rows are made right; empty for none."""
        return ""

    def count_wrong(self, connection: sa.Connection) -> int | None:
        """Return how many rows are wrong, where only a look at the whole table can tell; None when `rows` tells."""
        del connection
        return None

    def prove(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return what the database can prove once no row is wrong."""
        del connection, table
        return []

    def triggers(self) -> tuple[str, ...]:
        """Return the triggers that must be there between expand and contract."""
        return ()

    def triggers_on(self) -> Mapping[str, tuple[str, ...]]:
        """Return those triggers by their tables, for changes that have some on another one too."""
        return {self.change.table: self.triggers()}

    def triggers_of_fence(self) -> tuple[str, ...]:
        """Return the names of triggers on the change's table that are there only while it is fenced."""
        return ()

    def fence(self, connection: sa.Connection, table: Table, mode: Fence) -> list[Step]:
        """Return what makes writes of the old release be counted, or refused."""
        del connection, table, mode
        return []

    def unfence(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return what lets the old release write again."""
        del connection, table
        return []

    def tripwire(self) -> str:
        """Return the name of the tripwire that old writes move once fenced; empty when there is none."""
        return ""

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return what ends the old release's part, but for what purge takes away."""
        del connection, table
        return []

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return what takes contract back; afterwards the rows are made right from the new side."""
        del connection, table
        return []

    def tighten(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return what contract had relaxed, to be put back once the rows are right."""
        del connection, table
        return []

    def purge(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return what removes the old release's data for good."""
        del connection, table
        return []

    def removes(self) -> tuple[str, ...]:
        """Return what purge removes, for people to read."""
        return ()

    def is_purged(self, connection: sa.Connection) -> bool:
        """Whether what purge removes is gone already."""
        del connection
        return False

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return what takes expand back."""
        del connection, table
        return []

    def loses(self) -> str:
        """Return in words what a way back cannot keep; empty when nothing is lost."""
        return ""

    def count_lost(self, connection: sa.Connection) -> int:
        """Return how many rows hold what a way back cannot keep."""
        del connection
        return 0

    def stale_error(self, rows: int) -> SchemaError:
        """Return the refusal for rows that are wrong after migrate."""
        return StaleRows(self.change.id, self.change.table, rows)


SomeDerivation = Derivation[Any]  # Any: of whichever kind of change
