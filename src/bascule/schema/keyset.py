"""Walking a table along its primary key: ranges of whole keys, and a cursor that survives the process."""

import base64
import datetime as dt
import decimal
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

__all__ = ["Key", "Keyset", "decode", "encode"]

Key = tuple[Any, ...]  # Any: whatever the driver returns for a key column


@dataclass(frozen=True, slots=True)
class Keyset:
    """A table by its primary key. Values pass through untyped, exactly as the driver gave them.

    `row_values` says that the database finds `(a, b) > (1, 2)` by an index on both columns; the other spelling makes
    it read every row of `a = 1` again and again, except where the planner takes the ORs apart itself.
    """

    table: str
    key: tuple[str, ...]
    row_values: bool = False

    @property
    def source(self) -> sa.TableClause:
        """The table with its key columns."""
        return sa.table(self.table, *(_column(name) for name in self.key))

    def after(self, key: Key | None) -> sa.ColumnElement[bool]:
        """Say that a row comes after the key; every row does when there is none."""
        if key is None:
            return sa.true()
        if len(key) == 1 or self.row_values:
            return self._whole > _row(key)
        # The bound on the first column is implied, but lets the planner start in the middle of the index.
        bound = _column(self.key[0]) >= _raw(key[0])
        return sa.and_(bound, sa.or_(*(self._level(key, depth) for depth in range(len(key)))))

    def up_to(self, key: Key) -> sa.ColumnElement[bool]:
        """Say that a row comes before the key or is it."""
        if len(key) == 1 or self.row_values:
            return self._whole <= _row(key)
        equal = sa.and_(*(_column(name) == _raw(value) for name, value in zip(self.key, key, strict=True)))
        bound = _column(self.key[0]) <= _raw(key[0])
        levels = (self._level(key, depth, before=True) for depth in range(len(key)))
        return sa.and_(bound, sa.or_(*levels, equal))

    def between(self, low: Key | None, high: Key) -> sa.ColumnElement[bool]:
        """Say that a row comes after `low`, up to and with `high`."""
        return sa.and_(self.after(low), self.up_to(high))

    def page(self, connection: sa.Connection, low: Key | None, rows: int) -> Sequence[Key]:
        """Return the keys of the next rows after `low`, in order."""
        columns = [_column(name) for name in self.key]
        query = sa.select(*columns).select_from(self.source).where(self.after(low)).order_by(*columns).limit(rows)
        return [tuple(row) for row in connection.execute(query)]

    def nth_after(self, connection: sa.Connection, low: Key | None, nth: int, *, end: Key | None = None) -> Key | None:
        """Return the key of the n-th row after `low`, up to `end` if that is given; nothing when there are fewer."""
        columns = [_column(name) for name in self.key]
        here = self.after(low) if end is None else self.between(low, end)
        query = sa.select(*columns).select_from(self.source).where(here).order_by(*columns)
        row = connection.execute(query.limit(1).offset(nth - 1)).one_or_none()
        return None if row is None else tuple(row)

    def last(self, connection: sa.Connection) -> Key | None:
        """Return the key of the last row; nothing when there is none."""
        columns = [_column(name) for name in self.key]
        query = sa.select(*columns).select_from(self.source).order_by(*(column.desc() for column in columns)).limit(1)
        row = connection.execute(query).one_or_none()
        return None if row is None else tuple(row)

    def count(self, connection: sa.Connection, low: Key | None, high: Key) -> int:
        """Return how many rows come after `low`, up to and with `high`."""
        query = sa.select(sa.func.count()).select_from(self.source).where(self.between(low, high))
        return int(connection.scalar(query) or 0)

    @property
    def _whole(self) -> sa.ColumnElement[Any]:
        columns = [_column(name) for name in self.key]
        return columns[0] if len(columns) == 1 else sa.tuple_(*columns)

    def _level(self, key: Key, depth: int, *, before: bool = False) -> sa.ColumnElement[bool]:
        equal = [_column(name) == _raw(value) for name, value in zip(self.key[:depth], key[:depth], strict=True)]
        column, value = _column(self.key[depth]), _raw(key[depth])
        return sa.and_(*equal, column < value if before else column > value)


def _column(name: str) -> sa.ColumnClause[Any]:
    return sa.column(name, sa.types.NullType())


def _raw(value: object) -> sa.BindParameter[Any]:
    """Bind without a type: a cast around the value would keep the database from using the key's index."""
    return sa.bindparam(None, value, type_=sa.types.NullType(), unique=True)


def _row(key: Key) -> sa.ColumnElement[Any]:
    values = [_raw(value) for value in key]
    return values[0] if len(values) == 1 else sa.tuple_(*values)


def encode(key: Key) -> str:
    """Turn a key into text for the cursor column."""
    return json.dumps([_plain(value) for value in key])


def decode(text: str | None) -> Key | None:
    """Turn the text of a cursor back into a key, of the same types."""
    return None if text is None else tuple(_value(item) for item in json.loads(text))


def _plain(value: object) -> object:
    if isinstance(value, bool) or value is None or isinstance(value, int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, uuid.UUID):
        return {"uuid": str(value)}
    if isinstance(value, decimal.Decimal):
        return {"decimal": str(value)}
    if isinstance(value, dt.datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    raise TypeError(f"a primary key of type {type(value).__name__} cannot be walked")


def _value(item: Any) -> object:  # Any: parsed JSON, written by `encode`
    if not isinstance(item, dict):
        return item
    ((kind, text),) = item.items()
    readers: dict[str, Callable[[str], object]] = {
        "bytes": base64.b64decode,
        "uuid": uuid.UUID,
        "decimal": decimal.Decimal,
        "datetime": dt.datetime.fromisoformat,
        "date": dt.date.fromisoformat,
    }
    return readers[kind](text)
