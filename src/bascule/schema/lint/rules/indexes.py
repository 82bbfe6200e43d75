"""Indexes: who waits while they are built or dropped."""

from bascule.schema.lint.actions import Action
from bascule.schema.lint.rules.rule import EVERY, MYSQL, POSTGRESQL, SQLITE, Around, Rule, columns_of

__all__ = ["INDEX_RULES"]


def _blocks(action: Action, _around: Around) -> bool:
    return not action.has("CONCURRENTLY")


def _cannot_be_in_transaction(action: Action, around: Around) -> bool:
    return around.in_transaction and action.has("CONCURRENTLY")


def _is_full_text(action: Action, _around: Around) -> bool:
    return action.has("FULLTEXT|SPATIAL")


def _is_wide(action: Action, _around: Around) -> bool:
    return not action.has("UNIQUE") and len(columns_of(action.text)) > 3


INDEX_RULES = (
    Rule(
        "index-blocks-writers",
        POSTGRESQL,
        ("create index",),
        "nobody can write to {table} while the index is built",
        "CREATE INDEX CONCURRENTLY, outside a transaction; drop an INVALID index that a failed try left behind",
        when=_blocks,
    ),
    Rule(
        "index-blocks-writers",
        SQLITE,
        ("create index",),
        "nobody can write to the database while the index is built (about 0.7 s per million rows)",
        "do it in a quiet hour where the table is large",
        severity="warn",
    ),
    Rule(
        "index-blocks-writers",
        MYSQL,
        ("create index", "add index"),
        "nobody can write to {table} while a FULLTEXT or SPATIAL index is built",
        "make a new table with the index, and copy in migrate",
        when=_is_full_text,
    ),
    Rule(
        "drop-index-blocks",
        POSTGRESQL,
        ("drop index",),
        "waits for every transaction on the table, and all later ones wait behind it",
        "DROP INDEX CONCURRENTLY, outside a transaction",
        phase="contract",
        when=_blocks,
    ),
    Rule(
        "drop-index-slows",
        EVERY,
        ("drop index",),
        "the old release's queries that use {name} get slow, and a unique index no longer holds what it held",
        "drop it in contract",
        phase="contract",
        severity="warn",
    ),
    Rule(
        "concurrently-in-transaction",
        POSTGRESQL,
        ("create index", "drop index", "reindex", "detach partition"),
        "fails: CONCURRENTLY cannot run in a transaction",
        "with op.get_context().autocommit_block(), or a script without BEGIN",
        when=_cannot_be_in_transaction,
        even_new=True,
    ),
    Rule(
        "wide-index",
        EVERY,
        ("create index", "add index"),
        "an index on more than three columns slows every write and is seldom used as a whole",
        "begin with the columns that select best, and leave out the others",
        severity="warn",
        when=_is_wide,
    ),
)
