"""Filling the copy: rows as the change's fill would leave them, and again those that were written meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from bascule.schema.keyset import Key, Keyset
from bascule.schema.rows import sql
from bascule.schema.table_copy.names import COPYING_VARIABLE, CopyNames

__all__ = ["LOGGED_BY", "Filling", "copying"]

LOGGED_BY = "bascule_seq"


class _Replace(sa.sql.dml.Insert):
    """An INSERT that takes the place of rows with the same key, or the same value of a unique index."""

    inherit_cache = True


@compiles(_Replace)
def _compile_replace(replace: _Replace, compiler: Any, **options: Any) -> str:  # Any: SQLAlchemy's own hook
    text: str = compiler.visit_insert(replace, **options)
    return "REPLACE" + text.removeprefix("INSERT")


@dataclass(frozen=True, slots=True)
class Filling:
    """What goes into the copy: the columns of the table, but `values` where a row is `wanting`.

    Two statements, since one CASE of both would make them one type, which may be neither. Where it is both, `in_one`
    holds that CASE for each column that gets a value.
    """

    names: CopyNames
    keyset: Keyset
    columns: tuple[str, ...]
    wanting: str
    values: dict[str, str]
    in_one: dict[str, str] | None = None

    def fill(self, connection: sa.Connection, here: sa.ColumnElement[bool]) -> None:
        """Put the rows of a range as they are now into the copy.

        A row whose unique value another row of the copy still has takes its place: that one has been written since it
        was copied, so its key is in the log.
        """
        if self.in_one is not None:
            self._put(connection, here, self.in_one)
            return
        wanting = sql(f"coalesce({self.wanting}, FALSE)")
        self._put(connection, sa.and_(here, wanting), self.values)
        self._put(connection, sa.and_(here, sa.not_(wanting)), {})

    def catch_up(self, connection: sa.Connection, most: int) -> int:
        """Put rows whose keys are in the log into the copy again, in the caller's transaction; return how many keys.

        Only what is committed is seen there, and each row is read afterwards: what is written to it later is logged
        again. So a key can go from the log as soon as its row has been read.
        """
        key: list[sa.ColumnClause[Any]] = [sa.column(name) for name in self.keyset.key]
        seq: sa.ColumnClause[int] = sa.column(LOGGED_BY, sa.BigInteger)
        log = sa.table(self.names.log)
        found = connection.execute(sa.select(seq, *key).select_from(log).order_by(seq).limit(most)).all()
        if not found:
            return 0
        written = self._are({tuple(row[1:]) for row in found})
        connection.execute(sa.delete(sa.table(self.names.copy)).where(written))
        self.fill(connection, written)
        connection.execute(sa.delete(log).where(seq.in_([int(row[0]) for row in found])))
        return len(found)

    def _put(self, connection: sa.Connection, where: sa.ColumnElement[bool], values: dict[str, str]) -> None:
        read = [sql(values[name]) if name in values else sa.column(name) for name in self.columns]
        into = sa.table(self.names.copy, *(sa.column(name) for name in self.columns))
        rows = sa.select(*read).select_from(sa.table(self.keyset.table)).where(where)
        connection.execute(_Replace(into).from_select(list(self.columns), rows, include_defaults=False))

    def _are(self, keys: set[Key]) -> sa.ColumnElement[bool]:
        columns: Sequence[sa.ColumnClause[Any]] = [sa.column(name, sa.types.NullType()) for name in self.keyset.key]
        if len(columns) == 1:
            return columns[0].in_([value for (value,) in keys])
        raw = [[sa.bindparam(None, value, type_=sa.types.NullType(), unique=True) for value in key] for key in keys]
        return sa.or_(*(sa.and_(*(a == b for a, b in zip(columns, key, strict=True))) for key in raw))


@contextmanager
def copying(connection: sa.Connection) -> Iterator[None]:
    """Let rows through as they are: no twin acts, no number is made up for 0, no date of older times is refused."""
    mode = connection.exec_driver_sql("SELECT @@SESSION.sql_mode").scalar_one()
    parts = [
        part for part in str(mode).split(",") if part not in {"", "NO_ZERO_DATE", "NO_ZERO_IN_DATE", "TRADITIONAL"}
    ]
    copied = ",".join([*parts, "NO_AUTO_VALUE_ON_ZERO", "ALLOW_INVALID_DATES"])
    connection.execute(
        sa.text(f"SET {COPYING_VARIABLE} = 1, SESSION sql_mode = :mode, SESSION check_constraint_checks = 0"),
        {"mode": copied},
    )
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.execute(
                sa.text(
                    f"SET {COPYING_VARIABLE} = NULL, SESSION sql_mode = :mode, SESSION check_constraint_checks = 1"
                ),
                {"mode": mode},
            )
