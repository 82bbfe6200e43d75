"""Per kind of field, what it makes of a value on the way out and in, as code for the good case.

A kind is known by the functions that it has, so that a subclass of a stock kind that overrides one of them is not
taken for it. Whatever is not known here, and whatever value is not as expected, goes to the field's own methods.
"""

import datetime as dt
import re
from typing import Any

from oslo_versionedobjects import _utils, fields

from bascule.objects.code import Code

__all__ = ["holds_objects", "is_plain_field", "read_test", "write_code"]

_WRITES_ITSELF = fields.FieldType.to_primitive
_READS_ITSELF = fields.FieldType.from_primitive
_UUID = re.compile("-?".join(f"[0-9a-fA-F]{{{count}}}" for count in (8, 4, 4, 4, 12))).fullmatch
_TWO = tuple(f"{number:02}" for number in range(100))
_EXACT: dict[Any, str] = {
    fields.String.coerce: "type({0}) is str",
    fields.Integer.coerce: "type({0}) is int",
    fields.NonNegativeInteger.coerce: "type({0}) is int and {0} >= 0",
    fields.Float.coerce: "type({0}) is float",
    fields.NonNegativeFloat.coerce: "type({0}) is float and {0} >= 0",
    fields.Boolean.coerce: "type({0}) is bool",
    fields.FlexibleBoolean.coerce: "type({0}) is bool",
}


def is_plain_field(field: Any) -> bool:
    """Whether the field does with None and its kind what every stock field does."""
    names = ("coerce", "to_primitive", "from_primitive", "_null")
    stock = all(getattr(type(field), name) is getattr(fields.Field, name) for name in names)
    own = {"coerce", "to_primitive", "from_primitive", "_null", "nullable"} & {*vars(field), *vars(field._type)}  # noqa: SLF001  # as oslo's own kinds do
    return stock and not own and type(field).nullable is fields.Field.nullable


def write_code(code: Code, field: Any, value: str) -> str | None:
    """Return the expression of `field.to_primitive(...)` of a value, or None when only the field itself knows."""
    if not is_plain_field(field):
        return None
    kind = field._type  # noqa: SLF001  # as above
    way = type(kind).to_primitive
    if way is _WRITES_ITSELF:
        return value
    if way is fields.DateTime.to_primitive:
        return f"None if {value} is None else {code.bind(_isotime)}({value})"
    if way is fields.IPAddress.to_primitive or way is fields.IPNetwork.to_primitive:
        return f"None if {value} is None else str({value})"
    if way is fields.Object.to_primitive:
        return f"None if {value} is None else {value}.obj_to_primitive()"
    if way not in {fields.List.to_primitive, fields.Dict.to_primitive, fields.Set.to_primitive}:
        return None
    item, key = code.variable(), code.variable()
    inner = write_code(code, kind._element_type, item)  # noqa: SLF001  # as above
    if inner is None:
        return None
    if way is fields.Dict.to_primitive:
        made = f"{{{key}: {inner} for {key}, {item} in {value}.items()}}" if inner != item else f"dict({value})"
    elif way is fields.List.to_primitive:
        made = f"[{inner} for {item} in {value}]" if inner != item else f"list({value})"
    else:
        made = f"tuple([{inner} for {item} in {value}])"
    return f"None if {value} is None else {made}"


def read_test(code: Code, field: Any, value: str) -> str | None:
    """Return the test of values that both `from_primitive` and `coerce` leave as they are; None without one."""
    kind = field._type  # noqa: SLF001  # as above
    if not is_plain_field(field) or type(kind).from_primitive is not _READS_ITSELF:
        return None
    way = type(kind).coerce
    if way is fields.UUID.coerce:
        test = f"type({value}) is str and {code.bind(_UUID)}({value})"
    elif way is fields.Enum.coerce:
        if not all(type(each) is str for each in kind._valid_values):  # noqa: SLF001  # as above
            return None
        test = f"type({value}) is str and {value} in {code.bind(frozenset(kind._valid_values))}"  # noqa: SLF001  # as above
    elif way in _EXACT:
        test = _EXACT[way].format(value)
    else:
        return None
    return f"({value} is None or {test})" if field.nullable else f"({test})"


def holds_objects(field: Any) -> bool:
    """Whether the field's own value may be a versioned object, which may have changed."""
    way = type(field._type).coerce  # noqa: SLF001  # as above
    never = (*_EXACT, fields.UUID.coerce, fields.Enum.coerce, fields.DateTime.coerce, fields.List.coerce)
    return not is_plain_field(field) or way not in {*never, fields.Dict.coerce, fields.Set.coerce}


def _isotime(at: Any) -> str:
    """Return what oslo does, sooner for a moment in UTC; before the year 1000, strftime does not fill up with zeros."""
    year = at.year
    if (at.tzinfo is not dt.UTC and at.tzinfo is not None) or year < 1000 or type(at) is not dt.datetime:  # see above
        return _utils.isotime(at)
    return (
        f"{_TWO[year // 100]}{_TWO[year % 100]}-{_TWO[at.month]}-{_TWO[at.day]}"
        f"T{_TWO[at.hour]}:{_TWO[at.minute]}:{_TWO[at.second]}Z"
    )
