"""JSON text of objects: one literal per class and pin, with the fields' texts put in."""

import json

from bascule.objects.code import Code
from bascule.objects.kinds.kind import json_text
from bascule.objects.spec import Spec
from bascule.release import Release

__all__ = ["JSON", "json_lines"]

JSON = json.JSONEncoder(separators=(",", ":"))
"""The standard library's way to write the same text."""


def json_lines(
    code: Code, spec: Spec, pin: Release | None, *, changes_inside: list[str], names: list[str]
) -> list[str]:
    """Return lines that return the text of the object `o` at the pin.

    `changes_inside` are lines that add to `changed`, and `names` lines that make `names` of it.
    """
    keys, present = spec.keys, spec.fields_at(pin)
    head = {keys.name: spec.name, keys.namespace: spec.namespace, keys.version: spec.version_at(pin)}
    pairs = ",".join(f"{json_text(each.name)}:\0{number}\0" for number, each in enumerate(present))
    template = f"{JSON.encode(head)[:-1]},{json_text(keys.data)}:{{{pairs}}}"
    literal, changes = _f_string(template, len(present)), f",{json_text(keys.changes)}:"
    return [
        "changed = o._changed",
        *changes_inside,
        *(f"t{at} = {each.kind.json_part_code(code, f'o.{each.slot}', pin)}" for at, each in enumerate(present)),
        "if changed:",
        *(f"    {line}" for line in names),
        f"    if names: return {literal} + {changes!r} + {code.bind(_json_names)}(names) + '}}'",
        f"return {literal} + '}}'",
    ]


def _f_string(template: str, count: int) -> str:
    """Return the literal that puts variables t0, t1, ... where the template has their numbers between NULs."""
    escaped = template.replace("{", "{{").replace("}", "}}")
    for number in range(count):
        escaped = escaped.replace(f"\0{number}\0", f"{{t{number}}}")
    return f"f{escaped!r}"


def _json_names(names: list[str]) -> str:
    return '["' + '","'.join(names) + '"]'  # identifiers; those beyond ASCII travel as they are
