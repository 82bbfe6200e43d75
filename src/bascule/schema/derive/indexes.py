"""Plain indexes."""

import sqlalchemy as sa

from bascule.schema.catalog import Table
from bascule.schema.changes import AddIndex, DropIndex
from bascule.schema.databases import Step
from bascule.schema.derive.base import Derivation
from bascule.schema.refusals import BadChange

__all__ = ["AddIndexDerivation", "DropIndexDerivation"]


class AddIndexDerivation(Derivation[AddIndex]):
    """Expand builds it while writers go on."""

    def spec(self) -> dict[str, object]:
        """Return the index."""
        change = self.change
        return {"id": change.id, "table": change.table, "add_index": change.name, "columns": list(change.columns)}

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse columns that are not there, and a name that is taken."""
        del connection
        for name in self.change.columns:
            if name not in table.columns:
                raise BadChange(self.change.id, f"table {table.name} has no column {name}")
        if any(index.name == self.change.name for index in table.indexes):
            raise BadChange(self.change.id, f"table {table.name} already has an index {self.change.name}")

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the index."""
        del connection
        return [self.database.create_index(table.name, self.change.name, self.change.columns)]

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return its drop."""
        del connection
        return [self.database.drop_index(table.name, self.change.name)]


class DropIndexDerivation(Derivation[DropIndex]):
    """Contract drops it; the way back builds it again."""

    def spec(self) -> dict[str, object]:
        """Return the index."""
        change = self.change
        return {"id": change.id, "table": change.table, "drop_index": change.name, "columns": list(change.columns)}

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse an index that is not there, or is not what the author takes it for."""
        del connection
        there = {index.name: index for index in table.indexes}
        if self.change.name not in there:
            raise BadChange(self.change.id, f"table {table.name} has no index {self.change.name}")
        index = there[self.change.name]
        if index.columns != tuple(self.change.columns) or not index.is_plain:
            raise BadChange(
                self.change.id, f"index {index.name} is not a plain index on {', '.join(self.change.columns)}"
            )

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return its drop."""
        del connection
        return [self.database.drop_index(table.name, self.change.name)]

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the index again."""
        del connection
        return [self.database.create_index(table.name, self.change.name, self.change.columns)]
