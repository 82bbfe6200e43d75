# ruff: noqa: D102  # the methods are those of `Kind`, which says what each returns
"""Versioned objects inside versioned objects, each in its own envelope at its own version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from bascule.objects.code import Code
from bascule.objects.kinds.kind import Kind
from bascule.objects.tracked import Place
from bascule.release import Release

__all__ = ["Nestable", "Nested", "OneOf"]


class Functions(Protocol):
    """The generated functions of a class: one that reads, and those that write, by pin."""

    writers: Mapping[Release | None, Any]
    json_writers: Mapping[Release | None, Any]

    @property
    def read(self) -> Any:
        """Read an envelope."""

    @property
    def read_all(self) -> Any:
        """Read a list of envelopes."""

    @property
    def read_marked(self) -> Any:
        """Read an envelope with a mark for its head."""

    @property
    def read_all_marked(self) -> Any:
        """Read a list of such envelopes."""

    @property
    def holds_objects(self) -> bool:
        """Whether a change may be in an object inside."""


class Nestable(Protocol):
    """What a kind needs of a versioned object's class."""

    @property
    def generated(self) -> Functions:
        """The functions generated for the class."""

    def object_name(self) -> str:
        """Return the name on the wire."""

    def from_primitive(self, primitive: Any) -> Any:  # Any: plain JSON values from outside
        """Read the envelope."""


@dataclass(frozen=True, slots=True)
class Nested(Kind):
    """An object of one class; none of a subclass, which whoever reads it would not know."""

    cls: Nestable

    @property
    def text(self) -> str:  # type: ignore[override]  # derived
        return self.cls.object_name()

    def checked(self, value: Any) -> Any:
        if type(value) is not cast("type", self.cls):
            raise ValueError(f"must be {self.text}, not {type(value).__name__}")
        return value

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        return value.to_primitive(pin)

    def from_wire(self, data: Any) -> Any:
        return self.cls.from_primitive(data)

    def has_changes(self, value: Any) -> bool:
        return bool(value.changed())

    def forget_changes(self, value: Any) -> None:
        value.forget_changes()

    def check_code(self, code: Code, value: str, place: Place) -> str:
        return f"{value} if type({value}) is {code.bind(self.cls)} else {Kind.check_code(self, code, value, place)}"

    def classes(self) -> tuple[Any, ...]:
        return (self.cls,)

    def read_code(self, code: Code, value: str, place: Place) -> str:  # noqa: ARG002  # as in every kind
        functions = self.cls.generated
        return f"{code.bind(functions.read_marked if code.marked else functions.read)}({value})"

    def read_all_code(self, code: Code, values: str, place: Place) -> str:  # noqa: ARG002  # as in every kind
        functions = self.cls.generated
        return f"{code.bind(functions.read_all_marked if code.marked else functions.read_all)}({values})"

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:
        return f"{code.bind(self.cls.generated.writers[pin])}({value})"

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:
        return f"{code.bind(self.cls.generated.json_writers[pin])}({value})"

    def changes_code(self, code: Code, value: str) -> str | None:  # noqa: ARG002  # as in every kind
        return f"{value}.changed()" if self.cls.generated.holds_objects else f"{value}._changed"


@dataclass(frozen=True, slots=True)
class OneOf(Kind):
    """An object of one of several classes, which its name on the wire tells apart."""

    each: tuple[Nested, ...]

    @property
    def text(self) -> str:  # type: ignore[override]  # derived
        return "|".join(each.text for each in self.each)

    def checked(self, value: Any) -> Any:
        if not any(type(value) is cast("type", each.cls) for each in self.each):
            raise ValueError(f"must be {self.text}, not {type(value).__name__}")
        return value

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        return value.to_primitive(pin)

    def from_wire(self, data: Any) -> Any:
        names = [value for key, value in data.items() if str(key).endswith(".name")] if isinstance(data, dict) else []
        for each in self.each:
            if each.text in names:
                return each.from_wire(data)
        raise ValueError(f"must be {self.text}, and this {type(data).__name__} is not")

    def classes(self) -> tuple[Any, ...]:
        return tuple(each.cls for each in self.each)

    def has_changes(self, value: Any) -> bool:
        return bool(value.changed())

    def forget_changes(self, value: Any) -> None:
        value.forget_changes()

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:
        return f"{value}.to_json({code.bind(pin)})"

    def changes_code(self, code: Code, value: str) -> str | None:  # noqa: ARG002  # as in every kind
        return f"{value}.changed()"
