"""What adopted classes send when they are not told a version: the one of the pin."""

import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base

from bascule.errors import ObjectError

__all__ = ["NotAtPin", "pinned"]

_inside = threading.local()


class NotAtPin(ObjectError):
    """An object is to be sent while the pin does not know its class."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"object {name} does not exist at the pin; wait until the pin is lifted, or send it without")


def pinned(
    cls: type[base.VersionedObject], write: Callable[..., Any], versions: Callable[[], Mapping[str, str]]
) -> Callable[..., Any]:
    """Return `write`, the class's `obj_to_primitive`, as one that takes the pin for what it is not told."""

    @functools.wraps(write)
    def obj_to_primitive(
        self: Any, target_version: str | None = None, version_manifest: Mapping[str, str] | None = None
    ) -> Any:
        if _is_inside() or type(self) is not cls:
            return write(self, target_version, version_manifest)
        manifest = versions() if target_version is None and not version_manifest else {}
        _inside.now = True  # objects inside are converted by their parents
        try:
            if not manifest or _is_newest(manifest):
                return write(self, target_version, version_manifest)
            return _lowered(self, write(self, _target(self, manifest), manifest), manifest)
        finally:
            _inside.now = False

    return obj_to_primitive


def _is_inside() -> bool:
    return getattr(_inside, "now", False)


def _is_newest(manifest: Mapping[str, str]) -> bool:
    """Whether nothing needs to be converted."""
    classes = base.VersionedObjectRegistry.obj_classes()
    return all(manifest.get(name) == each[0].VERSION for name, each in classes.items() if each)


def _target(each: Any, manifest: Mapping[str, str]) -> str:
    name = each.obj_name()
    if name not in manifest:
        raise NotAtPin(name)
    return manifest[name] if _newer(each.VERSION, manifest[name]) else each.VERSION


def _newer(version: str, than: str) -> bool:
    return bool(versionutils.convert_version_to_tuple(version)[:2] > versionutils.convert_version_to_tuple(than)[:2])


def _lowered(value: Any, primitive: Any, manifest: Mapping[str, str]) -> Any:
    """Return the primitive with the objects converted that oslo.versionedobjects leaves as they are."""
    if isinstance(value, base.VersionedObject) and isinstance(primitive, dict):
        return _lowered_object(value, primitive, manifest)
    if isinstance(value, (list, tuple)) and isinstance(primitive, (list, tuple)) and len(value) == len(primitive):
        return type(primitive)(_lowered(item, plain, manifest) for item, plain in zip(value, primitive, strict=True))
    if isinstance(value, dict) and isinstance(primitive, dict):
        return {key: _lowered(value.get(key), plain, manifest) for key, plain in primitive.items()}
    return primitive


def _lowered_object(value: Any, primitive: dict[str, Any], manifest: Mapping[str, str]) -> dict[str, Any]:
    version, data = (value._obj_primitive_key(key) for key in ("version", "data"))  # noqa: SLF001  # oslo's own word
    target = _target(value, manifest)
    if version not in primitive or data not in primitive:
        return primitive  # the class made something of its own of it
    if _newer(primitive[version], target):
        primitive = value.obj_to_primitive(target, manifest)
    for name, plain in primitive[data].items():
        if isinstance(plain, (dict, list, tuple)) and name in value.fields and value.obj_attr_is_set(name):
            primitive[data][name] = _lowered(getattr(value, name), plain, manifest)
    return primitive
