"""What a copy leaves in the database while it is under way: names by change, so that any engine knows whose they are.

MariaDB keeps the names of triggers per schema, so those of the copy cannot have the names of the table's own: a twin,
which says whose it is, stands for each until the old table, and with it the name, is gone.
"""

import hashlib
import re
from dataclasses import dataclass

from bascule.schema.changes import short_name

__all__ = ["COPYING_VARIABLE", "CopyNames", "is_capture", "is_ours", "is_twin", "twin_of", "twin_statement"]

COPYING_VARIABLE = "@bascule_copying"  # set in sessions whose writes to the copy no twin may judge or alter

_LAST = "zzz_"  # see `comes_before`
_OWN, _TWIN, _CAPTURE = "bsc_", "bst_", "bsl_"
_TWIN_STATEMENT = re.compile(rf"IF {COPYING_VARIABLE} IS NULL AND '((?:[^']|'')*)' <> '' THEN (.*); END IF", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CopyNames:
    """The tables and triggers of the copy that one change makes."""

    change: str

    @property
    def copy(self) -> str:
        """The table that is filled."""
        return _LAST + short_name(self.change, "copy")

    @property
    def log(self) -> str:
        """The table that keeps the keys of rows written meanwhile."""
        return short_name(self.change, "log")

    @property
    def was(self) -> str:
        """What the names begin with that the old table gets, or a stand-in holds, in one attempt to swap."""
        return _LAST + short_name(self.change, "was_")

    def comes_before(self, table: str) -> bool:
        """Whether the table's name sorts before those that it changes places with.

        A RENAME asks for the locks of all its tables one after the other, in the order of their names. It must stand in
        the queue of the table itself before that is let go: else writers come first, and write what is lost.
        """
        return table.encode() < min(self.copy, self.was).encode()

    def capture(self, event: str) -> str:
        """Return the name of the trigger that notes the key of a row that is inserted, updated or deleted."""
        return _CAPTURE + short_name(self.change, event[:3]).removeprefix(_OWN)

    def twin(self, trigger: str) -> str:
        """Return the name of a trigger's twin."""
        return _TWIN + hashlib.sha256(f"{self.change} {trigger}".encode()).hexdigest()[:24]


def is_ours(trigger: str) -> bool:
    """Whether a trigger is one of the engine's."""
    return trigger.startswith((_OWN, _TWIN, _CAPTURE))


def is_capture(trigger: str) -> bool:
    """Whether a trigger notes keys for a copy."""
    return trigger.startswith(_CAPTURE)


def is_twin(trigger: str) -> bool:
    """Whether a trigger stands for another one until its name is free."""
    return trigger.startswith(_TWIN)


def twin_statement(trigger: str, statement: str) -> str:
    """Return what the twin of a trigger does: the same, but nothing in sessions that fill the copy."""
    name = trigger.replace("'", "''")
    return f"IF {COPYING_VARIABLE} IS NULL AND '{name}' <> '' THEN {statement}; END IF"


def twin_of(statement: str) -> tuple[str, str]:
    """Return the name of the trigger that a twin stands for, and what that one does. Raises ValueError."""
    match = _TWIN_STATEMENT.fullmatch(statement)
    if match is None:
        raise ValueError("a trigger is named like a twin, and is none")
    return match[1].replace("''", "'"), match[2]
