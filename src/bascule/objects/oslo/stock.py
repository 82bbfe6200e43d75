"""What oslo.versionedobjects itself does: the methods that a class has when it overrides nothing."""

import inspect
from types import CodeType
from typing import Any

from oslo_versionedobjects import base

__all__ = ["FIELD_GETTER", "FIELD_SETTER", "STOCK", "mark", "stock_of"]

_PROPERTIES = {
    each.co_name: each
    for each in base._make_class_properties.__code__.co_consts  # noqa: SLF001  # there is no public word for it
    if isinstance(each, CodeType)
}
FIELD_GETTER, FIELD_SETTER = _PROPERTIES["getter"], _PROPERTIES["setter"]

_NAMES = (
    "__getattribute__",
    "__setattr__",
    "__delattr__",
    "_obj_from_primitive",
    "_obj_primitive_field",
    "_obj_primitive_key",
    "obj_attr_is_set",
    "obj_class_from_name",
    "obj_fields",
    "obj_from_primitive",
    "obj_name",
    "obj_to_primitive",
    "obj_what_changed",
)


def stock_of(cls: type, name: str) -> Any:  # Any: functions and descriptors
    """Return the function behind the class's attribute; behind one that we put there, the one that it stands for."""
    found = inspect.getattr_static(cls, name)
    while isinstance(found, classmethod):
        found = found.__func__
    return getattr(found, "_bascule_stands_for", found)


def mark(function: Any, name: str) -> Any:  # Any: as above
    """Return the function, marked as one that stands for the stock one of this name, with its name and docstring."""
    stock = STOCK[name]
    function.__name__, function.__qualname__, function.__doc__ = name, stock.__qualname__, stock.__doc__
    function._bascule_stands_for = stock  # noqa: SLF001  # our own word
    return function


STOCK = {name: stock_of(base.VersionedObject, name) for name in _NAMES}
