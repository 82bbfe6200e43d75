"""Leaving no copy half-swapped: what a killed engine left is brought to an end, or taken away.

the copy   its log   means
there      -         being made, or being taken away: nothing of it is in use
there      there     under way: can go on, as long as the cursor names the log's note
gone       there     it has taken the table's place: the old table is to go, and twins are to become triggers
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.databases import Database, Impact, Step
from bascule.schema.databases.base import always
from bascule.schema.ddl import run_steps
from bascule.schema.lease import Lease
from bascule.schema.refusals import LockNotGranted
from bascule.schema.table_copy import catalog
from bascule.schema.table_copy.names import CopyNames, is_twin, twin_of

__all__ = ["abandon", "drop_step", "is_swapped", "settle", "undisturbed"]

_NOBODY = Impact("none on tables in use", "nobody")
_POLL_S = 0.2


@contextmanager
def undisturbed(lease: Lease) -> Iterator[None]:
    """Keep other engines from DDL on this database, where copies are swapped in; may be nested.

    Ends with the connection, so also with an engine that hangs. Raises LockNotGranted when another engine is at it for
    the whole time of the retry policy.
    """
    session = lease.session
    if session.database.name != "mariadb":
        yield
        return
    started, tries = session.retry.clock(), 0
    while not session.read("shut other engines out", lambda c: _shut_out(c, lease.lease_s)):
        tries += 1
        if (waited_s := session.retry.clock() - started) >= session.retry.within_s:
            raise LockNotGranted("run DDL beside another engine", tries, waited_s)
        session.transaction("renew the lease", lease.renew)
        session.pause(_POLL_S)
    try:
        yield
    finally:
        with suppress(SchemaError):  # a connection that is lost holds no locks
            session.read("let other engines in", _let_in)


def is_swapped(connection: sa.Connection, names: CopyNames) -> bool:
    """Whether the copy has taken the table's place, and is not settled yet."""
    return catalog.has_table(connection, names.log) and not catalog.has_table(connection, names.copy)


def settle(lease: Lease) -> None:
    """Bring every swap on this database to its end that an engine did not live to end, of whichever change."""
    session = lease.session
    if session.database.name == "mariadb" and session.read("look for copies", _unsettled):
        with undisturbed(lease):
            for table, names in session.read("look for copies", _unsettled):
                _finish(lease, table, names)


def abandon(lease: Lease, table: str) -> None:
    """Take away what there is of this change's copy; the table goes on as it was.

    What writes the log goes before it, and the copy before the stand-ins that keep a late RENAME from happening.
    """
    session, names = lease.session, CopyNames(lease.change)
    database = session.database
    if database.name != "mariadb" or not session.read("look for copies", lambda c: _begun(c, names)):
        return
    steps = [
        Step(
            f"drop trigger {name}", database.drop_trigger(table, name), _is_there(name), impact=database.trigger_impact
        )
        for name in map(names.capture, ("insert", "update", "delete"))
    ]
    steps += [drop_step(database, name) for name in (names.log, names.copy)]
    steps += [drop_step(database, name) for name in session.read("look for copies", lambda c: _all_was(c, names))]
    with undisturbed(lease):
        run_steps(lease, table, steps, first=lambda c: lease.write(c, cursor=None, rows_done=0), last=lease.renew)


def _begun(connection: sa.Connection, names: CopyNames) -> bool:
    return any(catalog.has_table(connection, table) for table in (names.copy, names.log))


def _unsettled(connection: sa.Connection) -> list[tuple[str, CopyNames]]:
    """Return the tables that stand where a copy was swapped in, with the names of that copy."""
    notes = catalog.notes(connection)
    return [(note.table, names) for note in notes if is_swapped(connection, names := CopyNames(note.change))]


def _finish(lease: Lease, table: str, names: CopyNames) -> None:
    """Drop the old table, with which the names of its triggers become free; give them to the twins; drop the log."""
    session, database = lease.session, lease.session.database
    steps = [drop_step(database, name) for name in session.read("look for copies", lambda c: _all_was(c, names))]
    for one in session.read("read the triggers", lambda c: catalog.triggers(c, table)):
        if not is_twin(one.name):
            continue
        quoted, (name, statement) = database.quote(one.name), twin_of(one.statement)
        # Before its twin, so that all fire in their order at any time; firing twice does nothing more than once.
        create = (
            f"CREATE OR REPLACE TRIGGER {database.quote(name)} {one.timing} {one.event} ON {database.quote(table)} "
            f"FOR EACH ROW PRECEDES {quoted} {statement}"
        )
        drop = database.drop_trigger(table, one.name)
        steps.append(Step(f"create trigger {name}", (create,), _is_there(one.name), impact=database.trigger_impact))
        steps.append(Step(f"drop trigger {one.name}", drop, _is_there(one.name), impact=database.trigger_impact))
    steps.append(drop_step(database, names.log))
    run_steps(lease, table, steps, first=lease.renew, last=lease.renew)


def _all_was(connection: sa.Connection, names: CopyNames) -> list[str]:
    return sorted(catalog.tables_like(connection, names.was))


def drop_step(database: Database, table: str) -> Step:
    """Return the step that drops a table that nobody uses."""
    return Step(f"drop table {table}", (f"DROP TABLE IF EXISTS {database.quote(table)}",), always, impact=_NOBODY)


def _shut_out(connection: sa.Connection, lease_s: float) -> bool:
    # The connection of an engine that hangs is closed, and with it the lock is free; a busy machine is no reason.
    connection.execute(sa.text("SET SESSION wait_timeout = :seconds"), {"seconds": max(30, round(3 * lease_s))})
    return bool(connection.scalar(sa.text("SELECT GET_LOCK(:name, 0)"), {"name": _lock(connection)}))


def _let_in(connection: sa.Connection) -> None:
    connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": _lock(connection)})
    connection.exec_driver_sql("SET SESSION wait_timeout = DEFAULT")


def _lock(connection: sa.Connection) -> str:
    name = str(connection.scalar(sa.text("SELECT database()")))
    return f"bascule.{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def _is_there(trigger: str) -> Callable[[sa.Connection], bool]:
    return lambda connection: any(one.name == trigger for one in catalog.triggers(connection))
