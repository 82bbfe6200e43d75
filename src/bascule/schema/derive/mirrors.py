"""Triggers that carry what was written in one table over to another, after the row was written.

Two such tables carry to each other. Each looks whether the other says the same already, which ends the echo. MariaDB
goes further: while a statement writes a table, no trigger below it may write that table, not even nothing. There a
session variable holds when the statement began, for as long as a trigger carries; a trigger that finds the time of its
own statement does nothing. What a killed statement leaves behind is of another time, and keeps nobody from anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from bascule.schema.databases import Database, Step

__all__ = ["Mirror", "mirror_step"]

_NOW = "UNIX_TIMESTAMP(NOW(6))"  # inside a trigger: when the outermost statement began
_CARRYING = "@bascule_carrying"
_BACKFILLING = "@bascule_backfill"


@dataclass(frozen=True, slots=True)
class Mirror:
    """One trigger: `when` is SQL over `NEW.` and `OLD.` alone; `unless` may look into the other table.

    `counts` names a tripwire to move first, `refuses` a message to fail with instead. `owner` is the change whose
    backfill is spared, where the database can tell it.
    """

    name: str
    table: str
    event: Literal["insert", "update", "delete"]
    when: str
    statements: tuple[str, ...]
    owner: str
    unless: str = ""
    counts: str = ""
    refuses: str = ""


def mirror_step(database: Database, mirror: Mirror, *, replace: bool = False) -> Step:
    """Return the step that creates the trigger; with `replace`, in the place of one of the same name."""
    return Step(
        f"{'replace' if replace else 'create'} trigger {mirror.name}",
        _CREATE[database.name](database, mirror),
        lambda c: replace or mirror.name not in database.triggers(c, mirror.table),
        undo=database.drop_trigger(mirror.table, mirror.name),
        impact=database.trigger_impact,
    )


def _postgresql(database: Database, mirror: Mirror) -> tuple[str, ...]:
    quoted = database.quote(mirror.name)
    body = f"PERFORM nextval('{database.quote(mirror.counts)}'); " if mirror.counts else ""
    if mirror.refuses:
        said = database.literal(mirror.refuses)
        body += f"RAISE EXCEPTION USING MESSAGE = {said}, ERRCODE = 'integrity_constraint_violation'; "
    else:
        body += " ".join(f"{sql};" for sql in mirror.statements)
    if mirror.unless:
        body = f"IF NOT {mirror.unless} THEN {body} END IF;"
    function = (
        f"CREATE FUNCTION {quoted}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$bascule$ BEGIN {body} RETURN NULL; END $bascule$"
    )
    trigger = (
        f"CREATE TRIGGER {quoted} AFTER {mirror.event.upper()} ON {database.quote(mirror.table)} FOR EACH ROW "
        f"WHEN {mirror.when} EXECUTE FUNCTION {quoted}()"
    )
    return (*database.drop_trigger(mirror.table, mirror.name), function, trigger)


def _mariadb(database: Database, mirror: Mirror) -> tuple[str, ...]:
    body = f"DO NEXTVAL({database.quote(mirror.counts)}); " if mirror.counts else ""
    if mirror.refuses:
        body += f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = {database.literal(mirror.refuses)};"
    else:
        body += " ".join(f"{sql};" for sql in mirror.statements)
    if mirror.unless:
        body = f"IF NOT {mirror.unless} THEN {body} END IF;"
    sql = (
        f"CREATE OR REPLACE TRIGGER {database.quote(mirror.name)} AFTER {mirror.event.upper()} "
        f"ON {database.quote(mirror.table)} FOR EACH ROW BEGIN "
        f"DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN SET {_CARRYING} = NULL; RESIGNAL; END; "
        f"IF ({_BACKFILLING} IS NULL OR {_BACKFILLING} NOT IN ({database.literal(mirror.owner)}, '1')) "
        f"AND NOT ({_CARRYING} <=> {_NOW}) AND {mirror.when} THEN "
        f"SET {_CARRYING} = {_NOW}; {body} SET {_CARRYING} = NULL; END IF; END"
    )
    return (sql,)


def _sqlite(database: Database, mirror: Mirror) -> tuple[str, ...]:
    body = ""
    if mirror.counts:
        name = database.literal(mirror.counts)
        body = f"UPDATE bascule_tripwire SET moved = moved + 1 WHERE name = {name}; "  # noqa: S608 # quoted
    if mirror.refuses:
        body += f"SELECT RAISE(ABORT, {database.literal(mirror.refuses)});"
    else:
        body += " ".join(f"{sql};" for sql in mirror.statements)
    when = f"({mirror.when} AND NOT {mirror.unless})" if mirror.unless else mirror.when
    sql = (
        f"CREATE TRIGGER {database.quote(mirror.name)} AFTER {mirror.event.upper()} ON {database.quote(mirror.table)} "
        f"FOR EACH ROW WHEN {when} BEGIN {body} END"
    )
    return (*database.drop_trigger(mirror.table, mirror.name), sql)


_CREATE: Mapping[str, Callable[[Database, Mirror], tuple[str, ...]]] = {
    "postgresql": _postgresql,
    "mariadb": _mariadb,
    "sqlite": _sqlite,
}
