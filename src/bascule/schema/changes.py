"""What an author writes: a change of a table that both releases can live with while it happens.

    Rename(id="secrets-display-name", table="secrets", old="name", new="display_name", type=sa.String(255))
    Split(id="users-names", table="users",
          old={"fullname": sa.String(100)}, new={"first": sa.String(50), "last": sa.String(50)},
          up={"first": {"sqlite": "substr({o.fullname}, 1, instr({o.fullname} || ' ', ' ') - 1)", ...}, ...},
          down={"fullname": {"sqlite": "{n.first} || ' ' || {n.last}", ...}})

An expression is one scalar SQL expression without subqueries that always gives the same answer. `{o.column}` stands
for an old column, `{n.column}` for a new one; braces of your own are doubled. It must yield the type of the column it
fills (CAST on SQLite). A plain string instead of a mapping serves every database; the key `mysql` also serves MariaDB.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy.types import TypeEngine

from bascule.schema.refusals import BadChange

__all__ = ["EVENTS", "Change", "ColumnType", "Expression", "Rename", "Split", "as_split", "short_name", "trigger_names"]

Expression = str | Mapping[str, str]
ColumnType = TypeEngine[Any]  # Any: a column's Python type does not matter here

# In the order of creation. Updates come first: where each trigger begins to work by itself, a row that is filled on
# insert but not kept in sync on update would be stale in a way that no backfill may repair.
EVENTS = ("upd_old", "upd_new", "ins_old", "ins_new")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_SLUG = 40  # bsc_ + 40 + _ins_old is 52 characters: PostgreSQL keeps 63, MariaDB 64


@dataclass(frozen=True, slots=True)
class Split:
    """Old columns that become new ones, with SQL for both directions; merges and retypes are written the same way.

    `up` fills each new column from the old ones, `down` each old column from the new ones.
    `lossy` says in words what `down` cannot express; it is shown to whoever plans a rollback.
    """

    id: str
    table: str
    old: Mapping[str, ColumnType]
    new: Mapping[str, ColumnType]
    up: Mapping[str, Expression]
    down: Mapping[str, Expression]
    lossy: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id) or len(self.id) > 100:
            raise BadChange(self.id, "its id must be at most 100 small letters, digits and single hyphens")
        if not self.old or not self.new or set(self.old) & set(self.new):
            raise BadChange(self.id, "it needs old columns and new columns, with different names")
        if set(self.up) != set(self.new) or set(self.down) != set(self.old):
            raise BadChange(self.id, "`up` must name exactly the new columns and `down` exactly the old ones")

    def expression(self, column: str, database: str) -> str:
        """Return the template that fills `column` on that database. Raises BadChange when there is none."""
        written = self.up[column] if column in self.up else self.down[column]
        if isinstance(written, str):
            return written
        for name in (database, "mysql") if database == "mariadb" else (database,):
            if name in written:
                return written[name]
        raise BadChange(self.id, f"it has no expression for column {column} on {database}")

    def fill(self, column: str, database: str, *, old: Mapping[str, str], new: Mapping[str, str]) -> str:
        """Return the SQL that fills `column`, given the SQL that stands for each old and new column."""
        try:
            return self.expression(column, database).format(o=SimpleNamespace(**old), n=SimpleNamespace(**new))
        except (AttributeError, KeyError, IndexError, ValueError) as unknown:
            raise BadChange(self.id, f"the expression for column {column} names what it does not have") from unknown


@dataclass(frozen=True, slots=True)
class Rename:
    """A column that gets another name; the type stays."""

    id: str
    table: str
    old: str
    new: str
    type: ColumnType

    def __post_init__(self) -> None:
        as_split(self)


Change = Rename | Split


def as_split(change: Change) -> Split:
    """Return the change in its general form; a rename is the split whose both directions copy."""
    if isinstance(change, Split):
        return change
    return Split(
        id=change.id,
        table=change.table,
        old={change.old: change.type},
        new={change.new: change.type},
        up={change.new: f"{{o.{change.old}}}"},
        down={change.old: f"{{n.{change.new}}}"},
    )


def short_name(change_id: str, suffix: str) -> str:
    """Return `bsc_<change>_<suffix>`: hyphens become underscores; over 40 characters, 31 and 8 of its sha256 stay."""
    slug = change_id.replace("-", "_")
    if len(slug) > _LONGEST_SLUG:
        slug = f"{slug[:31]}_{hashlib.sha256(change_id.encode()).hexdigest()[:8]}"
    return f"bsc_{slug}_{suffix}"


def trigger_names(change: Change) -> tuple[str, ...]:
    """Return the names of the change's four sync triggers, the same on every database.

    `bsc_<change>_ins_old` and `_upd_old` serve writes in the old shape (they fill the new columns), `_ins_new` and
    `_upd_new` writes in the new shape. On PostgreSQL each has a function of the same name.
    """
    return tuple(short_name(change.id, event) for event in EVENTS)
