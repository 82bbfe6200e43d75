"""Writes of rows, raw SQL, and what only shows in the script as a whole."""

import re

from bascule.schema.lint.actions import Action
from bascule.schema.lint.rules.rule import EVERY, MYSQL, POSTGRESQL, Around, Rule

__all__ = ["DATA_RULES", "WHOLE_RULES"]

_WRITES = ("update", "delete", "insert select")
_BOUND = re.compile(r"\b(BETWEEN|CTID)\b|[<>]|(?<!!)= [\d'?:%$(]|\bIN \((?!SELECT)")
_TRUE = frozenset({"TRUE", "1", "1 = 1"})


def _condition(action: Action) -> str:
    return action.rest.partition("WHERE ")[2]


def _is_limited(action: Action) -> bool:
    return re.search(r"\bLIMIT\b", action.statement.text) is not None


def _is_whole(action: Action, _around: Around) -> bool:
    if action.verb == "insert select" and not re.search(r"\bFROM\b", action.statement.text):
        return False  # INSERT ... SELECT 1, 'a' writes one row
    return not _is_limited(action) and (not _condition(action) or _condition(action) in _TRUE)


def _is_unbounded(action: Action, _around: Around) -> bool:
    return bool(_condition(action)) and not _is_limited(action) and not _BOUND.search(_condition(action))


DATA_RULES = (
    Rule(
        "whole-table-write",
        EVERY,
        _WRITES,
        "writes every row in one transaction: writers of those rows wait until it ends, and replicas fall behind",
        "batches along the key, one transaction each, in migrate (bascule.schema does this)",
        phase="migrate",
        when=_is_whole,
    ),
    Rule(
        "unbounded-write",
        EVERY,
        _WRITES,
        "may write most rows of {table} in one transaction: its condition bounds nothing",
        "batches along the key, one transaction each, in migrate (bascule.schema does this)",
        phase="migrate",
        severity="warn",
        when=_is_unbounded,
    ),
    Rule(
        "raw-sql-undeclared",
        EVERY,
        ("unknown",),
        "raw SQL says nothing of its effect, and the linter does not know it",
        "-- bascule: expand because ... (or migrate, or contract)",
        even_new=True,
    ),
    Rule(
        "asks-the-database",
        EVERY,
        ("unreadable",),
        "asks a database or a configuration that is not there offline, so from this line on nothing was judged",
        "use operations that need no connection, or lint the SQL that it runs (alembic upgrade --sql)",
        even_new=True,
    ),
)

WHOLE_RULES = (
    Rule(
        "mixed-phases",
        EVERY,
        (),
        "adds what the new release needs and removes what the old one uses, in one step that no mixed fleet survives",
        "two revisions: what adds into expand, what removes into contract",
    ),
    Rule(
        "wrong-phase",
        EVERY,
        (),
        "stands in a phase that must not do this: expand only adds, migrate only fills, contract only removes",
        "move it to the phase named here",
    ),
    Rule(
        "data-with-ddl",
        EVERY,
        (),
        "holds the locks of its DDL while rows are written; MySQL and MariaDB leave half of it behind when it fails",
        "DDL in expand, rows in migrate",
        phase="migrate",
    ),
    Rule(
        "no-lock-timeout",
        (*POSTGRESQL, *MYSQL),
        (),
        "waits without end for a long transaction, and every later statement on the table waits behind it",
        "SET lock_timeout = '1s' (PostgreSQL) or SET lock_wait_timeout = 1 (MySQL, MariaDB), and try again",
        severity="warn",
    ),
    Rule(
        "algorithm-unstated",
        MYSQL,
        (),
        "turns into a copy without a word when the server cannot do it in place",
        "ALGORITHM=INSTANT or NOCOPY, LOCK=NONE",
        severity="warn",
    ),
    Rule(
        "many-tables-locked",
        POSTGRESQL,
        (),
        "holds exclusive locks of several tables until the transaction ends, which deadlocks with readers of both",
        "one transaction per table",
        severity="warn",
    ),
)
