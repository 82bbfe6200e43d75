"""From a class body to fields: annotations, `field(...)` and hand-written changes, checked when the class is made."""

import inspect
import sys
import typing
from collections.abc import Collection
from typing import Any, ClassVar

from bascule.objects.change import Change
from bascule.objects.fields import MISSING, Declared, Field
from bascule.objects.kinds import Kind, kind_of

__all__ = ["annotated_names", "own_fields"]


def annotated_names(namespace: dict[str, Any]) -> list[str]:  # Any: a class body
    """Return the names that a class body annotates, but for private ones, before there is a class to ask."""
    found = namespace.get("__annotations__")
    if found is None and sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415  # new in 3.14, where annotations became lazy

        annotate = annotationlib.get_annotate_from_class_namespace(namespace)
        if annotate is not None:
            found = annotationlib.call_annotate_function(annotate, annotationlib.Format.FORWARDREF)
    return [name for name in found or {} if not name.startswith("_")]


def own_fields(cls: type, changes: tuple[Change, ...], taken: Collection[str]) -> dict[str, Field]:
    """Return the fields that the class adds to its base's. Raises TypeError for what cannot travel."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found = {}
    for name in inspect.get_annotations(cls):
        if name.startswith("_") or typing.get_origin(hints[name]) is ClassVar:
            continue
        if name in taken:
            raise TypeError(f"{cls.__name__}.{name} would hide a method of every object; choose another name")
        found[name] = _field_of(cls, name, kind_of(hints[name]), changes)
    for each in changes:
        _check_change(cls, each, found)
    return found


def _field_of(cls: type, name: str, kind: Kind, changes: tuple[Change, ...]) -> Field:
    said = cls.__dict__.get(name, MISSING)
    declared = said if isinstance(said, Declared) else Declared(default=said)
    wire_only = any(name in each.older for each in changes)
    default = declared.default
    if default is not MISSING:
        try:
            default = kind.checked(default)
        except ValueError as wrong:
            raise TypeError(f"the default of {cls.__name__}.{name} {wrong}") from None
    elif declared.factory is None and not wire_only and not any(name in each.newer for each in changes):
        for word, release in (("since", declared.since), ("until", declared.until)):
            if release is not None:
                raise TypeError(f"{cls.__name__}.{name} exists {word} {release} and so needs a default")
    if said is not MISSING:
        delattr(cls, name)  # the class gets a property of that name
    return Field(
        name,
        kind,
        declared.since,
        default,
        declared.sensitive,
        declared.until,
        declared.factory,
        declared.read_only,
        declared.moves,
        wire_only,
    )


def _check_change(cls: type, each: Change, fields: dict[str, Field]) -> None:
    for names, bound in ((each.newer, "since"), (each.older, "until")):
        for name in names:
            if name not in fields or getattr(fields[name], bound) != each.since:
                raise TypeError(f"the change of {cls.__name__} in {each.since} needs a field {name} {bound} then")
