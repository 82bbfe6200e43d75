"""Who works on a change: a lease in the change's row, with a token that fences off whoever lost it.

Every write of a phase first renews the lease by its token, in the same transaction where the database allows that. An
engine that was stalled past its lease finds another token there, and its transaction is rolled back. Time is the
database's. A process that died on this machine is recognised at once, so that a restart need not wait for the end.
"""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.refusals import LeaseHeld, LeaseLost
from bascule.schema.session import Session
from bascule.schema.state import CHANGES, JOURNAL, ChangeRow, read

__all__ = ["Lease", "hold"]

_LONG_STATEMENT_S = 900.0
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to change one change, until `lease_s` after its last renewal."""

    session: Session
    change: str
    token: int
    lease_s: float

    def write(self, connection: sa.Connection, *, phase: str | None = None, **values: object) -> None:
        """Write to the change's row and renew; a new phase gets its time. Raises LeaseLost when fenced off."""
        now = self.session.database.clock
        if phase is not None:
            values |= {"phase": phase, "phase_at": now}
        values.setdefault("lease_until", now + self.lease_s)
        mine = (CHANGES.c.id == self.change) & (CHANGES.c.lease_token == self.token)
        if connection.execute(sa.update(CHANGES).where(mine).values(values)).rowcount != 1:
            raise LeaseLost(self.change)

    def renew(self, connection: sa.Connection, *, for_long: bool = False) -> None:
        """Renew; `for_long` before a single statement that may run for minutes."""
        now = self.session.database.clock
        self.write(connection, lease_until=now + (_LONG_STATEMENT_S if for_long else self.lease_s))

    def row(self, connection: sa.Connection) -> ChangeRow:
        """Return the change's row as it is now."""
        row = read(connection, self.change)
        assert row is not None  # noqa: S101 # rows are never deleted, and ours was there when we took the lease
        return row

    def journal(self, connection: sa.Connection, statement: str, *, undo: str | None = None) -> int:
        """Note that a statement begins, and what would take it back; returns its number for `journal_done`."""
        now, phase = self.session.database.clock, self.row(connection).phase
        entry = sa.insert(JOURNAL).values(
            change=self.change, phase=phase, statement=statement, undo_sql=undo, started=now
        )
        key = connection.execute(entry).inserted_primary_key
        assert key is not None  # noqa: S101 # an insert of one row has a key
        return int(key[0])

    def journal_done(self, connection: sa.Connection, number: int) -> None:
        """Note that the statement is done."""
        now = self.session.database.clock
        connection.execute(sa.update(JOURNAL).where(JOURNAL.c.seq == number).values(finished=now))


@contextmanager
def hold(session: Session, change: str, *, lease_s: float, wait_s: float) -> Iterator[Lease]:
    """Take the lease, waiting for another holder to finish, die or run out; give it back at the end.

    Raises LeaseHeld when another holder kept renewing for `wait_s`.
    """
    me = f"{_machine()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
    deadline = session.retry.clock() + wait_s
    while (taken := session.transaction(f"lease {change}", lambda c: _take(session, c, change, me, lease_s))) is None:
        if session.retry.clock() >= deadline:
            raise session.read("read the lease", lambda c: _refusal(session, c, change))
        session.pause(_POLL_S)
    lease = Lease(session, change, taken, lease_s)
    session.read("begin the work", lambda connection: session.database.begin_work(connection, change))
    try:
        yield lease
    except BaseException:
        with suppress(SchemaError):  # the first error tells more; without a connection the lease runs out by itself
            _give_back(lease)
        raise
    _give_back(lease)


def _take(session: Session, connection: sa.Connection, change: str, me: str, lease_s: float) -> int | None:
    """Take the lease if it is free; return its token."""
    now, row = session.database.clock, CHANGES.c
    seen = connection.execute(
        sa.select(row.lease_owner, row.lease_token, (row.lease_until < now).label("over")).where(row.id == change)
    ).one()
    if seen.lease_owner is not None and not seen.over and not _died_here(seen.lease_owner):
        return None
    taken = connection.execute(
        sa.update(CHANGES)
        .where(row.id == change, row.lease_token == seen.lease_token)
        .values(lease_owner=me, lease_until=now + lease_s, lease_token=seen.lease_token + 1)
    )
    return int(seen.lease_token) + 1 if taken.rowcount == 1 else None


def _give_back(lease: Lease) -> None:
    """Free the lease if it is still ours; whoever has taken it over owns it rightly."""
    mine = (CHANGES.c.id == lease.change) & (CHANGES.c.lease_token == lease.token)
    free = sa.update(CHANGES).where(mine).values(lease_owner=None, lease_until=0.0)

    def release(connection: sa.Connection) -> None:
        lease.session.database.begin_work(connection, None)
        connection.execute(free)

    lease.session.transaction(f"release {lease.change}", release)


def _refusal(session: Session, connection: sa.Connection, change: str) -> LeaseHeld:
    row, now = CHANGES.c, session.database.clock
    held = connection.execute(sa.select(row.lease_owner, row.lease_until - now).where(row.id == change)).one()
    return LeaseHeld(change, str(held[0]), float(held[1]))


def _machine() -> str:
    """Return this host and, on Linux, its namespace of process ids: containers may share a host's name."""
    namespace = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}/{namespace.readlink() if namespace.is_symlink() else 'pid'}"


def _died_here(owner: str) -> bool:
    """Whether the owner was a process of this machine that is gone."""
    machine, pid, _ = owner.rsplit("/", 2)
    if machine != _machine():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
