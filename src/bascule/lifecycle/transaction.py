"""Short transactions of the registry that behave alike on every database, whatever the service set on its engine."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from bascule.lifecycle.tables import PIN

__all__ = ["dedicated_connection", "locked", "short"]


def dedicated_connection(engine: sa.Engine) -> sa.Connection:
    """Return a connection for transactions of the registry.

    READ COMMITTED on servers, so that what is read after a lock is what stands now. SQLite has one isolation
    level, and its connections are left as the service's own hooks made them.
    """
    connection = engine.connect()
    if engine.dialect.name == "sqlite":
        return connection
    return connection.execution_options(isolation_level="READ COMMITTED")


@contextmanager
def short(connection: sa.Connection) -> Iterator[sa.Connection]:
    """Run one transaction on a connection of the registry."""
    with connection.begin():
        yield connection


@contextmanager
def locked(connection: sa.Connection, service: str) -> Iterator[sa.Connection]:
    """Run one transaction that nobody else can interleave: the service's pin row is locked until its end.

    The pin row must exist.
    """
    with connection.begin():
        if connection.dialect.name == "sqlite":
            _begin_immediate(connection)
            # Under a service's own deferred BEGIN this write takes the lock, before anything was read.
            connection.execute(sa.update(PIN).where(PIN.c.service == service).values(epoch=PIN.c.epoch))
        else:
            connection.execute(sa.select(PIN.c.epoch).where(PIN.c.service == service).with_for_update()).all()
        yield connection


def _begin_immediate(connection: sa.Connection) -> None:
    driver = connection.connection.driver_connection
    # Hooks of the service may have begun already; the driver itself begins only at the first write, and
    # deferred, and in autocommit mode not at all.
    if driver is not None and not driver.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
