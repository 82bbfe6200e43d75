"""The side without credentials: a store whose every statement is a call."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bascule.objects.base import Object
from bascule.objects.careful import place_of
from bascule.objects.indirection.answers import raise_error, to_wire
from bascule.objects.indirection.tree import versions_of
from bascule.objects.spec import IncompatibleObject
from bascule.objects.stored import Query, Stored
from bascule.release import Release

__all__ = ["Carrier", "Remote"]

Plain = Any
"""Plain JSON values."""


class Carrier(Protocol):
    """Takes a call to a process with the database, and brings its answer back."""

    def __call__(self, method: str, arguments: dict[str, Plain]) -> dict[str, Plain]:
        """Return what `Indirection.answer(method, arguments)` does over there."""


def _newest() -> None:
    return None


class Remote:
    """A store for `Stored` in a process without credentials. Each method is a transaction of its own over there.

    `pin` is asked at every call: objects are sent at it, as who answers may be older. Answers come at what this
    process can read. Errors of objects are raised here as they were there. Moments in fields come in whole seconds.
    """

    def __init__(self, call: Carrier, *, pin: Callable[[], Release | None] = _newest) -> None:
        self.call, self.pin = call, pin

    def select(self, cls: type[Stored], query: Query) -> list[Any]:  # Any: objects of this class
        """Return the objects."""
        kwargs = {
            "where": to_wire(cls, query.where, self.pin()),
            "order_by": list(query.order_by),
            "limit": query.limit,
            "offset": query.offset,
        }
        return [cls.from_primitive(each) for each in self.act_on_class(cls, "query", kwargs)]

    def count(self, cls: type[Stored], query: Query) -> int:
        """Return how many objects there are."""
        return int(self.act_on_class(cls, "count", {"where": to_wire(cls, query.where, self.pin())}))

    def insert(self, each: Stored) -> None:
        """Write a new row. A key that the database hands out comes back."""
        self.act_on_object(each, "create", {})

    def update(self, each: Stored, expected: Mapping[str, Any]) -> None:  # Any: values of the fields' own kinds
        """Write the changed fields."""
        self.act_on_object(each, "save", {"expected": to_wire(type(each), expected, self.pin())})

    def delete(self, each: Stored, expected: Mapping[str, Any]) -> None:  # Any: as above
        """Delete the row."""
        self.act_on_object(each, "delete", {"expected": to_wire(type(each), expected, self.pin())})

    def read(self, cls: type[Object], primitive: Plain) -> Any:  # Any: an object of this class
        """Return the object of an envelope; one that is too new here is converted over there first."""
        try:
            return cls.from_primitive(primitive)
        except IncompatibleObject:
            older = self._ask("object_backport_versions", {"objinst": primitive, "object_versions": versions_of(cls)})
            return cls.from_primitive(older)

    def act_on_class(
        self, cls: type[Object], method: str, kwargs: dict[str, Plain], seen: tuple[type[Object], ...] = ()
    ) -> Plain:
        """Call a class's method over there, and return its plain result; `seen` are the classes in that."""
        arguments = {"objname": cls.object_name(), "objmethod": method, "object_versions": versions_of(cls, *seen)}
        return self._ask("object_class_action_versions", {**arguments, "args": [], "kwargs": kwargs})

    def act_on_object(
        self, each: Object, method: str, kwargs: dict[str, Plain], seen: tuple[type[Object], ...] = ()
    ) -> Plain:
        """Call an object's method over there, take over what it changed in the object, and return its plain result."""
        sent = each.to_primitive(self.pin())
        arguments = {"objinst": sent, "objmethod": method, "object_versions": versions_of(type(each), *seen)}
        updates, result = self._ask("object_action", {**arguments, "args": [], "kwargs": kwargs})
        _take_over(each, updates)
        return result

    def _ask(self, method: str, arguments: dict[str, Plain]) -> Plain:
        answer = self.call(method, arguments)
        raise_error(answer)
        return answer["result"]


def _take_over(each: Object, updates: dict[str, Plain]) -> None:
    """Set the fields that changed over there, and no others: some may be newer than whoever answered."""
    spec, release = type(each).generated.spec, Release.parse(updates.pop("obj_release"))
    attributes: dict[str, tuple[str, ...]] = {name: (name,) for name in spec.names}
    attributes |= {older: step.newer for step in spec.changes_after(release) for older in step.older}
    unsaved = {attribute for name in updates.pop("obj_what_changed") for attribute in attributes[name]}
    envelope = each.to_primitive(release)
    envelope[spec.keys.data] |= updates
    fresh = type(each).from_primitive(envelope)
    for attribute in (attribute for name in updates for attribute in attributes[name]):
        field = spec.fields[attribute]
        owned = field.kind.owned(getattr(fresh, attribute), each._changed, place_of(spec, field))  # noqa: SLF001  # the set that collections share
        setattr(each, field.slot, owned)
    each._changed |= unsaved  # noqa: SLF001  # as above
    known = {attribute for field in spec.fields_at(release) for attribute in attributes[field.name]}
    if known - unsaved:
        each.forget_changes(*(known - unsaved))
