"""What every change has: an id, a table, a release; and the SQL expressions that authors write."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy.types import TypeEngine

from bascule.schema.refusals import BadChange

__all__ = ["Change", "ColumnType", "Expression", "Literal", "fill_in", "fill_row", "template"]

Expression = str | Mapping[str, str]
ColumnType = TypeEngine[Any]  # Any: a column's Python type does not matter here
Literal = str | int | float | bool

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one table. `release` is the release that brings it; the engine's own when left out.

    The id names it for ever, in the database's journal and in its triggers.
    """

    id: str
    table: str
    release: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id) or len(self.id) > 100:
            raise BadChange(self.id, "its id must be at most 100 small letters, digits and single hyphens")


def template(change: str, written: Expression, database: str, what: str) -> str:
    """Return the template that serves a database. Raises BadChange when the author wrote none for it."""
    if isinstance(written, str):
        return written
    for name in (database, "mysql") if database == "mariadb" else (database,):
        if name in written:
            return written[name]
    raise BadChange(change, f"it has no expression for {what} on {database}")


def fill_in(change: str, written: Expression, database: str, what: str, **sides: Mapping[str, str]) -> str:
    """Return an expression's SQL, given the SQL that stands for each column of each side (`o` or `n`)."""
    given = {name: SimpleNamespace(**columns) for name, columns in sides.items()}
    return _format(change, template(change, written, database, what), what, given)


def fill_row(
    change: str, written: Expression, database: str, what: str, *, quote: Callable[[str], str], prefix: str
) -> str:
    """Return an expression's SQL over one row (`{row.column}`), each column quoted and with the row's prefix."""
    return _format(change, template(change, written, database, what), what, {"row": _Row(quote, prefix)})


def _format(change: str, text: str, what: str, given: Mapping[str, object]) -> str:
    try:
        return text.format(**given)
    except (AttributeError, KeyError, IndexError, ValueError) as unknown:
        raise BadChange(change, f"the expression for {what} names what it does not have") from unknown


class _Row:
    """Any column of a row: which there are, only the table knows."""

    def __init__(self, quote: Callable[[str], str], prefix: str) -> None:
        self._quote, self._prefix = quote, prefix

    def __getattr__(self, column: str) -> str:
        return f"{self._prefix}{self._quote(column)}"
