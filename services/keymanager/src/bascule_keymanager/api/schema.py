"""JSON Schemas of request bodies: what a broken rule is called, and which one is named when several are broken.

The words are those of the common Python validator, as Barbican's clients know them. The same schemas make the OpenAPI
description, so that what is described is what is checked.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bascule_keymanager.api.errors import BodyRefused

__all__ = ["Schema"]

Rules = Mapping[str, Any]  # Any: JSON
Path = tuple[str | int, ...]

_TYPES: dict[str, type] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}


@dataclass(frozen=True, slots=True)
class _Fault:
    path: Path
    message: str
    order: int

    @property
    def property(self) -> str | None:
        """The property of the body that the fault is in or below; None for the body itself."""
        return str(self.path[0]) if self.path else None


class Schema:
    """The rules for one kind of body: a part of JSON Schema, with Barbican's choice among several faults.

    What says `writeOnly` is a secret, and is never repeated in a message. `oldRequired` marks the schemas whose missing
    properties count as faults one level down, as they did in the third draft of JSON Schema.
    """

    def __init__(self, name: str, rules: Rules) -> None:
        self.name, self.rules = name, rules

    def check(self, body: object, *, name: str | None = None) -> None:
        """Raise BodyRefused for the fault that Barbican would name: the shallowest, then the last by its path."""
        faults = [_Fault(path, message, order) for order, (path, message) in enumerate(_faults(body, self.rules, ()))]
        if not faults:
            return
        worst = max(faults, key=lambda fault: (-len(fault.path), tuple(map(_sortable, fault.path)), -fault.order))
        raise BodyRefused(name or self.name, worst.message, worst.property)


def _sortable(step: str | int) -> tuple[bool, int, str]:
    return (isinstance(step, str), step if isinstance(step, int) else 0, str(step))


def _faults(value: Any, rules: Rules, path: Path) -> Iterator[tuple[Path, str]]:  # Any: JSON from outside
    shown = "the value" if rules.get("writeOnly") and value is not None else repr(value)
    for keyword, rule in rules.items():
        check = _KEYWORDS.get(keyword)
        if check is not None:
            yield from ((path, f"{shown} {fault}") for fault in check(value, rule))
    if isinstance(value, str) and "\0" in value and not rules.get("writeOnly"):
        yield path, f"{shown} contains a NUL character"
    if isinstance(value, dict):
        yield from _object_faults(value, rules, path)
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from _faults(item, _item_rules(rules, position), (*path, position))


def _object_faults(value: dict[str, Any], rules: Rules, path: Path) -> Iterator[tuple[Path, str]]:  # Any: JSON
    properties: Rules = rules.get("properties", {})
    for name in rules.get("required", ()):
        if name not in value:
            below = (*path, name) if rules.get("oldRequired") else path
            yield below, f"{name!r} is a required property"
    if rules.get("additionalProperties") is False:
        extra = sorted(value.keys() - properties.keys())
        if extra:
            verb = "was" if len(extra) == 1 else "were"
            listed = ", ".join(map(repr, extra))
            yield path, f"Additional properties are not allowed ({listed} {verb} unexpected)"
    for name, below in properties.items():
        if name in value:
            yield from _faults(value[name], below, (*path, name))


def _item_rules(rules: Rules, position: int) -> Rules:
    first: list[Rules] = rules.get("prefixItems", [])
    chosen: Rules = first[position] if position < len(first) else rules.get("items", {})
    return chosen


def _type(value: Any, rule: str | list[str]) -> Iterator[str]:  # Any: JSON, here and below
    kinds = [rule] if isinstance(rule, str) else rule
    if not any(_is(value, kind) for kind in kinds):
        yield f"is not of type {', '.join(map(repr, kinds))}"


def _is(value: Any, kind: str) -> bool:
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()  # JSON knows one kind of number
    return isinstance(value, _TYPES[kind]) and not (kind == "integer" and isinstance(value, bool))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _max_length(value: Any, rule: int) -> Iterator[str]:
    if isinstance(value, str) and len(value) > rule:
        yield "is too long"


def _min_length(value: Any, rule: int) -> Iterator[str]:
    if isinstance(value, str) and len(value) < rule:
        yield "should be non-empty" if rule == 1 else "is too short"


def _minimum(value: Any, rule: int) -> Iterator[str]:
    if _is_number(value) and value < rule:
        yield f"is less than the minimum of {rule}"


def _maximum(value: Any, rule: int) -> Iterator[str]:
    if _is_number(value) and value > rule:
        yield f"is greater than the maximum of {rule}"


def _enum(value: Any, rule: list[Any]) -> Iterator[str]:
    if value not in rule:
        yield f"is not one of {rule}"


def _pattern(value: Any, rule: str) -> Iterator[str]:
    if isinstance(value, str) and re.search(rule, value) is None:
        yield f"does not match {rule!r}"


_KEYWORDS: dict[str, Callable[[Any, Any], Iterator[str]]] = {
    "type": _type,
    "maxLength": _max_length,
    "minLength": _min_length,
    "minimum": _minimum,
    "maximum": _maximum,
    "enum": _enum,
    "pattern": _pattern,
}
