"""Types of columns: which changes are free, and which types are regretted later."""

import re

from bascule.schema.lint.actions import Action
from bascule.schema.lint.findings import Database
from bascule.schema.lint.rules.rule import EVERY, MYSQL, POSTGRESQL, Around, Rule

__all__ = ["TYPE_RULES", "appends_enum_value", "changes_type", "is_free_widening"]

_BYTES_OF_CHARACTER = 4  # utf8mb4
_SHORT_BYTES = 255  # longer values need a second byte for their length in every row
_DEFINED = ("define column", "add column")


def changes_type(action: Action) -> bool:
    """Say that a column gets another type, or may get one: SQL alone does not tell the old type."""
    return action.was is None or not action.was.keeps_type


def is_free_widening(action: Action, database: Database) -> bool:
    """Say that the database only notes the new length; needs the old type."""
    old, new = _length(action.was.type if action.was else None), _length(action.rest)
    if old is None or new is None or new < old:
        return False
    if database == "postgresql":
        return True
    return (old == new and old != _ENDLESS) or new * _BYTES_OF_CHARACTER <= _SHORT_BYTES


_ENDLESS = 1 << 40


def _length(text: str | None) -> int | None:
    match = re.match(r"(?:VARCHAR|CHARACTER VARYING)(?: \((\d+)\))?|TEXT\b", text or "")
    return None if match is None else int(match[1] or _ENDLESS)


def appends_enum_value(action: Action) -> bool:
    """Say that an ENUM keeps its values in their order and gets more at its end."""
    old, new = _values(action.was.type if action.was else None), _values(action.rest)
    return bool(old) and len(new) > len(old) and new[: len(old)] == old


def _values(text: str | None) -> list[str]:
    match = re.match(r"ENUM \(([^()]*)\)", text or "")
    return match[1].split(", ") if match else []


def _is(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{pattern})\b")


_JSON, _INTEGER = _is("JSON(?!B)"), _is("INT|INTEGER|SMALLINT|INT4|INT2|SERIAL|SMALLSERIAL|SERIAL4|MEDIUMINT")
_CHAR = _is("CHAR|CHARACTER(?! VARYING)|BPCHAR")


def _is_json(action: Action, _around: Around) -> bool:
    return _JSON.match(action.rest) is not None


def _is_small_key(action: Action, _around: Around) -> bool:
    return _INTEGER.match(action.rest) is not None and action.has("PRIMARY KEY")


def _is_char(action: Action, _around: Around) -> bool:
    return _CHAR.match(action.rest) is not None


def _is_local_time(action: Action, _around: Around) -> bool:
    return re.match(r"TIMESTAMP(?: \(\d\))?(?! ?\(| WITH TIME ZONE)(?!\w)", action.rest) is not None


TYPE_RULES = (
    Rule(
        "json-type",
        POSTGRESQL,
        _DEFINED,
        "json has no equality, so SELECT DISTINCT and GROUP BY of the table's rows fail",
        "use jsonb",
        severity="warn",
        when=_is_json,
        even_new=True,
    ),
    Rule(
        "small-key",
        (*POSTGRESQL, *MYSQL),
        _DEFINED,
        "the key ends at 2,147,483,647 rows ever inserted, and widening it later copies the table",
        "use bigint",
        severity="warn",
        when=_is_small_key,
        even_new=True,
    ),
    Rule(
        "char-type",
        POSTGRESQL,
        _DEFINED,
        "values are filled up with blanks, which comparisons then ignore, and a new length rewrites the table",
        "use text or varchar",
        severity="warn",
        when=_is_char,
        even_new=True,
    ),
    Rule(
        "local-time-type",
        POSTGRESQL,
        _DEFINED,
        "the zone is not stored: processes with other zones read another instant",
        "use timestamp with time zone, unless every writer keeps to UTC",
        severity="warn",
        when=_is_local_time,
        even_new=True,
    ),
    Rule(
        "add-enum-value",
        POSTGRESQL,
        ("add enum value",),
        "the old release may read a value that it does not know; a value cannot be taken back, nor be used in the "
        "transaction that adds it",
        "write the new value only once no old process lives",
        severity="warn",
        even_new=True,
    ),
    Rule(
        "rename-enum-value",
        EVERY,
        ("rename enum value",),
        "the old release writes a value that no longer exists, and reads one that it does not know",
        "add the new value, migrate the rows, and leave the old value unused",
        even_new=True,
    ),
)
