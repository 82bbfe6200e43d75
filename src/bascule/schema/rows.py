"""What a change wants of the rows of its table, as SQL: which to make right, how, and which are wrong.

A walk over the table asks in ranges; what a range is (keys, pages, row ids) is the walk's affair.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import sqlalchemy as sa

from bascule.schema.rule import Rule, all_of

__all__ = ["FillRows", "Prefer", "ReshapeRows", "RowWork", "SyncRows", "sql"]

Prefer = Literal["old", "new"]


class RowWork(Protocol):
    """The rows of one change.

    `fill` makes the rows in a range right, in the caller's transaction; it may be called again for rows that are right.
    `stale` says in SQL that a row is wrong; with `only_written`, that a rollback would lose what somebody wrote to it.
    """

    @property
    def change(self) -> str:
        """The change's id."""

    @property
    def table(self) -> str:
        """The table that is walked along."""

    def fill(self, connection: sa.Connection, here: sa.ColumnElement[bool], prefer: Prefer | None) -> None:
        """Make the rows in the range right."""

    def filling(self) -> tuple[str, Mapping[str, str]]:
        """Return in SQL which rows `fill` makes right without preference, and what it puts into which column."""

    def stale(self, *, only_written: bool = False) -> sa.ColumnElement[bool]:
        """Say that a row is wrong."""


@dataclass(frozen=True, slots=True)
class SyncRows:
    """Rows with an old and a new side: never filled ones are filled, and none may disagree.

    `unfilled` says in SQL which rows pass for never filled; by itself, those whose new columns are all NULL.
    """

    rule: Rule
    unfilled: str = ""

    @property
    def change(self) -> str:
        """The change's id."""
        return self.rule.split.id

    @property
    def table(self) -> str:
        """The table with both sides."""
        return self.rule.split.table

    def fill(self, connection: sa.Connection, here: sa.ColumnElement[bool], prefer: Prefer | None) -> None:
        """Fill rows that were never filled; where both sides hold values and disagree, only as `prefer` says."""
        stale, forward = self.stale(), self.rule.new_from_old()
        if prefer == "old":
            self._update(connection, sa.and_(here, stale), forward)
            return
        self._update(connection, sa.and_(here, sql(self.unfilled or self.rule.virgin()), stale), forward)
        if prefer == "new":
            self._update(connection, sa.and_(here, stale), self.rule.old_from_new())

    def filling(self) -> tuple[str, Mapping[str, str]]:
        """Return rows that were never filled, and the new side."""
        return all_of((self.rule.virgin(), self.rule.stale())), self.rule.new_from_old()

    def stale(self, *, only_written: bool = False) -> sa.ColumnElement[bool]:
        """Say that the sides do not agree; `only_written`, that the new one holds values all the same."""
        stale = self.rule.stale()
        return sql(f"({stale} AND {self.rule.new_set()})" if only_written else stale)

    def _update(self, connection: sa.Connection, where: sa.ColumnElement[bool], values: dict[str, str]) -> None:
        target = sa.table(self.table, *(sa.column(name) for name in values))
        connection.execute(sa.update(target).where(where).values({name: sql(text) for name, text in values.items()}))


@dataclass(frozen=True, slots=True)
class FillRows:
    """Rows that lack a value: those that `wanting` tells are given `values`. What nobody can fill only is counted."""

    change: str
    table: str
    wanting: str
    values: Mapping[str, str] = field(default_factory=dict)

    def fill(self, connection: sa.Connection, here: sa.ColumnElement[bool], prefer: Prefer | None) -> None:
        """Fill them."""
        del prefer
        if self.values:
            target = sa.table(self.table, *(sa.column(name) for name in self.values))
            values = {name: sql(text) for name, text in self.values.items()}
            connection.execute(sa.update(target).where(here, sql(self.wanting)).values(values))

    def filling(self) -> tuple[str, Mapping[str, str]]:
        """Return them, and the values."""
        return self.wanting, self.values

    def stale(self, *, only_written: bool = False) -> sa.ColumnElement[bool]:
        """Say that it is one of them; nobody wrote what a rollback could lose."""
        return sa.false() if only_written else sql(self.wanting)


@dataclass(frozen=True, slots=True)
class ReshapeRows:
    """Rows that are right as they are, in a table that only a copy can give a column of another type."""

    change: str
    table: str
    column: str
    type_sql: str

    def fill(self, connection: sa.Connection, here: sa.ColumnElement[bool], prefer: Prefer | None) -> None:
        """Leave them as they are."""

    def filling(self) -> tuple[str, Mapping[str, str]]:
        """Return no row, and nothing that goes into a column."""
        return "FALSE", {}

    def stale(self, *, only_written: bool = False) -> sa.ColumnElement[bool]:
        """Say that none is wrong."""
        del only_written
        return sa.false()


def sql(text: str) -> sa.ColumnElement[bool]:
    """Take SQL as written; unlike `text`, a literal column leaves colons alone and escapes percent signs."""
    return sa.literal_column(text, sa.Boolean)
