"""keymanager-manage db: clean and sync as Barbican's command does; the schema has keymanager-db-manage."""

import datetime as dt
from collections import Counter

import click

from bascule_keymanager.cli.refusal import refusals
from bascule_keymanager.clock import utc_now
from bascule_keymanager.config import load_settings
from bascule_keymanager.service import Parts
from bascule_keymanager.storage.clean import ROWS_PER_BATCH, Cleaner
from bascule_keymanager.storage.database import Database

__all__ = ["db"]

_MOST_AT_ONCE = 30_000  # what every database takes as the length of a list

_DATABASE = click.option("-d", "--db-url", help="Another database than the one of the configuration file.")
_VERBOSE = click.option("-V", "--verbose", is_flag=True, help="Tell of every batch.")


@click.group()
def db() -> None:
    """Look after what is in the database."""


@db.command()
@_DATABASE
@click.option(
    "-m", "--min-days", type=int, default=90, show_default=True, help="Keep what was deleted since so many days."
)
@click.option("-p", "--clean-unassociated-projects", "projects", is_flag=True, help="Also projects that have nothing.")
@click.option("-e", "--soft-delete-expired-secrets", "expired", is_flag=True, help="First delete what has expired.")
@_VERBOSE
@click.option(
    "--batch-size",
    type=click.IntRange(1, _MOST_AT_ONCE),
    default=ROWS_PER_BATCH,
    show_default=True,
    help="Rows.",
)
@click.pass_obj
def clean(
    config_file: str | None,
    db_url: str | None,
    min_days: int,
    projects: bool,
    expired: bool,
    verbose: bool,
    batch_size: int,
) -> None:
    """Remove for good what was deleted. Safe to stop, and to run while everything works."""
    with refusals():
        database = Database(db_url) if db_url else Parts(load_settings(config_file)).database
        cleaner = Cleaner(database, rows_per_batch=batch_size)
        removed: Counter[str] = Counter()
        marked = cleaner.marked(before=utc_now() - dt.timedelta(days=max(0, min_days)))
        steps = [*([cleaner.unused_projects()] if projects else []), *([cleaner.expired_secrets()] if expired else [])]
        for step in [*steps, marked]:
            for batch in step:
                removed[batch.table] += batch.rows
                if verbose:
                    click.echo(f"{batch.table}: {batch.rows}", err=True)
    for table, rows in sorted(removed.items()):
        click.echo(f"{table}: {rows}")
    click.echo(f"cleaned up {sum(removed.values())} rows")


@db.command("sync_secret_stores")
@_DATABASE
@_VERBOSE
@click.pass_obj
def sync_secret_stores(config_file: str | None, db_url: str | None, verbose: bool) -> None:
    """Make the rows of secret stores what the configuration file says."""
    with refusals():
        parts = Parts(load_settings(config_file))
        if db_url:
            parts.database = Database(db_url)
        configured = parts.settings.secret_stores
        parts.holdings.secret_stores.sync(configured)
    if verbose:
        for store in configured:
            click.echo(store.name, err=True)
    click.echo(f"{len(configured)} secret stores" if configured else "projects may not choose among secret stores")
