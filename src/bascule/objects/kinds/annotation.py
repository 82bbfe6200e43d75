"""From an annotation to its kind; the annotations that Python has no word for are in `bascule.objects.types`."""

import enum
import types
import typing
from datetime import datetime
from typing import Annotated, Any, Literal

from bascule.objects.kinds.containers import ListOf, MapOf, Nullable, SetOf
from bascule.objects.kinds.kind import Kind
from bascule.objects.kinds.nested import Nested, OneOf
from bascule.objects.kinds.raw import Binary
from bascule.objects.kinds.scalars import Plain
from bascule.objects.kinds.texts import ADDRESSES, Address, Choice, Member, Moment, Newer

__all__ = ["kind_of"]

_SCALARS = (str, int, float, bool)


def kind_of(annotation: Any) -> Kind:  # Any: what typing gives for an annotation
    """Return the kind that an annotation asks for. Raises TypeError for one that cannot travel."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    made = _generic(origin, arguments) if origin is not None else _class(annotation)
    if made is None:
        raise TypeError(
            f"{annotation!r} cannot travel between releases; use str, int, float, bool, bytes, datetime, an Enum or "
            "Literal of words, an address of ipaddress, an Object, a type of bascule.objects.types, or X | None, "
            "list[X], set[X], dict[str, X] of these"
        )
    return made


def _class(annotation: Any) -> Kind | None:
    if annotation in _SCALARS:
        return Plain(annotation)
    if annotation in (datetime, bytes):
        return Moment() if annotation is datetime else Binary()
    if annotation in ADDRESSES:
        return Address((annotation,))
    if isinstance(annotation, type) and hasattr(annotation, "object_name"):
        return Nested(annotation)  # type: ignore[arg-type]  # a class of Object, which this layer does not name
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return Member(annotation) if all(isinstance(each.value, str) for each in annotation) else None
    return None


def _generic(origin: Any, arguments: tuple[Any, ...]) -> Kind | None:
    if origin is Annotated:
        return _annotated(arguments[0], arguments[1:])
    if origin is Literal and all(isinstance(each, str) for each in arguments):
        return Choice(arguments)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is list:
        return ListOf(kind_of(arguments[0]))
    if origin is set:
        return SetOf(kind_of(arguments[0]))
    if origin is dict and arguments[0] is str:
        return MapOf(kind_of(arguments[1]))
    return None


def _annotated(annotation: Any, extras: tuple[Any, ...]) -> Kind:
    newer = tuple(each for each in extras if isinstance(each, Newer))
    kind = next((each for each in extras if isinstance(each, Kind)), None) or kind_of(annotation)
    if not newer:
        return kind
    if not isinstance(kind, Choice) or not {word for each in newer for word in (each.value, each.below)} <= {
        *kind.values
    }:
        raise TypeError(f"Newer speaks of words that {annotation!r} has not")
    return Choice(kind.values, newer)


def _union(arguments: tuple[Any, ...]) -> Kind | None:
    rest = tuple(argument for argument in arguments if argument is not type(None))
    if len(rest) < len(arguments):
        return Nullable(kind_of(rest[0] if len(rest) == 1 else typing.Union[rest]))  # noqa: UP007  # made at run time
    if all(each in ADDRESSES for each in rest):
        return Address(rest)
    kinds = tuple(kind_of(each) for each in rest)
    nested = tuple(each for each in kinds if isinstance(each, Nested))
    return OneOf(nested) if nested == kinds else None
