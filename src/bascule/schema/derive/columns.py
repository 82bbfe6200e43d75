"""Adding and dropping a column."""

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.catalog import Table
from bascule.schema.changes import AddColumn, DropColumn, short_name
from bascule.schema.databases import Step, Trigger
from bascule.schema.derive.base import Derivation
from bascule.schema.refusals import BadChange, RowsInTheWay
from bascule.schema.rows import FillRows, RowWork

__all__ = ["AddColumnDerivation", "DropColumnDerivation"]


class AddColumnDerivation(Derivation[AddColumn]):
    """Expand adds the column; one that is computed is nullable and filled by a trigger until contract."""

    def spec(self) -> dict[str, object]:
        """Return the column."""
        change = self.change
        return {
            "id": change.id,
            "table": change.table,
            "add_column": change.column,
            "type": self.database.compile(change.type),
            "nullable": change.nullable,
            "default": change.default,
            "fill": self._value("") if change.fill else None,
        }

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse a column that is there."""
        del connection
        if self.change.column in table.columns:
            raise BadChange(self.change.id, f"table {table.name} already has a column {self.change.column}")

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the column and, when it is computed, the trigger for writers who leave it out."""
        del connection
        change, database = self.change, self.database
        type_sql = database.compile(change.type)
        if not change.fill:
            default = None if change.default is None else database.literal(change.default)
            not_null = not change.nullable
            return [database.add_column(table.name, change.column, type_sql, default=default, not_null=not_null)]
        column = database.add_column(table.name, change.column, type_sql)
        return [column, database.trigger_step(self._trigger(), table.key, table.triggers)]

    def rows(self) -> RowWork | None:
        """Return the fill of rows that have no value yet."""
        if not self.change.fill:
            return None
        column, value = self.database.quote(self.change.column), self._value("")
        may_stay = "" if not self.change.nullable else f" AND {value} IS NOT NULL"
        return FillRows(self.change.id, self.change.table, f"({column} IS NULL{may_stay})", {self.change.column: value})

    def triggers(self) -> tuple[str, ...]:
        """Return the one that fills."""
        return (self._trigger().name,) if self.change.fill else ()

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the end of the trigger, and NOT NULL where it was asked for."""
        if not self.change.fill:
            return []
        database = self.database
        strict = [] if self.change.nullable else database.set_not_null(connection, table.name, self.change.column)
        # The trigger last: while it is there, no row can come in that NOT NULL would refuse.
        return [*strict, database.untrigger_step(table.name, self._trigger().name)]

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the trigger again, and NULL allowed."""
        if not self.change.fill:
            return []
        database = self.database
        loose = [] if self.change.nullable else database.drop_not_null(connection, table.name, self.change.column)
        return [*loose, database.trigger_step(self._trigger(), table.key, table.triggers)]

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of trigger and column."""
        del connection
        steps = [self.database.untrigger_step(table.name, name) for name in self.triggers()]
        return [*steps, self.database.drop_column(table.name, self.change.column)]

    def loses(self) -> str:
        """Say that the column goes with its values."""
        return f"what the new release wrote to {self.change.table}.{self.change.column}"

    def stale_error(self, rows: int) -> SchemaError:
        """Return that the expression gave NULL where NULL may not stand."""
        what = f"have no value for {self.change.column}, because the expression that fills it gives NULL for them"
        return RowsInTheWay(self.change.id, self.change.table, rows, what)

    def _value(self, row: str) -> str:
        return self.row_sql(self.change.fill, f"column {self.change.column}", row)

    def _trigger(self) -> Trigger:
        column = self.change.column
        return Trigger(
            name=short_name(self.change.id, "fill", order="e_"),
            owner=self.change.id,
            table=self.change.table,
            event="insert",
            when=f"(NEW.{self.database.quote(column)} IS NULL)",
            sets={column: self._value("NEW.")},
            when_now=f"({self.database.quote(column)} IS NULL)",
            sets_now={column: self._value("")},
        )


class DropColumnDerivation(Derivation[DropColumn]):
    """Expand lets the new release leave the column out; purge drops it."""

    def spec(self) -> dict[str, object]:
        """Return the column."""
        change = self.change
        return {
            "id": change.id,
            "table": change.table,
            "drop_column": change.column,
            "type": self.database.compile(change.type),
            "stand_in": change.stand_in,
        }

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse a column that is not there, is used by a key, or cannot be left out."""
        change = self.change
        if change.column not in table.columns:
            raise BadChange(change.id, f"table {table.name} has no column {change.column}")
        if change.column in table.key:
            raise BadChange(change.id, "the column is part of the primary key")
        inspector = sa.inspect(connection)
        for owner in inspector.get_table_names():
            for key in inspector.get_foreign_keys(owner):
                uses = owner == table.name and change.column in key["constrained_columns"]
                if uses or (key["referred_table"] == table.name and change.column in key["referred_columns"]):
                    raise BadChange(change.id, f"a foreign key of {owner} uses the column; drop that first")
        column = table.columns[change.column]
        if not column.nullable and not column.has_default and change.stand_in is None:
            why = "is NOT NULL without a default, and new writers leave it out, so it needs a `stand_in`"
            raise BadChange(change.id, f"{table.name}.{change.column} {why}")

    def remember(self, table: Table) -> dict[str, object]:
        """Return whether the stand-in is ours."""
        column = table.columns[self.change.column]
        return {"stands_in": self.change.stand_in is not None and not column.has_default}

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the stand-in as a default."""
        if not self._stands_in():
            return []
        default = self.database.literal(self.change.stand_in)
        return [self.database.set_default(connection, table.name, self.change.column, default)]

    def purge(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of the column with its indexes."""
        del connection
        steps = [self.database.drop_index(table.name, index.name) for index in table.indexes_on([self.change.column])]
        return [*steps, self.database.drop_column(table.name, self.change.column)]

    def removes(self) -> tuple[str, ...]:
        """Return the column."""
        return (f"{self.change.table}.{self.change.column}",)

    def is_purged(self, connection: sa.Connection) -> bool:
        """Whether the column is gone."""
        return self.change.column not in self.database.columns(connection, self.change.table)

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the end of the stand-in."""
        if not self._stands_in():
            return []
        default = self.database.literal(self.change.stand_in)
        return [self.database.drop_default(connection, table.name, self.change.column, default)]

    def _stands_in(self) -> bool:
        return bool((self.known.before or {}).get("stands_in"))
