"""One own connection for the length of a phase: transactions with short lock timeouts, tried again when locked out."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bascule.schema.databases import Database, database_of
from bascule.schema.pace import Pace, PaceName
from bascule.schema.refusals import DatabaseUnreachable, LockNotGranted, StatementFailed

__all__ = ["Retry", "Session"]

T = TypeVar("T")
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to go on when a lock is not granted: jittered pauses between `first_s` and `longest_s`."""

    within_s: float = 60.0
    first_s: float = 0.05
    longest_s: float = 2.0
    random: Callable[[], float] = field(default=random.random)
    sleep: Callable[[float], None] = field(default=time.sleep)
    clock: Callable[[], float] = field(default=time.monotonic)


@dataclass(frozen=True, slots=True)
class Session:
    """A connection taken out of the pool for good, so that its session settings never reach the service."""

    engine: sa.Engine
    connection: sa.Connection
    database: Database
    retry: Retry
    pace: Pace

    @classmethod
    @contextmanager
    def open(cls, engine: sa.Engine, retry: Retry, pace: Pace | PaceName | None = None) -> Iterator["Session"]:
        """Connect, and close at the end. Raises DatabaseUnreachable, UnsupportedDatabase."""
        engine = engine.execution_options()  # a copy with the same pool, so that its owner's setting stays as it is
        engine.hide_parameters = True  # keys and rows go through here: into no log, and into no error's text
        try:
            connection = engine.connect()
        except DBAPIError as error:
            where = engine.url.render_as_string(hide_password=True)
            raise DatabaseUnreachable(where, type(error.orig).__name__) from error
        with connection:
            database = database_of(connection.dialect)
            if database.isolation is not None:
                connection.execution_options(isolation_level=database.isolation)
            connection.detach()
            pace = pace if isinstance(pace, Pace) else database.paces[pace or "fast"]
            session = cls(engine, connection, database, retry, pace)
            session.read("tell its version", database.check_version)
            yield session

    def transaction(self, what: str, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction of its own and commit; start over, after a pause, when a lock is not granted.

        Raises: LockNotGranted when that went on for the whole time of the retry policy; StatementFailed.
        """
        return self._retried(what, lambda: self._in_transaction(work, writes=True))

    def read(self, what: str, work: Callable[[sa.Connection], T]) -> T:
        """Run `work`, which only reads, in a transaction of its own that keeps no writer waiting."""
        return self._retried(what, lambda: self._in_transaction(work, writes=False))

    def alone(self, what: str, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` outside any transaction, as PostgreSQL's concurrent index builds need; tried again likewise."""

        def once() -> T:
            # Another connection, since the level of ours cannot be changed once it has left the pool.
            with self.engine.connect() as connection:
                return work(connection.execution_options(isolation_level="AUTOCOMMIT"))

        return self._retried(what, once)

    def wait_for_others(self, table: str, meanwhile: Callable[[], object]) -> None:
        """Wait until no transaction of others has been open on a table for long, but not for ever.

        After a third of the time that locks are tried for, they are tried all the same: others may come and go.
        """
        until = self.retry.clock() + self.retry.within_s / 3
        while self.retry.clock() < until and self.long_transactions(table):
            meanwhile()
            self.retry.sleep(_LOOK_EVERY_S)

    def long_transactions(self, table: str) -> tuple[str, ...]:
        """Return whose transactions a lock on the table would wait for, in words."""
        return self.read("look for open transactions", lambda c: self.database.long_transactions(c, table))

    def pause(self, seconds: float) -> None:
        """Leave the database to others."""
        self.retry.sleep(seconds)

    def _in_transaction(self, work: Callable[[sa.Connection], T], *, writes: bool) -> T:
        with self.connection.begin():
            self.database.begin(self.connection, writes=writes)
            return work(self.connection)

    def _retried(self, what: str, once: Callable[[], T]) -> T:
        started, tries = self.retry.clock(), 0
        while True:
            tries += 1
            try:
                return once()
            except DBAPIError as error:
                waited_s = self.retry.clock() - started
                if not self.database.is_lock_trouble(error):
                    kind, code = type(error.orig).__name__, self.database.error_code(error)
                    raise StatementFailed(what, kind, code) from error
                if waited_s >= self.retry.within_s:
                    raise LockNotGranted(what, tries, waited_s) from error
            ceiling = min(self.retry.longest_s, self.retry.first_s * 2 ** min(tries, 10))
            self.retry.sleep(ceiling * (0.5 + self.retry.random() / 2))
