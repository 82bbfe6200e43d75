"""Widening a key on MariaDB: the table is copied with the wider column, beside its writers, and takes its own place."""

import sqlalchemy as sa

from bascule.schema.catalog import Table
from bascule.schema.derive.widen import WidenDerivation
from bascule.schema.refusals import BadChange, RowsInTheWay
from bascule.schema.rows import ReshapeRows, sql
from bascule.schema.table_copy.catalog import why_not
from bascule.schema.table_copy.names import CopyNames

__all__ = ["WidenByCopyDerivation"]

_BITS = {"smallint": 16, "mediumint": 24, "int": 32}


class WidenByCopyDerivation(WidenDerivation):
    """Migrate copies the table with a bigint, which both releases can read; rollback copies it back."""

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse other types than narrow integers, and tables that cannot be copied."""
        change = self.change
        kind = self.kind(table)
        if kind not in _BITS:
            raise BadChange(change.id, f"column {change.column} is of type {kind}, not {', '.join(_BITS)}")
        if why := why_not(connection, table.name, CopyNames(change.id)):
            raise BadChange(change.id, f"MariaDB has to copy the table for that, and cannot beside its writers: {why}")

    def rows(self) -> ReshapeRows:
        """Return that the column becomes a bigint."""
        return ReshapeRows(self.change.id, self.change.table, self.change.column, "bigint")

    def rows_to_restore(self) -> None:
        """Return nothing: contract does not do anything here."""

    def rows_to_roll_back(self) -> ReshapeRows:
        """Return that the column becomes what it was."""
        return ReshapeRows(self.change.id, self.change.table, self.change.column, self._narrow)

    def refuse_rollback(self, connection: sa.Connection) -> None:
        """Raise RowsInTheWay where a value is there that the narrow column cannot hold."""
        change = self.change
        column, bits = self.database.quote(change.column), _BITS[self._narrow]
        unsigned = "unsigned" in str(
            connection.scalar(
                sa.text(
                    "SELECT column_type FROM information_schema.columns "
                    "WHERE table_schema = database() AND table_name = :table AND column_name = :column"
                ),
                {"table": change.table, "column": change.column},
            )
        )
        low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        wide = sql(f"({column} NOT BETWEEN {low} AND {high})")
        query = sa.select(sa.func.count()).select_from(sa.table(change.table)).where(wide)
        if rows := int(connection.scalar(query) or 0):
            what = f"have a {change.column} that the old release's type cannot hold"
            raise RowsInTheWay(change.id, change.table, rows, what)

    def count_wrong(self, connection: sa.Connection) -> int | None:
        """Return all rows while the column is narrow."""
        kind = self.database.columns(connection, self.change.table)[self.change.column].type
        query = sa.select(sa.func.count()).select_from(sa.table(self.change.table))
        return 0 if kind == "bigint" else int(connection.scalar(query) or 0)

    @property
    def _narrow(self) -> str:
        return str((self.known.before or {}).get("type", "int"))
