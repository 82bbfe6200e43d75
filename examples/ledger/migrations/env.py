"""Alembic's environment: as in any project, but for the one line with `online_changes`."""

import importlib

import sqlalchemy as sa
from alembic import context

from bascule.schema.alembic import online_changes

config = context.config
release = config.get_main_option("release")
book = importlib.import_module(f"ledger.r{release}.book")

engine = sa.create_engine(config.get_main_option("sqlalchemy.url"), poolclass=sa.pool.NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=book.Base.metadata,
        **online_changes(release=release),
    )
    with context.begin_transaction():
        context.run_migrations()
