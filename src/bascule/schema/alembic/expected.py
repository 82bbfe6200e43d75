"""What the declared changes will leave behind, so that autogenerate does not propose it, or its opposite, once more.

While a change is on its way, the database has what the models no longer have (an old column), lacks what they have (a
constraint that binds in contract), and holds what is ours. An operation is explained when its outcome is the one that
the last declared change of the same thing brings.
"""

from collections.abc import Iterator, Sequence

from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateCheckConstraintOp,
    CreateForeignKeyOp,
    CreateIndexOp,
    CreateTableOp,
    CreateUniqueConstraintOp,
    DropColumnOp,
    DropConstraintOp,
    DropIndexOp,
    DropTableOp,
    MigrateOperation,
)

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
    SetNotNull,
    Synced,
)

__all__ = ["Expected", "is_ours"]

Key = tuple[object, ...]
Fact = tuple[Key, bool]


def is_ours(kind: str, name: str | None) -> bool:
    """Whether a table or an index is one of those that bascule makes for itself."""
    return bool(name) and str(name).startswith({"table": "bascule_", "index": "bsc_"}.get(kind, "\0"))


class Expected:
    """The outcome of declared changes, thing by thing: whether it will be there."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._will_be = {
            key: there for change in changes for outcome in (_columns, _constraints) for key, there in outcome(change)
        }

    def reduce(self, operation: MigrateOperation, others: Sequence[MigrateOperation]) -> MigrateOperation | None:
        """Return the operation without what is explained; None when nothing is left of it."""
        if isinstance(operation, AlterColumnOp):
            return self._reduce_alter(operation)
        aims = (*_aims_at_columns(operation), *_aims_at_constraints(operation))
        if any(self._will_be.get(key) is there for key, there in aims):
            return None
        # Some databases keep unique columns as an index only: then Alembic drops the one kind to add the other.
        same = {key for other in others for key, there in _aims_at_constraints(other) if there}
        for kind, table, *name in (key for key, there in aims if not there and key[0] in {"unique", "index"}):
            if self._will_be.get(("unique", table, *name)) and {("unique", table, *name), (kind, table, *name)} & same:
                return None
        return operation

    def _reduce_alter(self, operation: AlterColumnOp) -> AlterColumnOp | None:
        at = (operation.table_name, operation.column_name)
        if operation.modify_nullable is not None and self._will_be.get(("null", *at)) is operation.modify_nullable:
            operation.modify_nullable = None
        # A default that serves writers who leave the column out; the models need not know of it.
        if self._will_be.get(("default", *at)) and operation.modify_server_default is None:
            operation.modify_server_default = False
        return operation if operation.has_changes() else None


def _columns(change: Change) -> Iterator[Fact]:
    table = change.table
    if isinstance(change, Synced):
        split = change.as_split()
        yield from ((("column", table, name), False) for name in split.old)
        for name in split.new:
            yield ("column", table, name), True
            yield ("null", table, name), True
    elif isinstance(change, AddColumn):
        yield ("column", table, change.column), True
        yield ("null", table, change.column), change.nullable
        yield ("default", table, change.column), change.default is not None
    elif isinstance(change, DropColumn):
        yield ("column", table, change.column), False
    elif isinstance(change, SetNotNull | DropNotNull):
        yield ("null", table, change.column), isinstance(change, DropNotNull)
    elif isinstance(change, AddTable | DropTable):
        yield ("table", table), isinstance(change, AddTable)


def _constraints(change: Change) -> Iterator[Fact]:
    table = change.table
    if isinstance(change, AddIndex | DropIndex):
        yield ("index", table, change.name), isinstance(change, AddIndex)
    elif isinstance(change, AddUnique | DropUnique):
        for kind in ("unique", "index"):
            yield (kind, table, change.name), isinstance(change, AddUnique)
    elif isinstance(change, AddForeignKey | DropForeignKey):
        yield _foreign_key(table, change.columns, change.refers_to), isinstance(change, AddForeignKey)
    elif isinstance(change, AddCheck | DropCheck):
        yield ("check", table, change.name), isinstance(change, AddCheck)


def _aims_at_columns(operation: MigrateOperation) -> Iterator[Fact]:
    """Yield what an operation on tables or columns is there for."""
    if isinstance(operation, AddColumnOp):
        yield ("column", operation.table_name, operation.column.name), True
    elif isinstance(operation, DropColumnOp):
        yield ("column", operation.table_name, operation.column_name), False
    elif isinstance(operation, CreateTableOp | DropTableOp):
        yield ("table", operation.table_name), isinstance(operation, CreateTableOp)
    elif isinstance(operation, DropIndexOp):
        yield ("table", operation.table_name), False  # it goes with its table, and with its columns
        for column in operation.to_index().columns:
            yield ("column", operation.table_name, column.name), False


def _aims_at_constraints(operation: MigrateOperation) -> Iterator[Fact]:
    """Yield what an operation on indexes or constraints is there for."""
    if isinstance(operation, CreateIndexOp | DropIndexOp):
        yield ("index", operation.table_name, operation.index_name), isinstance(operation, CreateIndexOp)
    elif isinstance(operation, CreateUniqueConstraintOp):
        yield ("unique", operation.table_name, operation.constraint_name), True
    elif isinstance(operation, CreateCheckConstraintOp):
        yield ("check", operation.table_name, operation.constraint_name), True
    elif isinstance(operation, CreateForeignKeyOp):
        yield _foreign_key(operation.source_table, operation.local_cols, operation.referent_table), True
    elif isinstance(operation, DropConstraintOp) and operation.constraint_type == "foreignkey":
        reverse = operation.reverse()
        if isinstance(reverse, CreateForeignKeyOp):
            yield _foreign_key(reverse.source_table, reverse.local_cols, reverse.referent_table), False
    elif isinstance(operation, DropConstraintOp):
        yield (operation.constraint_type, operation.table_name, operation.constraint_name), False


def _foreign_key(table: str, columns: Sequence[str], refers_to: str) -> Key:
    return ("foreign key", table, tuple(columns), refers_to)
