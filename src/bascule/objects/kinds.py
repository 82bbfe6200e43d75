"""What a field may hold, how it is checked, and how it looks on the wire.

Kinds are built from annotations: str, int, float, bool, a versioned object, `X | None`, `list[X]`, `dict[str, X]`.
"""

import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bascule.release import Release

__all__ = ["Kind", "Nestable", "kind_of"]


class Nestable(Protocol):
    """What a kind needs of a versioned object's class."""

    @classmethod
    def object_name(cls) -> str:
        """Return the name on the wire."""

    @classmethod
    def from_primitive(cls, primitive: Any) -> Any:  # Any: plain JSON values from outside
        """Read the envelope."""


class Kind(Protocol):
    """One kind of value. `Any` stands for plain JSON values on the wire, and for what the annotation says in Python."""

    @property
    def text(self) -> str:
        """The kind in the words of a frozen schema."""

    def checked(self, value: Any) -> Any:
        """Return the value as it is kept. Raises ValueError when it is of another kind, without quoting it."""

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        """Return the value as plain JSON, with nothing in it that is newer than the pin."""

    def from_wire(self, data: Any) -> Any:
        """Return the value. Raises ValueError when it is of another kind, without quoting it."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A JSON scalar."""

    kind: type

    @property
    def text(self) -> str:
        return self.kind.__name__

    def checked(self, value: Any) -> Any:
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, self.kind) or (isinstance(value, bool) and self.kind is not bool):
            raise ValueError(f"must be {self.text}, not {type(value).__name__}")
        return value

    def to_wire(self, value: Any, pin: Release | None) -> Any:  # noqa: ARG002  # scalars are of every release
        return value

    def from_wire(self, data: Any) -> Any:
        return self.checked(data)


@dataclass(frozen=True, slots=True)
class Nullable:
    """A value or nothing."""

    inner: Kind

    @property
    def text(self) -> str:
        return f"{self.inner.text}|null"

    def checked(self, value: Any) -> Any:
        return None if value is None else self.inner.checked(value)

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        return None if value is None else self.inner.to_wire(value, pin)

    def from_wire(self, data: Any) -> Any:
        return None if data is None else self.inner.from_wire(data)


@dataclass(frozen=True, slots=True)
class ListOf:
    """Values of one kind in order."""

    inner: Kind

    @property
    def text(self) -> str:
        return f"list[{self.inner.text}]"

    def checked(self, value: Any) -> Any:
        return self._each(value, self.inner.checked)

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        return [self.inner.to_wire(item, pin) for item in value]

    def from_wire(self, data: Any) -> Any:
        return self._each(data, self.inner.from_wire)

    def _each(self, value: Any, convert: Callable[[Any], Any]) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError(f"must be a list, not {type(value).__name__}")  # noqa: TRY004  # the one error of kinds
        return [convert(item) for item in value]


@dataclass(frozen=True, slots=True)
class MapOf:
    """Values of one kind by name."""

    inner: Kind

    @property
    def text(self) -> str:
        return f"dict[{self.inner.text}]"

    def checked(self, value: Any) -> Any:
        return self._each(value, self.inner.checked)

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        return {key: self.inner.to_wire(item, pin) for key, item in value.items()}

    def from_wire(self, data: Any) -> Any:
        return self._each(data, self.inner.from_wire)

    def _each(self, value: Any, convert: Callable[[Any], Any]) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise ValueError(f"must be a table with names, not {type(value).__name__}")
        return {key: convert(item) for key, item in value.items()}


@dataclass(frozen=True, slots=True)
class Nested:
    """Another versioned object, in its own envelope at its own version."""

    cls: type[Nestable]

    @property
    def text(self) -> str:
        return self.cls.object_name()

    def checked(self, value: Any) -> Any:
        if not isinstance(value, self.cls):
            raise ValueError(f"must be {self.text}, not {type(value).__name__}")  # noqa: TRY004  # as above
        return value

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        return value.to_primitive(pin)

    def from_wire(self, data: Any) -> Any:
        return self.cls.from_primitive(data)


_SCALARS = (str, int, float, bool)


def kind_of(annotation: Any) -> Kind:  # Any: what typing gives for an annotation
    """Return the kind that an annotation asks for. Raises TypeError for one that cannot travel."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _SCALARS:
        return Plain(annotation)
    if origin in (typing.Union, types.UnionType):
        rest = [argument for argument in arguments if argument is not type(None)]
        if len(rest) == 1 and len(arguments) == 2:
            return Nullable(kind_of(rest[0]))
    if origin is list:
        return ListOf(kind_of(arguments[0]))
    if origin is dict and arguments[0] is str:
        return MapOf(kind_of(arguments[1]))
    if isinstance(annotation, type) and hasattr(annotation, "object_name"):
        return Nested(annotation)
    raise TypeError(
        f"{annotation!r} cannot travel between releases; use str, int, float, bool, an Object, or "
        "X | None, list[X], dict[str, X] of these"
    )
