"""What the database's catalog says of the table of a change."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from bascule.schema.databases import Column, Database
from bascule.schema.refusals import BadChange

__all__ = ["Index", "Table", "look_at", "names_any"]


@dataclass(frozen=True, slots=True)
class Index:
    """An index by its name and columns; `is_plain` when nothing but these must be said to build it again."""

    name: str
    columns: tuple[str, ...]
    expressions: tuple[str, ...]
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table's columns by name, primary key, indexes and live triggers. One that is not there has no columns."""

    name: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    indexes: tuple[Index, ...]
    triggers: Mapping[str, str]

    def indexes_on(self, columns: Iterable[str]) -> tuple[Index, ...]:
        """Return the indexes that use any of these columns."""
        wanted = set(columns)
        return tuple(
            index
            for index in self.indexes
            if wanted & set(index.columns) or any(names_any(wanted, text) for text in index.expressions)
        )


def look_at(connection: sa.Connection, database: Database, change: str, table: str) -> Table:
    """Return a table that a change is about. Raises BadChange when it has no primary key."""
    columns = database.columns(connection, table)
    if not columns:
        return Table(table, {}, (), (), {})
    inspector = sa.inspect(connection)
    key = tuple(inspector.get_pk_constraint(table)["constrained_columns"])
    if not key:
        raise BadChange(change, f"table {table} has no primary key to walk along")
    indexes = []
    for index in inspector.get_indexes(table):
        # A partial index's condition is a clause, which has no truth of its own; empty lists are the plain case.
        given = index.get("dialect_options", {}).values()
        options = [value for value in given if not isinstance(value, list | dict | bool | None) or value]
        expressions = tuple(str(text) for text in index.get("expressions", ()))
        names = tuple(name for name in index["column_names"] if name is not None)
        is_plain = not (index["unique"] or options or expressions or index.get("column_sorting"))
        indexes.append(Index(str(index["name"]), names, expressions, is_plain))
    return Table(table, columns, key, tuple(indexes), database.triggers(connection, table))


def names_any(columns: Iterable[str], sql: str) -> bool:
    """Whether SQL names any of these columns."""
    return any(re.search(rf"\b{re.escape(name)}\b", sql) for name in columns)
