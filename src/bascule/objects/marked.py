"""JSON text to objects, sooner: without parsing the heads of envelopes that are known by heart.

Half of a text with objects in objects is the heads of their envelopes: name, namespace, version, and long keys. Where
a head is written as we write it, at the version that this release writes, it is replaced by a short mark before the
text is parsed. No string in JSON holds such a head, since quotes are escaped there. Whatever is not as expected is
left to the reader of whole envelopes, with the text as it came.
"""

import json
import os
from collections.abc import Callable, Iterable
from itertools import chain, count, islice, repeat
from json.scanner import make_scanner
from typing import Any

from bascule.errors import ObjectError
from bascule.objects.careful import place_of
from bascule.objects.code import Code
from bascule.objects.fields import Field
from bascule.objects.spec import Spec

__all__ = ["Marked", "scan"]

Function = Callable[..., Any]  # Any: objects and plain JSON values

scan = make_scanner(json.JSONDecoder())  # type: ignore[arg-type]  # the stubs want a scanner for its options
"""What json.loads is made of, without its search for blanks around the text and for an encoding."""

_AT_MOST = 8
"""Classes whose heads are looked for in one text."""

_OWN = os.urandom(4).hex()
"""Part of the marks: whoever writes texts does not know it, and so cannot write a mark."""

_numbers = count()


class Marked:
    """The functions of one class that read envelopes with marks for heads; each raises on any doubt."""

    def __init__(
        self, cls: type, spec: Spec, default_code: Callable[[Code, Field], str], no_names: Callable[[Code], str]
    ) -> None:
        self.cls, self.spec, self._default_code, self._no_names = cls, spec, default_code, no_names
        self.mark = f"{_OWN}{next(_numbers)}"

    def head(self) -> str:
        """Return the head of an envelope as we write it, up to its data."""
        spec, keys = self.spec, self.spec.keys
        pairs = {keys.name: spec.name, keys.namespace: spec.namespace, keys.version: spec.version_at()}
        return f"{json.dumps(pairs, separators=(',', ':'))[:-1]},{json.dumps(keys.data)}:"

    def lines(self, code: Code) -> list[str]:
        """Return lines that read the envelope `p` as the object `o`."""
        spec, present = self.spec, self.spec.fields_at(None)
        names, nothing = code.bind(frozenset(each.name for each in present)), self._no_names(code)
        lines = [
            f"data = p[{self.mark!r}]",
            f"if type(data) is not dict or len(data) != {len(present)}: raise LookupError",
            f"if len(p) == 1: changed = {nothing}",
            "else:",
            f"    changes = p[{spec.keys.changes!r}]",
            "    if type(changes) is not list or len(p) != 2: raise LookupError",
            f"    changed = {'set' if nothing == 'set()' else 'frozenset'}(changes)",
            f"    if not changed <= {names}: raise LookupError",
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

    def make_read(self) -> Function:
        """Return the function that reads one envelope."""
        code = Code(marked=True)
        return code.function("read_marked", "p", [*self.lines(code), "return o"])

    def make_read_all(self) -> Function:
        """Return the function that reads a list of them."""
        code = Code(marked=True)
        loop = ["made = []", "for p in all:", *(f"    {line}" for line in self.lines(code)), "    made.append(o)"]
        return code.function("read_all_marked", "all", [*loop, "return made"])

    def make_read_json(self, read: Function, others: Iterable["Marked"]) -> Function:
        """Return the function that reads a text, and returns None when it is not as expected."""
        code, head = Code(), self.head()
        # Splitting and joining looks for the heads once, and replacing twice.
        replaced = [
            f"    marked = {'{' + json.dumps(each.mark) + ':'!r}.join({text}.split({each.head()!r}))"
            for text, each in zip(chain(["text"], repeat("marked")), _first(self, others), strict=False)
        ]
        errors = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError, StopIteration)
        lines = [
            f"if not text.startswith({head!r}): return None",
            "try:",
            *replaced,
            f"    p, end = {code.bind(scan)}(marked, 0)",
            f"    return {code.bind(read)}(p) if end == len(marked) else None",
            f"except {code.bind((*errors, ObjectError))}:",
            "    return None",
        ]
        return code.function("read_json", "text", lines)


def _first(one: Marked, others: Iterable[Marked]) -> list[Marked]:
    """Return as many as are looked for, each once."""
    return list(islice(dict.fromkeys((one, *others)), _AT_MOST))
