"""Changes of whole tables: add and drop. For renames and extracted children see their own modules."""

from dataclasses import dataclass

import sqlalchemy as sa

from bascule.schema.changes.base import Change
from bascule.schema.refusals import BadChange

__all__ = ["AddTable", "DropTable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddTable(Change):
    """A table that the old release does not know, as SQLAlchemy describes it; expand creates it with its indexes."""

    definition: sa.Table

    def __post_init__(self) -> None:
        super(AddTable, self).__post_init__()
        if self.definition.name != self.table:
            raise BadChange(self.id, f"it is about table {self.table} and defines table {self.definition.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DropTable(Change):
    """A table that the new release does not know. It goes in purge."""
