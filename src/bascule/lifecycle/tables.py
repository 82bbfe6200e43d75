"""The two tables of the registry, and their creation and growth by whoever comes first."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateColumn, CreateTable

__all__ = ["FLEET", "METADATA", "PIN", "absent_columns", "create_missing"]

log = logging.getLogger(__name__)

METADATA = sa.MetaData()

# Columns that came later can be null, so that processes of older releases go on writing rows without them.
FLEET = sa.Table(
    "bascule_fleet",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("service", sa.String(64), nullable=False),
    sa.Column("instance", sa.String(255), nullable=False),
    sa.Column("role", sa.String(64), nullable=False),
    sa.Column("release", sa.String(32), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("heartbeat_at", sa.Double, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("acknowledged_epoch", sa.Integer, nullable=False),
    sa.Column("refused", sa.Integer, nullable=False),
    sa.Column("pin_override", sa.String(32), nullable=True),
    sa.Column("supported_from", sa.String(32), nullable=True),
    sa.Column("manifest", sa.String(16), nullable=True),
)

# A proposal belongs to one epoch: whoever does not know of proposals moves the epoch on, and it is void.
PIN = sa.Table(
    "bascule_pin",
    METADATA,
    sa.Column("service", sa.String(64), primary_key=True),
    sa.Column("pin", sa.String(32), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("hold", sa.String(32), nullable=True),
    sa.Column("proposed", sa.String(32), nullable=True),
    sa.Column("proposed_epoch", sa.Integer, nullable=True),
)

_ATTEMPTS = 10
_PAUSE_S = 0.2
_LOCK_WAIT_S = 2


def create_missing(engine: sa.Engine, tables: tuple[sa.Table, ...]) -> None:
    """Create those of the tables, and of their later columns, that are missing.

    Safe to call again, by several processes at once, and while processes of older releases use the tables: nobody
    waits for a lock behind it longer than two seconds.
    """
    for table in tables:
        _persistently(lambda table=table: _create_table(engine, table), table.name)  # type: ignore[misc]
        with engine.connect() as connection:
            absent = absent_columns(connection, table)
        for name in absent:
            column = table.c[name]
            _persistently(lambda column=column: _add_column(engine, column), f"{table.name}.{name}")  # type: ignore[misc]


def _create_table(engine: sa.Engine, table: sa.Table) -> None:
    with engine.begin() as connection:
        if not sa.inspect(connection).has_table(table.name):
            connection.execute(CreateTable(table, if_not_exists=True))


def absent_columns(connection: sa.Connection, table: sa.Table) -> list[str]:
    """Return the names of those columns that the table, made by an older release, does not have yet."""
    present = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    return [column.name for column in table.columns if column.name not in present]


def _add_column(engine: sa.Engine, column: "sa.Column[object]") -> None:
    with engine.begin() as connection:
        if column.name not in absent_columns(connection, column.table):
            return
        quoted = engine.dialect.identifier_preparer.format_table(column.table)
        definition = CreateColumn(column).compile(dialect=engine.dialect)
        with _impatient(connection):
            connection.exec_driver_sql(f"ALTER TABLE {quoted} ADD COLUMN {definition}")


@contextmanager
def _impatient(connection: sa.Connection) -> Iterator[None]:
    """Let statements of the block wait for a lock only shortly; the connection is given back as it was."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_WAIT_S}s'")
    if connection.dialect.name not in {"mysql", "mariadb"}:
        yield
        return
    connection.exec_driver_sql(f"SET lock_wait_timeout = {_LOCK_WAIT_S}")
    try:
        yield
    finally:
        connection.exec_driver_sql("SET lock_wait_timeout = DEFAULT")


def _persistently(create: Callable[[], None], name: str) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            create()
            return
        except DBAPIError:
            # Two creators at once: the second one may fail even with IF NOT EXISTS. Look again.
            if attempt == _ATTEMPTS:
                raise
            log.debug("%s not created yet, trying again", name)
            time.sleep(_PAUSE_S)
