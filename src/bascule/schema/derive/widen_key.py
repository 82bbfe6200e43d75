"""Widening a key on PostgreSQL: a bigint beside the integer, kept in step, and the swap of the two."""

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.catalog import Table, names_any
from bascule.schema.changes import short_name
from bascule.schema.databases import Step, Trigger
from bascule.schema.derive.swap_columns import Dependents, Swap, look_at_dependents
from bascule.schema.derive.widen import WidenDerivation
from bascule.schema.refusals import BadChange, RowsInTheWay, StaleRows
from bascule.schema.rows import FillRows, sql

__all__ = ["WidenKeyDerivation"]

_LARGEST = {"smallint": 32_767, "integer": 2_147_483_647}


class WidenKeyDerivation(WidenDerivation):
    """Expand adds the wide column and its triggers; contract swaps; purge drops the narrow one. SQLite: nothing."""

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse other types than narrow integers, and what a swap of columns would not take along."""
        change = self.change
        kind = self.kind(table)
        if self.database.name == "sqlite":
            if "INT" not in kind.upper():
                raise BadChange(change.id, f"column {change.column} is of type {kind}, which is not an integer")
            return
        if kind not in _LARGEST:
            raise BadChange(change.id, f"column {change.column} is of type {kind}, not smallint or integer")
        self._refuse_dependents(
            connection, table, look_at_dependents(connection, self.database, table.name, change.column)
        )

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the wide column and the triggers that fill it."""
        del connection
        if not self._works:
            return []
        column = self.database.add_column(table.name, self._wide, "bigint")
        return [column, *(self.database.trigger_step(one, table.key, table.triggers) for one in self._forward())]

    def rows(self) -> FillRows | None:
        """Return the fill of the wide column."""
        if not self._works:
            return None
        column, wide = self.database.quote(self.change.column), self.database.quote(self._wide)
        wanting = f"({self.database.differs(wide, column)})"
        return FillRows(self.change.id, self.change.table, wanting, {self._wide: column})

    def triggers(self) -> tuple[str, ...]:
        """Return those that fill."""
        return tuple(one.name for one in self._forward()) if self._works else ()

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the swap. From then on the narrow column follows, as long as it can hold the values."""
        if not self._works:
            return []
        return self._swap(connection, table, self._wide, self._narrow).steps(connection)

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the swap back. Raises RowsInTheWay where a value is there that the narrow column cannot hold."""
        if not self._works:
            return []
        if self._narrow in table.columns and (rows := self._count_wide(connection)):
            what = f"have a {self.change.column} that the old release's type cannot hold"
            raise RowsInTheWay(self.change.id, table.name, rows, what)
        return self._swap(connection, table, self._narrow, self._wide).steps(connection)

    def purge(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of the narrow column and of what fills it."""
        del connection
        if not self._works:
            return []
        steps = [self.database.untrigger_step(table.name, one.name) for one in self._backward()]
        return [*steps, self.database.drop_column(table.name, self._narrow)]

    def removes(self) -> tuple[str, ...]:
        """Return the narrow column."""
        return (f"{self.change.table}.{self._narrow}",) if self._works else ()

    def is_purged(self, connection: sa.Connection) -> bool:
        """Whether there is but one column."""
        there = self.database.columns(connection, self.change.table)
        return self._narrow not in there and self._wide not in there

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of the wide column with its indexes, and of what fills it."""
        del connection
        if not self._works:
            return []
        names = (*self.triggers(), *(one.name for one in self._backward()))
        steps = [self.database.untrigger_step(table.name, name) for name in names]
        return [*steps, self.database.drop_column(table.name, self._wide)]

    def loses(self) -> str:
        """Return nothing: a value that cannot come back stands in its way."""
        return ""

    def stale_error(self, rows: int) -> SchemaError:
        """Return that rows were written past the triggers."""
        return StaleRows(self.change.id, self.change.table, rows)

    @property
    def _works(self) -> bool:
        """Whether anything is to be done at all."""
        return self.database.name == "postgresql"

    @property
    def _wide(self) -> str:
        return short_name(self.change.id, "wide")

    @property
    def _narrow(self) -> str:
        return short_name(self.change.id, "narrow")

    def _swap(self, connection: sa.Connection, table: Table, coming: str, going: str) -> Swap:
        widens = coming == self._wide
        ends, begins = (self._forward(), self._backward()) if widens else (self._backward(), self._forward())
        return Swap(
            self.database,
            table,
            self.change.column,
            coming,
            going,
            look_at_dependents(connection, self.database, table.name, self.change.column),
            short_name(self.change.id, "key"),
            lambda name: short_name(self.change.id, f"ix_{name}")[:60],
            tuple(one.name for one in ends),
            tuple(begins),
            "bigint" if widens else str((self.known.before or {}).get("type", "integer")),
        )

    def _forward(self) -> list[Trigger]:
        return self._triggers("fill", self._wide, f"NEW.{self.database.quote(self.change.column)}")

    def _backward(self) -> list[Trigger]:
        column = f"NEW.{self.database.quote(self.change.column)}"
        largest = _LARGEST[str((self.known.before or {}).get("type", "integer"))]
        held = f"CASE WHEN {column} BETWEEN -{largest} - 1 AND {largest} THEN {column} END"
        return self._triggers("back", self._narrow, held)

    def _triggers(self, what: str, column: str, value: str) -> list[Trigger]:
        """Return the triggers that set a column, behind those of others, which may set the key."""
        when = f"({self.database.differs(f'NEW.{self.database.quote(column)}', value)})"
        return [
            Trigger(
                name=short_name(self.change.id, f"{what}_{event[:3]}", order="w_"),
                table=self.change.table,
                event="insert" if event == "insert" else "update",
                when=when,
                sets={column: value},
            )
            for event in ("insert", "update")
        ]

    def _count_wide(self, connection: sa.Connection) -> int:
        column, narrow = self.database.quote(self.change.column), self.database.quote(self._narrow)
        query = sa.select(sa.func.count()).select_from(sa.table(self.change.table))
        return int(connection.scalar(query.where(sql(f"({narrow} IS NULL AND {column} IS NOT NULL)"))) or 0)

    def _refuse_dependents(self, connection: sa.Connection, table: Table, dependents: Dependents) -> None:
        change, inspector = self.change, sa.inspect(connection)
        if dependents.is_identity:
            raise BadChange(change.id, f"column {change.column} is an identity, whose sequence cannot change columns")
        if dependents.views:
            raise BadChange(
                change.id, f"a view or rule uses column {change.column}, and would go on with the narrow one"
            )
        for unique in inspector.get_unique_constraints(table.name):
            if change.column in unique["column_names"]:
                raise BadChange(change.id, f"unique constraint {unique['name'] or ''} uses the column")
        for check in inspector.get_check_constraints(table.name):
            if names_any([change.column], str(check["sqltext"])):
                raise BadChange(change.id, f"check constraint {check['name'] or ''} uses the column")
        for index in table.indexes_on([change.column]):
            if not index.is_plain:
                raise BadChange(change.id, f"index {index.name} uses the column and is more than a plain index")
