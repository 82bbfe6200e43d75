"""Frozen schemas of classes of oslo.versionedobjects, in the words of `bascule.objects`."""

from collections.abc import Iterable
from typing import Any

from oslo_versionedobjects import base, fields

from bascule.documents.codec import fingerprint
from bascule.objects.oslo.values import is_plain_field

__all__ = ["frozen_of"]

_FOUR, _SIX = "IPv4Address", "IPv6Address"
_WORDS: dict[type, str] = {
    fields.String: "str",
    fields.SensitiveString: "str",
    fields.Integer: "int",
    fields.NonNegativeInteger: "int>=0",
    fields.Float: "float",
    fields.NonNegativeFloat: "float>=0",
    fields.Boolean: "bool",
    fields.FlexibleBoolean: "flag",
    fields.DateTime: "datetime",
    fields.UUID: "uuid",
    fields.MACAddress: "mac",
    fields.PCIAddress: "pci",
    fields.VersionPredicate: "version predicate",
    fields.IPAddress: f"{_FOUR}|{_SIX}",
    fields.IPV4AndV6Address: f"{_FOUR}|{_SIX}",
    fields.IPV4Address: _FOUR,
    fields.IPV6Address: _SIX,
    fields.IPNetwork: "IPv4Interface|IPv6Interface",
    fields.IPV4Network: "IPv4Interface",
    fields.IPV6Network: "IPv6Interface",
}
_AROUND: dict[type, str] = {fields.List: "list", fields.Dict: "dict", fields.Set: "set"}


def frozen_of(classes: Iterable[type[base.VersionedObject]]) -> dict[str, dict[str, Any]]:
    """Return the manifest's `objects` table for these classes as they are now.

    It holds what oslo's own fingerprints do not see: the classes of objects in fields, the kinds of elements, whether
    a field is read-only and whether a moment has a zone. A kind of the service's own goes by its class's name.
    """
    return {cls.obj_name(): _frozen(cls) for cls in classes}


def _frozen(cls: type[base.VersionedObject]) -> dict[str, Any]:
    whole = {
        "version": cls.VERSION,
        "fields": {name: _field_text(field) for name, field in cls.fields.items()},
        "namespace": cls.OBJ_PROJECT_NAMESPACE,
        "prefix": cls.OBJ_SERIAL_NAMESPACE,
        "read_only": sorted(name for name, field in cls.fields.items() if field.read_only),
    }
    return {**whole, "fingerprint": fingerprint({"name": cls.obj_name(), **whole})}


def _field_text(field: Any) -> str:
    text = _text(field._type) if is_plain_field(field) else type(field).__name__  # noqa: SLF001  # oslo's own word
    return f"{text}|null" if field.nullable else text


def _text(kind: Any) -> str:
    if type(kind) in _AROUND:
        return f"{_AROUND[type(kind)]}[{_field_text(kind._element_type)}]"  # noqa: SLF001  # as above
    if isinstance(kind, fields.Enum):
        return f"one of {','.join(kind.valid_values)}"
    if type(kind) is fields.Object:
        name: str = kind._obj_name  # noqa: SLF001  # as above
        return f"{name} or a subclass" if kind._subclasses else name  # noqa: SLF001  # as above
    if type(kind) is fields.DateTime and not kind.tzinfo_aware:
        return "datetime without a zone"
    return _WORDS.get(type(kind), type(kind).__name__)
