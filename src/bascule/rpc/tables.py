"""What the tables of this package need of a database, on each of them."""

import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

__all__ = ["LONG_TEXT", "create_missing", "insert_new", "read_committed"]

# Text of MariaDB ends at 64 kB, and a message may carry many objects; tables of earlier releases stay as they are.
LONG_TEXT = sa.Text().with_variant(sa.Text(2**32 - 1), "mysql", "mariadb")

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


def insert_new(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Insert the row unless its key is there, and return whether it was new.

    Waits for a transaction that is about to insert the same key. `Any` stands for the columns' own kinds.
    """
    insert: sa.Insert
    if connection.dialect.name == "postgresql":
        insert = postgresql.insert(table).on_conflict_do_nothing()
    elif connection.dialect.name == "sqlite":
        insert = sqlite.insert(table).on_conflict_do_nothing()
    else:
        insert = sa.insert(table).prefix_with("IGNORE")
    # Without the option SQLAlchemy does not keep the count of an INSERT on every driver.
    options = {"preserve_rowcount": True}
    return connection.execute(insert.values(row), execution_options=options).rowcount == 1
