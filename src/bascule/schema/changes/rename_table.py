"""A table that gets another name, while both releases use it under theirs."""

from dataclasses import dataclass

from bascule.schema.changes.base import Change
from bascule.schema.refusals import BadChange

__all__ = ["RenameTable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameTable(Change):
    """A table of which an updatable view bears the other name: from expand on the new one, from contract on the old.

    The view shows the columns that the table has at expand, so no other change of the table may be under way. Who may
    use the table may use the view, unless by rights to single columns or rows. MariaDB refuses an INSERT into a view
    that names no column at all.

    SQLite has no updatable views, only triggers that take the place of a write, and they have their limits: the
    primary key must come from the application, INSERT ... ON CONFLICT is refused, and no write of the view tells how
    many rows it met, at which SQLAlchemy's ORM fails on every update. Who can do with that says
    `without_row_counts=True`; anybody else renames the table while nothing runs.
    """

    new: str
    without_row_counts: bool = False

    def __post_init__(self) -> None:
        super(RenameTable, self).__post_init__()
        if self.new == self.table or not self.new:
            raise BadChange(self.id, "the old and the new table must have different names")
