"""What widening a key is on every database: which column, and that it is there."""

from bascule.schema.catalog import Table
from bascule.schema.changes import WidenKey
from bascule.schema.derive.base import Derivation
from bascule.schema.refusals import BadChange

__all__ = ["WidenDerivation"]


class WidenDerivation(Derivation[WidenKey]):
    """What the two ways to widen have in common."""

    def spec(self) -> dict[str, object]:
        """Return the column."""
        return {"id": self.change.id, "table": self.change.table, "widen": self.change.column}

    def kind(self, table: Table) -> str:
        """Return the column's type. Raises BadChange when there is no such column."""
        if self.change.column not in table.columns:
            raise BadChange(self.change.id, f"table {table.name} has no column {self.change.column}")
        return table.columns[self.change.column].type

    def remember(self, table: Table) -> dict[str, object]:
        """Return the type."""
        return {"type": table.columns[self.change.column].type}
