"""Changes that go on from each other's columns: where in the chain one stands, and what it reads from the rest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bascule.schema.changes import LONGEST_CHAIN, Change, Synced
from bascule.schema.refusals import BadChange

__all__ = ["Link", "Place", "place_of"]


@dataclass(frozen=True, slots=True)
class Link:
    """A live change of the same table: its new columns, its depth, and SQL for what they were before a write."""

    change: str
    new: frozenset[str]
    depth: int | None
    seen_before: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A change's depth, one more than that of those it goes on from; their names; and `before`, see Rule."""

    depth: int = 0
    goes_on_from: tuple[str, ...] = ()
    before: Mapping[str, str] = field(default_factory=dict)


def place_of(change: Change, live: Iterable[Link]) -> Place:
    """Return a change's place among live ones. Raises BadChange when it can have none."""
    if not isinstance(change, Synced):
        return Place()
    old, depth, before, names = set(change.as_split().old), 0, dict[str, str](), []
    for link in live:
        shared = link.new & old
        if link.change == change.id or not shared:
            continue
        if link.depth is None:
            why = f"change {link.change}, whose columns it goes on from, must be contracted first"
            raise BadChange(change.id, why)
        depth = max(depth, link.depth + 1)
        names.append(link.change)
        before |= {name: link.seen_before[name] for name in shared if name in link.seen_before}
    if depth >= LONGEST_CHAIN:
        raise BadChange(change.id, f"it goes on from {depth} changes in a row; contract them first")
    return Place(depth, tuple(names), before)
