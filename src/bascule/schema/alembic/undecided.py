"""What a proposed change leaves open: a value that only its author knows, or a choice between changes."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from bascule.schema.alembic.refusals import StillUndecided

__all__ = ["Undecided", "find_undecided"]


@dataclass(frozen=True, slots=True)
class Undecided:
    """Stands in a revision for what its author must decide. Whoever uses it as a value gets StillUndecided."""

    what: str

    def __str__(self) -> NoReturn:
        raise StillUndecided(self.what)

    def __format__(self, _spec: str) -> NoReturn:
        raise StillUndecided(self.what)

    def __contains__(self, _key: object) -> NoReturn:
        raise StillUndecided(self.what)


def find_undecided(thing: object) -> Iterator[Undecided]:
    """Yield everything undecided in a change, at any depth of its fields."""
    if isinstance(thing, Undecided):
        yield thing
    elif isinstance(thing, Mapping):
        for value in thing.values():
            yield from find_undecided(value)
    elif isinstance(thing, list | tuple):
        for value in thing:
            yield from find_undecided(value)
    elif dataclasses.is_dataclass(thing):
        for field in dataclasses.fields(thing):
            yield from find_undecided(getattr(thing, field.name))
