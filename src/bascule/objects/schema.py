"""The frozen schema of an object, as a release's manifest keeps it."""

from collections.abc import Iterable
from typing import Any

from bascule.documents.codec import fingerprint
from bascule.objects.base import Object
from bascule.release import Release

__all__ = ["frozen_of", "schema_of", "schemas_of"]


def schema_of(cls: type[Object], release: Release | None = None) -> dict[str, Any]:  # Any: plain JSON values
    """Return {"version": ..., "fields": {name: kind}} of the object as a release speaks it; default: the newest."""
    fields = {name: each.kind.text_at(release) for name, each in cls.fields().items() if each.exists_at(release)}
    return {"version": cls.version_at(release), "fields": fields}


def schemas_of(classes: Iterable[type[Object]], release: Release | None = None) -> dict[str, dict[str, Any]]:
    """Return the manifest's `objects` table for these classes."""
    return {cls.object_name(): schema_of(cls, release) for cls in classes}


def frozen_of(classes: Iterable[type[Object]], release: Release | None = None) -> dict[str, dict[str, Any]]:
    """Return the manifest's `objects` table with all that `bascule.testing.compat_cases` can compare.

    To `schemas_of` it adds namespace and prefix of the envelope, the names of the read-only fields, and a fingerprint
    (sha256, hex) of everything. Classes that are younger than the release are not in it.
    """
    return {
        cls.object_name(): _frozen(cls, release)
        for cls in classes
        if cls.generated.spec.since is None or release is None or cls.generated.spec.since <= release
    }


def _frozen(cls: type[Object], release: Release | None) -> dict[str, Any]:
    spec = cls.generated.spec
    schema = schema_of(cls, release)
    read_only = sorted(name for name, each in cls.fields().items() if each.read_only and name in schema["fields"])
    whole = {**schema, "namespace": spec.namespace, "prefix": spec.prefix, "read_only": read_only}
    return {**whole, "fingerprint": fingerprint({"name": spec.name, **whole})}
