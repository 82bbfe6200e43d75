"""What a class of objects is, apart from Python: its names, its fields, and its versions along the train."""

import functools
from dataclasses import dataclass

from bascule.errors import ObjectError
from bascule.objects.change import Change
from bascule.objects.fields import Field
from bascule.release import Release, Train

__all__ = ["IncompatibleObject", "Keys", "ObjectTooNew", "Spec"]


class IncompatibleObject(ObjectError):
    """A payload cannot be read by this release: its sender was newer than the pin allowed, or it is damaged."""

    def __init__(self, name: str, version: str, reason: str) -> None:
        self.name, self.version, self.reason = name, version, reason
        super().__init__(f"object {name} {version} cannot be read here: {reason}")


class ObjectTooNew(ObjectError):
    """An object is to be sent to a release that does not know its class."""

    def __init__(self, name: str, since: Release, pin: Release) -> None:
        self.name, self.since, self.pin = name, since, pin
        super().__init__(f"object {name} exists since {since}, and the pin is {pin}; wait until the pin is lifted")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of an envelope."""

    name: str
    namespace: str
    version: str
    data: str
    changes: str

    @classmethod
    def of(cls, prefix: str) -> "Keys":
        """Return the keys with this prefix."""
        return cls(*(f"{prefix}.{key}" for key in ("name", "namespace", "version", "data", "changes")))


@dataclass(frozen=True)
class Spec:
    """One class of objects: version `first` before the train's releases, one minor more with each of them."""

    name: str
    namespace: str
    prefix: str
    first: tuple[int, int]
    since: Release | None
    fields: dict[str, Field]
    changes: tuple[Change, ...]
    train: Train

    @functools.cached_property
    def keys(self) -> Keys:
        """The keys of an envelope."""
        return Keys.of(self.prefix)

    @functools.cached_property
    def attributes(self) -> tuple[Field, ...]:
        """The fields that an object holds, in the order of the class body."""
        return tuple(each for each in self.fields.values() if not each.wire_only)

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """The names of the attributes."""
        return frozenset(each.name for each in self.attributes)

    @functools.cached_property
    def required(self) -> frozenset[str]:
        """The names of the attributes without which an object cannot be made."""
        return frozenset(each.name for each in self.attributes if each.required)

    def version_at(self, release: Release | None = None) -> str:
        """Return the version that a release speaks; without one, the newest."""
        added = [each for each in self.train.releases if release is None or each <= release]
        return f"{self.first[0]}.{self.first[1] + len(added)}"

    def versions(self) -> dict[str, tuple[Release, ...]]:
        """Return the versions that can be read, each with the releases of the train that its sender knew."""
        major, minor = self.first
        releases = self.train.releases
        return {f"{major}.{minor + count}": releases[:count] for count in range(len(releases) + 1)}

    def fields_at(self, release: Release | None) -> tuple[Field, ...]:
        """Return the fields that travel at a release; None is the newest."""
        return tuple(each for each in self.fields.values() if each.exists_at(release))

    def fields_of(self, known: tuple[Release, ...]) -> tuple[Field, ...]:
        """Return the fields that travel from a sender that knew these releases of the train."""
        return tuple(
            each
            for each in self.fields.values()
            if (each.since is None or each.since in known) and (each.until is None or each.until not in known)
        )

    def changes_after(self, pin: Release | None) -> tuple[Change, ...]:
        """Return the hand-written changes that the pin's release does not know, newest first."""
        return tuple(each for each in reversed(self.changes) if pin is not None and pin < each.since)

    def refuse_value(self, each: Field, why: str) -> TypeError:
        """Return the error for an attribute of another kind."""
        return TypeError(f"{self.name}.{each.name} {why}")
