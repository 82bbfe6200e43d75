"""The functions generated for a class of objects: read, write, fill from a row, and write JSON; per class and pin.

Each function is source made from the class's fields, compiled on first use: one statement per field, with the kind's
check in place, the constant parts of an envelope as constants, and calls of the children's own functions. The same
made of closures, one per field, took 2.4 times as long to read and 2.5 times to write an object of five plain fields:
a call per field costs more than most fields' work.

The good case is all that is generated. Whatever is not as expected goes to `careful`, which finds out what it is, and
raises or returns the same as the generated code would; so the checks of both are equally strict.
"""

import functools
from collections.abc import Callable, Iterable
from datetime import datetime
from types import NoneType
from typing import Any

from bascule.objects.bypin import ByPin
from bascule.objects.careful import fill_carefully, place_of, read_carefully, write_carefully
from bascule.objects.code import Code
from bascule.objects.fields import Field
from bascule.objects.jsontext import JSON, json_lines
from bascule.objects.marked import Marked
from bascule.objects.spec import ObjectTooNew, Spec
from bascule.release import Release

__all__ = ["Generated"]

_NOTHING: frozenset[str] = frozenset()
_SHARED_DEFAULTS = (str, int, float, bool, NoneType, datetime)

Function = Callable[..., Any]  # Any: objects, rows and plain JSON values


class Generated:
    """The functions of one class; all take and return what the methods of `Object` do."""

    def __init__(self, cls: type, spec: Spec) -> None:
        self.cls, self.spec = cls, spec
        self.writers = ByPin(self._make_writer)
        self.json_writers = ByPin(self._make_json_writer)
        self._readers: dict[str, Function] = {}
        self.marked = Marked(cls, spec, self._default_code, self._no_names)

    @functools.cached_property
    def read(self) -> Function:
        """Read an envelope of any version that this release knows."""
        return self._reader_of(self.spec.version_at())

    @functools.cached_property
    def read_all(self) -> Function:
        """Read a list of envelopes: a loop in one function saves the call of `read` for each."""
        code = Code()
        lines = self._read_lines(code, self.spec.version_at(), "made.append({0}(p)); continue")
        guarded = _guarded([*lines, "made.append(o)", "continue"], f"made.append({code.bind(self._read_carefully)}(p))")
        loop = ["made = []", "for p in all:", *(f"    {line}" for line in guarded)]
        return code.function("read_all", "all", [*loop, "return made"])

    @functools.cached_property
    def read_json(self) -> Function:
        """Read a text as `to_json` writes it at the newest version; return None for any other."""
        return self.marked.make_read_json(self.read_marked, (each.generated.marked for each in self._reached()))

    @functools.cached_property
    def read_marked(self) -> Function:
        """Read an envelope with a mark for its head."""
        return self.marked.make_read()

    @functools.cached_property
    def read_all_marked(self) -> Function:
        """Read a list of such envelopes."""
        return self.marked.make_read_all()

    def _reached(self) -> list[Any]:
        """Return the classes of the objects that may be in an object, nearest first."""
        found: list[Any] = []
        waiting = [self.spec]
        for spec in waiting:
            for cls in (cls for each in spec.attributes for cls in each.kind.classes()):
                if cls not in found:
                    found.append(cls)
                    waiting.append(cls.generated.spec)
        return found

    @functools.cached_property
    def fill(self) -> Function:
        """Set all fields of an object from a mapping."""
        code = Code()
        lines = [f"changed = o._changed = {self._no_names(code)}"]
        for each in self.spec.attributes:
            check = f"o.{each.slot} = {each.kind.check_code(code, 'v', place_of(self.spec, each))}"
            if each.required:
                lines += [f"v = row[{each.name!r}]", check]
                continue
            lines += [f"if {each.name!r} in row:", f"    v = row[{each.name!r}]", f"    {check}"]
            lines += [f"else: o.{each.slot} = {self._default_code(code, each)}"]
        careful = code.bind(functools.partial(fill_carefully, self.spec))
        return code.function("fill", "o, row", _guarded([*lines, "return"], f"{careful}(o, row)"))

    @functools.cached_property
    def holds_objects(self) -> bool:
        """Whether a change may be in an object inside."""
        return any(each.kind.changes_code(Code(), "v") for each in self.spec.attributes)

    @functools.cached_property
    def changed(self) -> Function:
        """Return the names of the changed fields of an object."""
        code = Code()
        lines = ["changed = o._changed", *self._changes_inside(code, self.spec.attributes)]
        return code.function("changed", "o", [*lines, "return frozenset(changed)"])

    @functools.cached_property
    def _shares_names(self) -> bool:
        """Whether collections share the object's set of changed names, which is a frozenset when none does."""
        return any(each.kind.collects() for each in self.spec.attributes)

    def _no_names(self, code: Code) -> str:
        return "set()" if self._shares_names else code.bind(_NOTHING)

    def _reader_of(self, version: str) -> Function:
        if version not in self._readers:
            self._readers[version] = self._make_reader(version)
        return self._readers[version]

    def _read_other(self, primitive: Any) -> Any:
        """Read an envelope of a version that is not the newest."""
        version = primitive[self.spec.keys.version]
        if type(version) is str and version in self.spec.versions():
            return self._reader_of(version)(primitive)
        return self._read_carefully(primitive)

    def _read_carefully(self, primitive: Any) -> Any:
        target: Any = object.__new__(self.cls)
        read_carefully(self.spec, target, primitive)
        return target

    def _make_reader(self, version: str) -> Function:
        code = Code()
        lines = self._read_lines(code, version, "return {0}(p)")
        guarded = _guarded([*lines, "return o"], f"return {code.bind(self._read_carefully)}(p)")
        return code.function("read", "p", guarded)

    def _read_lines(self, code: Code, version: str, hand_over: str) -> list[str]:
        """Return lines that read the envelope `p` as the object `o`; `hand_over` gives it to another function."""
        spec, keys, known = self.spec, self.spec.keys, self.spec.versions()[version]
        careful = hand_over.format(code.bind(self._read_carefully))
        if any(change.since not in known for change in spec.changes):
            return [f"if True: {careful}"]
        present = spec.fields_of(known)
        lines = [
            f"if p[{keys.version!r}] != {version!r}: {hand_over.format(code.bind(self._read_other))}",
            f"data = p[{keys.data!r}]",
            f"if (p[{keys.name!r}] != {spec.name!r} or p[{keys.namespace!r}] != {spec.namespace!r}",
            f"        or type(data) is not dict or len(data) != {len(present)}): {careful}",
            f"if len(p) == 4: changed = {self._no_names(code)}",
            "else:",
            f"    changes = p[{keys.changes!r}]",
            f"    if type(changes) is not list: {careful}",
            f"    changed = {'set' if self._shares_names else 'frozenset'}(changes)",
            f"    if not changed <= {code.bind(frozenset(each.name for each in present))}: {careful}",
            f"o = {code.bind(object.__new__)}({code.bind(self.cls)})",
            "o._changed = changed",
        ]
        for each in spec.attributes:
            if each in present:
                lines += [f"v = data[{each.name!r}]"]
                lines += [f"o.{each.slot} = {each.kind.read_code(code, 'v', place_of(spec, each))}"]
            else:
                lines += [f"o.{each.slot} = {self._default_code(code, each)}"]
        return lines

    def _default_code(self, code: Code, each: Field) -> str:
        if each.factory is None and isinstance(each.default, _SHARED_DEFAULTS):
            return code.bind(each.default)
        place = code.bind(place_of(self.spec, each))
        return f"{code.bind(each.kind.owned)}({code.bind(each.fresh_default)}(), changed, {place})"

    def _make_writer(self, pin: Release | None) -> Function:
        if (refuser := self._refuser(pin)) is not None:
            return refuser
        spec, keys, code = self.spec, self.spec.keys, Code()
        if spec.changes_after(pin):
            return lambda source: write_carefully(spec, source, pin)
        present = spec.fields_at(pin)
        data = ", ".join(f"{each.name!r}: {each.kind.write_code(code, f'o.{each.slot}', pin)}" for each in present)
        lines = [
            "changed = o._changed",
            *self._changes_inside(code, present),
            f"e = {{{keys.name!r}: {spec.name!r}, {keys.namespace!r}: {spec.namespace!r},",
            f"     {keys.version!r}: {spec.version_at(pin)!r}, {keys.data!r}: {{{data}}}}}",
            "if changed:",
            *(f"    {line}" for line in self._names(code, present)),
            f"    if names: e[{keys.changes!r}] = names",
            "return e",
        ]
        return code.function("write", "o", lines)

    def _make_json_writer(self, pin: Release | None) -> Function:
        if (refuser := self._refuser(pin)) is not None:
            return refuser
        spec, code = self.spec, Code()
        if spec.changes_after(pin):
            return lambda source: JSON.encode(write_carefully(spec, source, pin))
        present = spec.fields_at(pin)
        inside, names = self._changes_inside(code, present), self._names(code, present)
        lines = json_lines(code, spec, pin, changes_inside=inside, names=names)
        return code.function("write_json", "o", lines)

    def _refuser(self, pin: Release | None) -> Function | None:
        spec = self.spec
        if pin is None or spec.since is None or pin >= spec.since:
            return None
        since, below = spec.since, pin

        def refuse(_source: Any) -> Any:
            raise ObjectTooNew(spec.name, since, below)

        return refuse

    def _changes_inside(self, code: Code, fields: Iterable[Field]) -> list[str]:
        """Return lines that add the fields to `changed` in which an object changed."""
        lines = []
        for each in fields:
            condition = each.kind.changes_code(code, f"o.{each.slot}")
            if condition is not None:
                lines += [f"if {each.name!r} not in changed and {condition}: changed = changed | {{{each.name!r}}}"]
        return lines

    def _names(self, code: Code, present: tuple[Field, ...]) -> list[str]:
        """Return lines that make `names`: the changed fields that are present, sorted."""
        names = sorted(each.name for each in present)
        if len(names) == len(self.spec.attributes):
            return [f"names = {names!r} if len(changed) == {len(names)} else sorted(changed)"]
        return [f"names = sorted(changed & {code.bind(frozenset(names))})"]


def _guarded(lines: Iterable[str], careful: str) -> list[str]:
    """Return the lines with `careful` after them for when they fail.

    It stands behind the handler and not in it, so that no error's context quotes what another process sent.
    """
    return [
        "try:",
        *(f"    {line}" for line in lines),
        "except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):",
        "    pass",
        careful,
    ]
