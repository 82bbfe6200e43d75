# ruff: noqa: D102  # the methods are those of `Kind`, which says what each returns
"""Kinds made of kinds: a value or nothing, lists, dicts and sets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bascule.objects.code import Code
from bascule.objects.kinds.kind import Kind, json_text
from bascule.objects.tracked import Place, TrackedDict, TrackedList, TrackedSet
from bascule.release import Release

__all__ = ["ListOf", "MapOf", "Nullable", "SetOf"]


@dataclass(frozen=True, slots=True)
class Around(Kind):
    """What the kinds around another kind share."""

    inner: Kind

    @property
    def text(self) -> str:  # type: ignore[override]  # derived
        return self.text_at(None)

    def releases(self) -> tuple[Release, ...]:
        return self.inner.releases()

    def classes(self) -> tuple[Any, ...]:
        return self.inner.classes()

    def collects(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Nullable(Around):
    """A value or nothing."""

    def text_at(self, release: Release | None) -> str:
        return f"{self.inner.text_at(release)}|null"

    def collects(self) -> bool:
        return self.inner.collects()

    def checked(self, value: Any) -> Any:
        return None if value is None else self.inner.checked(value)

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        return None if value is None else self.inner.to_wire(value, pin)

    def from_wire(self, data: Any) -> Any:
        return None if data is None else self.inner.from_wire(data)

    def owned(self, value: Any, changed: set[str], place: Place) -> Any:
        return None if value is None else self.inner.owned(value, changed, place)

    def has_changes(self, value: Any) -> bool:
        return value is not None and self.inner.has_changes(value)

    def forget_changes(self, value: Any) -> None:
        if value is not None:
            self.inner.forget_changes(value)

    def check_code(self, code: Code, value: str, place: Place) -> str:
        return f"None if {value} is None else ({self.inner.check_code(code, value, place)})"

    def read_code(self, code: Code, value: str, place: Place) -> str:
        return f"None if {value} is None else ({self.inner.read_code(code, value, place)})"

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:
        inner = self.inner.write_code(code, value, pin)
        return value if inner == value else f"None if {value} is None else ({inner})"

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:
        return f"'null' if {value} is None else ({self.inner.json_code(code, value, pin)})"

    def json_part_code(self, code: Code, value: str, pin: Release | None) -> str:
        return f"'null' if {value} is None else ({self.inner.json_part_code(code, value, pin)})"

    def changes_code(self, code: Code, value: str) -> str | None:
        inner = self.inner.changes_code(code, value)
        return inner and f"({value} is not None and {inner})"


@dataclass(frozen=True, slots=True)
class ListOf(Around):
    """Values of one kind in order."""

    def text_at(self, release: Release | None) -> str:
        return f"list[{self.inner.text_at(release)}]"

    def checked(self, value: Any) -> Any:
        return self._each(value, self.inner.checked)

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        return [self.inner.to_wire(item, pin) for item in value]

    def from_wire(self, data: Any) -> Any:
        return self._each(data, self.inner.from_wire)

    def owned(self, value: Any, changed: set[str], place: Place) -> Any:
        items = [self.inner.owned(item, changed, place) for item in value]
        return TrackedList(items).own(changed, place, self.inner)

    def has_changes(self, value: Any) -> bool:
        return any(self.inner.has_changes(item) for item in value)

    def forget_changes(self, value: Any) -> None:
        for item in value:
            self.inner.forget_changes(item)

    def check_code(self, code: Code, value: str, place: Place) -> str:
        item = code.variable()
        items = f"[{self.inner.check_code(code, item, place)} for {item} in {value}]"
        return self._tracked(code, value, place, items, self.checked)

    def read_code(self, code: Code, value: str, place: Place) -> str:
        return self._tracked(code, value, place, self.inner.read_all_code(code, value, place), self.from_wire)

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:
        item = code.variable()
        inner = self.inner.write_code(code, item, pin)
        return f"list({value})" if inner == item else f"[{inner} for {item} in {value}]"

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:
        return _array(self.inner, code, value, pin)

    def changes_code(self, code: Code, value: str) -> str | None:
        item = code.variable()
        inner = self.inner.changes_code(code, item)
        return inner and f"[1 for {item} in {value} if {inner}]"

    def _tracked(self, code: Code, value: str, place: Place, items: str, slow: Callable[[Any], Any]) -> str:
        own, arguments = code.bind(_own_list), f"changed, {code.bind(place)}, {code.bind(self.inner)}"
        otherwise = f"{code.bind(self.owned)}({code.bind(slow)}({value}), changed, {code.bind(place)})"
        return f"{own}({items}, {arguments}) if type({value}) is list else {otherwise}"

    def _each(self, value: Any, convert: Callable[[Any], Any]) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError(f"must be a list, not {type(value).__name__}")  # noqa: TRY004  # the one error of kinds
        return [convert(item) for item in value]


@dataclass(frozen=True, slots=True)
class MapOf(Around):
    """Values of one kind by name."""

    def text_at(self, release: Release | None) -> str:
        return f"dict[{self.inner.text_at(release)}]"

    def checked(self, value: Any) -> Any:
        return self._each(value, self.inner.checked)

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        return {key: self.inner.to_wire(item, pin) for key, item in value.items()}

    def from_wire(self, data: Any) -> Any:
        return self._each(data, self.inner.from_wire)

    def owned(self, value: Any, changed: set[str], place: Place) -> Any:
        items = {key: self.inner.owned(item, changed, place) for key, item in value.items()}
        return TrackedDict(items).own(changed, place, self.inner)

    def has_changes(self, value: Any) -> bool:
        return any(self.inner.has_changes(item) for item in value.values())

    def forget_changes(self, value: Any) -> None:
        for item in value.values():
            self.inner.forget_changes(item)

    def check_code(self, code: Code, value: str, place: Place) -> str:
        item = code.variable()
        return self._tracked(code, value, place, item, self.inner.check_code(code, item, place), self.checked)

    def read_code(self, code: Code, value: str, place: Place) -> str:
        item = code.variable()
        return self._tracked(code, value, place, item, self.inner.read_code(code, item, place), self.from_wire)

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:
        key, item = code.variable(), code.variable()
        inner = self.inner.write_code(code, item, pin)
        return f"dict({value})" if inner == item else f"{{{key}: {inner} for {key}, {item} in {value}.items()}}"

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:
        key, item, quoted = code.variable(), code.variable(), code.bind(json_text)
        inner = self.inner.json_code(code, item, pin)
        pairs = f"{quoted}({key}) + ':' + ({inner}) for {key}, {item} in {value}.items()"
        return f"'{{' + ','.join([{pairs}]) + '}}'"

    def changes_code(self, code: Code, value: str) -> str | None:
        item = code.variable()
        inner = self.inner.changes_code(code, item)
        return inner and f"[1 for {item} in {value}.values() if {inner}]"

    def _tracked(self, code: Code, value: str, place: Place, item: str, inner: str, slow: Callable[[Any], Any]) -> str:
        key, named = code.variable(), code.bind(_name)
        own, arguments = code.bind(_own_dict), f"changed, {code.bind(place)}, {code.bind(self.inner)}"
        otherwise = f"{code.bind(self.owned)}({code.bind(slow)}({value}), changed, {code.bind(place)})"
        pairs = f"{key} if type({key}) is str else {named}({key}): {inner} for {key}, {item} in {value}.items()"
        return f"{own}({{{pairs}}}, {arguments}) if type({value}) is dict else {otherwise}"

    def _each(self, value: Any, convert: Callable[[Any], Any]) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise ValueError(f"must be a table with names, not {type(value).__name__}")
        return {str.__str__(key): convert(item) for key, item in value.items()}


@dataclass(frozen=True, slots=True)
class SetOf(Around):
    """Values of one kind, each once; it travels as an array."""

    def text_at(self, release: Release | None) -> str:
        return f"set[{self.inner.text_at(release)}]"

    def checked(self, value: Any) -> Any:
        if not isinstance(value, (set, frozenset)):
            raise ValueError(f"must be a set, not {type(value).__name__}")  # noqa: TRY004  # the one error of kinds
        return {self.inner.checked(item) for item in value}

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        return tuple(self.inner.to_wire(item, pin) for item in value)

    def from_wire(self, data: Any) -> Any:
        if not isinstance(data, (list, tuple)):
            raise ValueError(f"must be a list, not {type(data).__name__}")  # noqa: TRY004  # the one error of kinds
        return {self.inner.from_wire(item) for item in data}

    def owned(self, value: Any, changed: set[str], place: Place) -> Any:
        return TrackedSet(value).own(changed, place, self.inner)

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:
        return _array(self.inner, code, value, pin)


def _array(inner: Kind, code: Code, value: str, pin: Release | None) -> str:
    item = code.variable()
    return f"'[' + ','.join([{inner.json_code(code, item, pin)} for {item} in {value}]) + ']'"


def _own_list(items: list[Any], changed: set[str], place: Place, inner: Kind) -> TrackedList:
    tracked = TrackedList(items)
    tracked.changed, tracked.place, tracked.element = changed, place, inner
    return tracked


def _own_dict(items: dict[str, Any], changed: set[str], place: Place, inner: Kind) -> TrackedDict:
    tracked = TrackedDict(items)
    tracked.changed, tracked.place, tracked.element = changed, place, inner
    return tracked


def _name(_key: Any) -> Any:
    raise ValueError("must be a table with names")
