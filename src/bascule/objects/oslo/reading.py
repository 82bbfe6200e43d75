"""`_obj_from_primitive`, generated for one class."""

from datetime import UTC, datetime
from typing import Any

from oslo_versionedobjects import base, fields

from bascule.objects.code import Code
from bascule.objects.oslo.stock import STOCK, mark, stock_of
from bascule.objects.oslo.values import is_plain_field, read_test

__all__ = ["make_reader"]

_CLASSES = base.VersionedObjectRegistry.obj_classes


def make_reader(cls: type[base.VersionedObject]) -> Any:  # Any: a classmethod
    """Return the class method; each field is set as its property would, but for looking twice at good values."""
    code = Code()
    data, changes = (cls._obj_primitive_key(key) for key in ("data", "changes"))
    lines = [
        f"if cls is not {code.bind(cls)}:",
        f"    return {code.bind(STOCK['_obj_from_primitive'])}(cls, context, objver, primitive)",
        "self = cls()",
        "self._context = context",
        "self.VERSION = objver",
        f"data = primitive[{data!r}]",
        "values = self.__dict__",
    ]
    for name, field in cls.fields.items():
        lines += [f"if {name!r} in data:", f"    v = data[{name!r}]", *_field_lines(code, cls, name, field)]
    names = code.bind(frozenset(cls.fields))
    lines += [
        f"self._changed_fields = {{each for each in primitive.get({changes!r}, []) if each in {names}}}",
        "return self",
    ]
    made = code.function("_obj_from_primitive", "cls, context, objver, primitive", lines)
    return classmethod(mark(made, "_obj_from_primitive"))


def _field_lines(code: Code, cls: type[base.VersionedObject], name: str, field: Any) -> list[str]:
    by_property = f"setattr(self, {name!r}, {code.bind(field)}.from_primitive(self, {name!r}, v))"
    if field.read_only or not is_plain_field(field):
        return [f"    {by_property}"]
    slot, test = f"values[{'_obj_' + name!r}]", read_test(code, field, "v")
    if test is not None:
        return [f"    if {test}: {slot} = v", f"    else: {by_property}"]
    kind = field._type  # noqa: SLF001  # as oslo's own kinds do
    read = _read_code(code, cls, name, kind)
    if read is None:
        return [f"    {by_property}"]
    nothing = [f"    if v is None: {slot} = None"] if field.nullable else []
    return [
        *nothing,
        f"    {'elif' if nothing else 'if'} (made := {read}) is not None: {slot} = made",
        f"    else: {by_property}",
    ]


def _read_code(code: Code, cls: type[base.VersionedObject], name: str, kind: Any) -> str | None:
    """Return the expression of the value read, which is None for a value that the field itself must look at."""
    ways = (type(kind).from_primitive, type(kind).coerce)
    if ways == (fields.DateTime.from_primitive, fields.DateTime.coerce) and kind.tzinfo_aware:
        return f"{code.bind(_moment)}(v)"
    if ways == (fields.Object.from_primitive, fields.Object.coerce) and _finds_as_usual(cls):
        return f"{code.bind(_child_reader(cls, kind))}(self, v)"
    if ways == (fields.List.from_primitive, fields.List.coerce):
        return _list_code(code, cls, name, kind._element_type)  # noqa: SLF001  # as above
    if ways == (fields.Dict.from_primitive, fields.Dict.coerce):
        test = read_test(code, kind._element_type, "x")  # noqa: SLF001  # as above
        if test is not None:
            made = f"{code.bind(_coerced_dict)}(v, {code.bind(kind._element_type)}, self, {name!r})"  # noqa: SLF001  # as above
            return f"{made} if type(v) is dict and all([type(k) is str and {test} for k, x in v.items()]) else None"
    return None


def _list_code(code: Code, cls: type[base.VersionedObject], name: str, element: Any) -> str | None:
    own = f"{code.bind(element)}, self, {name!r}"
    test = read_test(code, element, "x")
    if test is not None:
        return f"{code.bind(_coerced_list)}(v, {own}) if type(v) is list and all([{test} for x in v]) else None"
    kind = element._type  # noqa: SLF001  # as above
    ways = (type(kind).from_primitive, type(kind).coerce)
    if ways != (fields.Object.from_primitive, fields.Object.coerce) or not is_plain_field(element):
        return None
    if not _finds_as_usual(cls):
        return None
    read = code.bind(_child_reader(cls, kind))
    return f"{code.bind(_list_of)}(v, {read}, {own})"


def _list_of(value: Any, read: Any, element: Any, owner: Any, name: str) -> Any:
    if type(value) is not list:
        return None
    items = []
    for each in value:
        made = read(owner, each)
        if made is None:
            return None
        items.append(made)
    return _coerced_list(items, element, owner, name)


def _coerced_list(items: Any, element: Any, owner: Any, name: str) -> Any:
    made: Any = fields.CoercedList()
    made.enable_coercing(element, owner, name)
    list.extend(made, items)
    return made


def _coerced_dict(items: Any, element: Any, owner: Any, name: str) -> Any:
    made: Any = fields.CoercedDict()
    made.enable_coercing(element, owner, name)
    dict.update(made, items)
    return made


def _finds_as_usual(cls: type[base.VersionedObject]) -> bool:
    return all(stock_of(cls, name) is STOCK[name] for name in ("obj_from_primitive", "obj_class_from_name"))


def _child_reader(cls: type[base.VersionedObject], kind: Any) -> Any:
    """Return the function that reads an object of the newest version, and returns None for anything else."""
    wanted = kind._obj_name  # noqa: SLF001  # as above
    name, namespace, version = (cls._obj_primitive_key(key) for key in ("name", "namespace", "version"))  # as above
    classes = _CLASSES()

    def read(owner: Any, value: Any) -> Any:
        if type(value) is not dict or value.get(name) != wanted or value.get(namespace) != owner.OBJ_PROJECT_NAMESPACE:
            return None
        newest = classes[wanted][0] if classes.get(wanted) else None
        if newest is None or value.get(version) != newest.VERSION:
            return None
        made = newest._obj_from_primitive(owner._context, newest.VERSION, value)  # noqa: SLF001  # as above
        return made if made.obj_name() == wanted else None

    return read


def _moment(value: Any) -> datetime | None:
    """Return the moment in the form that oslo writes, and None for any other form."""
    if type(value) is str and len(value) == 20 and value[4] == value[7] == "-" and value[10:20:9] == "TZ":
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return moment if moment.tzinfo is UTC else None
    return None
