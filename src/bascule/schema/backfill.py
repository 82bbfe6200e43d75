"""The batched backfill and the scan that proves it: both walk the primary key in batches sized by time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from bascule.schema.keyset import Key, Keyset, decode, encode
from bascule.schema.lease import Lease
from bascule.schema.refusals import Stopped
from bascule.schema.rows import Prefer, RowWork
from bascule.schema.session import Session

__all__ = ["Prefer", "Progress", "Walk", "backfill", "count_rows", "count_stale"]

_FEWEST_ROWS, _MOST_ROWS = 10, 5_000
_LONGEST_PAUSE_S = 1.0  # whoever asks to stop waits no longer than this


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a walk is: rows done of rows in all, stale rows seen, seconds left when that can be told."""

    change: str
    activity: Literal["backfill", "verify"]
    done: int
    total: int
    stale: int = 0
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk needs besides the change: its table's key, whom it tells, and who may stop it."""

    keyset: Keyset
    tell: Callable[[Progress], None]
    should_stop: Callable[[], bool]


@dataclass(slots=True)
class _Pacer:
    """Chooses the rows of the next batch from the time of the last, and how long to pause after it."""

    session: Session
    rows: int
    started: float
    first_done: int

    @classmethod
    def of(cls, session: Session, done: int) -> "_Pacer":
        return cls(session, session.pace.first_rows, session.retry.clock(), done)

    def after(self, batch_s: float) -> None:
        pace = self.session.pace
        wanted = self.rows * pace.batch_s / max(batch_s, 0.001)
        # At most doubled or halved: one slow batch among many users is not a trend.
        fewest = min(_FEWEST_ROWS, pace.first_rows)
        self.rows = int(min(max(wanted, self.rows / 2, fewest), self.rows * 2, _MOST_ROWS))
        if pace.duty < 1:
            self.session.pause(min(batch_s * (1 / pace.duty - 1), _LONGEST_PAUSE_S))

    def eta_s(self, done: int, total: int) -> float | None:
        fresh = done - self.first_done
        if fresh <= 0:
            return None
        return (self.session.retry.clock() - self.started) / fresh * max(total - done, 0)


def count_rows(connection: sa.Connection, table: str) -> int:
    """Return how many rows the table has now."""
    return int(connection.scalar(sa.select(sa.func.count()).select_from(sa.table(table))) or 0)


def backfill(lease: Lease, rows: RowWork, walk: Walk, *, prefer: Prefer | None = None) -> None:
    """Make the rows of a table right, from the cursor to the end of the table.

    Each batch is one transaction that moves the cursor with the rows. Safe to kill and to run again. Rows whose two
    sides disagree although the new one holds values are left alone, unless `prefer` says which side is right.
    Raises: Stopped, at the edge of a batch.
    """
    session = lease.session
    row = session.read("read the cursor", lease.row)
    cursor, done, total = decode(row.cursor), row.rows_done, row.rows_total
    pacer = _Pacer.of(session, done)
    while True:
        if walk.should_stop():
            raise Stopped(rows.change, done, total)
        started = session.retry.clock()
        batch = _Batch(lease, rows, walk.keyset, cursor, pacer.rows, done, prefer)
        keys = session.transaction(f"backfill {rows.table}", batch.run)
        if not keys:
            return
        cursor, done = keys[-1], done + len(keys)
        total = max(total, done)
        walk.tell(Progress(rows.change, "backfill", done, total, eta_s=pacer.eta_s(done, total)))
        pacer.after(session.retry.clock() - started)


@dataclass(frozen=True, slots=True)
class _Batch:
    lease: Lease
    work: RowWork
    keyset: Keyset
    cursor: Key | None
    rows: int
    done: int
    prefer: Prefer | None

    def run(self, connection: sa.Connection) -> list[Key]:
        """Move the cursor, then the rows; return the keys that were walked over."""
        keys = list(self.keyset.page(connection, self.cursor, self.rows))
        if not keys:
            return keys
        # The cursor first: it locks the change's row, so an engine that took over waits or fences us off.
        self.lease.write(connection, cursor=encode(keys[-1]), rows_done=self.done + len(keys))
        self.work.fill(connection, self.keyset.between(self.cursor, keys[-1]), self.prefer)
        return keys


def count_stale(lease: Lease, rows: RowWork, walk: Walk, *, only_written: bool = False) -> int:
    """Return how many rows do not agree on both sides, by a scan in short reads.

    `only_written` counts only rows whose new columns hold values: those that a rollback would lose.
    Raises: Stopped, at the edge of a batch.
    """
    session = lease.session
    total = session.read("count rows", lambda c: count_rows(c, rows.table))
    wanted = rows.stale(only_written=only_written)
    count = sa.select(sa.func.count()).select_from(walk.keyset.source)
    # SQLite keeps NULL in primary keys of other types than INTEGER; no walk along the key meets such a row.
    keyless = sa.or_(*(sa.column(name).is_(None) for name in walk.keyset.key))
    stale = session.read(f"verify {rows.table}", lambda c: int(c.scalar(count.where(keyless, wanted)) or 0))
    cursor: Key | None = None
    done, pacer = 0, _Pacer.of(session, 0)
    renewed = session.retry.clock()

    def read(connection: sa.Connection) -> tuple[list[Key], int]:
        keys = list(walk.keyset.page(connection, cursor, pacer.rows))
        here = walk.keyset.between(cursor, keys[-1]) if keys else sa.false()
        return keys, int(connection.scalar(count.where(here, wanted)) or 0)

    while True:
        if walk.should_stop():
            raise Stopped(rows.change, done, total)
        started = session.retry.clock()
        keys, found = session.read(f"verify {rows.table}", read)
        if not keys:
            return stale
        if started - renewed > lease.lease_s / 3:
            session.transaction("renew the lease", lease.renew)
            renewed = started
        cursor, done, stale = keys[-1], done + len(keys), stale + found
        total = max(total, done)
        walk.tell(Progress(rows.change, "verify", done, total, stale, pacer.eta_s(done, total)))
        pacer.after(session.retry.clock() - started)
