"""Renaming a table: a view of the other name, and the swap of the two."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from bascule.schema.catalog import Table, look_at
from bascule.schema.changes import RenameTable, short_name
from bascule.schema.databases import Impact, Step
from bascule.schema.derive.base import Derivation
from bascule.schema.grants import copied_grants
from bascule.schema.refusals import BadChange

__all__ = ["RenameTableDerivation"]


class RenameTableDerivation(Derivation[RenameTable]):
    """Expand makes a view of the new name, contract swaps the names, purge drops the view of the old one."""

    def spec(self) -> dict[str, object]:
        """Return both names."""
        return {"id": self.change.id, "table": self.change.table, "rename_table": self.change.new}

    def look(self, connection: sa.Connection) -> Table:
        """Return the table under whichever name it has."""
        change = self.change
        name = (
            change.new
            if not _is_table(connection, change.table) and _is_table(connection, change.new)
            else change.table
        )
        return look_at(connection, self.database, change.id, name)

    def check(self, connection: sa.Connection, table: Table) -> None:
        """Refuse a name that is taken and, on SQLite, tables of which a view cannot be written."""
        if sa.inspect(connection).has_table(self.change.new):
            raise BadChange(self.change.id, f"there is a table or view {self.change.new} already")
        if self.database.name == "sqlite":
            self._check_sqlite(connection, table)

    def expand(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the view of the new name."""
        return [self._view(connection, table, self.change.new, self.change.table)]

    def contract(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the swap: the view of the old name is for processes that nobody knows of."""
        return self._swap(connection, table, self.change.table, self.change.new)

    def restore(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the swap back."""
        return self._swap(connection, table, self.change.new, self.change.table)

    def purge(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of the view."""
        del connection, table
        return [self._no_view(self.change.table)]

    def rollback(self, connection: sa.Connection, table: Table) -> list[Step]:
        """Return the drop of the view."""
        del connection, table
        return [self._no_view(self.change.new)]

    def removes(self) -> tuple[str, ...]:
        """Return the old name."""
        return (self.change.table,)

    def is_purged(self, connection: sa.Connection) -> bool:
        """Whether nothing bears the old name."""
        return not sa.inspect(connection).has_table(self.change.table)

    def _swap(self, connection: sa.Connection, table: Table, before: str, after: str) -> list[Step]:
        """Return the steps that give the table another name, and what was its name to a view."""
        quote, needed = self.database.quote, _needed(before)
        if self.database.transactional_ddl:
            rename = f"ALTER TABLE {quote(before)} RENAME TO {quote(after)}"
            view = self._view_sql(connection, table, before, after)
            statements = (f"DROP VIEW {quote(after)}", rename, *view)
            return [Step(f"swap {before} and {after}", statements, needed, impact=self.database.instant)]
        # One statement renames all three, so that no moment is without either name.
        coming, going = (short_name(self.change.id, suffix)[:60] for suffix in ("coming", "going"))
        come = f"CREATE OR REPLACE SQL SECURITY INVOKER VIEW {quote(coming)} AS {self._select(table, after)}"
        swap = (
            f"{quote(after)} TO {quote(going)}, {quote(before)} TO {quote(after)}, {quote(coming)} TO {quote(before)}"
        )
        return [
            Step(
                f"create view {coming}",
                (come,),
                needed,
            ),
            Step(
                f"swap {before} and {after}",
                (f"RENAME TABLE {swap}",),
                needed,
                impact=self.database.instant,
            ),
            self._no_view(coming),
            self._no_view(going),
        ]

    def _view(self, connection: sa.Connection, table: Table, name: str, of: str) -> Step:
        return Step(
            f"create view {name}",
            self._view_sql(connection, table, name, of),
            lambda c: not sa.inspect(c).has_table(name),
            undo=(f"DROP VIEW {self.database.quote(name)}",),
            impact=Impact("none on tables in use", "nobody"),
        )

    def _no_view(self, name: str) -> Step:
        sql = f"DROP VIEW IF EXISTS {self.database.quote(name)}"
        return Step(
            f"drop view {name}", (sql,), lambda c: name in sa.inspect(c).get_view_names(), impact=self.database.instant
        )

    def _view_sql(self, connection: sa.Connection, table: Table, name: str, of: str) -> tuple[str, ...]:
        # Else MariaDB's view would work only as long as there is the user that made it.
        security = "SQL SECURITY INVOKER " if self.database.name == "mariadb" else ""
        view = f"CREATE {security}VIEW {self.database.quote(name)} AS {self._select(table, of)}"
        if self.database.name != "sqlite":
            return (view, *copied_grants(connection, self.database, table.name, name))
        return (view, *self._instead(connection, table, name, of))

    def _select(self, table: Table, of: str) -> str:
        return f"SELECT {self.database.quote_all(list(table.columns))} FROM {self.database.quote(of)}"  # noqa: S608 # quoted names

    def _instead(self, connection: sa.Connection, table: Table, view: str, of: str) -> list[str]:
        """Return SQLite's triggers in the place of writes; a column that was left out gets its default."""
        quote, names = self.database.quote, list(table.columns)
        defaults = {row.name: row.dflt_value for row in _columns(connection, table.name)}
        values = [
            f"NEW.{quote(name)}" if defaults[name] is None else f"coalesce(NEW.{quote(name)}, {defaults[name]})"
            for name in names
        ]
        row = " AND ".join(f"{quote(name)} IS OLD.{quote(name)}" for name in table.key)
        sets = ", ".join(f"{quote(name)} = NEW.{quote(name)}" for name in names)
        base = quote(of)
        bodies = {
            "INSERT": f"INSERT INTO {base} ({self.database.quote_all(names)}) VALUES ({', '.join(values)})",  # noqa: S608 # quoted names
            "UPDATE": f"UPDATE {base} SET {sets} WHERE {row}",  # noqa: S608 # quoted names
            "DELETE": f"DELETE FROM {base} WHERE {row}",  # noqa: S608 # quoted names
        }
        return [
            f"CREATE TRIGGER {quote(short_name(self.change.id, event[:3].lower(), order='v_'))} "
            f"INSTEAD OF {event} ON {quote(view)} FOR EACH ROW BEGIN {body}; END"
            for event, body in bodies.items()
        ]

    def _check_sqlite(self, connection: sa.Connection, table: Table) -> None:
        change = self.change
        if not change.without_row_counts:
            why = "a view of SQLite never tells how many rows a write met, and SQLAlchemy's ORM fails at that"
            raise BadChange(change.id, f"{why}; say without_row_counts=True if the service can do with it")
        rows = _columns(connection, table.name)
        keys = [row for row in rows if row.pk]
        if len(keys) == 1 and keys[0].type.upper() == "INTEGER":
            why = "SQLite itself gives out its keys, and an INSERT into a view cannot tell which one it was given"
            raise BadChange(change.id, f"column {keys[0].name} is the row's number: {why}")
        for row in rows:
            if row.hidden:
                raise BadChange(change.id, f"column {row.name} is generated, and cannot be written through a view")
            if row.dflt_value is not None and not row.notnull:
                why = "a view cannot tell NULL from a column that was left out"
                raise BadChange(change.id, f"column {row.name} allows NULL and has a default: {why}")


def _needed(name: str) -> Callable[[sa.Connection], bool]:
    return lambda connection: _is_table(connection, name)


def _is_table(connection: sa.Connection, name: str) -> bool:
    return name in sa.inspect(connection).get_table_names()


def _columns(connection: sa.Connection, table: str) -> Sequence[sa.Row[tuple[object, ...]]]:
    query = sa.text('SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(:name)')
    return connection.execute(query, {"name": table}).all()
