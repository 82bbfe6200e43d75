"""The frozen schema of an object, as a release's manifest keeps it."""

from collections.abc import Iterable
from typing import Any

from bascule.objects.base import Object
from bascule.release import Release

__all__ = ["schema_of", "schemas_of"]


def schema_of(cls: type[Object], release: Release | None = None) -> dict[str, Any]:  # Any: plain JSON values
    """Return {"version": ..., "fields": {name: kind}} of the object as a release speaks it; default: the newest."""
    fields = {name: each.kind.text_at(release) for name, each in cls.fields().items() if each.exists_at(release)}
    return {"version": cls.version_at(release), "fields": fields}


def schemas_of(classes: Iterable[type[Object]], release: Release | None = None) -> dict[str, dict[str, Any]]:
    """Return the manifest's `objects` table for these classes."""
    return {cls.object_name(): schema_of(cls, release) for cls in classes}
