# ruff: noqa: D102  # the methods are those of `Kind`, which says what each returns
"""JSON scalars: str, int, float, bool; with a lower bound, and flags as people write them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from bascule.objects.code import Code
from bascule.objects.kinds.kind import Kind
from bascule.objects.tracked import Place
from bascule.release import Release

__all__ = ["AtLeast", "Flag", "Plain"]

_EXACT: dict[type, Callable[[Any], Any]] = {str: str.__str__, int: int.__int__, float: float.__float__, bool: bool}


@dataclass(frozen=True, slots=True)
class Plain(Kind):
    """A JSON scalar."""

    kind: type

    @property
    def text(self) -> str:  # type: ignore[override]  # derived
        return self.kind.__name__

    def checked(self, value: Any) -> Any:
        if type(value) is self.kind:
            return value
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, self.kind) or isinstance(value, bool):
            raise ValueError(f"must be {self.text}, not {type(value).__name__}")  # noqa: TRY004  # the one error of kinds
        return _EXACT[self.kind](value)  # of a subclass: an IntEnum would not look like an int as JSON

    def check_code(self, code: Code, value: str, place: Place) -> str:  # noqa: ARG002  # scalars cannot change inside
        return f"{value} if type({value}) is {self.text} else {code.bind(self.checked)}({value})"

    read_code = check_code

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:  # noqa: ARG002  # travels as it is
        return value

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:
        if self.kind is bool:
            return f"'true' if {value} else 'false'"
        if self.kind is int:
            return f"{code.bind(int.__repr__)}({value})"
        if self.kind is float:  # false for NaN and the infinities, which JSON spells differently
            return f"{code.bind(float.__repr__)}({value}) if {value} * 0 == 0 else {code.bind(json.dumps)}({value})"
        return Kind.json_code(self, code, value, pin)

    def json_part_code(self, code: Code, value: str, pin: Release | None) -> str:
        return value if self.kind is int else self.json_code(code, value, pin)


@dataclass(frozen=True, slots=True)
class AtLeast(Kind):
    """A number that is not below a bound."""

    inner: Plain
    bound: int

    @property
    def text(self) -> str:  # type: ignore[override]  # derived
        return f"{self.inner.text}>={self.bound}"

    def checked(self, value: Any) -> Any:
        checked = self.inner.checked(value)
        if not checked >= self.bound:  # so that NaN is refused, too
            raise ValueError(f"must be at least {self.bound}")
        return checked

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:  # noqa: ARG002  # travels as it is
        return value

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:
        return self.inner.json_code(code, value, pin)


@dataclass(frozen=True, slots=True)
class Flag(Kind):
    """A bool that may also be assigned as a word; it travels as a bool, and is read as either."""

    text = "flag"
    _TRUE: ClassVar = frozenset({"1", "t", "true", "on", "y", "yes"})
    _FALSE: ClassVar = frozenset({"0", "f", "false", "off", "n", "no"})

    def checked(self, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower() if isinstance(value, (str, int)) else None
        if word in self._TRUE or word in self._FALSE:
            return word in self._TRUE
        raise ValueError(f"must be a flag, such as true or no, not this {type(value).__name__}")

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:  # noqa: ARG002  # travels as it is
        return value

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:  # noqa: ARG002  # as above
        return f"'true' if {value} else 'false'"
