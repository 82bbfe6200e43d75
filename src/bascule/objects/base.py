"""Versioned objects: what processes of different releases may hand to each other.

The wire is the one of oslo.versionedobjects: an envelope with name, namespace, version, data and changes.
"""

import inspect
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Self, dataclass_transform

from bascule.errors import ObjectError
from bascule.objects.fields import MISSING, Declared, Field, field
from bascule.objects.kinds import kind_of
from bascule.release import Release, Train

__all__ = ["IncompatibleObject", "Object", "ObjectTooNew"]

_PREFIX = "versioned_object"


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


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class Object:
    """Base of versioned objects: `class Order(Object, name="Order"): id: str; note: str | None = field(since=...)`.

    Class arguments: `name` on the wire (default: the class's), `namespace` (default: that of the base), `since`
    for a class that is younger than the service. The version is 1.0, and one minor more for each release that
    added a field. Assigning checks the kind and remembers the change.
    """

    _name: ClassVar[str] = "Object"
    _namespace: ClassVar[str] = "bascule"
    _since: ClassVar[Release | None] = None
    _fields: ClassVar[dict[str, Field]] = {}
    _train: ClassVar[Train] = Train(())

    def __init_subclass__(
        cls, *, name: str | None = None, namespace: str | None = None, since: str | None = None
    ) -> None:
        super().__init_subclass__()
        cls._name = name or cls.__name__
        cls._namespace = namespace or cls._namespace
        cls._since = Release.parse(since) if since else None
        cls._fields = _fields_of(cls)
        cls._train = Train.of(each.since for each in cls._fields.values() if each.since is not None)

    def __init__(self, **values: Any) -> None:  # Any: the fields' own kinds, which dataclass_transform checks
        unknown = values.keys() - self._fields.keys()
        missing = [each.name for each in self._fields.values() if each.required and each.name not in values]
        if unknown or missing:
            raise TypeError(f"{self._name} lacks {missing}, and has no {sorted(unknown)}")
        object.__setattr__(self, "_changed", set())
        for each in self._fields.values():
            if each.name in values:
                setattr(self, each.name, values[each.name])
            else:
                object.__setattr__(self, each.name, each.fresh_default())

    def __setattr__(self, name: str, value: Any) -> None:  # Any: as above
        known = self._fields.get(name)
        if known is None:
            raise AttributeError(f"{self._name} has no field {name!r}")
        try:
            checked = known.kind.checked(value)
        except ValueError as wrong:
            raise TypeError(f"{self._name}.{name} {wrong}") from None
        object.__setattr__(self, name, checked)
        self._changes().add(name)

    @classmethod
    def object_name(cls) -> str:
        """Return the name on the wire."""
        return cls._name

    @classmethod
    def fields(cls) -> dict[str, Field]:
        """Return the fields in the order of the class body."""
        return dict(cls._fields)

    @classmethod
    def version_at(cls, release: Release | None = None) -> str:
        """Return the version that a release speaks; without one, the newest."""
        added = [each for each in cls._train.releases if release is None or each <= release]
        return f"1.{len(added)}"

    @classmethod
    def releases(cls) -> tuple[Release, ...]:
        """Return the releases that added fields, oldest first."""
        return cls._train.releases

    def changed(self) -> frozenset[str]:
        """Return the names of the fields that were assigned since the object was made, read or last asked to forget."""
        return frozenset(self._changes())

    def forget_changes(self) -> None:
        """Take the object as it is for unchanged."""
        self._changes().clear()

    def to_primitive(self, pin: Release | None = None) -> dict[str, Any]:  # Any: plain JSON values
        """Return the envelope at the pin's version, without the fields that are newer than the pin.

        Raises ObjectTooNew when the pin's release does not know the class.
        """
        if pin is not None and self._since is not None and pin < self._since:
            raise ObjectTooNew(self._name, self._since, pin)
        data = {
            each.name: each.kind.to_wire(getattr(self, each.name), pin)
            for each in self._fields.values()
            if each.exists_at(pin)
        }
        envelope = {
            f"{_PREFIX}.name": self._name,
            f"{_PREFIX}.namespace": self._namespace,
            f"{_PREFIX}.version": self.version_at(pin),
            f"{_PREFIX}.data": data,
        }
        changes = sorted(name for name in self._changes() if name in data)
        return {**envelope, f"{_PREFIX}.changes": changes} if changes else envelope

    @classmethod
    def from_primitive(cls, primitive: Any) -> Self:  # Any: plain JSON values from outside
        """Read an envelope of this or an older release; what an older sender did not know gets its default.

        Raises IncompatibleObject for another object, a newer version, an unknown or missing field, a wrong kind.
        """
        name, version, data, changes = _opened(primitive)
        if name != cls._name or primitive.get(f"{_PREFIX}.namespace") != cls._namespace:
            raise IncompatibleObject(name, version, f"{cls._namespace} {cls._name} was expected")
        present = cls._present_at(name, version)
        if unknown := sorted(set(data) - {each.name for each in present}):
            raise IncompatibleObject(name, version, f"fields {unknown} are not of that version")
        read = cls.__new__(cls)
        object.__setattr__(read, "_changed", {each for each in changes if each in data})
        for each in cls._fields.values():
            object.__setattr__(read, each.name, cls._received(each, data, name, version, known=each in present))
        return read

    @classmethod
    def _present_at(cls, name: str, version: str) -> list[Field]:
        major, _, minor = version.partition(".")
        if major != "1" or not minor.isdecimal() or int(minor) > len(cls._train.releases):
            raise IncompatibleObject(name, version, f"this release reads up to {cls.version_at()}")
        known = set(cls._train.releases[: int(minor)])
        return [each for each in cls._fields.values() if each.since is None or each.since in known]

    @classmethod
    def _received(cls, each: Field, data: Mapping[str, Any], name: str, version: str, *, known: bool) -> Any:
        if each.name in data:
            try:
                return each.kind.from_wire(data[each.name])
            except ValueError as wrong:
                raise IncompatibleObject(name, version, f"{each.name} {wrong}") from None
        if known and each.required:
            raise IncompatibleObject(name, version, f"{each.name} is missing")
        return each.fresh_default()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._fields)

    __hash__ = None  # type: ignore[assignment]  # fields may be assigned

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={'***' if each.sensitive else repr(getattr(self, name))}" for name, each in self._fields.items()
        )
        return f"{self._name}({shown})"

    def _changes(self) -> set[str]:
        changes: set[str] = object.__getattribute__(self, "_changed")
        return changes


def _fields_of(cls: type[Object]) -> dict[str, Field]:
    own = inspect.get_annotations(cls)
    hints = typing.get_type_hints(cls)
    found = {name: each for base in reversed(cls.__mro__[1:]) for name, each in getattr(base, "_fields", {}).items()}
    for name in own:
        if name.startswith("_") or typing.get_origin(hints[name]) is ClassVar:
            continue
        if hasattr(Object, name):
            raise TypeError(f"{cls.__name__}.{name} would hide a method of every object; choose another name")
        found[name] = _field_of(cls, name, hints[name])
    return found


def _field_of(cls: type[Object], name: str, annotation: Any) -> Field:  # Any: what typing gives for an annotation
    said = cls.__dict__.get(name, MISSING)
    declared = said if isinstance(said, Declared) else Declared(None, said, sensitive=False)
    kind = kind_of(annotation)
    if declared.default is not MISSING:
        try:
            kind.checked(declared.default)
        except ValueError as wrong:
            raise TypeError(f"the default of {cls.__name__}.{name} {wrong}") from None
    elif declared.since is not None:
        raise TypeError(f"{cls.__name__}.{name} exists since {declared.since} and so needs a default")
    if said is not MISSING:
        delattr(cls, name)  # instances hold the values; a default left in the class would hide a bug
    return Field(name, kind, declared.since, declared.default, declared.sensitive)


def _opened(primitive: Any) -> tuple[str, str, Mapping[str, Any], list[str]]:  # Any: plain JSON values from outside
    if not isinstance(primitive, Mapping):
        raise IncompatibleObject("?", "?", "it is no envelope")
    name, version = str(primitive.get(f"{_PREFIX}.name", "?")), str(primitive.get(f"{_PREFIX}.version", "?"))
    data, changes = primitive.get(f"{_PREFIX}.data"), primitive.get(f"{_PREFIX}.changes", [])
    if not isinstance(data, Mapping) or not isinstance(changes, list):
        raise IncompatibleObject(name, version, "its data or changes are missing or damaged")
    return name, version, data, changes
