"""Versioned objects that have a row in a database table, whoever reaches the database for them."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol, Self

from bascule.errors import ObjectError
from bascule.objects.base import Object
from bascule.objects.fields import Field

__all__ = ["NoSuchObject", "ObjectConflict", "Query", "RowRefused", "Store", "Stored", "UnreadableRow"]


class NoSuchObject(ObjectError):
    """There is no row with this key; somebody may have deleted it."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no {name} with this key; query for it, or create it")


class ObjectConflict(ObjectError):
    """The row does not hold what was expected of it, or its key is taken; nothing was written."""

    def __init__(self, name: str, expected: Iterable[str]) -> None:
        self.name, self.expected = name, tuple(expected)
        super().__init__(f"{name} has another {' or '.join(self.expected)} by now; get it again and decide anew")


class UnreadableRow(ObjectError):
    """A row holds what its class cannot: it was written by other means, or by a release beyond the pin."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"a row of {name} cannot be read here: {reason}; compare the table with the class")


class RowRefused(ObjectError):
    """The database refused a row: a constraint, or a value that its column does not hold; nothing was written."""

    def __init__(self, name: str, error: str) -> None:
        self.name, self.error = name, error
        super().__init__(f"the database refused a row of {name} ({error}); compare its constraints with the class")


class Query:
    """Which objects are wanted, and in which order; made by `Stored.query` and `Stored.count`.

    `where` maps a field to a value, None, or several values of which it must be one. A name in `order_by` with a
    minus before it sorts downwards.
    """

    __slots__ = ("limit", "offset", "order_by", "where")

    def __init__(
        self,
        where: Mapping[str, Any],  # Any: values of the fields' own kinds
        order_by: Iterable[str] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> None:
        self.where, self.order_by, self.limit, self.offset = dict(where), tuple(order_by), limit, offset


class Store(Protocol):
    """What reaches the rows: `bascule.objects.database.Database`, or `bascule.objects.indirection.Remote`."""

    def select(self, cls: "type[Stored]", query: Query) -> "list[Any]":
        """Return the objects; Any: of this class."""

    def count(self, cls: "type[Stored]", query: Query) -> int:
        """Return how many there are."""

    def insert(self, each: "Stored") -> None:
        """Write a new row, and take the object for unchanged as far as it was written."""

    def update(self, each: "Stored", expected: Mapping[str, Any]) -> None:
        """Write the changed fields if the row holds what is expected."""

    def delete(self, each: "Stored", expected: Mapping[str, Any]) -> None:
        """Delete the row if it holds what is expected."""


class Stored(Object):
    """Base of objects with a row: `class Order(Stored, table=ORDERS): id: str; ...`.

    `table` is an SQLAlchemy table. Each field has the column of its name, or the one that `columns` gives it; None
    there says that the field is not kept in the table. The fields of the table's primary key are the key.
    """

    __slots__ = ()

    table: ClassVar[Any] = None  # Any: an SQLAlchemy Table, which this module does not need
    columns: ClassVar[Mapping[str, str | None]] = {}

    def __init_subclass__(
        cls,
        *,
        table: Any = None,  # Any: as above
        columns: Mapping[str, str | None] | None = None,
        **options: Any,  # Any: those of Object
    ) -> None:
        super().__init_subclass__(**options)
        cls.columns = {**cls.columns, **(columns or {})}
        if table is not None:
            cls.table = table

    @classmethod
    def key_fields(cls) -> tuple[str, ...]:
        """Return the fields of the primary key, in the table's order."""
        by_column = {cls.columns.get(name, name): name for name in cls.fields()}
        return tuple(by_column[column.name] for column in cls.table.primary_key.columns)

    @classmethod
    def get(cls, store: Store, *key: Any) -> Self:  # Any: values of the key's own kinds
        """Return the object with this key. Raises NoSuchObject."""
        found = store.select(cls, Query(cls._checked(dict(zip(cls.key_fields(), key, strict=True))), limit=1))
        if not found:
            raise NoSuchObject(cls.object_name())
        each: Self = found[0]
        return each

    @classmethod
    def query(
        cls,
        store: Store,
        where: Mapping[str, Any] | None = None,  # Any: values of the fields' own kinds
        *,
        order_by: Iterable[str] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Self]:
        """Return the objects whose fields are `where` says: a value, None, or a list of values that it may be.

        In the order of the fields of `order_by`, `-name` for downwards, and then of the key. Raises TypeError for
        what is no field, and for a value of another kind.
        """
        order = (*order_by, *(name for name in cls.key_fields() if name not in {*order_by}))
        if unknown := sorted({name.removeprefix("-") for name in order} - cls._spec.names):
            raise TypeError(f"{cls._spec.name} has no fields {unknown} to sort by")
        found: list[Self] = store.select(cls, Query(cls._checked(where or {}), order, limit, offset))
        return found

    @classmethod
    def count(cls, store: Store, where: Mapping[str, Any] | None = None) -> int:  # Any: as in query
        """Return how many objects `query` would."""
        return store.count(cls, Query(cls._checked(where or {})))

    def create(self, store: Store) -> None:
        """Write a new row. Raises ObjectConflict when the key is taken.

        A field newer than the pin is not written, and stays changed, so that saving after the lift writes it.
        """
        store.insert(self)

    def save(self, store: Store, *, expected: Mapping[str, Any] | None = None) -> None:  # Any: as in query
        """Write the changed fields and no others; with `expected`, only if the row holds these values.

        What others wrote into other fields meanwhile stays, also into those that this release does not know. A
        field newer than the pin is not written, as in `create`. Raises NoSuchObject, and ObjectConflict when the
        row holds something else; nothing is written then, and the object stays changed.
        """
        if renamed := self.changed() & {*self.key_fields()}:
            raise TypeError(f"{sorted(renamed)} is the key of a row; create the object, or leave its key alone")
        store.update(self, self._checked(expected or {}))

    def delete(self, store: Store, *, expected: Mapping[str, Any] | None = None) -> None:  # Any: as in query
        """Delete the row; with `expected`, only if it holds these values. Raises NoSuchObject, ObjectConflict."""
        store.delete(self, self._checked(expected or {}))

    @classmethod
    def _checked(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        known: dict[str, Field] = {each.name: each for each in cls._spec.attributes}
        checked: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known or cls.columns.get(name, name) is None:
                raise TypeError(f"{cls._spec.name} has no field {name!r} in its table")
            try:
                checked[name] = _one_or_several(known[name], value)
            except ValueError as wrong:
                raise cls._spec.refuse_value(known[name], str(wrong)) from None
        return checked


def _one_or_several(each: Field, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, (list, tuple, set, frozenset)) and not each.kind.collects():
        return [each.kind.checked(item) for item in value]
    return each.kind.checked(value)
