"""Changes whose new columns no SQL can compute: encryption, hashing, anything that a Python function must do.

    @data_migration("secrets-rewrap", table="secrets", old=["blob"],
                    new={"blob2": sa.LargeBinary(), "kek_id": sa.String(64)})
    def rewrap(rows):
        for row in rows:
            if not keys.has(row.blob):
                yield row.blocked("its key is not loaded")
            else:
                yield row.becomes(blob2=keys.rewrap(row.blob), kek_id=keys.current)

The new release reads both: the new columns where they hold a value, the old ones else. A write that changes the old
columns empties the new ones, unless the same write sets them too; to empty a value, the new release empties both sides.
No SQL can make the old columns of the new ones, so an old process goes on reading what stood in them: while any lives,
the new release either writes both sides or leaves the rows alone that old processes need.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from bascule.schema.changes.base import Change, ColumnType
from bascule.schema.refusals import BadChange

__all__ = ["Becomes", "Blocked", "DataMigration", "Row", "Stale", "Transform", "data_migration"]


class Row:
    """A row as a transform sees it: its key as `pk`, and the columns it reads as attributes. Shows no value."""

    __slots__ = ("_values", "pk")

    def __init__(self, pk: object, values: Mapping[str, object]) -> None:
        self.pk, self._values = pk, values

    def __getattr__(self, column: str) -> object:
        try:
            return self._values[column]
        except KeyError:
            raise AttributeError(f"the migration does not read a column {column}") from None

    def __getitem__(self, column: str) -> object:
        return self._values[column]

    def __repr__(self) -> str:
        return f"Row(pk={self.pk!r})"

    def becomes(self, **values: object) -> "Becomes":
        """Say what the other columns of this row get: all of them, not all NULL."""
        return Becomes(self.pk, values)

    def blocked(self, reason: str) -> "Blocked":
        """Say that this row cannot be migrated now."""
        return Blocked(self.pk, reason)


@dataclass(frozen=True, slots=True)
class Becomes:
    """The values for one row."""

    pk: object
    values: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A row that cannot be migrated until somebody does something; the reason is the author's, without values."""

    pk: object
    reason: str = field(default="", repr=False)


class Stale(Exception):
    """Raised by a transform at a row that it cannot migrate now; the rest of the batch goes on without that row."""

    def __init__(self, pk: object, reason: str = "") -> None:
        self.pk, self.reason = pk, reason
        super().__init__(f"row {pk!r} cannot be migrated now")


Transform = Callable[[Sequence[Row]], Iterable[Becomes | Blocked]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataMigration(Change):
    """Old columns from which a Python function makes new ones, batch by batch; see `data_migration`.

    `old` and `new` are columns with their types; an old one without a type is read as the driver gives it.
    A way back needs one of two: `down`, a function from the new columns to the old ones, or a new release that goes on
    writing the old columns, which `old_stays_written` says. Without either, rollback refuses when rows were written on
    the new side only. `requires_fleet` is the release that every live process must have reached before rows are
    migrated; `cost` says in a word what the function spends, for whoever plans.
    """

    old: Mapping[str, ColumnType | None]
    new: Mapping[str, ColumnType]
    up: Transform
    down: Transform | None = None
    old_stays_written: bool = False
    requires_fleet: str = ""
    cost: str = ""

    def __post_init__(self) -> None:
        super(DataMigration, self).__post_init__()
        if not self.old or not self.new or set(self.old) & set(self.new):
            raise BadChange(self.id, "it needs old columns and new columns, with different names")
        if any(isinstance(kind, sa.ARRAY) for kind in (*self.old.values(), *self.new.values())):
            raise BadChange(self.id, "arrays cannot be written many rows at once")
        if self.down is not None and self.old_stays_written:
            raise BadChange(self.id, "it has a way down, and says that the old columns stay written; one will do")


def data_migration(
    change_id: str,
    *,
    table: str,
    old: Sequence[str] | Mapping[str, ColumnType | None],
    new: Mapping[str, ColumnType],
    release: str = "",
    down: Transform | None = None,
    old_stays_written: bool = False,
    requires_fleet: str = "",
    cost: str = "",
) -> Callable[[Transform], DataMigration]:
    """Make a change of the function below: rows in, for each `row.becomes(...)` or `row.blocked(reason)` out.

    The function is called with batches, outside any transaction. It must be harmless to call again for the same rows:
    a row that was written meanwhile is taken again. It may raise `Stale(row.pk, reason)` instead of saying `blocked`.
    """
    columns = old if isinstance(old, Mapping) else dict.fromkeys(old)

    def declare(up: Transform) -> DataMigration:
        return DataMigration(
            id=change_id,
            table=table,
            release=release,
            old=columns,
            new=new,
            up=up,
            down=down,
            old_stays_written=old_stays_written,
            requires_fleet=requires_fleet,
            cost=cost,
        )

    return declare
