"""Versioned objects: what processes of different releases may hand to each other.

The wire is the one of oslo.versionedobjects: an envelope with name, namespace, version, data and changes.
"""

import json
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self, dataclass_transform

from bascule.objects.careful import place_of
from bascule.objects.change import Change
from bascule.objects.declare import annotated_names, own_fields
from bascule.objects.fields import Field, field
from bascule.objects.generated import Generated
from bascule.objects.marked import scan
from bascule.objects.spec import IncompatibleObject, Spec
from bascule.release import Release, Train

__all__ = ["Object"]


class ObjectType(type):
    """The type of classes of objects: it gives each field a slot, and holds what is generated for the class."""

    _spec: Spec
    _generated: Generated

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        /,
        **options: Any,
    ) -> "ObjectType":
        taken = {slot for base in bases for each in base.__mro__ for slot in getattr(each, "__slots__", ())}
        slots = [f"_{each}_" for each in annotated_names(namespace) if bases]
        namespace.setdefault("__slots__", tuple(slot for slot in slots if slot not in taken))
        return super().__new__(mcs, name, bases, namespace, **options)

    @property
    def generated(cls) -> Generated:
        """The functions generated for the class."""
        return cls._generated


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class Object(metaclass=ObjectType):
    """Base of versioned objects: `class Order(Object, name="Order"): id: str; note: str | None = field(since=...)`.

    Class arguments: `name` on the wire (default: the class's), `namespace` and `prefix` of the envelope (default:
    those of the base), `since` for a class that is younger than the service, `version` that it was born with, and
    `changes` made by hand. The version grows by one minor with each release that changed the class. Assigning checks
    the kind and remembers the change; so do lists, dicts and sets in fields.
    """

    __slots__ = ("__weakref__", "_changed")

    _changed: set[str]
    """A frozenset where the class has no collections to share it with; so it only changes by |= and -=."""

    _spec: ClassVar[Spec] = Spec("Object", "bascule", "versioned_object", (1, 0), None, {}, (), Train(()))
    _generated: ClassVar[Generated]

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        namespace: str | None = None,
        prefix: str | None = None,
        since: str | None = None,
        version: str = "1.0",
        changes: Iterable[Change] = (),
    ) -> None:
        super().__init_subclass__()
        base, own = cls._spec, tuple(changes)
        all_changes = tuple(sorted((*base.changes, *own), key=operator.attrgetter("since")))
        taken = {name for each in cls.__mro__[1:] for name in vars(each)} - base.fields.keys()
        fields = {**base.fields, **own_fields(cls, own, taken=taken)}
        major, _, minor = version.partition(".")
        cls._spec = Spec(
            name or cls.__name__,
            namespace or base.namespace,
            prefix or base.prefix,
            (int(major), int(minor)),
            Release.parse(since) if since else None,
            fields,
            all_changes,
            Train.of(_releases(fields.values(), all_changes)),
        )
        cls._generated = Generated(cls, cls._spec)
        for each in fields.values():
            if each.name not in base.fields and not each.wire_only:
                setattr(cls, each.name, _checked_property(cls._spec, each))

    def __init__(self, **values: Any) -> None:  # Any: the fields' own kinds, which dataclass_transform checks
        spec = self._spec
        if not spec.required <= values.keys() <= spec.names:
            missing, unknown = sorted(spec.required - values.keys()), sorted(values.keys() - spec.names)
            raise TypeError(f"{spec.name} lacks {missing}, and has no {unknown}")
        self._generated.fill(self, values)
        self._changed |= frozenset(values)

    @classmethod
    def hydrate(cls, row: Mapping[str, Any]) -> Self:  # Any: the fields' own kinds
        """Return an unchanged object from a row; what the row lacks gets its default, what is no field is left out.

        Raises TypeError for a value of another kind, and for one that is missing and has no default.
        """
        made = cls.__new__(cls)
        cls._generated.fill(made, row)
        return made

    @classmethod
    def object_name(cls) -> str:
        """Return the name on the wire."""
        return cls._spec.name

    @classmethod
    def fields(cls) -> dict[str, Field]:
        """Return the fields in the order of the class body."""
        return dict(cls._spec.fields)

    @classmethod
    def version_at(cls, release: Release | None = None) -> str:
        """Return the version that a release speaks; without one, the newest."""
        return cls._spec.version_at(release)

    @classmethod
    def releases(cls) -> tuple[Release, ...]:
        """Return the releases that changed the class, oldest first."""
        return cls._spec.train.releases

    def changed(self) -> frozenset[str]:
        """Return the names of the fields that changed since the object was made, read or last asked to forget.

        A field has changed when it was assigned, when a list, dict or set in it changed, or an object inside.
        """
        names: frozenset[str] = self._generated.changed(self)
        return names

    def forget_changes(self, *names: str) -> None:
        """Take the object as it is for unchanged, with all objects inside; with names, these fields alone."""
        self._changed -= frozenset(names or self._changed)
        for each in self._spec.attributes:
            if not names or each.name in names:
                each.kind.forget_changes(getattr(self, each.name))

    def to_primitive(self, pin: Release | None = None) -> dict[str, Any]:  # Any: plain JSON values
        """Return the envelope at the pin's version, without the fields that are newer than the pin.

        Raises ObjectTooNew when the pin's release does not know the class.
        """
        envelope: dict[str, Any] = self._generated.writers[pin](self)
        return envelope

    @classmethod
    def from_primitive(cls, primitive: Any) -> Self:  # Any: plain JSON values from outside
        """Read an envelope of this or an older release; what an older sender did not know gets its default.

        Raises IncompatibleObject for another object, a newer version, an unknown or missing field, a wrong kind.
        """
        read: Self = cls._generated.read(primitive)
        return read

    def to_json(self, pin: Release | None = None) -> str:
        """Return `to_primitive(pin)` as compact JSON text, without making the primitive first."""
        text: str = self._generated.json_writers[pin](self)
        return text

    @classmethod
    def from_json(cls, text: str | bytes, *, loads: Callable[[str | bytes], Any] = json.loads) -> Self:
        """Read JSON text as `from_primitive` reads what is in it; `loads` may be a faster parser's.

        Raises IncompatibleObject for text that is no JSON, too.
        """
        if loads is json.loads and type(text) is str and (made := cls._generated.read_json(text)) is not None:
            quickly: Self = made
            return quickly
        try:
            primitive, end = scan(text, 0) if loads is json.loads and type(text) is str else (None, -1)
            if end != len(text):
                primitive = loads(text)
        except (ValueError, StopIteration, RecursionError):
            primitive = cls._parsed(text, loads)
        read: Self = cls._generated.read(primitive)
        return read

    @classmethod
    def _parsed(cls, text: str | bytes, loads: Callable[[str | bytes], Any]) -> Any:  # Any: plain JSON values
        try:
            return loads(text)
        except (ValueError, RecursionError):
            # The parser's error quotes the text, which may hold secrets.
            raise IncompatibleObject(cls._spec.name, "?", "it is no JSON") from None

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, each.slot) == getattr(other, each.slot) for each in self._spec.attributes)

    __hash__ = None  # type: ignore[assignment]  # fields may be assigned

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{each.name}={'***' if each.sensitive else repr(getattr(self, each.name))}"
            for each in self._spec.attributes
        )
        return f"{self._spec.name}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:  # Any: as pickle and copy want it
        values = {each.name: getattr(self, each.slot) for each in self._spec.attributes}
        return _rebuilt, (type(self), values, set(self._changed))


def _rebuilt(cls: type[Object], values: dict[str, Any], changed: set[str]) -> Object:
    made = cls.hydrate(values)
    made._changed |= changed  # noqa: SLF001  # its own copy
    return made


def _releases(fields: Iterable[Field], changes: Iterable[Change]) -> list[Release]:
    named = [release for each in fields for release in (each.since, each.until, *each.kind.releases())]
    return [release for release in named if release is not None] + [each.since for each in changes]


def _checked_property(spec: Spec, each: Field) -> property:
    """Return the property that reads the slot, and checks, tracks and refuses on assignment."""
    get, place = operator.attrgetter(each.slot), place_of(spec, each)

    def assign(self: Any, value: Any) -> None:  # Any: an object, and a value of the field's own kind
        if each.read_only:
            raise AttributeError(f"{spec.name}.{each.name} is read-only")
        try:
            checked = each.kind.checked(value)
        except ValueError as wrong:
            raise spec.refuse_value(each, str(wrong)) from None
        if each.moves is not None and checked not in each.moves.get(get(self), (checked,)):
            raise spec.refuse_value(each, "must not become this after what it was")
        setattr(self, each.slot, each.kind.owned(checked, self._changed, place))
        self._changed |= {each.name}

    return property(get, assign)
