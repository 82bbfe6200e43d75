"""Online schema migration: changes that both releases live with while they happen. See `SchemaEngine`."""

from bascule.schema.backfill import Progress
from bascule.schema.changes import (
    AddCheck,
    AddColumn,
    AddForeignKey,
    AddIndex,
    AddTable,
    AddUnique,
    Change,
    DropCheck,
    DropColumn,
    DropForeignKey,
    DropIndex,
    DropNotNull,
    DropTable,
    DropUnique,
    Merge,
    Rename,
    Retype,
    SetNotNull,
    Split,
    trigger_names,
)
from bascule.schema.cli import schema_cli
from bascule.schema.databases import Pace
from bascule.schema.engine import Loss, Options, SchemaEngine
from bascule.schema.session import Retry

__all__ = [
    "AddCheck",
    "AddColumn",
    "AddForeignKey",
    "AddIndex",
    "AddTable",
    "AddUnique",
    "Change",
    "DropCheck",
    "DropColumn",
    "DropForeignKey",
    "DropIndex",
    "DropNotNull",
    "DropTable",
    "DropUnique",
    "Loss",
    "Merge",
    "Options",
    "Pace",
    "Progress",
    "Rename",
    "Retry",
    "Retype",
    "SchemaEngine",
    "SetNotNull",
    "Split",
    "schema_cli",
    "trigger_names",
]
