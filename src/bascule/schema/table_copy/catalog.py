"""What MariaDB's catalog says of a table that is to be copied, and of copies that are under way."""

import hashlib
import json
import re
from dataclasses import dataclass

import sqlalchemy as sa

from bascule.schema.databases import Database
from bascule.schema.table_copy.names import CopyNames, is_capture, is_ours

__all__ = [
    "Fired",
    "Note",
    "columns_of",
    "definition",
    "fingerprint",
    "has_table",
    "indexes_to_defer",
    "notes",
    "tables_like",
    "triggers",
    "types_of",
    "why_not",
]


_NOTE = '{"bascule_copy":'


@dataclass(frozen=True, slots=True)
class Note:
    """What a log carries as its comment: whose it is, which beginning it belongs to, and what the table was then."""

    change: str
    table: str
    token: str
    fingerprint: str

    def text(self) -> str:
        """Return it in one line."""
        return json.dumps(
            {"bascule_copy": self.change, "table": self.table, "token": self.token, "fingerprint": self.fingerprint}
        )

    @classmethod
    def parse(cls, text: str) -> "Note":
        """Read what `text` wrote."""
        said = json.loads(text)
        return cls(said["bascule_copy"], said["table"], said["token"], said["fingerprint"])


@dataclass(frozen=True, slots=True)
class Fired:
    """A trigger as the catalog has it."""

    table: str
    name: str
    timing: str
    event: str
    statement: str


def triggers(connection: sa.Connection, table: str | None = None) -> list[Fired]:
    """Return a table's triggers, or all, in the order in which they fire."""
    query = sa.text(
        "SELECT event_object_table, trigger_name, action_timing, event_manipulation, action_statement "
        "FROM information_schema.triggers WHERE event_object_schema = database() "
        "AND (:table IS NULL OR event_object_table = :table) "
        "ORDER BY event_object_table, event_manipulation, action_timing, action_order"
    )
    return [Fired(*row) for row in connection.execute(query, {"table": table})]


def has_table(connection: sa.Connection, table: str) -> bool:
    """Whether there is such a table."""
    return bool(tables_like(connection, table))


def tables_like(connection: sa.Connection, begin: str) -> list[str]:
    """Return the tables whose names begin so."""
    query = sa.text(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = database() "
        "AND left(table_name, char_length(:begin)) = :begin"
    )
    return list(connection.scalars(query, {"begin": begin}))


def definition(connection: sa.Connection, database: Database, table: str) -> list[str]:
    """Return the lines of a table's definition without its name and without the next number it will give out."""
    text = str(connection.exec_driver_sql(f"SHOW CREATE TABLE {database.quote(table)}").one()[1])
    lines = re.sub(r" AUTO_INCREMENT=\d+", "", text).splitlines()
    return [line.strip().removesuffix(",") for line in lines[1:]]


def fingerprint(connection: sa.Connection, database: Database, table: str) -> str:
    """Return a checksum of a table's definition and of its triggers, but for those of copies."""
    fired = [
        (one.name, one.timing, one.event, one.statement)
        for one in triggers(connection, table)
        if not is_capture(one.name)
    ]
    return hashlib.sha256(repr((definition(connection, database, table), fired)).encode()).hexdigest()


def columns_of(connection: sa.Connection, table: str) -> tuple[str, ...]:
    """Return the columns that are stored as they are written: all but generated ones."""
    query = sa.text(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = database() "
        "AND table_name = :table AND coalesce(generation_expression, '') = '' ORDER BY ordinal_position"
    )
    return tuple(connection.scalars(query, {"table": table}))


def types_of(connection: sa.Connection, table: str) -> dict[str, tuple[str, str | None]]:
    """Return the type and the collation of each column, as the table's definition tells them."""
    query = sa.text(
        "SELECT column_name, column_type, collation_name FROM information_schema.columns "
        "WHERE table_schema = database() AND table_name = :table"
    )
    return {name: (kind, collation) for name, kind, collation in connection.execute(query, {"table": table})}


def indexes_to_defer(connection: sa.Connection, database: Database, table: str) -> dict[str, str]:
    """Return the indexes that are cheaper to build at the end, by name, with their part of the definition.

    Unique ones stay, since the copy is not consistent until the end; none may go that a counting column needs.
    """
    lines = definition(connection, database, table)
    if any(re.match(r"(FULLTEXT|SPATIAL) KEY ", line) for line in lines):
        return {}  # they would come before the others afterwards
    counting = [line.split("`")[1] for line in lines if line.startswith("`") and " AUTO_INCREMENT" in line]
    found = {}
    for line in lines:
        if match := re.match(r"KEY `((?:[^`]|``)+)` \(`([^`]+)`", line):
            if match[2] in counting:
                return {}
            found[match[1].replace("``", "`")] = line
    return found


def notes(connection: sa.Connection) -> list[Note]:
    """Return what was noted with the log of each copy that is there."""
    query = sa.text(
        "SELECT table_comment FROM information_schema.tables WHERE table_schema = database() "
        "AND left(table_comment, char_length(:begin)) = :begin ORDER BY table_name"
    )
    return [Note.parse(text) for text in connection.scalars(query, {"begin": _NOTE})]


def why_not(connection: sa.Connection, table: str, names: CopyNames) -> str | None:
    """Return why a table cannot be copied and swapped beside its writers; None when it can."""
    if not names.comes_before(table):
        return f"{table} comes after {names.copy} in the order of names"
    kind = connection.execute(
        sa.text(
            "SELECT table_type, engine, create_options FROM information_schema.tables "
            "WHERE table_schema = database() AND table_name = :table"
        ),
        {"table": table},
    ).one_or_none()
    if kind is None or kind.table_type != "BASE TABLE" or kind.engine != "InnoDB":
        return f"{table} is not a plain InnoDB table"
    if "partitioned" in (kind.create_options or ""):
        return f"{table} is partitioned"
    references = sa.text(
        "SELECT count(*) FROM information_schema.referential_constraints WHERE "
        "(constraint_schema = database() AND table_name = :table) "
        "OR (unique_constraint_schema = database() AND referenced_table_name = :table)"
    )
    if connection.scalar(references, {"table": table}):
        return f"foreign keys lead from {table} or to it"
    if foreign := [one.name for one in triggers(connection, table) if not is_ours(one.name)]:
        return f"{table} has a trigger {foreign[0]}"
    cluster = connection.exec_driver_sql("SHOW VARIABLES LIKE 'wsrep_on'").one_or_none()
    if cluster is not None and cluster[1] == "ON":
        return "a Galera cluster does not replicate table locks"
    return None
