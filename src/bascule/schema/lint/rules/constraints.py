"""Constraints: what is checked under which lock, and whom they bind."""

from bascule.schema.lint.actions import Action
from bascule.schema.lint.rules.rule import EVERY, MYSQL, POSTGRESQL, Around, Rule, on_old_columns

__all__ = ["CONSTRAINT_RULES"]


def _is_checked_at_once(action: Action, _around: Around) -> bool:
    return not action.has("NOT VALID")


def _builds_index(action: Action, _around: Around) -> bool:
    return not action.has("USING INDEX")


def _is_in_same_transaction(action: Action, around: Around) -> bool:
    return around.in_transaction and action.name in around.added_here


def _checks_foreign_keys(_action: Action, around: Around) -> bool:
    return not around.ignores_foreign_keys


def _ignores_foreign_keys(_action: Action, around: Around) -> bool:
    return around.ignores_foreign_keys


def _binds(action: Action, around: Around) -> bool:
    unique = action.verb != "create index" or action.has("UNIQUE INDEX")
    return unique and on_old_columns(action, around)


_COPY = "copies {table} while writers wait"

CONSTRAINT_RULES = (
    Rule(
        "foreign-key-checked-at-once",
        POSTGRESQL,
        ("add foreign key",),
        "reads all of {table} while nobody can write to it or to {to}",
        "ADD ... NOT VALID, then VALIDATE CONSTRAINT in the next transaction",
        when=_is_checked_at_once,
    ),
    Rule(
        "foreign-key-checked-at-once",
        MYSQL,
        ("add foreign key",),
        _COPY,
        "SET foreign_key_checks=0, so that LOCK=NONE holds, after a query has shown that no row lacks its parent",
        when=_checks_foreign_keys,
    ),
    Rule(
        "foreign-key-unchecked",
        MYSQL,
        ("add foreign key",),
        "rows that exist are never checked",
        "look for rows without a parent before and after",
        severity="warn",
        when=_ignores_foreign_keys,
    ),
    Rule(
        "check-at-once",
        POSTGRESQL,
        ("add check",),
        "reads all of {table} while nobody can read or write it",
        "ADD ... NOT VALID, then VALIDATE CONSTRAINT in the next transaction",
        when=_is_checked_at_once,
    ),
    Rule(
        "check-at-once",
        MYSQL,
        ("add check",),
        _COPY,
        "hold the condition in code, or refuse bad rows in a trigger",
    ),
    Rule(
        "validate-in-same-transaction",
        POSTGRESQL,
        ("validate constraint",),
        "reads all of the table while the lock of ADD CONSTRAINT is still held",
        "commit before VALIDATE CONSTRAINT, or put it into the next revision",
        when=_is_in_same_transaction,
    ),
    Rule(
        "unique-builds-index",
        POSTGRESQL,
        ("add unique",),
        "builds an index while nobody can read or write {table}",
        "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... UNIQUE USING INDEX",
        when=_builds_index,
    ),
    Rule(
        "add-primary-key",
        POSTGRESQL,
        ("add primary key",),
        "builds an index and looks for NULL while nobody can read or write {table}",
        "CREATE UNIQUE INDEX CONCURRENTLY, make the column NOT NULL, then ADD PRIMARY KEY USING INDEX",
        when=_builds_index,
    ),
    Rule(
        "add-primary-key",
        MYSQL,
        ("add primary key",),
        "builds {table} anew in the order of the key",
        "make a new table with the key, and copy in migrate",
    ),
    Rule(
        "drop-primary-key",
        MYSQL,
        ("drop primary key",),
        _COPY,
        "make a new table with the other key, and copy in migrate",
        phase="contract",
    ),
    Rule(
        "add-exclude",
        POSTGRESQL,
        ("add exclude",),
        "builds an index while nobody can read or write {table}; it cannot be done apart",
        "make a new table with the constraint, and copy in migrate",
    ),
    Rule(
        "binds-old-release",
        EVERY,
        ("add foreign key", "add check", "add unique", "add exclude", "create index"),
        "the old release's writes to {table} that break the constraint fail from now on",
        "be sure that no release that runs writes such rows, or add it in contract",
        phase="contract",
        severity="warn",
        when=_binds,
    ),
    Rule(
        "drop-constraint",
        EVERY,
        ("drop constraint",),
        "the old release relies on what {name} holds, and rows that break it bar the way back",
        "drop it in contract",
        phase="contract",
        fine_in=("contract",),
    ),
)
