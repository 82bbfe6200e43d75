"""Two pools to one database: reads outside transactions, and write transactions that run again when they lose."""

import importlib.util
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import QueuePool

from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.storage.insertions import Insertion, insert_as_one, is_there, run_insertions
from bascule_keymanager.storage.kept import KeptConnections

__all__ = ["Database", "Read", "Trouble", "Unstorable", "Write", "trouble_of"]

T = TypeVar("T")
Read = Callable[[Connection], T]
Write = Callable[[Connection], T]
Trouble = Literal["away", "full"]

_SQLITE_WAIT_MS = 10_000
_TRIES = 8

# The transaction lost against another one, or met a table that was just altered: nothing was committed.
_SQLITE_RETRY = {5, 6, 17}  # busy, locked, schema changed; the low byte of the extended code
_MYSQL_RETRY = {1020, 1205, 1213, 1412, 1615}
_MYSQL_THERE = 1062
_MYSQL_OTHER_CHARSET = {1267, 1270, 1271, 3988}
_POSTGRESQL_RETRY = {"0A000", "40001", "40P01", "55P03"}  # 0A000: a cached plan met a changed table

# The server has no room on its disk: nothing was committed, and reads go on.
_SQLITE_FULL = 13
_MYSQL_FULL = {1021, 1114}
_MYSQL_ENGINE, _NO_SPACE = 1030, "28 "  # the storage engine's own error, whose text has the number of the system's
_POSTGRESQL_FULL = "53100"
# It cannot be reached, takes no connections, stops or starts.
_SQLITE_AWAY = {5, 6, 10, 14}  # busy, locked, input and output, not opened
_MYSQL_AWAY = {1040, 1053, 1927, 2002, 2003, 2006, 2013, 2055}
_POSTGRESQL_AWAY = ("08", "53300", "57P0")


class Unstorable(Exception):
    """The database cannot keep or compare a value: too long, or of another character set. Never leaves the API."""

    def __init__(self) -> None:
        super().__init__("the database does not take a value")


class Database:
    """The service's database.

    Connections are kept at hand between two uses, since taking one from the pool costs as much as a small read.
    `read` runs without a transaction, each statement for itself: no BEGIN and no ROLLBACK cross the wire.
    `write` runs in one transaction; on SQLite it takes the write lock at once, since a transaction that begins as a
    reader can be refused the lock however long it waits.
    """

    def __init__(self, url: str, *, pool_size: int = 20, sqlite_synchronous: bool = True) -> None:
        self.url = _with_driver(url)
        self._synchronous = "FULL" if sqlite_synchronous else "NORMAL"
        self.reader = self._engine(pool_size, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)
        level = {} if self.url.get_backend_name() == "sqlite" else {"isolation_level": "READ COMMITTED"}
        self.writer = self._engine(pool_size, **level)
        if self.dialect == "sqlite":
            event.listen(self.writer, "begin", _begin_immediate)
        self._reading, self._writing = (KeptConnections(engine, pool_size) for engine in (self.reader, self.writer))

    @property
    def dialect(self) -> str:
        """The SQL dialect: sqlite, postgresql or mysql (also for MariaDB)."""
        name = self.url.get_backend_name()
        return "mysql" if name == "mariadb" else name

    def read(self, query: Read[T]) -> T:
        """Run `query` outside any transaction; once more when the connection turns out to be gone."""
        for attempt in range(_TRIES):
            try:
                with self._reading.connection() as connection:
                    return query(connection)
            except exc.DBAPIError as failure:
                if _unstorable(failure):
                    raise Unstorable from None  # the original has the values in its text
                if attempt == _TRIES - 1 or not (failure.connection_invalidated or _lost(failure)):
                    raise
                _pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def write(self, work: Write[T]) -> T:
        """Run `work` in one transaction and commit; run it again from the start when it lost against another.

        `work` must therefore touch nothing but the connection. Only what was surely not committed is run again: a
        transaction that the database itself rolled back, or whose connection turned out to be gone before its end.
        One that broke during the commit is not, because the commit may have succeeded.
        """
        for attempt in range(_TRIES):
            is_done = False
            try:
                with self._writing.connection() as connection, connection.begin():
                    result = work(connection)
                    is_done = True
                return result
            except exc.DBAPIError as failure:
                if _unstorable(failure):
                    raise Unstorable from None
                is_gone = failure.connection_invalidated and not is_done
                if attempt == _TRIES - 1 or not (is_gone or _lost(failure)):
                    raise
            _pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def insert_together(self, insertions: Sequence[Insertion]) -> bool:
        """Run the insertions in one transaction, on MariaDB in one trip; return False where the first inserted no row.

        Then nothing was written. Rows come under ids that are new: one of those is found only where an earlier try was
        committed and nobody heard of it. So unlike `write`, this runs again whatever broke when.
        """
        if not getattr(self.reader.dialect, "is_mariadb", False):
            return self.write(lambda connection: _run_while_first(connection, insertions))
        lost: exc.SQLAlchemyError | None = None
        for attempt in range(_TRIES):
            try:
                with self._reading.connection() as connection:
                    is_done = insert_as_one(connection, insertions)
                    # What refuses now may be younger than what an earlier try has committed.
                    return is_done or (lost is not None and is_there(connection, insertions[0]))
            except exc.SQLAlchemyError as failure:
                if lost is not None and _mysql_code(getattr(failure, "orig", None)) == _MYSQL_THERE:
                    return True
                if _unstorable(failure):
                    raise Unstorable from None
                is_gone = isinstance(failure, exc.DBAPIError) and failure.connection_invalidated
                if attempt == _TRIES - 1 or not (is_gone or _lost(failure)):
                    # The first that broke, if one did: whoever catches it must know that all may be committed.
                    raise lost or failure from None
                lost = failure if lost is None and is_gone else lost
            _pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def warm(self) -> None:
        """Open one connection of each pool, so that the first request does not pay for it."""
        for engine in (self.reader, self.writer):
            with engine.connect() as connection:
                connection.execute(sa.select(sa.literal(1)))

    def condition(self) -> str:
        """Return ok, or why a read fails right now; never a word of the driver's, which may name hosts and users."""
        try:
            self.read(lambda connection: connection.execute(sa.select(sa.literal(1))).scalar())
        except exc.TimeoutError:
            return "no connection is free"
        except exc.SQLAlchemyError as trouble:
            return f"not reachable ({type(getattr(trouble, 'orig', None) or trouble).__name__})"
        return "ok"

    def connections_in_use(self) -> dict[str, int]:
        """Return how many connections of each pool are at work, by what the pool is for."""
        pools = {"reading": (self.reader.pool, self._reading), "writing": (self.writer.pool, self._writing)}
        return {
            name: max(0, pool.checkedout() - kept.idle())
            for name, (pool, kept) in pools.items()
            if isinstance(pool, QueuePool)
        }

    def dispose(self) -> None:
        """Close every connection; the next use opens new ones (call this after a fork)."""
        self._reading.release()
        self._writing.release()
        self.reader.dispose()
        self.writer.dispose()

    def _engine(self, pool_size: int, **options: Any) -> Engine:  # Any: create_engine's own keywords
        if self.dialect == "mysql":
            # READ COMMITTED spares MariaDB the gap locks and stale snapshots of its default level.
            level = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
            timeouts = {"connect_timeout": 10, "read_timeout": 60, "write_timeout": 60}
            options["connect_args"] = {"init_command": level, **timeouts}
            options["pool_recycle"] = 1800
        elif self.dialect == "postgresql":
            options["connect_args"] = {"connect_timeout": 10}
        engine = sa.create_engine(self.url, pool_size=pool_size, max_overflow=pool_size, pool_timeout=30, **options)
        if self.dialect == "sqlite":
            event.listen(engine, "connect", self._prepare_sqlite)
        return engine

    def _prepare_sqlite(self, connection: Any, _record: Any) -> None:  # Any: the driver's own objects
        connection.isolation_level = None  # transactions begin where we say, never where sqlite3 guesses
        connection.execute(f"PRAGMA busy_timeout = {_SQLITE_WAIT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _with_driver(text: str) -> URL:
    """Name the driver that this service ships with, whatever driver Barbican's file named; mysqldb if it is there."""
    try:
        url = make_url(text)
    except exc.ArgumentError:
        raise ConfigRefused(None, "[database] connection is not a database URL") from None
    drivers = {
        "sqlite": "sqlite",
        "mysql": "mysql+pymysql",
        "mariadb": "mysql+pymysql",
        "postgresql": "postgresql+psycopg",
        "postgres": "postgresql+psycopg",
    }
    backend = url.get_backend_name()
    if backend not in drivers:
        raise ConfigRefused(None, f"[database] connection names {backend!r}; use sqlite, postgresql or mysql")
    if url.drivername == "mysql+mysqldb" and importlib.util.find_spec("MySQLdb") is not None:
        return url.set(drivername="mysql+mysqldb")
    return url.set(drivername=drivers[backend])


def _lost(failure: exc.SQLAlchemyError) -> bool:
    """Whether the database refused a transaction that may simply be run again."""
    cause: Any = getattr(failure, "orig", None)  # Any: each driver has its own exceptions
    sqlite_code = getattr(cause, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return sqlite_code & 0xFF in _SQLITE_RETRY
    # Not by sqlstate first: PyMySQL has one as well, and it is HY000 for most of what may be run again.
    return _mysql_code(cause) in _MYSQL_RETRY or getattr(cause, "sqlstate", None) in _POSTGRESQL_RETRY


def trouble_of(failure: BaseException) -> Trouble | None:
    """Tell whether the database is out of reach or its disk is full, so that trying again later may help."""
    if isinstance(failure, exc.TimeoutError):  # every connection is at work, and stays so
        return "away"
    if not isinstance(failure, exc.DBAPIError):
        return None
    cause: Any = failure.orig  # Any: each driver has its own exceptions
    sqlite_code = getattr(cause, "sqlite_errorcode", None)
    if sqlite_code is not None:
        code = sqlite_code & 0xFF
        return "full" if code == _SQLITE_FULL else "away" if code in _SQLITE_AWAY else None
    code, state = _mysql_code(cause), getattr(cause, "sqlstate", None) or ""
    if code in _MYSQL_FULL or state == _POSTGRESQL_FULL or (code == _MYSQL_ENGINE and _NO_SPACE in str(cause)):
        return "full"
    # psycopg knows no state of a server that it did not reach.
    unreached = isinstance(failure, exc.OperationalError) and code is None and not state
    is_away = code in _MYSQL_AWAY or state.startswith(_POSTGRESQL_AWAY) or unreached
    return "away" if is_away or failure.connection_invalidated else None


def _unstorable(failure: exc.SQLAlchemyError) -> bool:
    """Whether the database refused a value: as data, or as text that it cannot compare with a column's."""
    return isinstance(failure, exc.DataError) or _mysql_code(getattr(failure, "orig", None)) in _MYSQL_OTHER_CHARSET


def _mysql_code(cause: object) -> int | None:
    arguments: tuple[object, ...] = getattr(cause, "args", ())
    first = arguments[0] if arguments else None
    return first if isinstance(first, int) else None


def _run_while_first(connection: Connection, insertions: Sequence[Insertion]) -> bool:
    first, *others = insertions
    if connection.execute(first.statement, first.values).rowcount == 0:
        return False
    run_insertions(connection, others)
    return True


_sleeper = threading.Event()


def _pause(attempt: int) -> None:
    _sleeper.wait(min(0.01 * 2**attempt, 0.5))
