"""Connections that stay open at hand between two uses: taking one from SQLAlchemy's pool costs as much as a read."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import exc
from sqlalchemy.engine import Connection, Engine

__all__ = ["KeptConnections"]

# Well below what servers and the middleboxes before them allow a silent connection.
_KEEP_S = 600.0


class KeptConnections:
    """Connections of one engine, of which up to `most` are not given back after use.

    Whoever meets a broken one lets go of all that are kept, since what broke it has mostly broken the others. Threads
    may share an instance; a process that forks calls `release` in the child before it uses one.
    """

    def __init__(self, engine: Engine, most: int) -> None:
        self._engine, self._most = engine, most
        self._kept: deque[tuple[Connection, float]] = deque()  # its methods are atomic

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection for a read, or a transaction that ends with the block. Raises what connecting raises."""
        connection, since = self._take()
        try:
            yield connection
        except BaseException:
            # Nobody knows what it was in the middle of. The pool does, or closes it.
            self._give_back(connection)
            if connection.invalidated:
                self.release()
            raise
        if len(self._kept) < self._most:
            self._kept.append((connection, since))
        else:
            self._give_back(connection)

    def idle(self) -> int:
        """Return how many are kept and at rest; to the pool they are in use."""
        return len(self._kept)

    def release(self) -> None:
        """Give every kept connection back to the pool."""
        while True:
            try:
                connection, _since = self._kept.pop()
            except IndexError:
                return
            self._give_back(connection)

    def _take(self) -> tuple[Connection, float]:
        while True:
            try:
                connection, since = self._kept.pop()
            except IndexError:
                return self._engine.connect(), time.monotonic()
            if time.monotonic() - since < _KEEP_S:
                return connection, since
            self._give_back(connection)

    @staticmethod
    def _give_back(connection: Connection) -> None:
        with suppress(exc.SQLAlchemyError):
            connection.close()
