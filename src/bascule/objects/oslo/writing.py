"""`obj_to_primitive`, `obj_what_changed` and `obj_attr_is_set`, generated for one class."""

from collections.abc import Callable
from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base, exception

from bascule.objects.code import Code
from bascule.objects.oslo.stock import STOCK, mark, stock_of
from bascule.objects.oslo.values import holds_objects, write_code

__all__ = ["make_attr_is_set", "make_what_changed", "make_writer"]

Method = Callable[..., Any]  # Any: as oslo's methods

_MISSING = object()


def make_attr_is_set(cls: type[base.VersionedObject]) -> Method:
    """Return the method that looks where the value is, and nowhere else."""
    code = Code()
    slots = {name: f"_obj_{name}" for name in (*cls.fields, *cls.obj_extra_fields)}
    own, stock = code.bind(cls), code.bind(STOCK["obj_attr_is_set"])
    lines = [
        f"if type(self) is {own} and attrname in {code.bind(slots)}:",
        f"    return {code.bind(slots)}[attrname] in self.__dict__",
        f"return {stock}(self, attrname)",
    ]
    if cls.obj_extra_fields:  # a value of theirs may stand anywhere
        lines = [f"return {stock}(self, attrname)"]
    made: Method = mark(code.function("obj_attr_is_set", "self, attrname", lines), "obj_attr_is_set")
    return made


def make_what_changed(cls: type[base.VersionedObject]) -> Method:
    """Return the method that asks only those fields that may hold an object."""
    code = Code()
    lines = [
        f"if type(self) is not {code.bind(cls)}: return {code.bind(STOCK['obj_what_changed'])}(self)",
        *_changes(code, cls),
        "return changes",
    ]
    made: Method = mark(code.function("obj_what_changed", "self", lines), "obj_what_changed")
    return made


def make_writer(cls: type[base.VersionedObject], *, own_changes: bool) -> Method:
    """Return the method; with `own_changes`, the class has its own `obj_what_changed`, which is asked."""
    code = Code()
    keys = {key: cls._obj_primitive_key(key) for key in ("name", "namespace", "version", "data", "changes")}
    name = repr(cls.__name__) if stock_of(cls, "obj_name") is STOCK["obj_name"] else "self.obj_name()"
    too_new, parse = code.bind(exception.InvalidTargetVersion), code.bind(versionutils.convert_version_to_tuple)
    lines = [
        f"if type(self) is not {code.bind(cls)}:",
        f"    return {code.bind(STOCK['obj_to_primitive'])}(self, target_version, version_manifest)",
        "own, values = self.VERSION, self.__dict__",
        "if target_version is None: target_version = own",
        f"elif target_version != own and {parse}(target_version) > {parse}(own):",
        f"    raise {too_new}(version=target_version)",
        *_data(code, cls),
        "if target_version != own or version_manifest:",
        "    self.obj_make_compatible_from_manifest(data, target_version, version_manifest)",
        f"made = {{{keys['name']!r}: {name}, {keys['namespace']!r}: self.OBJ_PROJECT_NAMESPACE,",
        f"        {keys['version']!r}: target_version, {keys['data']!r}: data}}",
        *(["changes = self.obj_what_changed()"] if own_changes else _changes(code, cls)),
        "if changes:",
        "    changes = [each for each in changes if each in data]",
        f"    if changes: made[{keys['changes']!r}] = changes",
        "return made",
    ]
    made = code.function("obj_to_primitive", "self, target_version=None, version_manifest=None", lines)
    marked: Method = mark(made, "obj_to_primitive")
    return marked


def _data(code: Code, cls: type[base.VersionedObject]) -> list[str]:
    """Return lines that make `data`: at one go when all fields are set, and else one after the other."""
    if not cls.fields:
        return ["data = {}"]
    found = {name: _written(code, cls, name) for name in cls.fields}
    whole = ", ".join(f"{name!r}: {written}" for name, (_, written) in found.items())
    lines = ["try:"]
    lines += [f"    {variable} = values[{'_obj_' + name!r}]" for name, (variable, _) in found.items()]
    lines += ["except KeyError:", "    data = {}"]
    for name, (variable, written) in found.items():
        lines += [
            f"    {variable} = values.get({'_obj_' + name!r}, {code.bind(_MISSING)})",
            f"    if {variable} is not {code.bind(_MISSING)}: data[{name!r}] = {written}",
        ]
    return [*lines, "else:", f"    data = {{{whole}}}"]


def _written(code: Code, cls: type[base.VersionedObject], name: str) -> tuple[str, str]:
    """Return a variable, and the expression of what the field makes of the value in it."""
    variable, field = code.variable(), cls.fields[name]
    known = write_code(code, field, variable)
    return variable, known or f"{code.bind(field)}.to_primitive(self, {name!r}, {variable})"


def _changes(code: Code, cls: type[base.VersionedObject]) -> list[str]:
    """Return lines that make `changes` as oslo does, in the same order."""
    names = code.bind(frozenset(cls.fields))
    lines = [
        "changed = self._changed_fields",
        f"changes = {{each for each in changed if each in {names}}} if changed else set()",
    ]
    holders = [name for name, field in cls.fields.items() if holds_objects(field)]
    if holders:
        lines += ["held = self.__dict__"]
    for name in holders:
        lines += [
            f"inside = held.get({'_obj_' + name!r})",
            f"if isinstance(inside, {code.bind(base.VersionedObject)}) and inside.obj_what_changed():",
            f"    changes.add({name!r})",
        ]
    return lines
