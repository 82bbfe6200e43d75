"""Classes of oslo.versionedobjects as a family. Needs oslo.versionedobjects."""

import copy
from collections.abc import Iterable
from typing import Any

from bascule.objects.oslo.schema import frozen_of
from bascule.release import Release
from bascule.testing.compat.family import Schemas

__all__ = ["OfOslo"]


class OfOslo:
    """Classes of oslo.versionedobjects, which speak the versions that a release's manifest names."""

    by_hand = True

    def __init__(self, classes: Iterable[type[Any]]) -> None:
        self.classes = {cls.obj_name(): cls for cls in classes}

    def frozen(self, release: Release | None) -> Schemas:
        """Return the newest schemas; what the classes make of an older release only shows in what they send."""
        return frozen_of(self.classes.values()) if release is None else {}

    def write(self, each: Any, release: Release, schemas: Schemas) -> Any:  # noqa: ARG002  # as in every family
        """Return the envelope that the class converts to the release's versions."""
        manifest = {name: schema["version"] for name, schema in schemas.items()}
        target = manifest[each.obj_name()]
        # A copy: conversions may keep and change what is in the object itself.
        return each.obj_clone().obj_to_primitive(target_version=target, version_manifest=manifest)

    def read(self, name: str, primitive: Any) -> Any:
        """Return the object."""
        return self.classes[name].obj_from_primitive(copy.deepcopy(primitive))

    def incomplete(self, each: Any, sent: Any) -> list[str]:
        """Return the fields that were sent and are not set."""
        data = sent[f"{type(each).OBJ_SERIAL_NAMESPACE}.data"]
        return [name for name in data if name in each.fields and not each.obj_attr_is_set(name)]

    def converted(self, name: str, release: Release) -> frozenset[str]:  # noqa: ARG002  # as in every family
        """Return all fields: which of them conversions touch cannot be known."""
        return frozenset(self.classes[name].fields) | {"*"}
