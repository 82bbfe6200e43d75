"""Beginning a copy: an empty table, a log of what is written meanwhile, and at the end its indexes and triggers."""

from collections.abc import Callable

import sqlalchemy as sa

from bascule.schema.databases import Database, Impact, Step
from bascule.schema.keyset import Keyset
from bascule.schema.table_copy import catalog
from bascule.schema.table_copy.filling import LOGGED_BY
from bascule.schema.table_copy.names import CopyNames, is_capture, twin_statement

__all__ = ["begin_steps", "index_steps", "twin_steps"]

_EVENTS = {"insert": ("NEW",), "update": ("NEW", "OLD"), "delete": ("OLD",)}
_NOBODY = Impact("none on tables in use", "nobody")


def begin_steps(
    connection: sa.Connection,
    database: Database,
    table: Keyset,
    names: CopyNames,
    note: str,
    *,
    defers: bool,
    alter: str | None = None,
) -> list[Step]:
    """Return the table, without the indexes that are built at its end, then the log with a note, then what writes it.

    `alter` is what the copy has otherwise than the table.

    In this order, so that a log without the table means that the table has taken its place; see `settle`.
    """
    quote = database.quote
    copy, log, of = quote(names.copy), quote(names.log), quote(table.table)
    late = sorted(catalog.indexes_to_defer(connection, database, table.table)) if defers else []
    drop = ", ".join(f"DROP INDEX {quote(name)}" for name in late)
    counted = f"({LOGGED_BY} BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY)"
    keys = f"SELECT {database.quote_all(table.key)} FROM {of} WHERE FALSE"  # noqa: S608 # quoted names
    make_log = f"CREATE TABLE {log} {counted} ENGINE=InnoDB COMMENT={database.literal(note)} AS {keys}"
    steps = [
        _step(f"create table {names.copy}", f"CREATE TABLE {copy} LIKE {of}", names.copy, undo=f"DROP TABLE {copy}")
    ]
    if alter is not None:
        before = catalog.definition(connection, database, table.table)
        steps.append(
            Step(
                f"alter {names.copy}",
                (f"ALTER TABLE {copy} {alter}",),
                lambda c: catalog.definition(c, database, names.copy) == before,
                impact=_NOBODY,
            )
        )
    if drop:
        steps.append(
            Step(
                f"leave the indexes of {names.copy} for later",
                (f"ALTER TABLE {copy} {drop}",),
                lambda c: bool(set(late) & catalog.indexes_to_defer(c, database, names.copy).keys()),
                impact=_NOBODY,
            )
        )
    steps.append(_step(f"create table {names.log}", make_log, names.log, undo=f"DROP TABLE {log}"))
    return [*steps, *(_capture_step(database, table, names, event) for event in _EVENTS)]


def index_steps(connection: sa.Connection, database: Database, table: str, names: CopyNames) -> list[Step]:
    """Return the indexes that the table has and the copy lacks, all at once."""
    wanted = catalog.indexes_to_defer(connection, database, table)
    begun = catalog.has_table(connection, names.copy)
    there = catalog.indexes_to_defer(connection, database, names.copy) if begun else {}
    lacking = [line for name, line in wanted.items() if name not in there]
    if not lacking:
        return []
    added = ", ".join(f"ADD {line}" for line in lacking)
    return [
        Step(
            f"build the indexes of {names.copy}",
            (f"ALTER TABLE {database.quote(names.copy)} {added}",),
            lambda c: len(catalog.indexes_to_defer(c, database, names.copy)) < len(wanted),
            impact=Impact("none on tables in use", "nobody", "index"),
        )
    ]


def twin_steps(connection: sa.Connection, database: Database, table: str, names: CopyNames) -> list[Step]:
    """Return the triggers that the table has, for the copy, under names that are free, in the same order."""
    steps = []
    for one in catalog.triggers(connection, table):
        if is_capture(one.name):
            continue
        name = names.twin(one.name)
        create = (
            f"CREATE OR REPLACE TRIGGER {database.quote(name)} {one.timing} {one.event} "
            f"ON {database.quote(names.copy)} FOR EACH ROW {twin_statement(one.name, one.statement)}"
        )
        steps.append(
            Step(
                f"create trigger {name}",
                (create,),
                _lacks(names.copy, name),
                undo=(f"DROP TRIGGER {database.quote(name)}",),
                impact=_NOBODY,
            )
        )
    return steps


def _capture_step(database: Database, table: Keyset, names: CopyNames, event: str) -> Step:
    """Note the key of each row that is written; after a change of the key both."""
    name, key = names.capture(event), [database.quote(column) for column in table.key]
    into = f"INSERT INTO {database.quote(names.log)} ({', '.join(key)})"
    rows = [f"{into} VALUES ({', '.join(f'{row}.{column}' for column in key)});" for row in _EVENTS[event]]
    if len(rows) > 1:
        moved = " OR ".join(f"NOT (BINARY NEW.{column} <=> BINARY OLD.{column})" for column in key)
        rows[1] = f"IF {moved} THEN {rows[1]} END IF;"
    create = (
        f"CREATE OR REPLACE TRIGGER {database.quote(name)} AFTER {event.upper()} "
        f"ON {database.quote(table.table)} FOR EACH ROW BEGIN {' '.join(rows)} END"
    )
    return Step(
        f"create trigger {name}",
        (create,),
        _lacks(table.table, name),
        undo=(f"DROP TRIGGER {database.quote(name)}",),
        impact=database.trigger_impact,
    )


def _step(what: str, statement: str, table: str, *, undo: str) -> Step:
    return Step(what, (statement,), lambda c: not catalog.has_table(c, table), undo=(undo,), impact=_NOBODY)


def _lacks(table: str, trigger: str) -> Callable[[sa.Connection], bool]:
    return lambda connection: all(one.name != trigger for one in catalog.triggers(connection, table))
