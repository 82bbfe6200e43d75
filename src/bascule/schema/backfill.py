"""The batched backfill, and the scan that proves it.

A backfill goes along the table twice. First by the fastest route there is, with a transaction per batch that moves the
cursor together with the rows: killed anywhere, it goes on there. Then by the key, in short reads, counting rows that
are wrong and mending those that the first walk missed; see `routes.Pages` for how rows are missed. The second walk is
what says that a change is synced, so it trusts nothing that the first one did.

One worker does all of it; why is told in docs/explanation/backfill.md.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.databases import Database, database_of
from bascule.schema.lease import Lease
from bascule.schema.march import March, Progress, Walk
from bascule.schema.routes import Keys, Route, Stretch, is_along_key
from bascule.schema.rows import Prefer, RowWork
from bascule.schema.table_copy.copy import copy_table

__all__ = ["Prefer", "Progress", "Proved", "Walk", "backfill", "count_rows", "count_stale"]

_FEW_ROWS = 100_000  # so many are counted in milliseconds

Mend = Callable[[sa.Connection, sa.ColumnElement[bool]], None]


@dataclass(frozen=True, slots=True)
class Proved:
    """What a whole scan found: how many rows there are, and how many of them are wrong."""

    rows: int
    stale: int


def count_rows(connection: sa.Connection, table: str) -> int:
    """Return how many rows the table has, by the catalog's estimate where counting would take long."""
    database = database_of(connection.dialect)
    if database.name != "sqlite":  # whose estimate is to count
        estimate, _ = database.size(connection, table)
        if estimate > _FEW_ROWS:
            return estimate
    return int(connection.scalar(sa.select(sa.func.count()).select_from(sa.table(table))) or 0)


def backfill(
    lease: Lease, rows: RowWork, walk: Walk, *, prefer: Prefer | None = None, copies_from: int | None = None
) -> Proved:
    """Make the rows of a table right, from the cursor to the end, and return how many are wrong all the same.

    Those are rows whose two sides disagree although the new one holds values: they are left alone, unless `prefer`
    says which side is right. A table with `copies_from` rows or more is copied where that is faster, see `copy_table`.
    Safe to kill and to run again. Raises: Stopped, at the edge of a batch.
    """
    # A copy prefers nothing: with `prefer` what another engine has begun of one is only taken away.
    if not copy_table(lease, rows, walk, from_rows=copies_from if prefer is None else None):
        _fill(lease, rows, walk, prefer)
    return _scan(lease, rows, walk, rows.stale(), lambda connection, here: rows.fill(connection, here, prefer))


def count_stale(lease: Lease, rows: RowWork, walk: Walk, *, only_written: bool = False) -> int:
    """Return how many rows do not agree on both sides, by a scan in short reads.

    `only_written` counts only rows whose new columns hold values: those that a rollback would lose.
    Raises: Stopped, at the edge of a batch.
    """
    return _scan(lease, rows, walk, rows.stale(only_written=only_written)).stale


def _fill(lease: Lease, rows: RowWork, walk: Walk, prefer: Prefer | None) -> None:
    """Go along the fastest route from where the cursor stands; each batch moves the cursor in its own transaction."""
    session = lease.session
    start = session.read("read the cursor", lease.row)
    cursor, march = start.cursor, March(lease, walk, "backfill", start.rows_done, start.rows_total)
    route = session.read("find a route", lambda connection: _route(connection, walk, cursor))

    def step(size: int) -> int:
        nonlocal cursor

        def batch(connection: sa.Connection) -> tuple[str | None, int]:
            session.database.begin_batch(connection)
            stretch = route.stretch(connection, cursor, size)
            if stretch is None:
                return cursor, 0
            # The cursor first: it locks the change's row, so an engine that took over waits or fences us off.
            lease.write(connection, cursor=stretch.cursor, rows_done=march.done + stretch.rows)
            rows.fill(connection, stretch.here, prefer)
            return stretch.cursor, stretch.rows

        cursor, walked = session.transaction(f"backfill {rows.table}", batch)
        return walked

    session.read("let commits be lazy", lambda c: session.database.set_lazy_commits(c, on=True))
    try:
        march.go(step, renews=True)
    finally:
        with suppress(SchemaError):  # a connection that is lost has no settings left
            session.read("let commits be durable", lambda c: session.database.set_lazy_commits(c, on=False))


def _route(connection: sa.Connection, walk: Walk, cursor: str | None) -> Route:
    """Return the way that the cursor belongs to, or the fastest one where there is none yet."""
    database = database_of(connection.dialect)
    if is_along_key(cursor):
        return _keys(database, walk)
    return database.route(connection, _keys(database, walk).keyset)


def _keys(database: Database, walk: Walk) -> Keys:
    return Keys(replace(walk.keyset, row_values=database.row_values))


def _scan(lease: Lease, rows: RowWork, walk: Walk, wanted: sa.ColumnElement[bool], mend: Mend | None = None) -> Proved:
    """Count the wanted rows along the key; where there are any, mend them first if that can be done."""
    session, route = lease.session, _keys(lease.session.database, walk)
    # SQLite keeps NULL in primary keys of other types than INTEGER; no walk along the key meets such a row.
    keyless = sa.or_(*(sa.column(name).is_(None) for name in walk.keyset.key))
    march = March(lease, walk, "verify", 0, session.read("count rows", lambda c: count_rows(c, rows.table)))
    cursor: str | None = None

    def count(connection: sa.Connection, here: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(walk.keyset.source).where(here, wanted)
        return int(connection.scalar(query) or 0)

    def mended(connection: sa.Connection, here: sa.ColumnElement[bool], mend: Mend) -> int:
        lease.renew(connection)
        mend(connection, here)
        return count(connection, here)

    def found(here: sa.ColumnElement[bool], seen: int) -> int:
        if not seen or mend is None:
            return seen
        return session.transaction(f"backfill {rows.table}", lambda c: mended(c, here, mend))

    def step(size: int) -> int:
        nonlocal cursor

        def look(connection: sa.Connection) -> tuple[Stretch | None, int]:
            stretch = route.stretch(connection, cursor, size)
            return stretch, count(connection, stretch.here) if stretch is not None else 0

        stretch, seen = session.read(f"verify {rows.table}", look)
        if stretch is None:
            return 0
        cursor = stretch.cursor
        march.stale += found(stretch.here, seen)
        return stretch.rows

    march.stale = session.read(f"verify {rows.table}", lambda c: count(c, keyless))
    march.go(step, renews=False)
    return Proved(march.done, march.stale)
