"""The side with the database: it runs methods of listed classes for those who have no credentials."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from bascule.errors import ObjectError
from bascule.objects.base import Object
from bascule.objects.indirection.answers import error_of, from_wire
from bascule.objects.indirection.remotable import signature_of
from bascule.objects.indirection.tree import release_for
from bascule.objects.spec import IncompatibleObject
from bascule.objects.stored import Store, Stored
from bascule.release import Release

__all__ = ["Indirection"]

Plain = Any
"""Plain JSON values."""

_OF_CLASSES = frozenset({"query", "count"})
_OF_OBJECTS = frozenset({"create", "save", "delete"})


class Indirection:
    """Answers the three calls for these classes. `open_store()` is a transaction with a Database, one for each call.

    Nothing can be called but the methods of `Stored` and those marked `remotable`. Every object goes out at what its
    receiver says that it can read.
    """

    def __init__(
        self, classes: Iterable[type[Stored]], open_store: Callable[[], AbstractContextManager[Store]]
    ) -> None:
        self.classes = {cls.object_name(): cls for cls in classes}
        self.open_store = open_store
        self._calls: dict[str, Callable[..., Plain]] = {
            "object_class_action_versions": self.object_class_action_versions,
            "object_action": self.object_action,
            "object_backport_versions": self.object_backport_versions,
        }

    def answer(self, method: str, arguments: dict[str, Plain]) -> dict[str, Plain]:
        """Return {"result": ...}, or {"error": ...} for errors of objects and calls that make no sense; others pass."""
        call = self._calls.get(method)
        if call is None:
            return error_of(TypeError(f"there is no call {method!r}"))
        try:
            return {"result": call(**arguments)}
        except (ObjectError, TypeError) as wrong:
            return error_of(wrong)

    def object_class_action_versions(
        self,
        objname: str,
        objmethod: str,
        object_versions: Mapping[str, str],
        args: list[Plain],
        kwargs: dict[str, Plain],
    ) -> Plain:
        """Run a class's method and return its result, with every object in it at one of these versions."""
        cls = self._class(objname)
        release = release_for(_seen(cls, objmethod), object_versions)
        with self.open_store() as store:
            if objmethod not in _OF_CLASSES:
                return self._own(cls, cls, store, objmethod, release, args, kwargs)
            where = from_wire(cls, kwargs.pop("where", {}))
            if objmethod == "count":
                return cls.count(store, where)
            return [each.to_primitive(release) for each in cls.query(store, where, **kwargs)]

    def object_action(
        self,
        objinst: Plain,
        objmethod: str,
        args: list[Plain],
        kwargs: dict[str, Plain],
        object_versions: Mapping[str, str],
    ) -> tuple[dict[str, Plain], Plain]:
        """Run an object's method and return its updates and result.

        The updates are the fields that it changed in the object, `obj_what_changed` (what is still unsaved), and
        `obj_release`, the release as which all of this is written.
        """
        each = self._read(objinst)
        release = release_for(_seen(type(each), objmethod), object_versions)
        data = type(each).generated.spec.keys.data
        before = each.to_primitive(release)[data]
        with self.open_store() as store:
            if objmethod in _OF_OBJECTS:
                result = None
                _act(each, store, objmethod, kwargs)
            else:
                result = self._own(type(each), each, store, objmethod, release, args, kwargs)
        after = each.to_primitive(release)
        updates = {name: value for name, value in after[data].items() if before[name] != value}
        changed = after.get(type(each).generated.spec.keys.changes, [])
        return {**updates, "obj_what_changed": changed, "obj_release": str(release)}, result

    def object_backport_versions(self, objinst: Plain, object_versions: Mapping[str, str]) -> Plain:
        """Return the object at one of these versions; nothing in it may be unknown to them."""
        each = self._read(objinst)
        return each.to_primitive(release_for([type(each)], object_versions))

    def _class(self, name: str) -> type[Stored]:
        if name not in self.classes:
            raise IncompatibleObject(name, "?", "it is not served here")
        return self.classes[name]

    def _read(self, primitive: Plain) -> Stored:
        names = (
            [value for key, value in primitive.items() if key.endswith(".name")] if isinstance(primitive, dict) else []
        )
        return self._class(str(names[0]) if names else "?").from_primitive(primitive)

    def _own(
        self,
        cls: type[Stored],
        target: Any,  # Any: the class or an object of it
        store: Store,
        method: str,
        release: Release,
        args: list[Plain],
        kwargs: dict[str, Plain],
    ) -> Plain:
        """Run a remotable method of the service's own."""
        signature = signature_of(cls, method)
        is_of_class = isinstance(inspect.getattr_static(cls, method), classmethod)
        if is_of_class is not isinstance(target, type):
            raise TypeError(f"{cls.object_name()}.{method} is a method of {'the class' if is_of_class else 'objects'}")
        result = getattr(target, method)(store, **signature.from_wire(args, kwargs))
        if signature.result is None:
            return None
        return signature.result.to_wire(result, release)


def _seen(cls: type[Stored], method: str) -> tuple[type[Object], ...]:
    """Return the classes whose objects the answer may hold."""
    return (cls,) if method in _OF_CLASSES | _OF_OBJECTS else signature_of(cls, method).classes


def _act(each: Stored, store: Store, method: str, kwargs: dict[str, Plain]) -> None:
    if method == "create":
        each.create(store)
    else:
        getattr(each, method)(store, expected=from_wire(type(each), kwargs.get("expected", {})))
