# ruff: noqa: D102  # methods of list, dict and set, as everybody knows them
"""Lists, dicts and sets inside an object: they check what is put in and tell the object that they changed."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, SupportsIndex

__all__ = ["Place", "TrackedDict", "TrackedList", "TrackedSet"]


class Element(Protocol):
    """What a collection needs of the kind of its elements."""

    def checked(self, value: Any) -> Any:
        """Return the value as it is kept. Raises ValueError when it is of another kind."""

    def owned(self, value: Any, changed: set[str], place: "Place") -> Any:
        """Return the value as one that tells of its changes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an object a collection stands."""

    owner: str
    field: str
    read_only: bool = False

    def refuse(self, why: str) -> TypeError:
        """Return the error for an element of another kind."""
        return TypeError(f"{self.owner}.{self.field}: an element {why}")


class Tracked:
    """The common part; `own` stands in for arguments, so that list, dict and set keep their own constructors.

    `changed` is the object's set of changed names and not the object: a reference back would be a cycle for the
    garbage collector to find.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # each class below has the slots; two bases with slots of their own cannot be joined
        changed: set[str]
        place: Place
        element: Element

    def own(self, changed: set[str], place: Place, element: Element) -> "Tracked":
        """Belong to a field of an object from now on."""
        for name, value in (("changed", changed), ("place", place), ("element", element)):
            setattr(self, name, value)
        return self

    def accepted(self, item: Any) -> Any:
        """Return the element as it is kept. Raises TypeError when it is of another kind."""
        try:
            checked = self.element.checked(item)
        except ValueError as wrong:
            raise self.place.refuse(str(wrong)) from None
        return self.element.owned(checked, self.changed, self.place)

    def mark(self) -> None:
        """Tell the object. Raises AttributeError when the field is read-only."""
        if self.place.read_only:
            raise AttributeError(f"{self.place.owner}.{self.place.field} is read-only")
        self.changed.add(self.place.field)


def _marking(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method of list, dict or set as one that marks the field first."""

    @functools.wraps(method)
    def marked(self: Tracked, *arguments: Any) -> Any:
        self.mark()
        return method(self, *arguments)

    return marked


class TrackedList(Tracked, list[Any]):
    """A list in a field."""

    __slots__ = ("changed", "element", "place")

    __delitem__ = _marking(list.__delitem__)
    __imul__ = _marking(list.__imul__)
    pop = _marking(list.pop)
    remove = _marking(list.remove)
    clear = _marking(list.clear)
    reverse = _marking(list.reverse)

    def append(self, item: Any) -> None:
        kept = self.accepted(item)
        self.mark()
        super().append(kept)

    def insert(self, index: SupportsIndex, item: Any) -> None:
        kept = self.accepted(item)
        self.mark()
        super().insert(index, kept)

    def extend(self, items: Iterable[Any]) -> None:
        kept = [self.accepted(item) for item in items]
        self.mark()
        super().extend(kept)

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        self.mark()
        super().sort(key=key, reverse=reverse)

    def __setitem__(self, index: Any, value: Any) -> None:
        kept = [self.accepted(item) for item in value] if isinstance(index, slice) else self.accepted(value)
        self.mark()
        super().__setitem__(index, kept)

    def __iadd__(self, items: Iterable[Any]) -> Self:  # type: ignore[misc]  # what is added is checked
        self.extend(items)
        return self

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        return list, (list(self),)


class TrackedDict(Tracked, dict[str, Any]):
    """A dict in a field."""

    __slots__ = ("changed", "element", "place")

    __delitem__ = _marking(dict.__delitem__)
    pop = _marking(dict.pop)
    popitem = _marking(dict.popitem)
    clear = _marking(dict.clear)

    def __setitem__(self, key: str, value: Any) -> None:
        if type(key) is not str:
            raise self.place.refuse(f"must have a name, not {type(key).__name__}")
        kept = self.accepted(value)
        self.mark()
        super().__setitem__(key, kept)

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *others: Any, **values: Any) -> None:
        for key, value in dict(*others, **values).items():
            self[key] = value

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]  # dict has overloads
        self.update(other)
        return self

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        return dict, (dict(self),)


class TrackedSet(Tracked, set[Any]):
    """A set in a field."""

    __slots__ = ("changed", "element", "place")

    discard = _marking(set.discard)
    remove = _marking(set.remove)
    pop = _marking(set.pop)
    clear = _marking(set.clear)
    difference_update = _marking(set.difference_update)
    intersection_update = _marking(set.intersection_update)
    __isub__ = _marking(set.__isub__)
    __iand__ = _marking(set.__iand__)

    def add(self, item: Any) -> None:
        kept = self.accepted(item)
        self.mark()
        super().add(kept)

    def update(self, *others: Iterable[Any]) -> None:
        kept = [self.accepted(item) for items in others for item in items]
        self.mark()
        super().update(kept)

    def symmetric_difference_update(self, items: Iterable[Any]) -> None:
        kept = [self.accepted(item) for item in items]
        self.mark()
        super().symmetric_difference_update(kept)

    def __ior__(self, items: Any) -> Self:  # type: ignore[misc]  # as above
        self.update(items)
        return self

    def __ixor__(self, items: Any) -> Self:  # type: ignore[misc]  # as above
        self.symmetric_difference_update(items)
        return self

    def __repr__(self) -> str:
        return repr(set(self))

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        return set, (list(self),)
