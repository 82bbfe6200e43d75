"""The words of frozen schemas: what each accepts on the wire, and samples of it.

This reads the schema's text by itself and shares no code with the classes under test, so that both cannot be wrong in
the same way.
"""

import ipaddress
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Sampler", "complaints", "objects_in"]

Plain = Any
"""Plain JSON values."""

_ADDRESSES = {
    name: getattr(ipaddress, name)
    for version in ("4", "6")
    for name in (f"IPv{version}Address", f"IPv{version}Network", f"IPv{version}Interface")
}
_FORMS = {
    "datetime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)",
    "datetime without a zone": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "uuid": "-?".join(f"[0-9a-fA-F]{{{count}}}" for count in (8, 4, 4, 4, 12)),
    "bytes": r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)?",
    "mac": r"[0-9a-f]{2}(:[0-9a-f]{2}){5}",
    "pci": r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]",
    "version predicate": r"\s*(<=|>=|<|>|!=|==)\s*[0-9][^\s,]*\s*(,\s*(<=|>=|<|>|!=|==)\s*[0-9][^\s,]*\s*)*",
}
_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "flag": bool}
_TEXTS = ("a", "", "two words", 'quoted "text"', "ümläut ✓", "0", "x" * 300)
_INTS = (1, 0, -1, 7, 2**31, -(2**31) - 1, 2**53, 10**20)
_FLOATS = (1.5, 0.0, -2.25, 1e300, 3.0)
_SAMPLES: dict[str, tuple[Plain, ...]] = {
    "str": _TEXTS,
    "int": _INTS,
    "float": _FLOATS,
    "bool": (True, False),
    "flag": (True, False),
    "bytes": ("AAECAw==", "", "/+8="),
    "json": ({"a": [1, None, {"b": "ü"}]}, [], "text", 1.5, {}),
    "datetime": ("2026-02-03T04:05:06Z", "1970-01-01T00:00:00Z", "2999-12-31T23:59:59Z"),
    "datetime without a zone": ("2026-02-03T04:05:06Z",),
    "mac": ("01:23:45:67:89:ab", "00:00:00:00:00:00"),
    "pci": ("0000:02:1f.7", "ffff:ff:00.0"),
    "version predicate": (">=1.0", "!=2.5,<3"),
    "IPv4Address": ("10.0.0.1", "255.255.255.255"),
    "IPv6Address": ("2001:db8::1", "::"),
    "IPv4Network": ("10.0.0.0/8", "0.0.0.0/0"),
    "IPv6Network": ("2001:db8::/32",),
    "IPv4Interface": ("10.0.0.1/8", "10.0.0.0/24"),
    "IPv6Interface": ("2001:db8::1/64",),
}


def _around(text: str) -> tuple[str, str] | None:
    """Return the container and what is in it, if the text is of one."""
    found = re.fullmatch(r"(list|dict|set)\[(.*)\]", text, re.DOTALL)
    return (found[1], found[2]) if found else None


def objects_in(text: str, known: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of objects that the text speaks of."""
    text = text.removesuffix("|null").removesuffix(" or a subclass")
    around = _around(text)
    if around:
        return objects_in(around[1], known)
    return frozenset(name for name in text.split("|") if name in known)


def complaints(
    text: str, value: Plain, objects: Callable[[str, Plain], Iterator[str]], names: Sequence[str]
) -> Iterator[str]:
    """Yield what is wrong with a value on the wire, without quoting it; `objects` looks at envelopes by name."""
    bare, around = text.removesuffix("|null"), _around(text.removesuffix("|null"))
    if value is None:
        if bare == text:
            yield f"is null, and must be {text}"
    elif around:
        yield from _inside(around, value, objects, names)
    elif objects_in(bare, dict.fromkeys(names)):
        yield from _object(bare, value, objects, names)
    elif not _fits(bare, value):
        yield f"is a {type(value).__name__} that is not {bare}"


def _inside(
    around: tuple[str, str], value: Plain, objects: Callable[[str, Plain], Iterator[str]], names: Sequence[str]
) -> Iterator[str]:
    container, inner = around
    if not isinstance(value, dict if container == "dict" else (list, tuple)):
        yield f"is a {type(value).__name__} and no {container}"
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield from (
            f"[{'' if container == 'dict' else key}] {each}" for each in complaints(inner, item, objects, names)
        )


def _object(
    text: str, value: Plain, objects: Callable[[str, Plain], Iterator[str]], names: Sequence[str]
) -> Iterator[str]:
    wanted = names if text.endswith(" or a subclass") else text.split("|")
    found = [str(item) for key, item in value.items() if str(key).endswith(".name")] if isinstance(value, dict) else []
    if not found:
        yield f"is a {type(value).__name__} and no envelope of {text}"
    elif found[0] not in wanted:
        yield f"holds the object {found[0]}, and must hold {text}"
    else:
        yield from objects(found[0], value)


def _fits(text: str, value: Plain) -> bool:
    if text in _TYPES:
        return type(value) is _TYPES[text]
    if text.startswith("one of "):
        return isinstance(value, str) and value in text.removeprefix("one of ").split(",")
    if text in _FORMS:
        return isinstance(value, str) and re.fullmatch(_FORMS[text], value) is not None
    if bound := re.fullmatch(r"(int|float)>=(-?\d+)", text):
        return isinstance(value, (int, float)) and type(value) is _TYPES[bound[1]] and value >= int(bound[2])
    if all(part in _ADDRESSES for part in text.split("|")):
        return isinstance(value, str) and any(_is(_ADDRESSES[part], value) for part in text.split("|"))
    return True  # a kind of the service's own, of which nothing but the name is known here


def _is(address: Callable[[str], Any], value: str) -> bool:
    try:
        address(value)
    except ValueError:
        return False
    return True


@dataclass
class Sampler:
    """Values on the wire for the words of schemas: every word of a choice, borders of numbers, awkward texts.

    The first objects hold no null and no empty collection; later ones do. `extra` has samples of kinds of the
    service's own, by their name. Raises LookupError for a kind without any.
    """

    objects: Callable[[str], Plain]
    names: Sequence[str]
    number: int
    chance: random.Random
    extra: Mapping[str, Sequence[Plain]] = field(default_factory=dict)
    asked: int = 0

    def of(self, text: str, depth: int = 0) -> Plain:
        """Return a sample of what the text accepts."""
        bare, late = text.removesuffix("|null"), self.number >= _FULL
        if bare != text and late and self.chance.random() < _RARELY:
            return None
        if around := _around(bare):
            count = self.chance.choice((0, 1, 3)) if late else 2
            items = [self.of(around[1], depth + 1) for _ in range(count)]
            if around[0] == "dict":
                return {f"key {at}": item for at, item in enumerate(items)}
            return items if around[0] == "list" else [item for at, item in enumerate(items) if item not in items[:at]]
        inside = sorted(objects_in(bare, dict.fromkeys(self.names)))
        return self.objects(self.chance.choice(inside)) if inside else self._scalar(bare)

    def _scalar(self, text: str) -> Plain:
        if text in self.extra:
            return self._one(self.extra[text])
        if text == "uuid":
            return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        if text.startswith("one of "):
            return self._one(text.removeprefix("one of ").split(","))
        if bound := re.fullmatch(r"(int|float)>=(-?\d+)", text):
            low = int(bound[2])
            return self._one([low, low + 1, low + 10**9] if bound[1] == "int" else [float(low), low + 0.5])
        found = _SAMPLES.get(text) or [each for part in text.split("|") for each in _SAMPLES.get(part, ())]
        if not found:
            raise LookupError(f"no samples of {text}; give some: values={{{text!r}: [...]}}")
        return self._one(found)

    def _one(self, values: Sequence[Plain]) -> Plain:
        """Return one after the other with the number of the object, so that each has its turn; later any."""
        self.asked += 1
        at = (self.number + self.asked) % len(values)
        return values[at] if self.number < 2 * _FULL else self.chance.choice(values)


_FULL = 10
_RARELY = 0.25
