"""Columns that move to a table of their own."""

from collections.abc import Mapping
from dataclasses import dataclass

from bascule.schema.changes.base import Change, ColumnType
from bascule.schema.refusals import BadChange

__all__ = ["ExtractTable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractTable(Change):
    """Columns of a table that move to a new one, with at most one row for each row of the old, and the same key.

    `new` is the new table, `columns` those that move, under their names, and `key` the new table's primary key, in the
    order of the old one's; it refers to the old table and goes with its rows. No row there means that all of the
    columns are NULL. The old release writes the columns, the new one writes rows of the new table.

    The old columns must have no default, since an INSERT of the new release would look like one of the old; where they
    forbid NULL, they allow it from expand on. On SQLite, rows of the new table go with theirs also where foreign keys
    are not enforced, but only until purge. On MariaDB, a transaction that writes both tables may meet a deadlock at the
    moment when triggers come or go, and must be tried again, as after any deadlock.
    """

    new: str
    columns: Mapping[str, ColumnType]
    key: Mapping[str, ColumnType]

    def __post_init__(self) -> None:
        super(ExtractTable, self).__post_init__()
        if self.new == self.table or not self.columns or not self.key:
            raise BadChange(self.id, "it needs a new table with another name, columns to move there, and a key")
        if set(self.columns) & set(self.key):
            raise BadChange(self.id, "the key and the columns must have different names")
