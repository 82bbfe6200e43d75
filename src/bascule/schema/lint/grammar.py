"""The patterns that tell verbs apart, tried in order; the first that matches all of the text wins."""

import re
from collections.abc import Sequence

from bascule.schema.lint.sql import NAME

__all__ = ["CLAUSES", "STATEMENTS"]

_NOT = "(?:IF NOT EXISTS )?"
_IF = "(?:IF EXISTS )?"
_KIND = "(?:UNIQUE |FULLTEXT |SPATIAL )?"
_OBJECT = "(?:TYPE|SEQUENCE|VIEW|FUNCTION|PROCEDURE|TRIGGER|EXTENSION|SCHEMA|DOMAIN)"
_CHARSET = "(?:CHARACTER SET|CHARSET|COLLATE)"


def _table(rows: Sequence[tuple[str, str]]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Compile the rows; `<table>`, `<name>` and `<to>` stand for a name, `<rest>` for whatever follows."""
    compiled = []
    for verb, pattern in rows:
        for group in ("table", "name", "to"):
            pattern = pattern.replace(f"<{group}>", f"(?P<{group}>{NAME})")  # noqa: PLW2901 (three small edits)
        compiled.append((verb, re.compile(pattern.replace("<rest>", "(?P<rest>(?: .*|,.*)?)"))))
    return tuple(compiled)


STATEMENTS = _table(
    [
        # Alembic keeps its own books in every script that it prints.
        ("no effect", r"(?:UPDATE|INSERT INTO|DELETE FROM|CREATE TABLE) <name>(?=.* \(?(?:\w+\.)?VERSION_NUM\b)<rest>"),
        (
            "create table as",
            rf"CREATE (?:\w+ )*?TABLE {_NOT}<table>(?: \(.*\))? (?:AS \(?(?:SELECT|WITH)|SELECT)<rest>",
        ),
        ("create table", rf"CREATE (?:\w+ )*?TABLE {_NOT}<table><rest>"),
        ("drop table", rf"DROP (?:TEMPORARY )?TABLE {_IF}<table><rest>"),
        ("rename table", r"RENAME TABLE <table> TO <to><rest>"),
        ("truncate", r"TRUNCATE (?:TABLE )?(?:ONLY )?<table><rest>"),
        (
            "create index",
            rf"CREATE {_KIND}INDEX (?:CONCURRENTLY )?{_NOT}(?!ON\b)<name> ON (?:ONLY )?<table><rest>",
        ),
        ("create index", r"CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?ON (?:ONLY )?<table><rest>"),
        ("drop index", rf"DROP INDEX (?:CONCURRENTLY )?{_IF}<name>(?: ON <table>)?<rest>"),
        ("rename index", rf"ALTER INDEX {_IF}<name> RENAME TO <to>"),
        ("reindex", r"REINDEX<rest>"),
        ("vacuum", r"VACUUM<rest>"),
        ("cluster", r"CLUSTER(?: <table>)?<rest>"),
        ("optimize", r"OPTIMIZE (?:\w+ )?TABLE <table><rest>"),
        ("lock table", r"LOCK TABLES? (?:ONLY )?<table><rest>"),
        ("lock table", r"FLUSH TABLES<rest>"),
        ("update", r"UPDATE (?:ONLY )?(?:LOW_PRIORITY )?(?:OR \w+ )?<table><rest>"),
        ("update", r"WITH .*\) UPDATE (?:ONLY )?<table><rest>"),
        ("delete", r"WITH .*\) DELETE FROM (?:ONLY )?<table><rest>"),
        ("insert select", r"WITH .*\) INSERT INTO <table><rest>"),
        ("delete", r"DELETE FROM (?:ONLY )?<table><rest>"),
        ("insert select", r"(?:INSERT|REPLACE) (?:\w+ )*?INTO <table>(?: \([^()]*\))? \(?(?:SELECT|WITH)<rest>"),
        ("insert", r"(?:INSERT|REPLACE) (?:\w+ )*?INTO <table><rest>"),
        ("add enum value", r"ALTER TYPE <name> ADD VALUE<rest>"),
        ("rename enum value", r"ALTER TYPE <name> RENAME (?:VALUE|ATTRIBUTE)<rest>"),
        ("rename table", rf"ALTER (?:VIEW|MATERIALIZED VIEW|TYPE|SEQUENCE) {_IF}<table> RENAME TO <to>"),
        ("create trigger", rf"CREATE (?:OR REPLACE )?(?:CONSTRAINT |TEMP |DEFINER = \S+ )?TRIGGER {_NOT}<name><rest>"),
        ("replace object", r"CREATE OR REPLACE (?:\w+ )*?(?:VIEW|FUNCTION|PROCEDURE) <name><rest>"),
        ("refresh view", r"REFRESH MATERIALIZED VIEW (?:CONCURRENTLY )?<name><rest>"),
        (
            "create object",
            rf"CREATE (?:\w+ )*?{_OBJECT} {_NOT}<name><rest>",
        ),
        ("drop database", rf"DROP (?:SCHEMA|DATABASE) {_IF}<name><rest>"),
        (
            "drop object",
            rf"DROP (?:MATERIALIZED )?{_OBJECT} {_IF}<name><rest>",
        ),
        (
            "convert charset",
            rf"ALTER (?:DATABASE|SCHEMA)(?: <name>)? (?:DEFAULT )?{_CHARSET}<rest>",
        ),
        ("begin", r"(?:BEGIN|START TRANSACTION)<rest>"),
        ("commit", r"(?:COMMIT|END|ROLLBACK)(?! TO\b)<rest>"),
        ("set lock timeout", r"SET (?:LOCAL |SESSION |@@SESSION\.)?(?:LOCK_TIMEOUT|LOCK_WAIT_TIMEOUT)<rest>"),
        ("set foreign key checks", r"SET (?:SESSION |@@SESSION\.)?(?:@@)?FOREIGN_KEY_CHECKS ?= ?(?:0|OFF)"),
        ("no effect", r"(?:SET|RESET|SHOW|SELECT|SAVEPOINT|RELEASE|ROLLBACK TO|PRAGMA|ANALYZE)<rest>"),
        (
            "no effect",
            r"(?:COMMENT ON|GRANT|UNLOCK)<rest>",
        ),
    ]
)

CLAUSES = _table(
    [
        ("add primary key", r"ADD (?:CONSTRAINT (?:<name> )?)?PRIMARY KEY<rest>"),
        ("add foreign key", r"ADD (?:CONSTRAINT (?:<name> )?)?FOREIGN KEY.*? REFERENCES <to><rest>"),
        ("add check", r"ADD (?:CONSTRAINT (?:<name> )?)?CHECK<rest>"),
        ("add unique", r"ADD (?:CONSTRAINT (?:<name> )?)?UNIQUE(?: INDEX| KEY)?<rest>"),
        ("add exclude", r"ADD (?:CONSTRAINT (?:<name> )?)?EXCLUDE<rest>"),
        ("add index", rf"ADD (?:FULLTEXT |SPATIAL )?(?:INDEX|KEY)(?: {_NOT}<name>)?<rest>"),
        ("add index", r"ADD (?:FULLTEXT|SPATIAL) <name><rest>"),
        ("add partition", r"ADD PARTITION<rest>"),
        ("add column", rf"ADD (?:COLUMN )?{_NOT}<name><rest>"),
        ("drop primary key", r"DROP PRIMARY KEY"),
        ("drop constraint", rf"DROP (?:CONSTRAINT|FOREIGN KEY|CHECK) {_IF}<name><rest>"),
        ("drop index", rf"DROP (?:INDEX|KEY) {_IF}<name>"),
        ("drop partition", r"(?:DROP|TRUNCATE) PARTITION<rest>"),
        ("drop column", rf"DROP (?:COLUMN )?{_IF}<name><rest>"),
        ("change type", r"ALTER (?:COLUMN )?<name> (?:SET DATA )?TYPE<rest>"),
        ("set not null", r"ALTER (?:COLUMN )?<name> SET NOT NULL"),
        ("drop not null", r"ALTER (?:COLUMN )?<name> DROP NOT NULL"),
        ("set default", r"ALTER (?:COLUMN )?<name> SET DEFAULT<rest>"),
        ("drop default", r"ALTER (?:COLUMN )?<name> DROP DEFAULT"),
        ("add identity", r"ALTER (?:COLUMN )?<name> (?:ADD|SET) GENERATED<rest>"),
        ("no effect", r"ALTER (?:COLUMN )?<name> SET (?:STATISTICS|STORAGE|COMPRESSION)<rest>"),
        ("no effect", r"ALTER (?:COLUMN )?<name> (?:RE)?SET(?= \()<rest>"),
        ("modify column", rf"MODIFY (?:COLUMN )?{_IF}<name><rest>"),
        ("change column", rf"CHANGE (?:COLUMN )?{_IF}<name> <to><rest>"),
        ("rename index", r"RENAME (?:INDEX|KEY|CONSTRAINT) <name> TO <to>"),
        ("rename table", r"RENAME (?:TO |AS )<to>"),
        ("rename column", r"RENAME (?:COLUMN )?<name> TO <to>"),
        ("validate constraint", r"VALIDATE CONSTRAINT <name>"),
        ("convert charset", r"CONVERT TO (?:CHARACTER SET|CHARSET)<rest>"),
        ("state algorithm", r"ALGORITHM(?: =)? <name>"),
        ("state lock", r"LOCK(?: =)? <name>"),
        ("rewrite storage", r"SET (?:TABLESPACE|LOGGED|UNLOGGED|ACCESS METHOD)<rest>"),
        (
            "rewrite storage",
            r"(?:ENGINE|ROW_FORMAT|FORCE|ORDER BY)<rest>",
        ),
        ("attach partition", r"ATTACH PARTITION <name><rest>"),
        ("detach partition", r"DETACH PARTITION <name><rest>"),
        ("disable trigger", r"DISABLE (?:TRIGGER|RULE)<rest>"),
        ("row security", r"(?:ENABLE|FORCE) ROW LEVEL SECURITY"),
        ("no effect", r"(?:SET(?= \()|RESET|OWNER TO|REPLICA IDENTITY|CLUSTER ON|ENABLE TRIGGER|COMMENT)<rest>"),
        ("no effect", rf"(?:AUTO_INCREMENT|(?:DEFAULT )?{_CHARSET}|INHERIT|NO INHERIT)<rest>"),
    ]
)
