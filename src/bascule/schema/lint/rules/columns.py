"""Columns: added, changed, renamed, dropped."""

import re

from bascule.schema.lint.actions import Action
from bascule.schema.lint.rules.rule import EVERY, MYSQL, POSTGRESQL, SQLITE, Around, Rule
from bascule.schema.lint.rules.types import appends_enum_value, changes_type, is_free_widening

__all__ = ["COLUMN_RULES"]

# Constant within a statement, so the table needs no rewrite.
_STABLE = re.compile(
    r"\b(NOW|CURRENT_TIMESTAMP|CURRENT_DATE|CURRENT_TIME|LOCALTIME|LOCALTIMESTAMP|CURRENT_USER|TRANSACTION_TIMESTAMP"
    r"|STATEMENT_TIMESTAMP|CAST|VARCHAR|CHAR|NUMERIC|DECIMAL|TIMESTAMP|TIME|BIT|VARYING|INT|ENUM)\b ?\("
)
_DEFAULT = re.compile(
    r"\bDEFAULT (.+?)(?= (?:NOT NULL|NULL|CHECK|REFERENCES|UNIQUE|PRIMARY|COMMENT|AFTER|FIRST|COLLATE|CONSTRAINT)\b|$)"
)
_ALTERED = ("modify column", "change column")


def _default(action: Action) -> str:
    match = _DEFAULT.search(action.rest)
    return match[1] if match else ""


def _lacks_default(action: Action, _around: Around) -> bool:
    filled = action.has("DEFAULT|GENERATED|AS|AUTO_INCREMENT|SERIAL|BIGSERIAL|SMALLSERIAL|IDENTITY")
    return action.has("NOT NULL|PRIMARY KEY") and not filled


def _has_volatile_default(action: Action, _around: Around) -> bool:
    return re.search(r"\b[A-Z_][\w.]* ?\(", _STABLE.sub("", _default(action))) is not None


def _has_default_sqlite_refuses(action: Action, _around: Around) -> bool:
    return re.match(r"\(|CURRENT_", _default(action)) is not None


def _is_stored(action: Action, _around: Around) -> bool:
    return action.has("STORED|PERSISTENT") and action.has("AS")


def _counts(action: Action, _around: Around) -> bool:
    return action.has("SERIAL|BIGSERIAL|SMALLSERIAL|SERIAL4|SERIAL8|AS IDENTITY|AUTO_INCREMENT|AUTOINCREMENT")


def _has_constraint(action: Action, _around: Around) -> bool:
    return action.has("REFERENCES|UNIQUE|PRIMARY KEY|CHECK")


def _has_constraint_mysql_copies_for(action: Action, _around: Around) -> bool:
    return action.has("REFERENCES|PRIMARY KEY|CHECK")


def _has_unique(action: Action, _around: Around) -> bool:
    return action.has("UNIQUE|PRIMARY KEY")


def _is_costly_type_change(action: Action, around: Around) -> bool:
    return changes_type(action) and not is_free_widening(action, around.database) and not appends_enum_value(action)


def _is_free_type_change(action: Action, around: Around) -> bool:
    return changes_type(action) and is_free_widening(action, around.database)


def _appends_enum_value(action: Action, _around: Around) -> bool:
    return changes_type(action) and appends_enum_value(action)


def _may_hold_null(action: Action, around: Around) -> bool:
    column = (action.table, action.name)
    return column not in around.never_null and column not in around.added


def _becomes_not_null(action: Action, _around: Around) -> bool:
    if action.verb == "set not null":
        return True
    return action.was is not None and not action.was.keeps_nullable and action.has("NOT NULL")


def _becomes_nullable(action: Action, _around: Around) -> bool:
    if action.verb == "drop not null":
        return True
    return action.was is not None and not action.was.keeps_nullable and not action.has("NOT NULL")


def _forgets(action: Action, _around: Around) -> bool:
    return action.was is not None and action.was.nullable is None and action.was.keeps_nullable


def _gets_other_name(action: Action, _around: Around) -> bool:
    return action.verb == "rename column" or action.name != action.to


def _is_old(action: Action, around: Around) -> bool:
    return (action.table, action.name) not in around.added


def _is_always(action: Action, _around: Around) -> bool:
    return action.has("ALWAYS")


_OTHER_COLUMN = "add a new column and keep both in sync (bascule.schema.Split), then drop the old one in contract"
_ADD_THEN_DEFAULT = "add the column nullable without default, SET DEFAULT for new rows, and backfill in migrate"

COLUMN_RULES = (
    Rule(
        "not-null-without-default",
        EVERY,
        ("add column",),
        "rows that exist have no value for {name}, and the old release's inserts into {table} fail for want of it",
        "add it nullable or with a constant default; SET NOT NULL in contract",
        when=_lacks_default,
    ),
    Rule(
        "volatile-default",
        POSTGRESQL,
        ("add column",),
        "rewrites {table} and all its indexes while nobody can read or write it: the default differs per row",
        _ADD_THEN_DEFAULT,
        when=_has_volatile_default,
    ),
    Rule(
        "volatile-default",
        MYSQL,
        ("add column",),
        "copies {table} while writers wait: the default differs per row",
        _ADD_THEN_DEFAULT,
        when=_has_volatile_default,
    ),
    Rule(
        "volatile-default",
        SQLITE,
        ("add column",),
        "fails: SQLite adds no column to a table with rows whose default is an expression",
        "add it nullable or with a constant default, and backfill in migrate",
        when=_has_default_sqlite_refuses,
    ),
    Rule(
        "stored-generated-column",
        POSTGRESQL,
        ("add column",),
        "rewrites {table} while nobody can read or write it",
        "add a plain nullable column, keep it in sync (bascule.schema.Split), and backfill in migrate",
        when=_is_stored,
    ),
    Rule(
        "stored-generated-column",
        MYSQL,
        ("add column",),
        "copies {table} while writers wait",
        "add it VIRTUAL, which is instant, or a plain column kept in sync (bascule.schema.Split)",
        when=_is_stored,
    ),
    Rule(
        "stored-generated-column",
        SQLITE,
        ("add column",),
        "fails: SQLite adds no STORED column to an existing table",
        "add it VIRTUAL",
        when=_is_stored,
    ),
    Rule(
        "counting-column",
        POSTGRESQL,
        ("add column",),
        "rewrites {table} while nobody can read or write it: each row gets a number",
        "add a nullable bigint, create the sequence, SET DEFAULT nextval, and backfill in migrate",
        when=_counts,
    ),
    Rule(
        "counting-column",
        MYSQL,
        ("add column",),
        "builds {table} anew while writers wait: each row gets a number",
        "make a new table with the key, and copy in migrate",
        when=_counts,
    ),
    Rule(
        "identity-always",
        POSTGRESQL,
        ("add identity",),
        "the old release's inserts that give {name} a value fail",
        "GENERATED BY DEFAULT in expand, SET GENERATED ALWAYS in contract",
        phase="contract",
        when=_is_always,
        fine_in=("contract",),
    ),
    Rule(
        "inline-constraint",
        POSTGRESQL,
        ("add column",),
        "checks or indexes {table} while nobody can read or write it, nor write a referenced table",
        "add the plain column, then the constraint NOT VALID, or from an index that was built CONCURRENTLY",
        when=_has_constraint,
    ),
    Rule(
        "inline-constraint",
        MYSQL,
        ("add column",),
        "copies {table} while writers wait: a constraint comes with the column",
        "add the plain column; add the constraint where the table is small, or hold it in code",
        when=_has_constraint_mysql_copies_for,
    ),
    Rule(
        "inline-constraint",
        SQLITE,
        ("add column",),
        "fails: SQLite adds no UNIQUE or PRIMARY KEY column",
        "add the plain column, then CREATE UNIQUE INDEX",
        when=_has_unique,
    ),
    Rule(
        "change-type",
        POSTGRESQL,
        ("change type",),
        "may rewrite {table} while nobody can read or write it, and prepared statements that name {name} fail once",
        _OTHER_COLUMN,
        when=_is_costly_type_change,
    ),
    Rule(
        "change-type",
        MYSQL,
        _ALTERED,
        "copies {table} while writers wait, unless a VARCHAR grows within 255 bytes; only an operation tree shows the "
        "old type",
        _OTHER_COLUMN,
        when=_is_costly_type_change,
    ),
    Rule(
        "modify-forgets",
        MYSQL,
        _ALTERED,
        "writes the whole definition of {name} anew: a NOT NULL or DEFAULT that is not named again is gone",
        "give existing_nullable= and existing_server_default=",
        severity="warn",
        when=_forgets,
    ),
    Rule(
        "widen-type",
        POSTGRESQL,
        ("change type",),
        "is free of a rewrite, but prepared statements that name {name} fail once in the old release",
        _OTHER_COLUMN + ", or let clients prepare no statements while it runs",
        severity="warn",
        when=_is_free_type_change,
    ),
    Rule(
        "append-enum-value",
        MYSQL,
        _ALTERED,
        "is instant, but the old release may read a value of {name} that it does not know",
        "write the new value only once no old process lives",
        severity="warn",
        when=_appends_enum_value,
    ),
    Rule(
        "set-not-null",
        POSTGRESQL,
        ("set not null",),
        "reads all of {table} while nobody can read or write it",
        "ADD CHECK ({name} IS NOT NULL) NOT VALID, then VALIDATE it in another transaction, then SET NOT NULL",
        phase="contract",
        when=_may_hold_null,
    ),
    Rule(
        "set-not-null",
        MYSQL,
        _ALTERED,
        "builds {table} anew, and the old release's writes without {name} fail",
        "backfill, and do it in contract",
        phase="contract",
        when=_becomes_not_null,
        fine_in=("contract",),
    ),
    Rule(
        "drop-not-null",
        EVERY,
        ("drop not null", *_ALTERED),
        "the old release may read a NULL in {name} that it does not expect (MySQL and MariaDB build the table anew)",
        "write no NULL before the old release is gone",
        severity="warn",
        when=_becomes_nullable,
    ),
    Rule(
        "set-default",
        EVERY,
        ("set default",),
        "rows that the old release inserts get another value than it expects",
        "let the new release write the value; set the default in contract",
        phase="contract",
        severity="warn",
        when=_is_old,
    ),
    Rule(
        "drop-default",
        EVERY,
        ("drop default",),
        "the old release's inserts that do not name {name} get NULL, or fail",
        "drop it in contract",
        phase="contract",
        when=_is_old,
        fine_in=("contract",),
    ),
    Rule(
        "rename-column",
        EVERY,
        ("rename column", "change column"),
        "every statement of the old release that names {name} fails at once",
        "bascule.schema.Rename: both names live side by side, in sync, until contract",
        when=_gets_other_name,
    ),
    Rule(
        "drop-column",
        EVERY,
        ("drop column",),
        "the old release's statements that name {name} fail, and its values are gone for good",
        "drop it once no release uses it; drop triggers that name it first, or every write fails on MariaDB",
        phase="contract",
        when=_is_old,
        fine_in=("contract",),
    ),
)
