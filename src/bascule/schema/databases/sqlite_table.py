"""The text of a CREATE TABLE statement, taken apart and put together again with one thing changed.

SQLite has no ALTER for constraints, but keeps each table's definition as text and lets it be rewritten where what is
on disk stays as it is: see "Making Other Kinds Of Table Schema Changes" in its documentation of ALTER TABLE.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

__all__ = ["TableText"]

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/", re.DOTALL)
_NOT_NULL = re.compile(r"\s+(?:CONSTRAINT\s+\S+\s+)?NOT\s+NULL(?:\s+ON\s+CONFLICT\s+\w+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TableText:
    """What stands before the parenthesis, each definition inside it, and what stands behind."""

    head: str
    parts: tuple[str, ...]
    tail: str

    @classmethod
    def parse(cls, sql: str) -> Self:
        """Take a CREATE TABLE apart; `str` gives the same text again. Raises ValueError for anything else."""
        plain = _blank(sql)
        start = plain.index("(")
        parts, depth, begin = [], 0, start + 1
        for at in range(start, len(plain)):
            depth += {"(": 1, ")": -1}.get(plain[at], 0)
            if (depth == 1 and plain[at] == ",") or depth == 0:
                parts.append(sql[begin:at])
                begin = at + 1
            if depth == 0:
                return cls(sql[: start + 1], tuple(parts), sql[at:])
        raise ValueError("a parenthesis is not closed")

    def __str__(self) -> str:
        return self.head + ",".join(self.parts) + self.tail

    def with_not_null(self, column: str) -> Self:
        """Forbid NULL in a column."""
        return self._with_column(column, lambda part: part if _find_not_null(part) else f"{part.rstrip()} NOT NULL")

    def without_not_null(self, column: str) -> Self:
        """Allow NULL in a column."""

        def allow(part: str) -> str:
            found = _find_not_null(part)
            return part[: found.start()] + part[found.end() :] if found else part

        return self._with_column(column, allow)

    def with_default(self, column: str, default: str) -> Self:
        """Give a column a default."""
        return self._with_column(column, lambda part: f"{part.rstrip()} DEFAULT {default}")

    def without_default(self, column: str, default: str) -> Self:
        """Take a default away that `with_default` gave."""
        return self._with_column(column, lambda part: part.removesuffix(f" DEFAULT {default}"))

    def with_constraint(self, name: str, definition: str) -> Self:
        """Add a table constraint."""
        return type(self)(self.head, (*self.parts, f" CONSTRAINT {name} {definition}"), self.tail)

    def without_constraint(self, name: str) -> Self:
        """Remove a table constraint by its name."""
        kept = tuple(part for part in self.parts if not self._is_constraint(part, name))
        return type(self)(self.head, kept, self.tail)

    def has_constraint(self, name: str) -> bool:
        """Whether a table constraint of that name is there."""
        return any(self._is_constraint(part, name) for part in self.parts)

    @staticmethod
    def _is_constraint(part: str, name: str) -> bool:
        found = re.match(r"\s*CONSTRAINT\s+", part, re.IGNORECASE)
        return found is not None and _name(part[found.end() :]) == _fold(name)

    def _with_column(self, column: str, change: Callable[[str], str]) -> Self:
        if not any(_name(part) == _fold(column) for part in self.parts):
            raise ValueError(f"there is no column {column}")
        parts = tuple(change(part) if _name(part) == _fold(column) else part for part in self.parts)
        return type(self)(self.head, parts, self.tail)


def _blank(sql: str) -> str:
    """Return text of the same length in which nothing quoted or commented looks like syntax."""
    return _QUOTED.sub(lambda found: "x" * len(found.group()), sql)


def _find_not_null(part: str) -> re.Match[str] | None:
    """Find NOT NULL of a column's definition, but not inside a CHECK."""
    flat = re.sub(r"\([^()]*\)", lambda found: "x" * len(found.group()), _blank(part))
    while "(" in flat:
        inner = re.sub(r"\([^()]*\)", lambda found: "x" * len(found.group()), flat)
        if inner == flat:
            break
        flat = inner
    return _NOT_NULL.search(flat)


def _name(part: str) -> str:
    """Return the first name of a definition, unquoted and folded."""
    text = re.sub(r"^(?:\s|--[^\n]*\n|/\*.*?\*/)*", "", part, flags=re.DOTALL)
    quoted = _QUOTED.match(text)
    if quoted:
        inside = quoted.group()[1:-1]
        return _fold(inside.replace(quoted.group()[0] * 2, quoted.group()[0]))
    return _fold(re.split(r"[\s(,]", text, maxsplit=1)[0])


def _fold(name: str) -> str:
    return name.lower()
