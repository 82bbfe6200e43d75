"""Online schema migration: changes that both releases live with while they happen. See `SchemaEngine`."""

from bascule.schema.backfill import Progress
from bascule.schema.changes import Change, Rename, Split, trigger_names
from bascule.schema.cli import schema_cli
from bascule.schema.databases import Pace
from bascule.schema.engine import Options, SchemaEngine
from bascule.schema.session import Retry

__all__ = [
    "Change",
    "Options",
    "Pace",
    "Progress",
    "Rename",
    "Retry",
    "SchemaEngine",
    "Split",
    "schema_cli",
    "trigger_names",
]
