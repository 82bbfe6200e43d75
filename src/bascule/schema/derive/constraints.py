"""Checks, unique columns and foreign keys: each binds, is proved, and goes, in the phases where nobody can break it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.catalog import Table
from bascule.schema.changes import (
    AddCheck,
    AddForeignKey,
    AddUnique,
    Change,
    DropCheck,
    DropForeignKey,
    DropUnique,
)
from bascule.schema.databases import Constraint, Database, Step
from bascule.schema.derive.base import Derivation, Known
from bascule.schema.refusals import BadChange, RowsInTheWay
from bascule.schema.rows import FillRows, RowWork

__all__ = ["AddConstraintDerivation", "DropConstraintDerivation"]


class _CheckKind:
    def __init__(self, derivation: "_ConstraintDerivation", change: AddCheck | DropCheck) -> None:
        self._database, self._change = derivation.database, change
        rule = derivation.row_sql(change.check, f"check {change.name}")
        written = derivation.row_sql(change.check, f"check {change.name}", "NEW.")
        self._rule = rule
        # NULL passes a check: only what is false breaks it.
        self._constraint = Constraint(change.table, change.name, f"CHECK {rule}", breaks_new=f"(NOT {written})")

    def spec(self) -> dict[str, object]:
        return {"check": self._change.name, "rule": self._rule}

    def bind(self, connection: sa.Connection) -> list[Step]:
        return self._database.add_constraint(connection, self._constraint)

    def prove(self) -> list[Step]:
        return self._database.validate_constraint(self._constraint)

    def drop(self, connection: sa.Connection) -> list[Step]:
        return self._database.drop_constraint(connection, self._constraint)

    def broken(self) -> str:
        return f"(NOT {self._rule})"


class _ForeignKeyKind:
    def __init__(self, derivation: "_ConstraintDerivation", change: AddForeignKey | DropForeignKey) -> None:
        database = derivation.database
        self._database, self._change = database, change
        self._constraint = Constraint(
            change.table,
            change.name,
            f"FOREIGN KEY ({database.quote_all(change.columns)}) REFERENCES {database.quote(change.refers_to)} "
            f"({database.quote_all(change.refers_columns)}) ON DELETE {change.on_delete}",
            refers_to=change.refers_to,
            owns_index=isinstance(change, AddForeignKey),
        )

    def spec(self) -> dict[str, object]:
        return {"foreign_key": self._change.name, "definition": self._constraint.definition}

    def bind(self, connection: sa.Connection) -> list[Step]:
        return self._database.add_constraint(connection, self._constraint)

    def prove(self) -> list[Step]:
        return self._database.validate_constraint(self._constraint)

    def drop(self, connection: sa.Connection) -> list[Step]:
        return self._database.drop_constraint(connection, self._constraint)

    def broken(self) -> str:
        quote, change = self._database.quote, self._change
        table, other = quote(change.table), quote(change.refers_to)
        pairs = zip(change.columns, change.refers_columns, strict=True)
        same = " AND ".join(f"bsc_parent.{quote(theirs)} = {table}.{quote(ours)}" for ours, theirs in pairs)
        given = " AND ".join(f"{quote(column)} IS NOT NULL" for column in change.columns)
        return f"({given} AND NOT EXISTS (SELECT 1 FROM {other} bsc_parent WHERE {same}))"  # noqa: S608 # quoted


class _UniqueKind:
    def __init__(self, database: Database, change: AddUnique | DropUnique) -> None:
        self._database, self._change = database, change

    def spec(self) -> dict[str, object]:
        return {"unique": self._change.name, "columns": list(self._change.columns)}

    def bind(self, connection: sa.Connection) -> list[Step]:
        del connection
        return self._database.add_unique(self._change.table, self._change.name, self._change.columns)

    def prove(self) -> list[Step]:
        return []

    def drop(self, connection: sa.Connection) -> list[Step]:
        del connection
        return self._database.drop_unique(self._change.table, self._change.name)

    def broken(self) -> None:
        return None

    def count_broken(self, connection: sa.Connection) -> int:
        """Return how many values stand in more than one row."""
        columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in self._change.columns]  # Any: of any type
        groups: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(sa.table(self._change.table, *columns))
        groups = groups.where(*(column.is_not(None) for column in columns)).group_by(*columns)
        twice = groups.having(sa.func.count() > 1).subquery()
        return int(connection.scalar(sa.select(sa.func.count()).select_from(twice)) or 0)


class _ConstraintDerivation(Derivation[Change]):
    def __init__(self, change: Change, database: Database, known: Known) -> None:
        super().__init__(change, database, known)
        self.kind: _CheckKind | _ForeignKeyKind | _UniqueKind
        if isinstance(change, AddCheck | DropCheck):
            self.kind = _CheckKind(self, change)
        elif isinstance(change, AddForeignKey | DropForeignKey):
            self.kind = _ForeignKeyKind(self, change)
        elif isinstance(change, AddUnique | DropUnique):
            self.kind = _UniqueKind(database, change)
        else:
            raise AssertionError(f"{type(change).__name__} is no constraint")  # noqa: TRY004 # a fault of ours

    def spec(self) -> dict[str, object]:
        """Return the constraint."""
        return {
            "id": self.change.id,
            "table": self.change.table,
            "what": type(self.change).__name__,
            **self.kind.spec(),
        }

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse columns or tables that are not there."""
        change = self.change
        if isinstance(change, AddUnique | DropUnique | AddForeignKey | DropForeignKey):
            _require(change.id, table, change.columns)
        if isinstance(change, DropUnique) and change.name not in self.database.indexes(connection, table.name):
            why = f"{table.name} has no unique index {change.name}"
            if self.database.name == "sqlite":
                why += ", and what the table's own definition makes unique SQLite cannot take apart"
            raise BadChange(change.id, why)
        if isinstance(change, AddForeignKey):
            other = self.database.columns(connection, change.refers_to)
            missing = [name for name in change.refers_columns if name not in other]
            if missing:
                raise BadChange(change.id, f"{change.refers_to} has no column {missing[0]} to refer to")

    def rows(self) -> RowWork | None:
        """Return the count of rows that break it."""
        broken = self.kind.broken()
        return None if broken is None else FillRows(self.change.id, self.change.table, broken)

    def count_wrong(self, connection: sa.Connection) -> int | None:
        """Return how many values are not unique."""
        return self.kind.count_broken(connection) if isinstance(self.kind, _UniqueKind) else None

    def stale_error(self, rows: int) -> SchemaError:
        """Return that rows break it."""
        what = f"break {getattr(self.change, 'name', '')}; mend or delete them"
        return RowsInTheWay(self.change.id, self.change.table, rows, what)


class AddConstraintDerivation(_ConstraintDerivation):
    """Rows are counted by migrate; the constraint binds in contract, or in expand where the old release keeps to it."""

    @property
    def _early(self) -> bool:
        return isinstance(self.change, AddCheck | AddForeignKey | AddUnique) and self.change.old_release_obeys

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the constraint, where the old release keeps to it."""
        del table
        return self.kind.bind(connection) if self._early else []

    def prove(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return its proof, where it binds already."""
        del connection, table
        return self.kind.prove() if self._early else []

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the constraint and its proof."""
        del table
        return [] if self._early else [*self.kind.bind(connection), *self.kind.prove()]

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the end of the constraint."""
        del table
        return [] if self._early else self.kind.drop(connection)

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the end of the constraint."""
        del table
        return self.kind.drop(connection) if self._early else []


class DropConstraintDerivation(_ConstraintDerivation):
    """The constraint goes in contract; the way back adds and proves it again."""

    def rows(self) -> RowWork | None:
        """Return nothing: until contract the constraint itself sees to the rows."""
        return None

    def count_wrong(self, connection: sa.Connection) -> int | None:
        """Return nothing: until contract the constraint itself sees to the rows."""
        del connection
        return None

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the end of the constraint."""
        del table
        return self.kind.drop(connection)

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the constraint again. Raises RowsInTheWay when rows break it by now."""
        if rows := self._count_broken(connection, table):
            raise self.stale_error(rows)
        return [*self.kind.bind(connection), *self.kind.prove()]

    def _count_broken(self, connection: sa.Connection, table: Table) -> int:
        if isinstance(self.kind, _UniqueKind):
            return self.kind.count_broken(connection)
        rows = FillRows(self.change.id, table.name, self.kind.broken())
        return int(
            connection.scalar(sa.select(sa.func.count()).select_from(sa.table(table.name)).where(rows.stale())) or 0
        )


def _require(change: str, table: Table, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in table.columns:
            raise BadChange(change, f"table {table.name} has no column {name}")
