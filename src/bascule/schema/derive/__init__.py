"""What each kind of change does to a database, chosen in one table."""

from typing import Any

from bascule.schema.changes import (
    AddCheck,
    AddColumn,
    AddForeignKey,
    AddIndex,
    AddTable,
    AddUnique,
    Change,
    DataMigration,
    DropCheck,
    DropColumn,
    DropForeignKey,
    DropIndex,
    DropNotNull,
    DropTable,
    DropUnique,
    ExtractTable,
    Merge,
    Rename,
    RenameTable,
    Retype,
    SetNotNull,
    Split,
    WidenKey,
)
from bascule.schema.databases import Database
from bascule.schema.derive.base import Derivation, Fence, Known, SomeDerivation
from bascule.schema.derive.columns import AddColumnDerivation, DropColumnDerivation
from bascule.schema.derive.constraints import AddConstraintDerivation, DropConstraintDerivation
from bascule.schema.derive.data import DataMigrationDerivation
from bascule.schema.derive.extract_table import ExtractTableDerivation
from bascule.schema.derive.indexes import AddIndexDerivation, DropIndexDerivation
from bascule.schema.derive.nulls import DropNotNullDerivation, SetNotNullDerivation
from bascule.schema.derive.rename_table import RenameTableDerivation
from bascule.schema.derive.synced import SyncedDerivation
from bascule.schema.derive.tables import AddTableDerivation, DropTableDerivation
from bascule.schema.derive.widen_by_copy import WidenByCopyDerivation
from bascule.schema.derive.widen_key import WidenKeyDerivation

__all__ = ["Derivation", "Fence", "Known", "SomeDerivation", "derive"]

_BY_KIND: dict[type[Change], type[Derivation[Any]]] = {  # Any: each takes its own kind
    AddCheck: AddConstraintDerivation,
    AddColumn: AddColumnDerivation,
    AddForeignKey: AddConstraintDerivation,
    AddIndex: AddIndexDerivation,
    AddTable: AddTableDerivation,
    AddUnique: AddConstraintDerivation,
    DataMigration: DataMigrationDerivation,
    DropCheck: DropConstraintDerivation,
    DropColumn: DropColumnDerivation,
    DropForeignKey: DropConstraintDerivation,
    DropIndex: DropIndexDerivation,
    DropNotNull: DropNotNullDerivation,
    DropTable: DropTableDerivation,
    DropUnique: DropConstraintDerivation,
    ExtractTable: ExtractTableDerivation,
    Merge: SyncedDerivation,
    Rename: SyncedDerivation,
    RenameTable: RenameTableDerivation,
    Retype: SyncedDerivation,
    SetNotNull: SetNotNullDerivation,
    Split: SyncedDerivation,
    WidenKey: WidenKeyDerivation,
}


def derive(change: Change, database: Database, known: Known) -> SomeDerivation:
    """Return what a change does to a database."""
    if isinstance(change, WidenKey) and database.name == "mariadb":
        return WidenByCopyDerivation(change, database, known)
    return _BY_KIND[type(change)](change, database, known)
