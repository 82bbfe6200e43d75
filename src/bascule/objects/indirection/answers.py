"""What travels between both sides: conditions, and errors that keep their class."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bascule.errors import ObjectError
from bascule.objects.spec import IncompatibleObject
from bascule.objects.stored import NoSuchObject, ObjectConflict, RowRefused, Stored, UnreadableRow
from bascule.release import Release

__all__ = ["error_of", "from_wire", "raise_error", "to_wire"]

Plain = Any
"""Plain JSON values."""

_ERRORS: dict[str, tuple[type[Exception], tuple[str, ...]]] = {
    "NoSuchObject": (NoSuchObject, ("name",)),
    "ObjectConflict": (ObjectConflict, ("name", "expected")),
    "UnreadableRow": (UnreadableRow, ("name", "reason")),
    "RowRefused": (RowRefused, ("name", "error")),
    "IncompatibleObject": (IncompatibleObject, ("name", "version", "reason")),
}


def to_wire(cls: type[Stored], values: Mapping[str, Any], pin: Release | None) -> dict[str, Plain]:
    """Return conditions, checked by the class, as they travel; moments with their fractions of a second."""
    return {name: _each(cls, name, value, lambda kind, one: _plain(kind, one, pin)) for name, value in values.items()}


def from_wire(cls: type[Stored], values: Mapping[str, Plain]) -> dict[str, Any]:
    """Return conditions as the class takes them. Raises TypeError for an unknown field or a value of another kind."""
    unknown = sorted(values.keys() - cls.generated.spec.names)
    if unknown:
        raise TypeError(f"{cls.object_name()} has no fields {unknown}")
    try:
        return {name: _each(cls, name, value, _read) for name, value in values.items()}
    except ValueError as wrong:
        raise TypeError(f"a condition on {cls.object_name()} {wrong}") from None


def _each(cls: type[Stored], name: str, value: Any, convert: Callable[[Any, Any], Any]) -> Any:
    kind = cls.generated.spec.fields[name].kind
    several = isinstance(value, list) and not kind.collects()
    return [convert(kind, one) for one in value] if several else convert(kind, value)


def _plain(kind: Any, value: Any, pin: Release | None) -> Plain:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, datetime) else kind.to_wire(value, pin)


def _read(kind: Any, value: Plain) -> Any:
    return None if value is None else kind.from_wire(value)


def error_of(error: Exception) -> dict[str, Plain]:
    """Return the answer that tells of an error; of another one than those of objects, its text alone."""
    name = type(error).__name__
    if name in _ERRORS:
        return {"error": name, "arguments": [getattr(error, each) for each in _ERRORS[name][1]]}
    return {"error": "TypeError" if isinstance(error, TypeError) else "ObjectError", "arguments": [str(error)]}


def raise_error(answer: Mapping[str, Plain]) -> None:
    """Raise the error that an answer tells of, if it does."""
    name, arguments = answer.get("error"), answer.get("arguments", ())
    if name is None:
        return
    if name in _ERRORS:
        raise _ERRORS[name][0](*arguments)
    raise (TypeError if name == "TypeError" else ObjectError)(*arguments)
