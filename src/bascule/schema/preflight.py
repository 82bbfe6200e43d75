"""What must be true of a table before expand touches it, and which indexes move along."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from bascule.schema.changes import Change, Rename, Split, as_split, short_name
from bascule.schema.databases import Column, Database
from bascule.schema.refusals import BadChange

__all__ = ["Index", "Table", "check_expandable", "look_at"]


@dataclass(frozen=True, slots=True)
class Index:
    """An index on old columns, and the columns and name of its twin on the new ones."""

    name: str
    twin: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """What the catalog says of the table of a change."""

    columns: Mapping[str, Column]
    key: tuple[str, ...]
    indexes: tuple[Index, ...]


def look_at(connection: sa.Connection, database: Database, change: Change) -> Table:
    """Return the table of a change. Raises BadChange when it is missing or has no primary key."""
    split = as_split(change)
    columns = database.columns(connection, split.table)
    if not columns:
        raise BadChange(split.id, f"there is no table {split.table}")
    key = tuple(sa.inspect(connection).get_pk_constraint(split.table)["constrained_columns"])
    if not key:
        raise BadChange(split.id, f"table {split.table} has no primary key to walk along")
    return Table(columns, key, _indexes(connection, change))


def check_expandable(connection: sa.Connection, database: Database, change: Change) -> Table:
    """Return the table, or raise BadChange with the reason why this change cannot be kept in sync on it."""
    table, split = look_at(connection, database, change), as_split(change)
    for name in split.old:
        if name not in table.columns:
            raise BadChange(split.id, f"table {split.table} has no column {name}")
        why_not = database.why_not_expandable(table.columns[name])
        if why_not:
            raise BadChange(split.id, why_not)
    for name in split.new:
        if name in table.columns:
            raise BadChange(split.id, f"table {split.table} already has a column {name}")
    _refuse_constraints(connection, split, table)
    _refuse_indexes(connection, change)
    return table


def _indexes(connection: sa.Connection, change: Change) -> tuple[Index, ...]:
    """Return the indexes that name an old column; of a rename they get a twin, of a split they are refused later."""
    split, found = as_split(change), []
    rename = {change.old: change.new} if isinstance(change, Rename) else {}
    for index in sa.inspect(connection).get_indexes(split.table):
        columns = tuple(name for name in index["column_names"] if name is not None)
        if index["name"] and set(columns) & set(split.old):
            twin = short_name(split.id, f"ix_{index['name']}")[:60]
            found.append(Index(index["name"], twin, tuple(rename.get(name, name) for name in columns)))
    return tuple(found)


def _refuse_constraints(connection: sa.Connection, split: Split, table: Table) -> None:
    """Refuse what would have to be built on the new columns too, and is not yet."""
    old, inspector = set(split.old), sa.inspect(connection)
    if old & set(table.key):
        raise BadChange(split.id, "an old column is part of the primary key")
    for owner in inspector.get_table_names():
        for key in inspector.get_foreign_keys(owner):
            uses = owner == split.table and old & set(key["constrained_columns"])
            if uses or (key["referred_table"] == split.table and old & set(key["referred_columns"])):
                raise BadChange(split.id, f"a foreign key of {owner} uses an old column")
    for unique in inspector.get_unique_constraints(split.table):
        if old & set(unique["column_names"]):
            raise BadChange(split.id, f"unique constraint {unique['name'] or ''} uses an old column")
    for check in inspector.get_check_constraints(split.table):
        if _names_any(old, str(check["sqltext"])):
            raise BadChange(split.id, f"check constraint {check['name'] or ''} uses an old column")


def _refuse_indexes(connection: sa.Connection, change: Change) -> None:
    """Refuse an index on an old column that cannot simply be built again on the new one."""
    old = set(as_split(change).old)
    for index in sa.inspect(connection).get_indexes(change.table):
        names = {name for name in index["column_names"] if name is not None}
        expressions = [str(text) for text in index.get("expressions", ())]
        if not old & names and not any(_names_any(old, text) for text in expressions):
            continue
        if not isinstance(change, Rename):
            raise BadChange(
                change.id, f"index {index['name']} uses an old column, and only a rename takes indexes along"
            )
        # A partial index's condition is a clause, which has no truth of its own; empty lists are the plain case.
        given = index.get("dialect_options", {}).values()
        options = [value for value in given if not isinstance(value, list | dict | bool | None) or value]
        if index["unique"] or options or expressions or index.get("column_sorting"):
            raise BadChange(change.id, f"index {index['name']} uses the old column and is more than a plain index")


def _names_any(columns: set[str], sql: str) -> bool:
    return any(re.search(rf"\b{re.escape(name)}\b", sql) for name in columns)
