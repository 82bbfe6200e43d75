"""The key manager's schema at this release; a new SQLite database gets a copy of one that was made once."""

import functools
import tempfile
from pathlib import Path

import sqlalchemy as sa
from support.quick_sqlite import without_disk

from bascule_keymanager.config import Settings
from bascule_keymanager.service import Parts

__all__ = ["make_schema"]


def make_schema(settings):
    """Bring the database of these settings to this release's schema, as `keymanager-db-manage` does."""
    url = sa.make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database).exists():
        Path(url.database).write_bytes(_made_once())
    else:
        _run_phases(settings)


@functools.cache
def _made_once():
    """A database file as the phases left it: they are some 280 transactions, and what they do is tested elsewhere."""
    with tempfile.TemporaryDirectory() as folder, without_disk():
        path = Path(folder) / "keymanager.db"
        _run_phases(Settings(database_url=f"sqlite:///{path}", keks=()))
        assert [found.name for found in path.parent.iterdir()] == [path.name]  # no log beside it: the file is whole
        return path.read_bytes()


def _run_phases(settings):
    schema = Parts(settings).schema
    schema.expand()
    schema.migrate()
    schema.engine.dispose()
