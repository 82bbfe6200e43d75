"""Putting the copy in the table's place: writers wait for an instant, and no write falls between the two.

Three connections take part. The first holds both tables, brings the copy up to date and lets go. The second has asked
for the RENAME before, which the server grants ahead of every writer that waits for the same table; hence the order of
names, see `CopyNames.comes_before`. A stand-in that has the old table's new
name keeps the RENAME from happening before the copy is up to date, whatever becomes of the first connection: it drops
the stand-in last. Both are closed by the server when they are idle for a second, as are those of an engine that hangs.
The third, the engine's own, keeps other engines' DDL away meanwhile.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from bascule.schema.databases import Database, Step
from bascule.schema.databases.base import always
from bascule.schema.lease import Lease
from bascule.schema.refusals import LockNotGranted, StatementFailed
from bascule.schema.table_copy import catalog
from bascule.schema.table_copy.filling import Filling, copying
from bascule.schema.table_copy.names import CopyNames
from bascule.schema.table_copy.settle import is_swapped

__all__ = ["TableChanged", "is_changed", "may_lock_tables", "rename_step", "swap"]

_LOCK_WAIT_S = 0.5  # for locks; their own timeout knows whole seconds only
_IDLE_S = 1
_QUEUED_WITHIN_S = 0.5
_LOOK_EVERY_S = 0.002
_AT_ONCE = 1000
_NOT_ALLOWED = {"1044", "1142", "1227"}


class TableChanged(Exception):  # a fact, never seen outside of the copy
    """The table is not what it was when its copy was begun."""


def may_lock_tables(lease: Lease, table: str) -> bool:
    """Whether this account may lock a table that nobody uses."""
    session = lease.session
    try:
        with _connection(lease) as connection:
            connection.exec_driver_sql(f"LOCK TABLES {session.database.quote(table)} WRITE")
            connection.exec_driver_sql("UNLOCK TABLES")
    except DBAPIError as error:
        if session.database.error_code(error) in _NOT_ALLOWED:
            return False
        raise StatementFailed(f"lock {table}", type(error.orig).__name__, session.database.error_code(error)) from error
    return True


def swap(lease: Lease, filling: Filling, note: catalog.Note, catch_up: Callable[[], None]) -> None:
    """Bring the copy up to date and put it in the table's place, within the time of the retry policy.

    Between two tries the copy catches up. Raises LockNotGranted; TableChanged; StatementFailed. Then nothing is
    swapped, or `is_swapped` says that it is.
    """
    session, table = lease.session, filling.keyset.table
    started, tries = session.retry.clock(), 0
    while True:
        tries += 1
        session.wait_for_others(table, lambda: session.transaction("renew the lease", lease.renew))
        entry = session.transaction(f"swap {table}", lambda c: _begin(c, lease, filling))
        try:
            _try(lease, filling, note)
        except DBAPIError as error:
            if not (error.connection_invalidated or session.database.is_lock_trouble(error)):
                code = session.database.error_code(error)
                raise StatementFailed(f"swap {table}", type(error.orig).__name__, code) from error
        if session.read("look for the copy", lambda c: is_swapped(c, filling.names)):
            session.transaction(f"swap {table}", partial(lease.journal_done, number=entry))
            return
        if (waited_s := session.retry.clock() - started) >= session.retry.within_s:
            raise LockNotGranted(f"swap {table}", tries, waited_s, session.long_transactions(table))
        session.pause(session.retry.longest_s * (0.25 + session.retry.random() / 4))
        catch_up()


def _begin(connection: sa.Connection, lease: Lease, filling: Filling) -> int:
    lease.renew(connection)
    (statement,) = rename_step(lease.session.database, filling.keyset.table, filling.names).statements
    return lease.journal(connection, statement)


def rename_step(database: Database, table: str, names: CopyNames) -> Step:
    """Return the RENAME that each try makes, for people to read; `n` stands for the number of the try."""
    of, copy, was = (database.quote(name) for name in (table, names.copy, f"{names.was}n"))
    statement = f"RENAME TABLE {of} TO {was}, {copy} TO {of}"
    return Step(f"put {names.copy} in the place of {table}", (statement,), always, impact=database.instant)


def _try(lease: Lease, filling: Filling, note: catalog.Note) -> None:
    """Try once. Whatever fails leaves the table in its place and a stand-in that nobody minds."""
    database, names = lease.session.database, filling.names
    table, copy, log = (database.quote(name) for name in (filling.keyset.table, names.copy, names.log))
    was = database.quote(f"{names.was}{uuid.uuid4().hex[:8]}")
    with _connection(lease) as holder, _connection(lease) as renamer:
        rename = _Rename(renamer, f"RENAME TABLE {table} TO {was}, {copy} TO {table}")
        holder.exec_driver_sql(f"CREATE TABLE {was} (stands_in INT)")
        try:
            holder.exec_driver_sql(f"LOCK TABLES {table} WRITE, {copy} WRITE, {log} WRITE, {was} WRITE")
            if is_changed(holder, database, note):
                raise TableChanged(note.table)
            with copying(holder):
                while filling.catch_up(holder, _AT_ONCE):
                    pass
            _give_out_the_same_numbers(holder, filling, copy)
            rename.start()
            if rename.is_queued(holder):
                holder.exec_driver_sql(f"DROP TABLE {was}")
        finally:
            with suppress(SQLAlchemyError):
                holder.exec_driver_sql("UNLOCK TABLES")
            rename.join()


def is_changed(connection: sa.Connection, database: Database, note: catalog.Note) -> bool:
    """Whether there was DDL on the table since the copy was begun, also on what logs its writes."""
    there = {one.name for one in catalog.triggers(connection, note.table)}
    captured = {CopyNames(note.change).capture(event) for event in ("insert", "update", "delete")}
    return not captured <= there or catalog.fingerprint(connection, database, note.table) != note.fingerprint


def _give_out_the_same_numbers(holder: sa.Connection, filling: Filling, copy: str) -> None:
    """Go on counting where the table is, which may be behind rows that were deleted."""
    query = sa.text(
        "SELECT auto_increment FROM information_schema.tables WHERE table_schema = database() AND table_name = :table"
    )
    number = holder.scalar(query, {"table": filling.keyset.table})
    if number is not None:
        holder.exec_driver_sql(f"ALTER TABLE {copy} AUTO_INCREMENT = {int(number)}")


@dataclass(slots=True)
class _Rename:
    """The RENAME, which waits in a thread of its own until the tables are let go."""

    connection: sa.Connection
    statement: str
    failed: DBAPIError | None = None
    _thread: threading.Thread | None = field(default=None)
    _number: int = 0

    def start(self) -> None:
        """Ask for it."""
        self._number = int(self.connection.scalar(sa.text("SELECT connection_id()")) or 0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def is_queued(self, other: sa.Connection) -> bool:
        """Whether it stands in the queue of the lock now, as another connection sees it."""
        query = sa.text("SELECT state, info FROM information_schema.processlist WHERE id = :id")
        until = time.monotonic() + _QUEUED_WITHIN_S
        while time.monotonic() < until and self.failed is None:
            row = other.execute(query, {"id": self._number}).one_or_none()
            if row is not None and row.info == self.statement and "metadata lock" in (row.state or ""):
                return True
            time.sleep(_LOOK_EVERY_S)
        return False

    def join(self) -> None:
        """Wait for its end, one way or the other."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self.connection.exec_driver_sql(self.statement)
        except DBAPIError as error:
            self.failed = error


@contextmanager
def _connection(lease: Lease) -> Iterator[sa.Connection]:
    """Give a connection of its own, where each statement commits by itself and waits for no lock for long."""
    with lease.session.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901 # the same connection
        connection.detach()
        connection.exec_driver_sql(
            f"SET SESSION max_statement_time = {_LOCK_WAIT_S}, lock_wait_timeout = 2, wait_timeout = {_IDLE_S}"
        )
        try:
            yield connection
        finally:
            connection.invalidate()  # it may have been closed from the other side, and has nothing to roll back
