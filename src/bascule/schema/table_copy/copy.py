"""Filling new columns by a copy of the table, made beside its writers and swapped in.

Rows that grow where they are cost InnoDB several times as much as rows that are written anew: pages split, and each row
leaves its old self behind for a purge. So a large table is copied in the order of its key into an empty one that has
the new columns already; what is written meanwhile is noted by key and copied again; at the end the two change places in
an instant.

Every write of both releases goes to the table until the swap, and to the copy from then on. The old columns and the
triggers that keep both sides in step are there before and after, so a way back is as good as without a copy.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import sqlalchemy as sa

from bascule.schema.databases import Database, Step
from bascule.schema.databases.mariadb import MariaDB
from bascule.schema.ddl import run_steps
from bascule.schema.keyset import Keyset, decode, encode
from bascule.schema.lease import Lease
from bascule.schema.march import March, Walk
from bascule.schema.pace import Pace
from bascule.schema.refusals import BadChange, StatementFailed
from bascule.schema.routes import KeysUpTo
from bascule.schema.rows import ReshapeRows, RowWork
from bascule.schema.table_copy import catalog
from bascule.schema.table_copy.begin import begin_steps, index_steps, twin_steps
from bascule.schema.table_copy.filling import Filling, copying
from bascule.schema.table_copy.names import CopyNames
from bascule.schema.table_copy.settle import abandon, drop_step, settle, undisturbed
from bascule.schema.table_copy.swap import TableChanged, is_changed, may_lock_tables, rename_step, swap

__all__ = ["copy_table", "planned_copy"]

_AT_ONCE = 500


class NotCopied(Exception):  # a fact, never seen outside of this module
    """The table is not copied; the sentence says why."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)


def copy_table(lease: Lease, rows: RowWork, walk: Walk, *, from_rows: int | None) -> bool:
    """Fill a table of so many rows or more by a copy of it; return whether that was done. None is for none.

    It is not where the table cannot be copied (see `catalog.why_not`), where rows are being filled in place already,
    and where somebody altered the table meanwhile: then the copy is gone, and the rows are to be filled in place.
    What cannot be done in place (`ReshapeRows`) is refused then. Safe to kill and to run again; until then what is
    written to the table goes on being noted. Raises: Stopped, at the edge of a batch; LockNotGranted; BadChange.
    """
    if lease.session.database.name != "mariadb":
        return False
    if not _is_for_copies(rows, from_rows):
        return _is_left_done(lease, rows)
    try:
        _copy(lease, rows, walk, 0 if isinstance(rows, ReshapeRows) else from_rows or 0)
    except NotCopied as why:
        if isinstance(rows, ReshapeRows):
            raise BadChange(lease.change, why.sentence) from why
        return False
    return True


def _is_left_done(lease: Lease, rows: RowWork) -> bool:
    """Take away the copy of an engine that was allowed one, unless it has taken the table's place: return that."""
    session, names = lease.session, CopyNames(lease.change)
    if session.read("look for the copy", lambda c: _is_done(c, lease, names, rows)):
        return True
    abandon(lease, rows.table)  # also when an expand that put triggers back has forgotten the cursor
    return False


def _copy(lease: Lease, rows: RowWork, walk: Walk, from_rows: int) -> None:
    session, names = lease.session, CopyNames(lease.change)
    database = session.database
    note = session.read("look for the copy", lambda c: _resumable(c, lease, names))
    if note is None:
        if session.read("look for the copy", lambda c: _is_done(c, lease, names, rows)):
            return
        note = _begin(lease, rows, walk, names, from_rows)
    columns = session.read("read the table", lambda c: catalog.columns_of(c, rows.table))
    types = session.read("read the table", lambda c: catalog.types_of(c, rows.table))
    wanting, values = rows.filling()
    keyset = replace(walk.keyset, row_values=database.row_values)
    filling = Filling(names, keyset, columns, wanting, dict(values), _in_one(database, types, wanting, values))
    copy = _Copy(lease, walk, filling, note)
    try:
        if not session.read("read the table", lambda c: is_changed(c, database, note)):
            copy.fill()
            copy.complete()
            with undisturbed(lease):
                swap(lease, copy.filling, note, copy.catch_up)
                settle(lease)
            return
    except (TableChanged, StatementFailed):
        if not session.read("read the table", lambda c: is_changed(c, database, note)):
            raise
    abandon(lease, rows.table)
    raise NotCopied(f"table {rows.table} was altered while it was being copied")


def planned_copy(
    connection: sa.Connection, database: Database, rows: RowWork, keyset: Keyset, from_rows: int | None, *, defers: bool
) -> list[Step]:
    """Return what `copy_table` would run on the table as it is now, but for triggers, for people to read; or nothing.

    Triggers that keep both sides in step are there once the change is expanded; the copy gets the same.
    """
    if database.name != "mariadb" or not _is_for_copies(rows, from_rows) or not keyset.key:
        return []
    names = CopyNames(rows.change)
    few = not isinstance(rows, ReshapeRows) and database.size(connection, rows.table)[0] < (from_rows or 0)
    if few or catalog.why_not(connection, rows.table, names):
        return []
    index = index_steps(connection, database, rows.table, names) if defers else []
    return [
        *begin_steps(
            connection, database, keyset, names, "...", defers=defers, alter=_alter(connection, database, rows)
        ),
        *index,
        rename_step(database, rows.table, names),
        *(drop_step(database, name) for name in (f"{names.was}n", names.log)),
    ]


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy under way, by whoever holds the lease."""

    lease: Lease
    walk: Walk
    filling: Filling
    note: catalog.Note

    def fill(self) -> None:
        """Copy from where the cursor stands, each batch with its cursor in one transaction."""
        session = self.lease.session
        start = session.read("read the cursor", self.lease.row)
        said = json.loads(start.cursor or "{}")
        at, end = said["at"], said["end"]
        keys = KeysUpTo(self.filling.keyset, decode(end))
        march = March(self.lease, self.walk, "backfill", start.rows_done, start.rows_total, pace=_pace(session.pace))

        def step(size: int) -> int:
            nonlocal at

            def batch(connection: sa.Connection) -> tuple[str | None, int]:
                stretch = keys.stretch(connection, at, size)
                if stretch is None:
                    return at, 0
                # The cursor first: it locks the change's row, so an engine that took over waits or fences us off.
                self.lease.write(
                    connection,
                    cursor=_cursor(self.note.token, stretch.cursor, end),
                    rows_done=march.done + stretch.rows,
                )
                with copying(connection):
                    self.filling.fill(connection, stretch.here)
                return stretch.cursor, stretch.rows

            at, walked = session.transaction(f"copy {self.filling.keyset.table}", batch)
            return walked

        march.go(step, renews=True)

    def complete(self) -> None:
        """Give the copy what the table has besides rows, then what was written meanwhile."""
        table, names, database = self.filling.keyset.table, self.filling.names, self.lease.session.database
        self._run(lambda c: index_steps(c, database, table, names))
        self._run(lambda c: twin_steps(c, database, table, names))
        self.catch_up()

    def catch_up(self) -> None:
        """Copy again what was written, until no more is left than what came meanwhile."""
        session = self.lease.session

        def some(connection: sa.Connection) -> int:
            self.lease.renew(connection)
            with copying(connection):
                return self.filling.catch_up(connection, _AT_ONCE)

        while session.transaction(f"copy {self.filling.keyset.table}", some) == _AT_ONCE:
            pass

    def _run(self, steps: Callable[[sa.Connection], list[Step]]) -> None:
        build = self.lease.session.read("read the table", steps)
        run_steps(
            self.lease, self.filling.names.copy, build, first=self.lease.renew, last=self.lease.renew, waits=False
        )


def _begin(lease: Lease, rows: RowWork, walk: Walk, names: CopyNames, from_rows: int) -> catalog.Note:
    """Begin a copy where that can be done and pays; what is left of an earlier one is taken away. Raises NotCopied."""
    session, database, table = lease.session, lease.session.database, rows.table
    abandon(lease, table)
    cursor = session.read("read the cursor", lease.row).cursor
    if cursor is not None and _token(cursor) is None:
        raise NotCopied(f"rows of {table} are being filled in place")
    size, _ = session.read("tell its size", lambda c: database.size(c, table))
    if size < from_rows:
        raise NotCopied(f"{table} is small")
    if why := session.read("look at the table", lambda c: catalog.why_not(c, table, names)):
        raise NotCopied(why)
    found = session.read("read the table", lambda c: catalog.fingerprint(c, database, table))
    note = catalog.Note(lease.change, table, uuid.uuid4().hex, found)
    defers = session.pace.duty >= 1  # an index is built in one go, which a gentle pace is there to avoid

    def build(connection: sa.Connection) -> list[Step]:
        alter = _alter(connection, database, rows)
        return begin_steps(connection, database, walk.keyset, names, note.text(), defers=defers, alter=alter)

    steps = session.read("read the table", build)
    run_steps(lease, table, steps[:1], first=lease.renew, last=lease.renew, waits=False)
    if not may_lock_tables(lease, names.copy):
        abandon(lease, table)
        raise NotCopied("this account lacks the privilege LOCK TABLES")

    def begun(connection: sa.Connection) -> None:
        last = walk.keyset.last(connection)  # what comes later is in the log
        lease.write(connection, cursor=_cursor(note.token, None, None if last is None else encode(last)), rows_done=0)

    run_steps(lease, table, steps[1:], first=lease.renew, last=begun)
    return note


def _is_for_copies(rows: RowWork, from_rows: int | None) -> bool:
    """Whether the work on rows is something that a copy can do, and may."""
    return isinstance(rows, ReshapeRows) or (from_rows is not None and bool(rows.filling()[1]))


def _in_one(
    database: Database, types: Mapping[str, object], wanting: str, values: Mapping[str, str]
) -> dict[str, str] | None:
    """Return what each column holds, filled or not, as one expression; None where its type would not be for sure.

    Only what is a column by itself has a type that the catalog tells.
    """
    bare = {f"({database.quote(name)})": kind for name, kind in types.items()}
    if any(bare.get(text) != types[name] for name, text in values.items()):
        return None
    return {name: f"CASE WHEN {wanting} THEN {text} ELSE {database.quote(name)} END" for name, text in values.items()}


def _alter(connection: sa.Connection, database: Database, rows: RowWork) -> str | None:
    """Return what the copy has otherwise than the table."""
    if not isinstance(rows, ReshapeRows) or not isinstance(database, MariaDB):
        return None
    return database.retyped(connection, rows.table, rows.column, rows.type_sql)


def _resumable(connection: sa.Connection, lease: Lease, names: CopyNames) -> catalog.Note | None:
    """Return the note of the copy that the cursor belongs to, if all of it is still there."""
    token = _token(lease.row(connection).cursor)
    for note in catalog.notes(connection):
        if (note.change, note.token) == (lease.change, token) and catalog.has_table(connection, names.copy):
            return note
    return None


def _is_done(connection: sa.Connection, lease: Lease, names: CopyNames, rows: RowWork) -> bool:
    """Whether the copy that the cursor belongs to has taken the table's place; one that is abandoned takes it along."""
    if isinstance(rows, ReshapeRows):
        return lease.session.database.columns(connection, rows.table)[rows.column].type == rows.type_sql
    is_copy = _token(lease.row(connection).cursor) is not None
    return is_copy and not catalog.has_table(connection, names.copy) and not catalog.has_table(connection, names.log)


def _pace(pace: Pace) -> Pace:
    """Return longer batches for whoever works all the time, since they lock no row that anybody else uses."""
    if pace.duty < 1:
        return pace
    return replace(pace, batch_s=pace.batch_s * 5, first_rows=pace.first_rows * 10, most_rows=pace.most_rows * 3)


def _cursor(token: str, at: str | None, end: str | None) -> str:
    """Say in which copy we are, where, and up to which key; both keys encoded."""
    return json.dumps({"copy": token, "at": at, "end": end})


def _token(cursor: str | None) -> str | None:
    """Return which copy a cursor belongs to; None when it is one of another walk."""
    said = json.loads(cursor) if cursor is not None else None
    return said.get("copy") if isinstance(said, dict) else None
