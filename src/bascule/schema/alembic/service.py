"""A service's schema engine and its whole command line, from what Alembic is configured with."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click
import sqlalchemy as sa
from alembic.config import Config
from sqlalchemy.pool import NullPool

from bascule.errors import SchemaError
from bascule.release import Release
from bascule.schema.alembic.revisions import collect_changes, read_config
from bascule.schema.cli import schema_cli
from bascule.schema.engine import Options, SchemaEngine
from bascule.schema.lint import DATABASES

__all__ = ["alembic_cli", "alembic_engine"]

Live = Callable[[Release], Sequence[str]]


def alembic_engine(
    config: Config | str | Path,
    url: str | sa.URL | None = None,
    *,
    release: Release | str,
    live_older: Live,
    live_same: Live,
    options: Options | None = None,
) -> SchemaEngine:
    """Return the engine of all changes that the revisions declare, up to `release`, which is the service's own.

    `config` is Alembic's ini file, its script location, or a Config; `url` is the ini file's `sqlalchemy.url` when left
    out. `live_older` and `live_same` are as in SchemaEngine. Raises BadRevision and its kin; opens no connection.
    """
    config = config if isinstance(config, Config) else read_config(config)
    url = url or config.get_main_option("sqlalchemy.url")
    if not url:
        raise SchemaError("no database is named: give a URL, or set sqlalchemy.url in Alembic's ini file")
    kind = sa.make_url(url).get_backend_name()
    database = next((name for name in DATABASES if name == kind), None)
    if database is None:
        raise SchemaError(f"{kind} is none of the databases that can be migrated online: {', '.join(DATABASES)}")
    return SchemaEngine(
        sa.create_engine(url, poolclass=NullPool),
        release=release,
        changes=collect_changes(config, database),
        live_older=live_older,
        live_same=live_same,
        options=options,
    )


def alembic_cli(
    config: Config | str | Path,
    url: str | sa.URL | Callable[[], str | sa.URL] | None = None,
    *,
    release: Release | str,
    live_older: Live,
    live_same: Live,
    options: Options | None = None,
) -> click.Group:
    """Return the command group `<service>-db-manage` of a service that uses Alembic: see `alembic_engine`.

    Nothing is read before a command is known; `url` may be a function that looks it up then.
    """

    def make_engine() -> SchemaEngine:
        address = url() if callable(url) else url
        return alembic_engine(
            config, address, release=release, live_older=live_older, live_same=live_same, options=options
        )

    return schema_cli(make_engine)
