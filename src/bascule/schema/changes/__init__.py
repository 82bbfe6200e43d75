"""What an author writes: changes of a table that both releases can live with while they happen.

    Rename(id="secrets-display-name", table="secrets", old="name", new="display_name", type=sa.String(255))
    Split(id="users-names", table="users",
          old={"fullname": sa.String(100)}, new={"first": sa.String(50), "last": sa.String(50)},
          up={"first": {"sqlite": "substr({o.fullname}, 1, instr({o.fullname} || ' ', ' ') - 1)", ...}, ...},
          down={"fullname": {"sqlite": "{n.first} || ' ' || {n.last}", ...}})
    AddColumn(id="users-tenant", table="users", column="tenant", type=sa.String(36), nullable=False, default="legacy")

An expression is one scalar SQL expression without subqueries that always gives the same answer. In changes with two
sides `{o.column}` stands for an old column and `{n.column}` for a new one, elsewhere `{row.column}` for a column;
braces of your own are doubled. It must yield the type of the column it fills (CAST on SQLite). A plain string instead
of a mapping serves every database; the key `mysql` also serves MariaDB.
"""

from bascule.schema.changes.base import Change, ColumnType, Expression, Literal, fill_in, fill_row
from bascule.schema.changes.columns import AddColumn, DropColumn, DropNotNull, SetNotNull
from bascule.schema.changes.constraints import (
    AddCheck,
    AddForeignKey,
    AddUnique,
    DropCheck,
    DropForeignKey,
    DropUnique,
    OnDelete,
)
from bascule.schema.changes.data import Becomes, Blocked, DataMigration, Row, Stale, Transform, data_migration
from bascule.schema.changes.extract_table import ExtractTable
from bascule.schema.changes.indexes import AddIndex, DropIndex
from bascule.schema.changes.names import EVENTS, LONGEST_CHAIN, short_name, trigger_name, trigger_names
from bascule.schema.changes.rename_table import RenameTable
from bascule.schema.changes.split import Merge, Rename, Retype, Split, Synced
from bascule.schema.changes.tables import AddTable, DropTable
from bascule.schema.changes.widen_key import WidenKey

__all__ = [
    "EVENTS",
    "LONGEST_CHAIN",
    "AddCheck",
    "AddColumn",
    "AddForeignKey",
    "AddIndex",
    "AddTable",
    "AddUnique",
    "Becomes",
    "Blocked",
    "Change",
    "ColumnType",
    "DataMigration",
    "DropCheck",
    "DropColumn",
    "DropForeignKey",
    "DropIndex",
    "DropNotNull",
    "DropTable",
    "DropUnique",
    "Expression",
    "ExtractTable",
    "Literal",
    "Merge",
    "OnDelete",
    "Rename",
    "RenameTable",
    "Retype",
    "Row",
    "SetNotNull",
    "Split",
    "Stale",
    "Synced",
    "Transform",
    "WidenKey",
    "data_migration",
    "fill_in",
    "fill_row",
    "short_name",
    "trigger_name",
    "trigger_names",
]
