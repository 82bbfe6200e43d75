"""A key of 32 bits that becomes one of 64."""

from dataclasses import dataclass

from bascule.schema.changes.base import Change

__all__ = ["WidenKey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WidenKey(Change):
    """An integer column that becomes a bigint under the same name: a primary key, or a column that refers to one.

    Widen columns that refer to a key before the key itself, each by a change of its own: a reference from one width to
    the other is in order meanwhile. Once a value is there that the old type cannot hold, there is no way back.

    PostgreSQL: a column beside the old one is kept in step and swapped in at contract. A client that has prepared a
    statement which returns the column sees "cached plan must not change result type" then: once, or until it connects
    again where it runs without transactions. psycopg prepares by itself what it runs often, unless it connects with
    `prepare_threshold=None`. Who inserts without naming columns finds them in another order afterwards.
    SQLite has 64 bits anyway, so nothing is done. MariaDB: migrate copies the table beside its writers and puts the
    copy in its place, for both releases can read the wider column; a table that cannot be copied so, as with foreign
    keys from or to it, is refused.
    """

    column: str
