"""Changes of constraints. An Add and the Drop of the same thing are each other's way back, so both say all of it.

Constraints bind from contract on, when no process of the old release can break them any more. Where the old release is
known to keep to one already, `old_release_obeys=True` lets it bind from expand on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bascule.schema.changes.base import Change, Expression
from bascule.schema.refusals import BadChange

__all__ = ["AddCheck", "AddForeignKey", "AddUnique", "DropCheck", "DropForeignKey", "DropUnique", "OnDelete"]

OnDelete = Literal["NO ACTION", "RESTRICT", "CASCADE", "SET NULL"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check(Change):
    """`name` is the constraint's; `check` is SQL over `{row.column}`, which NULL passes, as in every database."""

    name: str
    check: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheck(_Check):
    """A rule for every row. Rows that break it are counted by migrate, and contract refuses while there are any."""

    old_release_obeys: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DropCheck(_Check):
    """A rule that no longer holds from contract on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unique(Change):
    """`name` is the constraint's, `columns` those that are unique together."""

    name: str
    columns: Sequence[str]

    def __post_init__(self) -> None:
        super(_Unique, self).__post_init__()
        if isinstance(self.columns, str) or not self.columns:
            raise BadChange(self.id, "`columns` must be a list of column names")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddUnique(_Unique):
    """Columns that must be unique together. Rows that are not are counted by migrate."""

    old_release_obeys: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DropUnique(_Unique):
    """Columns that need not be unique any more, from contract on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ForeignKey(Change):
    """`columns` of this table refer to `refers_columns` of table `refers_to`."""

    name: str
    columns: Sequence[str]
    refers_to: str
    refers_columns: Sequence[str] = ("id",)
    on_delete: OnDelete = "NO ACTION"

    def __post_init__(self) -> None:
        super(_ForeignKey, self).__post_init__()
        if isinstance(self.columns, str) or len(self.columns) != len(self.refers_columns) or not self.columns:
            raise BadChange(self.id, "`columns` and `refers_columns` must be lists of as many column names")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddForeignKey(_ForeignKey):
    """A reference that the database checks. Rows that refer to nothing are counted by migrate."""

    old_release_obeys: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DropForeignKey(_ForeignKey):
    """A reference that the database no longer checks, from contract on."""
