"""Changes of plain indexes. Unique ones are constraints: see AddUnique."""

from collections.abc import Sequence
from dataclasses import dataclass

from bascule.schema.changes.base import Change
from bascule.schema.refusals import BadChange

__all__ = ["AddIndex", "DropIndex"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index(Change):
    """`name` is the index's, `columns` those that it orders by."""

    name: str
    columns: Sequence[str]

    def __post_init__(self) -> None:
        super(_Index, self).__post_init__()
        if isinstance(self.columns, str) or not self.columns:
            raise BadChange(self.id, "`columns` must be a list of column names")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddIndex(_Index):
    """An index that expand builds while writers go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIndex(_Index):
    """An index that goes in contract, when nobody of the old release may need it any more."""
