"""The fields of a versioned object, as its class declares them."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from bascule.objects.kinds import Kind
from bascule.release import Release

__all__ = ["MISSING", "Declared", "Field", "field"]

MISSING = object()


@dataclass(frozen=True, slots=True)
class Declared:
    """What `field(...)` leaves in the class body until the class is made."""

    since: Release | None = None
    until: Release | None = None
    default: Any = dataclass_field(default=MISSING, repr=False)  # Any: a value of the field's own kind
    factory: Callable[[], Any] | None = None
    sensitive: bool = False
    read_only: bool = False
    moves: Mapping[Any, frozenset[Any]] | None = None


def field(
    *,
    since: str | None = None,
    until: str | None = None,
    default: Any = MISSING,  # Any: a value of the field's own kind
    factory: Callable[[], Any] | None = None,
    sensitive: bool = False,
    read_only: bool = False,
    moves: Mapping[Any, Any] | None = None,
) -> Any:  # Any: so that the annotation beside it stands
    """Declare more of a field than its annotation says.

    `since` names the release that added the field: below it the field is dropped when sent, and filled with
    `default` (or what `factory` returns) when received. `until` names the release that dropped it: from then on it
    does not travel to releases that lack it, and still does to those that have it. `sensitive` keeps the value out
    of `repr`; errors quote no value of any field. `read_only` lets it be set when the object is made and never
    again. `moves` maps a value to those that may be assigned after it; a value that is no key may become anything.
    """
    return Declared(
        Release.parse(since) if since else None,
        Release.parse(until) if until else None,
        default,
        factory,
        sensitive,
        read_only,
        None if moves is None else {start: frozenset(ends) for start, ends in moves.items()},
    )


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a finished class."""

    name: str
    kind: Kind
    since: Release | None = None
    default: Any = dataclass_field(default=MISSING, repr=False)  # Any: as above; may be sensitive
    sensitive: bool = False
    until: Release | None = None
    factory: Callable[[], Any] | None = None
    read_only: bool = False
    moves: Mapping[Any, frozenset[Any]] | None = None
    wire_only: bool = False
    """Made by a hand-written change for older releases; objects have no such attribute."""

    @property
    def slot(self) -> str:
        """The attribute that holds the value, behind the property that checks it."""
        return f"_{self.name}_"

    @property
    def required(self) -> bool:
        """Whether an object cannot be made without it."""
        return self.default is MISSING and self.factory is None

    def exists_at(self, release: Release | None) -> bool:
        """Whether the field travels at this release; None is the newest."""
        if release is None:
            return self.until is None
        return (self.since is None or self.since <= release) and (self.until is None or release < self.until)

    def fresh_default(self) -> Any:  # Any: as above
        """Return the default as this object's own. Raises TypeError when the factory made another kind."""
        if self.factory is None:
            return copy.deepcopy(self.default)
        try:
            return self.kind.checked(self.factory())
        except ValueError as wrong:
            raise TypeError(f"what the factory of {self.name} makes {wrong}") from None
