"""Changes of single columns: add, drop, and whether NULL may stand in them."""

from dataclasses import dataclass

from bascule.schema.changes.base import Change, ColumnType, Expression, Literal
from bascule.schema.refusals import BadChange

__all__ = ["AddColumn", "DropColumn", "DropNotNull", "SetNotNull"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddColumn(Change):
    """A column that the old release does not know.

    `default` is a constant, which every database adds without touching a row. `fill` is an expression of other columns
    of the row (`{row.name}`) that is computed once for each row that is there, and for each one that comes without a
    value while the old release may still write. Not nullable needs one of the two: old writers leave the column out.
    """

    column: str
    type: ColumnType
    nullable: bool = True
    default: Literal | None = None
    fill: Expression = ""

    def __post_init__(self) -> None:
        super(AddColumn, self).__post_init__()
        if self.default is not None and self.fill:
            raise BadChange(self.id, "it has a default and an expression to fill the column; one will do")
        if not self.nullable and self.default is None and not self.fill:
            raise BadChange(self.id, "writers of the old release leave the column out: give it `default` or `fill`")


@dataclass(frozen=True, slots=True, kw_only=True)
class DropColumn(Change):
    """A column that the new release does not know. It goes in purge; until then the old release reads and writes it.

    `stand_in` is what the old release reads in rows that the new one inserted; a column that is NOT NULL and has no
    default must have one. `type` is given for the way back.
    """

    column: str
    type: ColumnType
    stand_in: Literal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNotNull(Change):
    """A column in which NULL may no longer stand, from contract on.

    `fill` (an expression of the row, `{row.name}`, or a constant) replaces every NULL that is there or that the old
    release still writes. Without it, contract refuses while there is one.
    """

    column: str
    type: ColumnType
    fill: Expression = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropNotNull(Change):
    """A column in which NULL may stand from contract on, when no process of the old release can read it any more."""

    column: str
    type: ColumnType
