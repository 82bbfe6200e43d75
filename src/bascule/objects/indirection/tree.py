"""Which objects may be in an object, and the release at which somebody with certain versions can read all of them."""

from collections.abc import Iterable, Mapping

from bascule.objects.base import Object
from bascule.objects.spec import IncompatibleObject
from bascule.release import Release

__all__ = ["BEFORE_ALL", "reachable", "release_for", "versions_of"]

BEFORE_ALL = Release((0,))
"""Older than every release of a train."""


def versions_of(*classes: type[Object]) -> dict[str, str]:
    """Return the newest versions of the classes and of all that may be in them, by name: what this process can read."""
    return {each.object_name(): each.version_at() for each in reachable(classes, None)}


def reachable(classes: Iterable[type[Object]], release: Release | None) -> tuple[type[Object], ...]:
    """Return the classes and those of objects that travel inside them at a release; None is the newest."""
    found: dict[type[Object], None] = {}
    waiting = list(classes)
    while waiting:
        cls = waiting.pop()
        if cls not in found:
            found[cls] = None
            spec = cls.generated.spec
            waiting += [inner for each in spec.fields_at(release) for inner in each.kind.classes()]
    return tuple(found)


def release_for(classes: Iterable[type[Object]], versions: Mapping[str, str]) -> Release:
    """Return the newest release whose objects somebody can read who knows these versions and their predecessors.

    Raises IncompatibleObject when there is none: he is older than the oldest version that is kept here.
    """
    wanted = tuple(classes)
    trains = {release for cls in reachable(wanted, None) for release in cls.releases()}
    for release in sorted({BEFORE_ALL, *trains}, reverse=True):
        if all(_is_readable(cls, release, versions) for cls in reachable(wanted, release)):
            return release
    name = wanted[0].object_name()
    raise IncompatibleObject(name, versions.get(name, "?"), "nothing so old is written here; upgrade who asked")


def _is_readable(cls: type[Object], release: Release, versions: Mapping[str, str]) -> bool:
    version = versions.get(cls.object_name())
    if version is None:
        return False
    ours, theirs = _numbers(cls.version_at(release)), _numbers(version)
    return ours[0] == theirs[0] and ours <= theirs


def _numbers(version: str) -> tuple[int, int]:
    """Return major and minor; what comes after them does not count."""
    major, minor, *_ = (*version.split("."), "0")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (-1, -1)
