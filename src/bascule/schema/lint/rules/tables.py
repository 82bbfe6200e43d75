"""Whole tables: renamed, dropped, rebuilt, locked; and other objects of the schema."""

from bascule.schema.lint.actions import Action
from bascule.schema.lint.rules.rule import EVERY, MYSQL, POSTGRESQL, SQLITE, Around, Rule

__all__ = ["TABLE_RULES"]


def _is_full(action: Action, _around: Around) -> bool:
    return action.has("FULL")


def _blocks(action: Action, _around: Around) -> bool:
    return not action.has("CONCURRENTLY")


def _cascades(action: Action, _around: Around) -> bool:
    return action.has("CASCADE") and not action.has("ON (?:DELETE|UPDATE) CASCADE")


def _is_one_of_several(action: Action, _around: Around) -> bool:
    return action.clauses > 1


def _copies(action: Action, _around: Around) -> bool:
    return action.name in {"copy", "shared", "exclusive"}


_REBUILT = "do it in a quiet hour outside an upgrade, or with a tool that copies online (pg_repack, gh-ost)"

TABLE_RULES = (
    Rule(
        "rename-table",
        EVERY,
        ("rename table",),
        "every statement of the old release that names it fails at once",
        "make the new table, keep both in sync with triggers, and drop the old one in contract",
    ),
    Rule(
        "drop-table",
        EVERY,
        ("drop table",),
        "the old release's statements that name {table} fail, and its rows are gone for good",
        "drop it in contract of the release after the one that stopped using it",
        phase="contract",
        fine_in=("contract",),
    ),
    Rule(
        "drop-object",
        EVERY,
        ("drop object",),
        "the old release's statements that use {name} fail or do something else",
        "drop it in contract",
        phase="contract",
        fine_in=("contract",),
    ),
    Rule(
        "drop-database",
        EVERY,
        ("drop database",),
        "drops every table in {name}, and nothing brings them back",
        "drop tables one by one, in contract",
        phase="contract",
    ),
    Rule(
        "cascade",
        POSTGRESQL,
        ("drop table", "drop column", "drop constraint", "drop object", "drop index", "truncate"),
        "takes along what is not named here: views, foreign keys, rows of other tables",
        "name each thing that is dropped",
        phase="contract",
        when=_cascades,
    ),
    Rule(
        "truncate",
        EVERY,
        ("truncate",),
        "empties {table} under a lock that lets nobody read or write; MySQL and MariaDB cannot take it back",
        "delete in batches, in migrate",
        phase="contract",
    ),
    Rule(
        "create-table-as",
        EVERY,
        ("create table as",),
        "reads whole tables in one statement (MySQL and MariaDB lock what it reads), and the copy is not kept in sync",
        "make the table empty, and copy in batches in migrate",
        phase="migrate",
        even_new=True,
    ),
    Rule(
        "vacuum-full",
        POSTGRESQL,
        ("vacuum",),
        "rewrites the table while nobody can read or write it",
        "plain VACUUM, or pg_repack",
        when=_is_full,
    ),
    Rule(
        "vacuum-full",
        SQLITE,
        ("vacuum",),
        "rewrites the whole file while nobody can write",
        "auto_vacuum=INCREMENTAL",
    ),
    Rule("cluster", POSTGRESQL, ("cluster",), "rewrites the table while nobody can read or write it", _REBUILT),
    Rule(
        "reindex",
        POSTGRESQL,
        ("reindex",),
        "nobody can write to the table while its indexes are built",
        "REINDEX CONCURRENTLY, outside a transaction",
        when=_blocks,
    ),
    Rule("reindex", SQLITE, ("reindex",), "nobody can write while indexes are built", "do it in a quiet hour"),
    Rule(
        "refresh-view",
        POSTGRESQL,
        ("refresh view",),
        "nobody can read {name} while it is filled",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index",
        when=_blocks,
    ),
    Rule(
        "lock-table",
        (*POSTGRESQL, *MYSQL),
        ("lock table",),
        "stops every writer, and with the default mode every reader, until the transaction ends",
        "leave it to each statement to lock what it needs, under a lock timeout",
    ),
    Rule(
        "rewrite-storage",
        (*POSTGRESQL, *MYSQL),
        ("rewrite storage", "optimize"),
        "writes all of {table} again; on PostgreSQL nobody can read or write it meanwhile",
        _REBUILT,
    ),
    Rule(
        "convert-charset",
        MYSQL,
        ("convert charset",),
        "copies {table} while writers wait",
        "add columns with the new character set, in sync (bascule.schema.Split)",
    ),
    Rule(
        "attach-partition",
        POSTGRESQL,
        ("attach partition",),
        "reads all of {name} under a lock, unless a valid CHECK already says that its rows belong there",
        "ADD CHECK NOT VALID on the partition and VALIDATE it first",
        severity="warn",
    ),
    Rule(
        "detach-partition",
        POSTGRESQL,
        ("detach partition",),
        "nobody can read or write {table} meanwhile",
        "DETACH PARTITION ... CONCURRENTLY",
        phase="contract",
        when=_blocks,
    ),
    Rule(
        "drop-partition",
        MYSQL,
        ("drop partition",),
        "the partition's rows are gone for good",
        "do it in contract, after the rows were moved",
        phase="contract",
        fine_in=("contract",),
    ),
    Rule(
        "disable-trigger",
        POSTGRESQL,
        ("disable trigger",),
        "foreign keys no longer hold, and triggers that keep old and new columns in sync stand still",
        "SET LOCAL a setting that the one trigger reads",
    ),
    Rule(
        "row-security",
        POSTGRESQL,
        ("row security",),
        "rows without a policy vanish for the old release",
        "CREATE POLICY for every role first, and enable it in contract",
        phase="contract",
        fine_in=("contract",),
    ),
    Rule(
        "create-trigger",
        EVERY,
        ("create trigger",),
        "changes what the old release's writes do; PostgreSQL stops writers, MariaDB waits for every open transaction",
        "short lock timeout and retries; for sync of columns use bascule.schema.Split",
        severity="warn",
    ),
    Rule(
        "replace-object",
        EVERY,
        ("replace object",),
        "the old release calls the new {name} from now on",
        "create it under another name, and drop the old one in contract",
        severity="warn",
    ),
    Rule(
        "several-clauses",
        MYSQL,
        ("add column", "drop column", "modify column", "change column", "add unique", "drop index", "set default"),
        "all clauses of one ALTER run with the slowest one's algorithm",
        "one ALTER per clause, each with its ALGORITHM and LOCK",
        severity="warn",
        when=_is_one_of_several,
    ),
    Rule(
        "copy-or-lock-asked-for",
        MYSQL,
        ("state algorithm", "state lock"),
        "asks for a copy of {table}, or for a lock that stops writers",
        "ALGORITHM=INSTANT or NOCOPY, LOCK=NONE: what cannot run so then fails at once",
        when=_copies,
    ),
    Rule(
        "unsupported-alter",
        SQLITE,
        (
            *("unsupported", "change type", "set not null", "drop not null", "set default", "drop default"),
            *("modify column", "change column", "add primary key", "add foreign key", "add check", "add unique"),
            *("drop constraint", "drop primary key", "validate constraint", "add exclude", "add identity"),
        ),
        "fails: SQLite has no such ALTER TABLE",
        "new columns kept in sync (bascule.schema.Split), CREATE UNIQUE INDEX, or a new table",
        even_new=True,
    ),
    Rule(
        "batch-rebuild",
        SQLITE,
        ("rebuild table",),
        "copies {table} to a new one while nobody can write, drops it with its triggers, and renames the copy",
        "only add columns and indexes in a batch; for the rest use bascule.schema.Split",
    ),
)
