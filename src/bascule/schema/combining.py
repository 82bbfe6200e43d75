"""Which changes of one table may be under way at once, and which must wait for each other."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from bascule.schema.changes import Change
from bascule.schema.refusals import BadChange
from bascule.schema.state import CHANGES, Phase

__all__ = ["refuse_combination"]

_FINISHED = (*Phase.UNTOUCHED, Phase.PURGED)


def refuse_combination(connection: sa.Connection, change: Change, spec: Mapping[str, Any]) -> None:
    """Raise BadChange when a change cannot begin beside one that is not finished.

    The view of a renamed table would not show what others add, and what they remove later is on a table of another
    name. Columns that move elsewhere have triggers of their own, which must not outlive what another change drops.
    """
    live = sa.select(CHANGES.c.id, CHANGES.c.table_name, CHANGES.c.phase, CHANGES.c.spec_json).where(
        CHANGES.c.id != change.id, CHANGES.c.phase.not_in(_FINISHED)
    )
    for other in connection.execute(live):
        others = json.loads(other.spec_json)
        if not _tables(spec, change.table) & _tables(others, other.table_name):
            continue
        if "rename_table" in spec or "rename_table" in others:
            why = "one of them renames the table"
        elif shared := _moved(spec) & _columns(others) | _columns(spec) & _moved(others):
            why = f"both are about {', '.join(sorted(shared))}"
        else:
            continue
        raise BadChange(
            change.id, f"change {other.id} of table {other.table_name} is {other.phase}; purge it first, since {why}"
        )


def _tables(spec: Mapping[str, Any], table: str) -> set[str]:
    """Return the tables that a change is about."""
    return {table, *(str(spec[key]) for key in ("rename_table", "into_table") if key in spec)} - {""}


def _moved(spec: Mapping[str, Any]) -> set[str]:
    """Return the columns of changes that no other one may build upon."""
    moved = {name for key in ("extract", "data", "into") for name in spec.get(key, ())}
    return moved | ({str(spec["widen"])} if "widen" in spec else set())


def _columns(spec: Mapping[str, Any]) -> set[str]:
    """Return the columns that a change names, whatever its kind."""
    named: set[str] = set()
    for key in ("old", "new", "data", "into", "extract"):
        named |= set(spec.get(key, ()))
    for key in ("add_column", "drop_column", "set_not_null", "drop_not_null", "widen"):
        named |= {str(spec[key])} if key in spec else set()
    return named
