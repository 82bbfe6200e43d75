"""Whole tables that come and go."""

import sqlalchemy as sa

from bascule.schema.catalog import Table
from bascule.schema.changes import AddTable, DropTable
from bascule.schema.databases import Step
from bascule.schema.derive.base import Derivation
from bascule.schema.refusals import BadChange

__all__ = ["AddTableDerivation", "DropTableDerivation"]


class AddTableDerivation(Derivation[AddTable]):
    """Expand creates it with its indexes."""

    makes_table = True

    def spec(self) -> dict[str, object]:
        """Return the definition as SQL."""
        steps = self.database.create_table(self.change.definition)
        return {
            "id": self.change.id,
            "table": self.change.table,
            "add_table": [sql for step in steps for sql in step.statements],
        }

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse a table that is there."""
        del connection
        if table.columns:
            raise BadChange(self.change.id, f"there is a table {table.name} already")

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the table."""
        del connection, table
        return self.database.create_table(self.change.definition)

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return its drop."""
        del connection
        return [self.database.drop_table(table.name)]

    def loses(self) -> str:
        """Say that the table goes with its rows."""
        return f"the rows of table {self.change.table}"


class DropTableDerivation(Derivation[DropTable]):
    """Purge drops it; until then it only is not used."""

    def spec(self) -> dict[str, object]:
        """Return its name."""
        return {"id": self.change.id, "drop_table": self.change.table}

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse a table that is not there, or that others refer to."""
        inspector = sa.inspect(connection)
        for owner in inspector.get_table_names():
            if owner != table.name and any(
                key["referred_table"] == table.name for key in inspector.get_foreign_keys(owner)
            ):
                raise BadChange(self.change.id, f"a foreign key of {owner} refers to it; drop that first")

    def purge(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return its drop."""
        del connection
        return [self.database.drop_table(table.name)]

    def removes(self) -> tuple[str, ...]:
        """Return the table."""
        return (self.change.table,)

    def is_purged(self, connection: sa.Connection) -> bool:
        """Whether it is gone."""
        return not sa.inspect(connection).has_table(self.change.table)
