"""The objects of a service, whoever's classes they are: ours, or those of oslo.versionedobjects."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from bascule.objects import Object, frozen_of
from bascule.release import Release

__all__ = ["Family", "family_of"]

Schemas = Mapping[str, Mapping[str, Any]]
"""The `objects` table of a manifest; Any: plain JSON values."""


class Family(Protocol):
    """What the cases need of a service's objects. Any: objects, and plain JSON values."""

    by_hand: bool
    """Whether versions are written by hand and a conversion may change the kind of a field under its old name."""

    def frozen(self, release: Release | None) -> Schemas:
        """Return the schemas that the code has of a release; without one, the newest."""

    def write(self, each: Any, release: Release, schemas: Schemas) -> Any:
        """Return the envelope for a release with these frozen schemas."""

    def read(self, name: str, primitive: Any) -> Any:
        """Return the object of an envelope."""

    def incomplete(self, each: Any, sent: Any) -> list[str]:
        """Return the fields that an object does not have, of those that it should after reading `sent`."""

    def converted(self, name: str, release: Release) -> frozenset[str]:
        """Return the release's fields that hand-written code makes and reads, so that only it can make samples."""


class OfBascule:
    """Classes of `bascule.objects`."""

    by_hand = False

    def __init__(self, classes: Iterable[type[Object]]) -> None:
        self.classes = {cls.object_name(): cls for cls in classes}

    def frozen(self, release: Release | None) -> Schemas:
        """Return the schemas that the code has of a release."""
        return frozen_of(self.classes.values(), release)

    def write(self, each: Object, release: Release, schemas: Schemas) -> Any:  # noqa: ARG002  # as in every family
        """Return the envelope; the class alone says what the release knows."""
        return each.to_primitive(release)

    def read(self, name: str, primitive: Any) -> Object:
        """Return the object."""
        return self.classes[name].from_primitive(primitive)

    def incomplete(self, each: Object, sent: Any) -> list[str]:  # noqa: ARG002  # as in every family
        """Return nothing: an object of ours that lacks a field cannot be made."""
        return [name for name in type(each).generated.spec.names if not hasattr(each, name)]

    def converted(self, name: str, release: Release) -> frozenset[str]:
        """Return the older sides of changes that the release does not know."""
        steps = self.classes[name].generated.spec.changes_after(release)
        return frozenset(older for step in steps for older in step.older)


def family_of(classes: Iterable[type[Any]]) -> Family:
    """Return the family of these classes. Raises TypeError for a mixed one."""
    found = list(classes)
    if all(issubclass(cls, Object) for cls in found):
        return OfBascule(found)
    if any(issubclass(cls, Object) for cls in found):
        raise TypeError("classes of bascule.objects and of oslo.versionedobjects need cases of their own each")
    from bascule.testing.compat.of_oslo import OfOslo  # noqa: PLC0415  # needs oslo.versionedobjects

    return OfOslo(found)
