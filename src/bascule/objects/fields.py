"""The fields of a versioned object, as its class declares them."""

import copy
from dataclasses import dataclass
from typing import Any

from bascule.objects.kinds import Kind
from bascule.release import Release

__all__ = ["MISSING", "Declared", "Field", "field"]

MISSING = object()


@dataclass(frozen=True, slots=True)
class Declared:
    """What `field(...)` leaves in the class body until the class is made."""

    since: Release | None
    default: Any  # Any: a value of the field's own kind
    sensitive: bool


def field(*, since: str | None = None, default: Any = MISSING, sensitive: bool = False) -> Any:  # Any: see below
    """Declare more of a field than its annotation says; `Any`, so that the annotation beside it stands.

    `since` names the release that added the field: below it the field is dropped when sent, and filled with
    `default` when received. `sensitive` keeps the value out of `repr`.
    """
    return Declared(Release.parse(since) if since else None, default, sensitive)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a finished class."""

    name: str
    kind: Kind
    since: Release | None = None
    default: Any = MISSING  # Any: as above
    sensitive: bool = False

    @property
    def required(self) -> bool:
        """Whether an object cannot be made without it."""
        return self.default is MISSING

    def exists_at(self, release: Release | None) -> bool:
        """Whether the field is part of this release; of None, the newest, it always is."""
        return release is None or self.since is None or self.since <= release

    def fresh_default(self) -> Any:  # Any: as above
        """Return the default as this object's own."""
        return copy.copy(self.default)
