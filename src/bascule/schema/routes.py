"""Ways along a table, in stretches of about as many rows as asked for: by its key, or by its pages."""

import json
from dataclasses import dataclass, replace
from typing import Protocol

import sqlalchemy as sa

from bascule.schema.keyset import Key, Keyset, decode, encode

__all__ = ["Keys", "KeysUpTo", "Pages", "Route", "RowIds", "Stretch", "is_along_key"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a table: which rows, the cursor behind them, and how many they are (about, where pages are walked)."""

    here: sa.ColumnElement[bool]
    cursor: str
    rows: int


class Route(Protocol):
    """A way along a table, from any cursor that it gave."""

    def stretch(self, connection: sa.Connection, cursor: str | None, rows: int) -> Stretch | None:
        """Return the next stretch behind the cursor; nothing at the end of the table."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Along the key: every row that is there for the whole walk is met, as long as keys do not change.

    The far end of a stretch is looked up in the index, without fetching the keys in between.
    """

    keyset: Keyset

    def stretch(self, connection: sa.Connection, cursor: str | None, rows: int) -> Stretch | None:
        """Return the next rows in the order of their keys."""
        low = decode(cursor)
        high = self.keyset.nth_after(connection, low, rows)
        if high is None:  # fewer are left
            keys = self.keyset.page(connection, low, rows)
            if not keys:
                return None
            high, rows = keys[-1], len(keys)
        return Stretch(self.keyset.between(low, high), encode(high), rows)


@dataclass(frozen=True, slots=True)
class KeysUpTo:
    """Along the key up to one that was the last when the walk began, so that the walk ends however much is inserted."""

    keyset: Keyset
    end: Key | None

    def stretch(self, connection: sa.Connection, cursor: str | None, rows: int) -> Stretch | None:
        """Return the next rows in the order of their keys."""
        if self.end is None or cursor == encode(self.end):
            return None
        low = decode(cursor)
        high = self.keyset.nth_after(connection, low, rows, end=self.end)
        if high is None:  # fewer are left
            high, rows = self.end, self.keyset.count(connection, low, self.end)
        return Stretch(self.keyset.between(low, high), encode(high), max(1, rows))


@dataclass(frozen=True, slots=True)
class Pages:
    """Along the pages that a PostgreSQL table had when the walk began: each is read once, in the order on disk.

    A row that someone updates moves to another version of itself, on any page. So this walk may miss rows, and may
    not be the last one:

    - a write to a column that the change keeps in sync fires a trigger, which leaves the row right wherever it is;
    - an insert does, too, so pages that are added during the walk need not be walked;
    - a write to any *other* column of a row not reached yet fires nothing, and may put the new version on a page that
      the walk has passed, or behind its end. The row stays as it was, never filled. A walk along the key meets it, for
      there it has not moved: that is the scan which proves the change, and fills what it finds.

    For the same reason it does no harm when the table is rewritten while a walk stands still, and cursors mean nothing.
    """

    table_sql: str
    rows_per_page: float

    def stretch(self, connection: sa.Connection, cursor: str | None, rows: int) -> Stretch | None:
        """Return the rows of the next pages."""
        low, end = json.loads(cursor)["pages"] if cursor is not None else (0, self._pages(connection))
        if low >= end:
            return None
        high = min(low + max(1, round(rows / self.rows_per_page)), end)
        return Stretch(
            sa.and_(_tid(low) <= _CTID, _tid(high) > _CTID),
            json.dumps({"pages": [high, end]}),
            max(1, round((high - low) * self.rows_per_page)),
        )

    def _pages(self, connection: sa.Connection) -> int:
        size = sa.text("SELECT pg_relation_size(to_regclass(:name)) / current_setting('block_size')::int")
        return int(connection.scalar(size, {"name": self.table_sql}) or 0)


@dataclass(frozen=True, slots=True)
class RowIds:
    """Along the row ids of a SQLite table whose key is not its row id, so that each page is read once.

    Writes leave a row's id alone, and an insert fires a trigger wherever it lands; but VACUUM gives out new ids, and
    then this walk may miss rows, too. Rows whose key is NULL, as SQLite allows, are left alone: no trigger finds them,
    so nothing would keep them right.
    """

    keyset: Keyset
    key: tuple[str, ...]

    def stretch(self, connection: sa.Connection, cursor: str | None, rows: int) -> Stretch | None:
        """Return the next rows in the order of their ids."""
        low = None if cursor is None else encode((json.loads(cursor)["rowid"],))
        stretch = Keys(self.keyset).stretch(connection, low, rows)
        if stretch is None:
            return None
        (last,) = json.loads(stretch.cursor)
        keyed = (sa.column(name).is_not(None) for name in self.key)
        return replace(stretch, here=sa.and_(stretch.here, *keyed), cursor=json.dumps({"rowid": last}))


def is_along_key(cursor: str | None) -> bool:
    """Whether a cursor is a key, as those of all earlier releases are."""
    return cursor is not None and cursor.startswith("[")


class _Tid(sa.types.UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "tid"


_CTID: sa.ColumnClause[str] = sa.column("ctid", _Tid())


def _tid(page: int) -> sa.ColumnElement[str]:
    return sa.cast(sa.bindparam(None, f"({page},0)", type_=sa.types.NullType(), unique=True), _Tid())
