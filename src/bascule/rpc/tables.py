"""Creating tables that several processes may create at once."""

import time

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

__all__ = ["create_missing", "read_committed"]

_ATTEMPTS = 10
_PAUSE_S = 0.2


def create_missing(engine: sa.Engine, *tables: sa.Table) -> None:
    """Create the tables where they are missing; several processes may do it at once."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with engine.begin() as connection:
                there = set(sa.inspect(connection).get_table_names())
                for table in tables:
                    if table.name not in there:
                        connection.execute(CreateTable(table, if_not_exists=True))
            break
        except DBAPIError:
            # Two creators at once: PostgreSQL fails the second one even with IF NOT EXISTS. Look again.
            if attempt == _ATTEMPTS:
                raise
            time.sleep(_PAUSE_S)


def read_committed(engine: sa.Engine) -> sa.Engine:
    """Return the engine for short transactions of ours, whatever the service set on it.

    READ COMMITTED on servers, so that a second taker sees the first one's mark instead of a conflict.
    """
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="READ COMMITTED")
