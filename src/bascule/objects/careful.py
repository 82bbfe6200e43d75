"""Reading and writing field by field: what the generated code does, for the cases that it hands over.

The generated code knows the good case only. On any doubt it comes here, where each field is looked at by itself, so
that an error can say what is wrong; hand-written changes are applied here, too. Both ways give the same results.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from bascule.objects.fields import Field
from bascule.objects.spec import IncompatibleObject, Spec
from bascule.objects.tracked import Place
from bascule.release import Release

__all__ = ["fill_carefully", "place_of", "read_carefully", "write_carefully"]


class Holder(Protocol):
    """What is done to an object here. Any: values of the fields' own kinds."""

    _changed: set[str]


def place_of(spec: Spec, each: Field) -> Place:
    """Return where collections in this field stand."""
    return Place(spec.name, each.name, each.read_only)


def fill_carefully(spec: Spec, target: Holder, row: Mapping[str, Any]) -> None:  # Any: as above
    """Set all fields from a row, or their defaults. Raises TypeError for a missing value or one of another kind."""
    target._changed = set()  # noqa: SLF001  # this module is the other half of the class
    for each in spec.attributes:
        try:
            value = each.kind.checked(row[each.name])
        except KeyError:
            if each.required:
                raise TypeError(f"{spec.name} lacks {[each.name]}") from None
            value = each.fresh_default()
        except ValueError as wrong:
            raise spec.refuse_value(each, str(wrong)) from None
        _put(spec, target, each, value)


def read_carefully(spec: Spec, target: Holder, primitive: Any) -> None:  # Any: plain JSON values from outside
    """Set all fields from an envelope of this or an older release. Raises IncompatibleObject."""
    version, data, changes = _opened(spec, primitive)
    known = spec.versions().get(version)
    if known is None:
        raise IncompatibleObject(spec.name, version, f"this release reads up to {spec.version_at()}")
    present = {each.name: each for each in spec.fields_of(known)}
    if unknown := sorted(map(str, data.keys() - present.keys())):
        raise IncompatibleObject(spec.name, version, f"fields {unknown} are not of that version")
    values = {
        name: _received(spec, each, data, version) for name, each in present.items() if name in data or each.required
    }
    changed = {name for name in changes if name in data}
    _upgrade(spec, version, known, {**data}, present, values, changed)
    target._changed = changed & spec.names  # noqa: SLF001  # as above
    for each in spec.attributes:
        _put(spec, target, each, values[each.name] if each.name in values else each.fresh_default())


def write_carefully(spec: Spec, source: Any, pin: Release | None) -> dict[str, Any]:  # Any: an object; plain JSON
    """Return the envelope at the pin's version, with hand-written changes applied newest first."""
    changed = set(source.changed())
    values = {
        each.name: each.kind.to_wire(getattr(source, each.name), pin if each.exists_at(pin) else None)
        for each in spec.attributes
    }
    for step in spec.changes_after(pin):
        older = dict(step.down(values))
        _check_conversion(spec, older, step.older, "down")
        values.update(older)
        if not changed.isdisjoint(step.newer):
            changed.update(step.older)
    data = {each.name: values[each.name] for each in spec.fields_at(pin)}
    keys = spec.keys
    envelope = {
        keys.name: spec.name,
        keys.namespace: spec.namespace,
        keys.version: spec.version_at(pin),
        keys.data: data,
    }
    names = sorted(changed & data.keys())
    return {**envelope, keys.changes: names} if names else envelope


def _opened(spec: Spec, primitive: Any) -> tuple[str, Mapping[str, Any], list[str]]:
    keys = spec.keys
    if not isinstance(primitive, Mapping):
        raise IncompatibleObject("?", "?", "it is no envelope")
    name, version = str(primitive.get(keys.name, "?")), str(primitive.get(keys.version, "?"))
    data, changes = primitive.get(keys.data), primitive.get(keys.changes, [])
    if not isinstance(data, Mapping) or not isinstance(changes, list) or not all(map(_is_text, changes)):
        raise IncompatibleObject(name, version, "its data or changes are missing or damaged")
    if name != spec.name or primitive.get(keys.namespace) != spec.namespace:
        raise IncompatibleObject(name, version, f"{spec.namespace} {spec.name} was expected")
    return version, data, changes


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _received(spec: Spec, each: Field, data: Mapping[str, Any], version: str) -> Any:
    if each.name not in data:
        raise IncompatibleObject(spec.name, version, f"{each.name} is missing")
    try:
        return each.kind.from_wire(data[each.name])
    except ValueError as wrong:
        raise IncompatibleObject(spec.name, version, f"{each.name} {wrong}") from None


def _upgrade(
    spec: Spec,
    version: str,
    known: tuple[Release, ...],
    data: dict[str, Any],
    present: Mapping[str, Field],
    values: dict[str, Any],
    changed: set[str],
) -> None:
    """Apply the changes that the sender did not know, oldest first, to `values` and `changed`."""
    for step in spec.changes:
        if step.since in known:
            continue
        for name in step.older:
            if name in present and name not in data:
                raise IncompatibleObject(spec.name, version, f"{name} is missing")
        try:
            newer = dict(step.up(data))
        except (ArithmeticError, LookupError, TypeError, ValueError):
            # The values are another process's; what it says about them must not be quoted.
            raise IncompatibleObject(spec.name, version, f"{list(step.older)} cannot be converted") from None
        _check_conversion(spec, newer, step.newer, "up")
        data.update(newer)
        for name in step.newer:
            values[name] = _received(spec, spec.fields[name], data, version)
        if not changed.isdisjoint(step.older):
            changed.update(step.newer)


def _check_conversion(spec: Spec, made: Mapping[str, Any], promised: Iterable[str], way: str) -> None:
    if made.keys() != set(promised):
        raise TypeError(f"a change of {spec.name} must return {list(promised)} on its way {way}, not {list(made)}")
    for name, value in made.items():
        try:
            spec.fields[name].kind.from_wire(value)
        except ValueError as wrong:
            raise TypeError(f"a change of {spec.name} returns a {name} on its way {way} that {wrong}") from None


def _put(spec: Spec, target: Holder, each: Field, value: Any) -> None:
    setattr(target, each.slot, each.kind.owned(value, target._changed, place_of(spec, each)))  # noqa: SLF001  # as above
