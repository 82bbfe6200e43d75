"""Tables that a change describes."""

from typing import Any

import sqlalchemy as sa
from alembic.operations.ops import CreateTableOp
from sqlalchemy.schema import SchemaItem

__all__ = ["new_table"]


def new_table(name: str, *columns: SchemaItem, **options: Any) -> sa.Table:  # Any: as sa.Table takes them
    """Return a table for AddTable, of what `op.create_table` takes: foreign keys may name tables that are not here."""
    return CreateTableOp(name, columns, **options).to_table()
