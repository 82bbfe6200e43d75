"""Frozen dataclasses to canonical JSON and back, with the standard library only.

Reading is lenient towards newer writers (unknown keys are dropped) and strict about types; files that people
write (TOML) are read with `strict=True`, where an unknown key is refused with a near match.
"""

import dataclasses
import difflib
import enum
import functools
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from bascule.errors import DocumentError
from bascule.release import Release

__all__ = ["canonical", "fingerprint", "from_plain", "to_plain"]

T = TypeVar("T")


def to_plain(value: Any) -> Any:  # Any: the inverse of from_plain, for every type a document may hold
    """Turn documents into dicts, lists, strings, numbers, booleans and None."""
    if isinstance(value, Release):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    return value


def canonical(value: Any) -> str:  # Any: as to_plain
    """Return the one JSON text of a document: sorted keys, no blanks."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: Any) -> str:  # Any: as to_plain
    """Return the sha256 of the canonical text, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def from_plain(cls: type[T], data: Any, *, strict: bool = False, where: str = "") -> T:  # Any: text from outside
    """Read a frozen dataclass from plain data.

    `strict` refuses unknown keys and names the nearest known one. `where` is the path that errors name.
    Raises DocumentError.
    """
    result: T = _read(cls, data, strict, where or cls.__name__)
    return result


def _read(kind: Any, data: Any, strict: bool, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_union(kind, data, strict, where)
    if origin in (tuple, list):
        return _read_sequence(kind, data, strict, where)
    if origin is dict:
        if not isinstance(data, Mapping):
            raise DocumentError(f"{where} must be a table, not {type(data).__name__}")
        inner = typing.get_args(kind)[1]
        return {str(key): _read(inner, item, strict, f"{where}.{key}") for key, item in data.items()}
    if origin is typing.Literal:
        allowed = typing.get_args(kind)
        if data not in allowed:
            raise DocumentError(f"{where} must be one of {', '.join(map(repr, allowed))}, not {data!r}")
        return data
    if kind is Any or kind is object:
        return data
    if kind is not Release and dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read_dataclass(kind, data, strict, where)
    return _read_scalar(kind, data, where)


def _read_scalar(kind: Any, data: Any, where: str) -> Any:
    if kind is Release:
        if not isinstance(data, str):
            raise DocumentError(f"{where} must be a release name in quotes, not {data!r}")
        return Release.parse(data)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        try:
            return kind(data)
        except ValueError as unknown:
            known = ", ".join(repr(member.value) for member in kind)
            raise DocumentError(f"{where} must be one of {known}, not {data!r}") from unknown
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise DocumentError(f"{where} must be {kind.__name__}, not {type(data).__name__}")
    return data


def _read_union(kind: Any, data: Any, strict: bool, where: str) -> Any:
    options = typing.get_args(kind)
    if data is None and type(None) in options:
        return None
    rest = [option for option in options if option is not type(None)]
    if len(rest) == 1:
        return _read(rest[0], data, strict, where)
    for option in rest:
        try:
            return _read(option, data, strict, where)
        except DocumentError:
            continue
    raise DocumentError(f"{where} has a value of an unexpected type: {type(data).__name__}")


def _read_sequence(kind: Any, data: Any, strict: bool, where: str) -> Any:
    if not isinstance(data, list | tuple):
        raise DocumentError(f"{where} must be a list, not {type(data).__name__}")
    inner = typing.get_args(kind)[0]
    items = [_read(inner, item, strict, f"{where}[{index}]") for index, item in enumerate(data)]
    return tuple(items) if typing.get_origin(kind) is tuple else items


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _read_dataclass(cls: type, data: Any, strict: bool, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise DocumentError(f"{where} must be a table, not {type(data).__name__}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if strict:
        for key in data:
            if key not in fields:
                raise UnknownKey(where, str(key), sorted(fields))
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _read(_hints(cls)[name], data[name], strict, f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise DocumentError(f"{where} lacks the key {name!r}")
    return cls(**values)


class UnknownKey(DocumentError):
    """A file that a person wrote has a key that nobody knows."""

    def __init__(self, where: str, key: str, known: list[str]) -> None:
        self.where, self.key = where, key
        self.near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {self.near[0]!r}?" if self.near else f"known keys are {', '.join(known)}"
        super().__init__(f"{where} has an unknown key {key!r}; {hint}")
