"""Changes with two sides that both releases write while they happen: split, merge, rename, another type."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from bascule.schema.changes.base import Change, ColumnType, Expression, fill_in, template
from bascule.schema.refusals import BadChange

__all__ = ["Merge", "Rename", "Retype", "Split", "Synced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced(Change, ABC):
    """A change with an old and a new side, each written by one release and kept in step with the other by triggers."""

    @abstractmethod
    def as_split(self) -> "Split":
        """Return the change in its general form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Synced):
    """Old columns that become new ones, with SQL for both directions.

    `up` fills each new column from the old ones, `down` each old column from the new ones.
    `lossy` says in words what `down` cannot express; it is shown to whoever plans a rollback.
    """

    old: Mapping[str, ColumnType]
    new: Mapping[str, ColumnType]
    up: Mapping[str, Expression]
    down: Mapping[str, Expression]
    lossy: str = ""

    def __post_init__(self) -> None:
        super(Split, self).__post_init__()
        if not self.old or not self.new or set(self.old) & set(self.new):
            raise BadChange(self.id, "it needs old columns and new columns, with different names")
        if set(self.up) != set(self.new) or set(self.down) != set(self.old):
            raise BadChange(self.id, "`up` must name exactly the new columns and `down` exactly the old ones")

    def as_split(self) -> "Split":
        """Return itself."""
        return self

    def expression(self, column: str, database: str) -> str:
        """Return the template that fills `column` on that database. Raises BadChange when there is none."""
        return template(self.id, self._written(column), database, f"column {column}")

    def fill(self, column: str, database: str, *, old: Mapping[str, str], new: Mapping[str, str]) -> str:
        """Return the SQL that fills `column`, given the SQL that stands for each old and new column."""
        return fill_in(self.id, self._written(column), database, f"column {column}", o=old, n=new)

    def _written(self, column: str) -> Expression:
        return self.up[column] if column in self.up else self.down[column]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename(Synced):
    """A column that gets another name; the type stays."""

    old: str
    new: str
    type: ColumnType

    def __post_init__(self) -> None:
        super(Rename, self).__post_init__()
        self.as_split()

    def as_split(self) -> Split:
        """Return the split whose both directions copy."""
        return Split(
            id=self.id,
            table=self.table,
            release=self.release,
            old={self.old: self.type},
            new={self.new: self.type},
            up={self.new: f"{{o.{self.old}}}"},
            down={self.old: f"{{n.{self.new}}}"},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(Synced):
    """Several old columns that become one: `up` fills it, `down` fills each of the old ones from it."""

    old: Mapping[str, ColumnType]
    new: str
    type: ColumnType
    up: Expression
    down: Mapping[str, Expression]
    lossy: str = ""

    def __post_init__(self) -> None:
        super(Merge, self).__post_init__()
        self.as_split()

    def as_split(self) -> Split:
        """Return the split with one new column."""
        return Split(
            id=self.id,
            table=self.table,
            release=self.release,
            old=self.old,
            new={self.new: self.type},
            up={self.new: self.up},
            down=self.down,
            lossy=self.lossy,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retype(Synced):
    """A column that gets another type, and with it another name.

    In place, a change of type rewrites the table under a lock on most databases, and breaks statements that
    PostgreSQL's clients have prepared on all of its versions, even where the change itself is free.
    `up` and `down` convert; a plain copy will do where the database casts by itself.
    """

    old: str
    old_type: ColumnType
    new: str
    type: ColumnType
    up: Expression = ""
    down: Expression = ""
    lossy: str = ""

    def __post_init__(self) -> None:
        super(Retype, self).__post_init__()
        self.as_split()

    def as_split(self) -> Split:
        """Return the split of one column into one."""
        return Split(
            id=self.id,
            table=self.table,
            release=self.release,
            old={self.old: self.old_type},
            new={self.new: self.type},
            up={self.new: self.up or f"{{o.{self.old}}}"},
            down={self.old: self.down or f"{{n.{self.new}}}"},
            lossy=self.lossy,
        )
