"""The statements: select, count, insert, update and delete rows of objects in the caller's transaction."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from bascule.objects.database.mapping import Mapping as TableMapping
from bascule.objects.database.mapping import mapping_of
from bascule.objects.stored import NoSuchObject, ObjectConflict, Query, RowRefused, Stored
from bascule.release import Release

__all__ = ["Database"]


def _newest() -> None:
    return None


class Database:
    """A connection of the service to its own database, in a transaction that the caller begins and ends.

    `pin` is asked at every statement: nothing that is newer is written. Without one, all is written as the newest
    release does; that is for services that stop as a whole to be upgraded.
    """

    def __init__(self, connection: sa.Connection, *, pin: Callable[[], Release | None] = _newest) -> None:
        self.connection, self.pin = connection, pin

    def select(self, cls: type[Stored], query: Query) -> list[Any]:  # Any: objects of this class
        """Return the objects. Raises UnreadableRow."""
        mapping = mapping_of(cls)
        wanted = sa.select(*mapping.readable(self.pin())).where(*mapping.holds(query.where))
        for name in query.order_by:
            column = mapping.fields[name.removeprefix("-")].column
            wanted = wanted.order_by(column.desc() if name.startswith("-") else column)
        if query.limit is not None or query.offset:
            wanted = wanted.limit(query.limit if query.limit is not None else _ALL).offset(query.offset)
        return self.read(cls, wanted)

    def read(self, cls: type[Stored], statement: "sa.Select[Any]") -> list[Any]:  # Any: as above
        """Return the objects of a statement of the service's own that selects from the class's table.

        Of `sa.select(TABLE).where(...)`, for what `query` has no words for. Raises UnreadableRow.
        """
        mapping, pin = mapping_of(cls), self.pin()
        return [mapping.read(row._asdict(), pin) for row in self._execute(mapping, statement)]

    def count(self, cls: type[Stored], query: Query) -> int:
        """Return how many objects there are."""
        mapping = mapping_of(cls)
        wanted = sa.select(sa.func.count()).select_from(mapping.table).where(*mapping.holds(query.where))
        return int(self._execute(mapping, wanted).scalar_one())

    def rewrite(
        self, cls: type[Stored], *, after: tuple[Any, ...] | None = None, limit: int = 1_000
    ) -> tuple[Any, ...] | None:  # Any: a key
        """Write up to `limit` rows again as the pin has them, in the order of keys; return the last key, or None.

        Begin without `after`, and go on with the key until it is None, each time in a transaction of its own; safe to
        do again. Do it when the pin was lowered, before a process of the older release starts: words, objects and
        older columns that newer processes wrote are unreadable to it. Other writers of the rows wait for the end of
        the transaction. Raises UnreadableRow.
        """
        mapping, pin = mapping_of(cls), self.pin()
        key = [mapping.fields[name].column for name in mapping.key]
        wanted = sa.select(*mapping.readable(pin)).order_by(*key).limit(limit).with_for_update()
        if after is not None:
            wanted = wanted.where(sa.tuple_(*key) > sa.tuple_(*after))
        rows = [row._asdict() for row in self._execute(mapping, wanted)]
        for row in rows:
            each = mapping.read(row, pin)
            if values := mapping.rewritten(each, row, pin):
                self._change_one(sa.update(mapping.table).values(values), mapping, each, {})
        return tuple(rows[-1][column.name] for column in key) if len(rows) == limit else None

    def insert(self, each: Stored) -> None:
        """Write a new row; a key that the database hands out is read back. Raises ObjectConflict, RowRefused.

        A key that is taken undoes this insert alone, and the transaction goes on.
        """
        mapping = mapping_of(type(each))
        values, covered = mapping.write(each, mapping.spec.names, self.pin())
        by_database = [name for name in mapping.key if getattr(each, name) is None]
        for name in by_database:
            values.pop(mapping.fields[name].column.name)
        # Only PostgreSQL ends a transaction with a statement's failure; SQLite's driver would commit with a savepoint.
        alone = self.connection.begin_nested if self.connection.dialect.name == "postgresql" else nullcontext
        try:
            with alone():
                made = self._execute(mapping, sa.insert(mapping.table).values(values))
        except RowRefused:
            if not by_database and self._exists(mapping, each):
                raise ObjectConflict(mapping.spec.name, mapping.key) from None
            raise
        for name in by_database:
            made_key = dict(zip(mapping.key, made.inserted_primary_key or (), strict=True))
            setattr(each, mapping.spec.fields[name].slot, mapping.fields[name].from_column(made_key[name]))
        each.forget_changes(*covered)

    def update(self, each: Stored, expected: Mapping[str, Any]) -> None:  # Any: values of the fields' own kinds
        """Write the changed fields. Raises NoSuchObject, ObjectConflict, RowRefused."""
        mapping = mapping_of(type(each))
        values, covered = mapping.write(each, each.changed(), self.pin())
        if values:
            self._change_one(sa.update(mapping.table).values(values), mapping, each, expected)
        elif expected and not self._exists(mapping, each, *mapping.holds(expected)):
            self._refuse(mapping, each, expected)
        if covered:
            each.forget_changes(*covered)

    def delete(self, each: Stored, expected: Mapping[str, Any]) -> None:  # Any: as above
        """Delete the row. Raises NoSuchObject, ObjectConflict, RowRefused."""
        mapping = mapping_of(type(each))
        self._change_one(sa.delete(mapping.table), mapping, each, expected)

    def _change_one(
        self, statement: sa.Update | sa.Delete, mapping: TableMapping, each: Stored, expected: Mapping[str, Any]
    ) -> None:
        done = self._execute(mapping, statement.where(*_is_row(mapping, each), *mapping.holds(expected)))
        # On all three databases the count is of rows that match, also where nothing in them changes.
        if done.rowcount == 0:
            self._refuse(mapping, each, expected)

    def _refuse(self, mapping: TableMapping, each: Stored, expected: Mapping[str, Any]) -> None:
        if expected and self._exists(mapping, each):
            raise ObjectConflict(mapping.spec.name, expected)
        raise NoSuchObject(mapping.spec.name)

    def _exists(self, mapping: TableMapping, each: Stored, *conditions: "sa.ColumnElement[bool]") -> bool:
        found = sa.select(sa.literal(1)).select_from(mapping.table).where(*_is_row(mapping, each), *conditions)
        return self._execute(mapping, found).first() is not None

    def _execute(self, mapping: TableMapping, statement: "sa.Executable") -> "sa.CursorResult[Any]":
        """Execute the statement without its parameters in any error's text: they are what objects hold."""
        try:
            return self.connection.execute(statement)
        except (DataError, IntegrityError) as wrong:
            raise RowRefused(mapping.spec.name, type(wrong.orig).__name__) from None
        except StatementError as wrong:
            wrong.hide_parameters = True
            raise


_ALL = 2**63 - 1
"""The limit of a query with an offset alone; SQLite and MariaDB have no offset without a limit."""


def _is_row(mapping: TableMapping, each: Stored) -> "list[sa.ColumnElement[bool]]":
    """Return the conditions that a row is the object's."""
    return mapping.holds({name: getattr(each, name) for name in mapping.key})
