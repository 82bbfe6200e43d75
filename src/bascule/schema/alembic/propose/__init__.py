"""Changes instead of operations: what autogenerate found, told as what both releases can live with."""

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

from bascule.schema.alembic.propose.columns import is_plain, propose_alter, propose_columns
from bascule.schema.alembic.propose.constraints import is_index_of_columns, propose_constraint, propose_index
from bascule.schema.alembic.propose.proposal import Choice, Definition, Maker, Proposal

__all__ = ["Choice", "Definition", "Maker", "Proposal", "propose"]

Found = list[Proposal | Choice]


def propose(operations: Sequence[MigrateOperation], maker: Maker) -> tuple[Found, list[MigrateOperation]]:
    """Return changes in an order in which they can be expanded, and the operations for which there is no change."""
    new = {operation.table_name for operation in operations if isinstance(operation, CreateTableOp)}
    gone: set[tuple[str | None, ...]] = {
        (operation.table_name,) for operation in operations if isinstance(operation, DropTableOp)
    }
    gone |= {(one.table_name, one.column_name) for one in operations if isinstance(one, DropColumnOp)}
    found: Found = []
    left: list[MigrateOperation] = []
    columns: list[AddColumnOp | DropColumnOp] = []
    for operation in operations:
        if _is_in_schema(operation):
            left.append(operation)
        elif isinstance(operation, AddColumnOp | DropColumnOp) and is_plain(operation):
            columns.append(operation)
        elif isinstance(operation, DropIndexOp) and gone & set(_uses(operation)):
            continue  # goes with its table or its columns, in purge
        elif isinstance(operation, CreateIndexOp) and operation.table_name in new and is_index_of_columns(operation):
            continue  # stands in the table's definition
        elif (proposals := _propose_one(operation, operations, maker)) is None:
            left.append(operation)
        else:
            found += proposals
    found += propose_columns(columns, maker)
    return sorted(found, key=lambda proposal: proposal.rank), left


def _propose_one(operation: MigrateOperation, others: Sequence[MigrateOperation], maker: Maker) -> Found | None:
    """Return the proposals that stand for an operation; None when there is no change for it."""
    if isinstance(operation, CreateTableOp):
        of = (other for other in others if isinstance(other, CreateIndexOp) and is_index_of_columns(other))
        indexes = tuple(index for index in of if index.table_name == operation.table_name)
        return [maker.make("AddTable", operation.table_name, (), {"definition": Definition(operation, indexes)})]
    if isinstance(operation, DropTableOp):
        return [maker.make("DropTable", operation.table_name, ("drop",))]
    if isinstance(operation, AlterColumnOp):
        return propose_alter(operation, maker)
    if isinstance(operation, CreateIndexOp | DropIndexOp):
        return propose_index(operation, maker)
    if isinstance(
        operation, CreateUniqueConstraintOp | CreateCheckConstraintOp | CreateForeignKeyOp | DropConstraintOp
    ):
        return propose_constraint(operation, maker)
    return None


def _uses(operation: DropIndexOp) -> Iterator[tuple[str | None, ...]]:
    yield (operation.table_name,)
    yield from ((operation.table_name, column.name) for column in operation.to_index().columns)


def _is_in_schema(operation: MigrateOperation) -> bool:
    """Whether it is about a table of a named schema, of which changes know nothing."""
    options = getattr(operation, "kw", {})
    named = (getattr(operation, "schema", None), options.get("source_schema"), options.get("referent_schema"))
    return any(name is not None for name in named)
