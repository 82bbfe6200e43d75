"""Whether NULL may stand in a column."""

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.catalog import Table
from bascule.schema.changes import DropNotNull, SetNotNull, short_name
from bascule.schema.databases import Step, Trigger
from bascule.schema.derive.base import Derivation
from bascule.schema.refusals import BadChange, RowsInTheWay
from bascule.schema.rows import FillRows, RowWork

__all__ = ["DropNotNullDerivation", "SetNotNullDerivation"]


class SetNotNullDerivation(Derivation[SetNotNull]):
    """Expand has NULLs replaced as they are written, migrate those that are there; contract forbids them."""

    def spec(self) -> dict[str, object]:
        """Return the column."""
        change = self.change
        return {
            "id": change.id,
            "table": change.table,
            "set_not_null": change.column,
            "fill": self._value("") if change.fill else None,
        }

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse a column that is not there or forbids NULL already."""
        del connection
        _require_column(self.change.id, table, self.change.column, nullable=True)

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the triggers that replace NULL."""
        del connection
        return [self.database.trigger_step(trigger, table.key, table.triggers) for trigger in self._triggers()]

    def rows(self) -> RowWork:
        """Return the fill of rows with NULL; without an expression they are only counted."""
        column = self.change.column
        values = {column: self._value("")} if self.change.fill else {}
        return FillRows(self.change.id, self.change.table, f"({self.database.quote(column)} IS NULL)", values)

    def triggers(self) -> tuple[str, ...]:
        """Return those that fill."""
        return tuple(trigger.name for trigger in self._triggers())

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return NOT NULL, then the end of the triggers: until it binds, they keep NULL out."""
        strict = self.database.set_not_null(connection, table.name, self.change.column)
        return strict + [self.database.untrigger_step(table.name, name) for name in self.triggers()]

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return NULL allowed, and the triggers again."""
        loose = self.database.drop_not_null(connection, table.name, self.change.column)
        return loose + self.expand(connection, table)

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the end of the triggers."""
        del connection
        return [self.database.untrigger_step(table.name, name) for name in self.triggers()]

    def loses(self) -> str:
        """Say that what was NULL stays filled."""
        return f"which rows had NULL in {self.change.table}.{self.change.column}" if self.change.fill else ""

    def stale_error(self, rows: int) -> SchemaError:
        """Return that NULL is there."""
        return RowsInTheWay(self.change.id, self.change.table, rows, f"have NULL in {self.change.column}")

    def _value(self, row: str) -> str:
        return self.row_sql(self.change.fill, f"column {self.change.column}", row)

    def _triggers(self) -> list[Trigger]:
        if not self.change.fill:
            return []
        column = self.change.column
        return [
            Trigger(
                name=short_name(self.change.id, f"fill_{event[:3]}", order="e_"),
                owner=self.change.id,
                table=self.change.table,
                event="insert" if event == "insert" else "update",
                when=f"(NEW.{self.database.quote(column)} IS NULL)",
                sets={column: self._value("NEW.")},
                when_now=f"({self.database.quote(column)} IS NULL)",
                sets_now={column: self._value("")},
                written=(column,) if event == "update" else (),
            )
            for event in ("insert", "update")
        ]


class DropNotNullDerivation(Derivation[DropNotNull]):
    """Contract allows NULL, when nobody is left who could not read it."""

    def spec(self) -> dict[str, object]:
        """Return the column."""
        return {"id": self.change.id, "table": self.change.table, "drop_not_null": self.change.column}

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse a column that is not there, allows NULL already, or is part of the key."""
        del connection
        _require_column(self.change.id, table, self.change.column, nullable=False)
        if self.change.column in table.key:
            raise BadChange(self.change.id, "the column is part of the primary key")

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return NULL allowed."""
        return self.database.drop_not_null(connection, table.name, self.change.column)

    def count_in_the_way(self, connection: sa.Connection) -> int:
        """Return how many rows have NULL, which the way back cannot keep."""
        table = sa.table(self.change.table, sa.column(self.change.column))
        query = sa.select(sa.func.count()).select_from(table).where(table.c[self.change.column].is_(None))
        return int(connection.scalar(query) or 0)

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return NULL forbidden. Raises RowsInTheWay when it is there already."""
        if rows := self.count_in_the_way(connection):
            raise RowsInTheWay(
                self.change.id,
                table.name,
                rows,
                f"have NULL in {self.change.column}, which the old release cannot read",
            )
        return self.database.set_not_null(connection, table.name, self.change.column)


def _require_column(change: str, table: Table, column: str, *, nullable: bool) -> None:
    if column not in table.columns:
        raise BadChange(change, f"table {table.name} has no column {column}")
    if table.columns[column].nullable != nullable:
        raise BadChange(change, f"{table.name}.{column} {'forbids' if nullable else 'allows'} NULL already")
