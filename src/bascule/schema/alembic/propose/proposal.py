"""A proposed change as data, before it is text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from alembic.operations.ops import CreateIndexOp, CreateTableOp
from sqlalchemy.types import TypeEngine

__all__ = ["AnyColumn", "AnyType", "Choice", "Definition", "Maker", "Proposal"]

AnyType = TypeEngine[Any]  # Any: a column's Python type does not matter here
AnyColumn = sa.Column[Any]  # Any: as above

# In which order changes of one revision can be expanded: what others need comes first, what others use goes last.
_ORDER = (
    *("AddTable", "Rename", "Retype", "AddColumn", "SetNotNull", "DropNotNull", "AddUnique", "AddIndex", "AddCheck"),
    *("AddForeignKey", "DropForeignKey", "DropCheck", "DropUnique", "DropIndex", "DropColumn", "DropTable"),
)
_LONGEST_ID = 100


@dataclass(frozen=True, slots=True)
class Definition:
    """A table to be rendered as Alembic renders it, with its indexes."""

    operation: CreateTableOp
    indexes: tuple[CreateIndexOp, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change by its kind and arguments; `notes` stand above it, and what it could be `instead` below, as comments."""

    kind: str
    arguments: dict[str, object]
    notes: tuple[str, ...] = ()
    instead: tuple["Proposal", ...] = ()

    @property
    def rank(self) -> int:
        """Its place among the changes of a revision."""
        return _ORDER.index(self.kind)


@dataclass(frozen=True, slots=True)
class Choice:
    """Changes of which only the author can say the right ones; all of them are rendered as comments."""

    question: str
    options: tuple[Proposal, ...]
    rank: int = _ORDER.index("Rename")


@dataclass
class Maker:
    """Makes proposals for one database; ids in `taken` are not given again."""

    dialect: sa.Dialect
    columns_of: dict[str, list[str]]
    taken: set[str] = field(default_factory=set)

    def make(
        self,
        kind: str,
        table: str,
        named: tuple[str, ...],
        arguments: Mapping[str, object] = MappingProxyType({}),
        notes: Sequence[str] = (),
        instead: Sequence[Proposal] = (),
    ) -> Proposal:
        """Return a proposal whose id is made of the table's name and of `named`, without arguments that are None."""
        given = {name: value for name, value in arguments.items() if value is not None}
        return Proposal(
            kind, {"id": self._new_id(table, *named), "table": table, **given}, tuple(notes), tuple(instead)
        )

    def compile(self, kind: AnyType) -> str:
        """Return a type's DDL."""
        return kind.compile(dialect=self.dialect)

    def _new_id(self, *parts: str) -> str:
        text = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[: _LONGEST_ID - 4].rstrip("-")
        number, chosen = 1, text
        while chosen in self.taken:
            number += 1
            chosen = f"{text}-{number}"
        self.taken.add(chosen)
        return chosen
