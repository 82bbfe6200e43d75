"""Writing many rows with one statement, each only where what was read of it still stands there.

What stood there is compared by its bytes, as text or as it is: equal under a collation is not equal here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from bascule.schema.catalog import Table
from bascule.schema.databases import Column, Database

__all__ = ["SetWrite", "token"]

_LONGEST_STATEMENT = 2_000_000  # bytes of values; MariaDB takes 16 MB unless told otherwise, and escapes may double it


@dataclass(frozen=True, slots=True)
class SetWrite:
    """One row's part of it is its key, then the values of `targets`, then what was read of `sources` (`token`).

    `only_where` is SQL that a row must still meet, `also` SQL for further columns.
    """

    database: Database
    table: Table
    targets: Sequence[str]
    sources: Sequence[str]
    only_where: str
    also: Mapping[str, str]

    def run(self, connection: sa.Connection, rows: Sequence[tuple[object, ...]]) -> int:
        """Write, and return how many rows still were as they had been read."""
        write = _WRITERS[self.database.name]
        return sum(write(self, connection, part) for part in _portions(rows))

    def sets(self, values: Sequence[str], prefix: str = "") -> str:
        """Return the list behind SET."""
        quote = self.database.quote
        given = {**dict(zip(self.targets, values, strict=True)), **self.also}
        return ", ".join(f"{prefix}{quote(name)} = {value}" for name, value in given.items())

    def names(self, letters: str = "kno") -> list[str]:
        """Return names for the columns of what is written that no table has."""
        sizes = {"k": len(self.table.key), "n": len(self.targets), "o": len(self.sources)}
        return [f"bsc_{letter}{number}" for letter in letters for number in range(sizes[letter])]


def _portions(rows: Sequence[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    """Give the rows in parts of which a server takes each as one statement."""
    part: list[tuple[object, ...]] = []
    size = 0
    for row in rows:
        width = sum(len(value) for value in row if isinstance(value, str | bytes | bytearray | memoryview))
        if part and size + width > _LONGEST_STATEMENT:
            yield part
            part, size = [], 0
        part.append(row)
        size += width
    if part:
        yield part


def token(database: Database, column: Column) -> str | None:
    """Return the SQL by which a column is compared with what was read of it; None for the plain column."""
    quoted = database.quote(column.name)
    if database.name == "postgresql":
        return None if column.type == "bytea" else f"CAST({quoted} AS text)"
    if database.name == "mariadb":
        return None if column.type.endswith(("blob", "binary")) else f"CAST({quoted} AS BINARY)"
    return None


def _write_many(write: SetWrite, connection: sa.Connection, rows: Sequence[tuple[object, ...]]) -> int:
    """Run one prepared statement per row: SQLite has no server that each of them would have to travel to."""
    quote, keys = write.database.quote, write.table.key
    where = [f"{quote(name)} = ?" for name in keys]
    where += [f"{quote(name)} COLLATE BINARY IS ?" for name in write.sources]
    sets = write.sets(["?"] * len(write.targets))
    sql = f"UPDATE {quote(write.table.name)} SET {sets} WHERE {' AND '.join(where)} AND {write.only_where}"  # noqa: S608 # quoted names
    first, last = len(keys), len(keys) + len(write.targets)
    in_order = [(*row[first:last], *row[:first], *row[last:]) for row in rows]
    return connection.exec_driver_sql(sql, in_order).rowcount


def _write_arrays(write: SetWrite, connection: sa.Connection, rows: Sequence[tuple[object, ...]]) -> int:
    """Send each column as one array."""
    quote, columns = write.database.quote, write.table.columns
    kinds = [columns[name].type for name in (*write.table.key, *write.targets)]
    kinds += ["bytea" if token(write.database, columns[name]) is None else "text" for name in write.sources]
    arrays = ", ".join(f"CAST(%s AS {kind}[])" for kind in kinds)
    source = f"unnest({arrays}) AS bsc_v ({', '.join(write.names())})"
    where = [f"bsc_t.{quote(k)} = {v}" for k, v in zip(write.table.key, write.names("k"), strict=True)]
    for name, value in zip(write.sources, write.names("o"), strict=True):
        left = token(write.database, columns[name]) or quote(name)
        where.append(f"{left} IS NOT DISTINCT FROM {value}")
    sql = (
        f"UPDATE {quote(write.table.name)} AS bsc_t SET {write.sets(write.names('n'))} FROM {source} "  # noqa: S608 # quoted names
        f"WHERE {' AND '.join(where)} AND {write.only_where}"
    )
    return connection.exec_driver_sql(sql, tuple(list(column) for column in zip(*rows, strict=True))).rowcount


def _write_values(write: SetWrite, connection: sa.Connection, rows: Sequence[tuple[object, ...]]) -> int:
    """Join the table with a list of values; the keys get the collation of their columns, so that the index serves."""
    quote, columns = write.database.quote, write.table.columns
    heads = ", ".join(f"NULL AS {name}" for name in write.names())
    line = f"({', '.join(['%s'] * len(write.names()))})"
    lines = ", ".join([line] * len(rows))
    source = f"(SELECT {heads} FROM DUAL WHERE FALSE UNION ALL VALUES {lines}) AS bsc_v"  # noqa: S608 # our own names
    keys = []
    for name, value in zip(write.table.key, write.names("k"), strict=True):
        column = columns[name]
        text = column.charset is not None and column.collation is not None
        right = f"CONVERT({value} USING {column.charset}) COLLATE {column.collation}" if text else value
        keys.append(f"bsc_t.{quote(name)} = {right}")
    where = [write.only_where]
    for name, value in zip(write.sources, write.names("o"), strict=True):
        where.append(f"{token(write.database, columns[name]) or quote(name)} <=> {value}")
    sql = (
        f"UPDATE {quote(write.table.name)} AS bsc_t JOIN {source} ON {' AND '.join(keys)} "  # noqa: S608 # quoted names
        f"SET {write.sets(write.names('n'), 'bsc_t.')} WHERE {' AND '.join(where)}"
    )
    return connection.exec_driver_sql(sql, tuple(value for row in rows for value in row)).rowcount


_WRITERS: dict[str, Callable[[SetWrite, sa.Connection, Sequence[tuple[object, ...]]], int]] = {
    "sqlite": _write_many,
    "postgresql": _write_arrays,
    "mariadb": _write_values,
}
