"""The two tables of the registry, and their creation by whoever comes first."""

import logging
import time

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

__all__ = ["FLEET", "METADATA", "PIN", "create_missing"]

log = logging.getLogger(__name__)

METADATA = sa.MetaData()

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
)

PIN = sa.Table(
    "bascule_pin",
    METADATA,
    sa.Column("service", sa.String(64), primary_key=True),
    sa.Column("pin", sa.String(32), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("hold", sa.String(32), nullable=True),
)

_ATTEMPTS = 10
_PAUSE_S = 0.2


def create_missing(engine: sa.Engine, tables: tuple[sa.Table, ...]) -> None:
    """Create those of the tables that are missing; safe to call again, and by several processes at once."""
    for table in tables:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with engine.begin() as connection:
                    if not sa.inspect(connection).has_table(table.name):
                        connection.execute(CreateTable(table, if_not_exists=True))
                break
            except DBAPIError:
                # Two creators at once: PostgreSQL fails the second one even with IF NOT EXISTS. Look again.
                if attempt == _ATTEMPTS:
                    raise
                log.debug("table %s not created yet, trying again", table.name)
                time.sleep(_PAUSE_S)
