"""The parts of one process of the ledger, put together from its release and its database."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config

from bascule.lifecycle import Registry
from bascule.release import Release
from bascule.schema import Options, SchemaEngine
from bascule.schema.alembic import alembic_engine

__all__ = ["Parts"]

HERE = Path(__file__).parent
RELEASES: Mapping[str, Release] = {number: Release.parse(number) for number in ("1", "2", "3", "4")}


class Parts:
    """A release of the service on a database."""

    def __init__(self, release: str, url: str | None = None) -> None:
        self.release = RELEASES[release]
        self.url = url or os.environ.get("LEDGER_DATABASE", "sqlite:///ledger.db")
        self.engine = sa.create_engine(self.url)

    @property
    def alembic(self) -> Config:
        """Alembic's configuration: the revisions up to this release."""
        config = Config(str(HERE / f"r{self.release}.ini"))
        config.set_main_option("sqlalchemy.url", self.url.replace("%", "%%"))
        return config

    @property
    def book(self) -> Any:  # Any: of whichever release
        """What the release does."""
        return importlib.import_module(f"ledger.r{self.release}.book").Book(self.engine)

    @property
    def registry(self) -> Registry:
        """Who else runs."""
        return Registry(self.engine, service="ledger", release=self.release, supported_from=RELEASES["1"])

    def schema(self, options: Options | None = None) -> SchemaEngine:
        """Return the engine of the changes that the revisions declare."""
        return alembic_engine(
            self.alembic,
            self.url,
            release=self.release,
            live_older=self.registry.live_older,
            live_same=self.registry.live_at_least,
            options=options,
        )
