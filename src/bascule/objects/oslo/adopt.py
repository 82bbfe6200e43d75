"""Methods of existing classes replaced in place, where that changes nothing but their speed; and put back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import CodeType, TracebackType
from typing import Any, Self

from oslo_versionedobjects import base

from bascule.objects.oslo.pinned import pinned
from bascule.objects.oslo.reading import make_reader
from bascule.objects.oslo.stock import FIELD_GETTER, FIELD_SETTER, STOCK, stock_of
from bascule.objects.oslo.writing import make_attr_is_set, make_what_changed, make_writer

__all__ = ["Adopted", "adopt"]

Ovo = type[base.VersionedObject]

_NEEDED = (
    "__getattribute__",
    "__setattr__",
    "__delattr__",
    "_obj_primitive_key",
    "_obj_primitive_field",
    "obj_fields",
    "obj_attr_is_set",
    "obj_to_primitive",
)
"""What the replaced methods stand for or count on; a class that has its own of these keeps all of its methods."""


@dataclass
class Adopted:
    """What `adopt` did. As a context manager, it undoes that at the end of the block."""

    accelerated: tuple[Ovo, ...] = ()
    left_alone: dict[Ovo, str] = field(default_factory=dict)
    """Classes that keep all or some of their own methods, each with the reason. They are pinned all the same."""
    _before: list[tuple[Ovo, str, Any]] = field(default_factory=list, repr=False)

    def undo(self) -> None:
        """Put the methods back that the classes had. Safe to call again."""
        while self._before:
            cls, name, before = self._before.pop()
            if before is _ABSENT:
                delattr(cls, name)
            else:
                setattr(cls, name, before)

    def replace(self, cls: Ovo, name: str, method: Any) -> None:
        """Give the class a method, and remember what it had."""
        self._before.append((cls, name, cls.__dict__.get(name, _ABSENT)))
        setattr(cls, name, method)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


_ABSENT = object()


def adopt(classes: Iterable[Ovo], *, versions: Callable[[], Mapping[str, str]] | None = None) -> Adopted:
    """Make classes of oslo.versionedobjects faster in place, and pin what they send.

    Call it when all classes are registered. What they give and take stays the same to the byte: every kind of field,
    `obj_load_attr`, remotable methods, overridden `obj_make_compatible`, `obj_what_changed` and `__init__`, and
    ObjectListBase. A class that has its own of what would be replaced keeps it, and so do subclasses that are not
    among `classes`.

    `versions` returns the version of each object at the live pin, {name: version}, and is asked at every
    `obj_to_primitive()` that names no version: what is newer is converted as the class says. Unlike in
    oslo.versionedobjects, that reaches objects in dicts, and an object that the pin does not know raises NotAtPin
    instead of being sent as it is. An empty mapping pins nothing.
    """
    adopted = Adopted()
    ours = list(classes)
    adopted.accelerated = tuple(cls for cls in ours if _accelerate(adopted, cls))
    if versions is not None:
        for cls in ours:
            adopted.replace(cls, "obj_to_primitive", pinned(cls, cls.obj_to_primitive, versions))
    return adopted


def _accelerate(adopted: Adopted, cls: Ovo) -> bool:
    if reason := _obstacle(cls):
        adopted.left_alone[cls] = reason
        return False
    reads = stock_of(cls, "_obj_from_primitive") is STOCK["_obj_from_primitive"]
    changes = stock_of(cls, "obj_what_changed") is STOCK["obj_what_changed"]
    adopted.replace(cls, "obj_attr_is_set", make_attr_is_set(cls))
    if changes:
        adopted.replace(cls, "obj_what_changed", make_what_changed(cls))
    adopted.replace(cls, "obj_to_primitive", make_writer(cls, own_changes=not changes))
    if reads:
        adopted.replace(cls, "_obj_from_primitive", make_reader(cls))
    else:
        adopted.left_alone[cls] = "it has its own _obj_from_primitive, which stays; the rest is replaced"
    return True


def _obstacle(cls: Ovo) -> str | None:
    """Return why the class keeps all of its methods, if it does."""
    for name in _NEEDED:
        if stock_of(cls, name) is not STOCK[name]:
            return f"it has its own {name}"
    if hasattr(cls, "__getattr__"):
        return "it has a __getattr__"
    for name in cls.fields:
        found = getattr(cls, name, None)
        if _code(getattr(found, "fget", None)) is not FIELD_GETTER or _code(getattr(found, "fset", None)) is not (
            FIELD_SETTER
        ):
            return f"its {name} is not the property that registering the class makes"
        if hasattr(cls, f"_obj_{name}"):
            return f"it holds a value of {name} for all of its objects"
    if "__dict__" not in dir(cls):
        return "its objects have slots"
    return None


def _code(function: Any) -> CodeType | None:
    found: CodeType | None = getattr(function, "__code__", None)
    return found
