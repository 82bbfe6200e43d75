"""What a row may be after a history of writes, by the sync rule in plain words; knows nothing of SQL or triggers.

A row's state is None (absent), or its age and both sides of each change. A side that is None is not looked at: the new
one while there are no new columns, the old one once nobody keeps it in step any more.

Some outcomes are open: whether a backfill has reached a row, in which order two concurrent writers committed. So a row
is a set of states, each write takes every one of them on, and what the database shows must be one of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from support.people import ALIAS, NAMES

from bascule.schema import Change, Split

__all__ = ["PLACE", "TWINS", "Block", "Reach", "Sides", "State", "Twin", "Write", "explain", "fill", "turn"]

Values = tuple[str | None, ...]

_BLANK_JOINS = "{o.zip} || ' ' || {o.city}"
PLACE = Split(
    id="people-place",
    table="people",
    old={"zip": sa.String(100), "city": sa.String(100)},
    new={"place": sa.String(200)},
    up={"place": {"sqlite": _BLANK_JOINS, "postgresql": _BLANK_JOINS, "mysql": "concat({o.zip}, ' ', {o.city})"}},
    down={
        name: {database: sql.replace("o.fullname", "n.place") for database, sql in NAMES.up[part].items()}
        for name, part in (("zip", "first"), ("city", "last"))
    },
    lossy="a zip with a blank in it",
)


@dataclass(frozen=True, slots=True)
class Twin:
    """A change and, in Python, what its SQL does: `up` fills the new side from the old one, `down` the other way."""

    change: Change
    old: tuple[str, ...]
    new: tuple[str, ...]
    up: Callable[[Values], Values]
    down: Callable[[Values], Values]

    def agree(self, old, new):
        """I1: one side follows from the other."""
        return self.up(old) == new or self.down(new) == old


def _split(values):
    (whole,) = values
    if whole is None:
        return (None, None)
    first, _, last = whole.partition(" ")
    return (first, last)


def _join(values):
    first, last = values
    return (None,) if first is None or last is None else (f"{first} {last}",)


def _copy(values):
    return values


TWINS = {
    "names": Twin(NAMES, ("fullname",), ("first", "last"), _split, _join),
    "alias": Twin(ALIAS, ("nick",), ("alias",), _copy, _copy),
    "place": Twin(PLACE, ("zip", "city"), ("place",), _join, _split),
}


@dataclass(frozen=True, slots=True)
class Sides:
    """One change in one row."""

    old: Values | None
    new: Values | None

    @property
    def is_virgin(self):
        return self.new is not None and not any(value is not None for value in self.new)


@dataclass(frozen=True, slots=True)
class State:
    """One row that is there."""

    age: int | None
    sides: tuple[Sides, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far writes go, for one change: which sides there are, and whether both are kept in step.

    `gap`: perhaps they are not, while expand puts triggers in place or after someone dropped one. `fills`: a backfill
    runs, so any row may be filled at any moment.
    """

    twin: Twin
    old: bool = True
    new: bool = True
    gap: bool = False
    fills: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """One statement that reached one row, and the columns that it wrote, by name."""

    verb: str
    values: Mapping[str, str | None]
    age: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """What one committed transaction did to one row. `started` before its first statement, `ended` after its commit."""

    writes: tuple[Write, ...]
    started: float
    ended: float


def explain(states: Iterable[State | None], lanes: Sequence[Sequence[Block]], reaches: Sequence[Reach]):
    """Return every state that the row may be in after some order of the commits.

    Each lane is one worker's commits in its order; a block that ended before another started came first.
    """
    start = (0,) * len(lanes)
    reached = {start: _closed(states, reaches)}
    frontier = [start]
    while frontier:
        following = {}
        for at in frontier:
            heads = [lane[place] if place < len(lane) else None for lane, place in zip(lanes, at, strict=True)]
            for number, block in enumerate(heads):
                if block is None or any(head is not None and head.ended < block.started for head in heads):
                    continue
                after = (*at[:number], at[number] + 1, *at[number + 1 :])
                following.setdefault(after, set()).update(_closed(_through(reached[at], block, reaches), reaches))
        reached |= following
        frontier = list(following)
    return reached.get(tuple(map(len, lanes)), set())


def turn(state: State | None, reaches: Sequence[Reach], frozen: Sequence[Values] | None = None):
    """Return what a row may be when sides come or go.

    New columns begin empty, or filled by whoever wrote since. Old columns that come back hold what the new ones say;
    what was there all the time (`frozen`) stays where it says the same, or as long as the way back is not finished.
    """
    if state is None:
        return {None}
    frozen = frozen or [None] * len(reaches)
    return _product(state.age, list(map(_turned, state.sides, reaches, frozen)))


def _turned(sides, reach, frozen):
    twin = reach.twin
    olds = {sides.old} if reach.old else {None}
    if reach.old and sides.old is None:
        olds = {twin.down(sides.new), frozen}
        if not reach.new or not reach.gap:
            olds = {old for old in olds if twin.agree(old, sides.new)}
    if not reach.new:
        return {Sides(old, None) for old in olds}
    if sides.new is not None:
        return {Sides(old, sides.new) for old in olds}
    return {Sides(old, new) for old in olds for new in (_nothing(twin.new), twin.up(old))}


def fill(state: State | None, reaches: Sequence[Reach]):
    """Return the state after a backfill."""
    return state and State(state.age, tuple(map(_filled, state.sides, reaches)))


def _filled(sides, reach):
    if sides.old is None or not sides.is_virgin or reach.twin.agree(sides.old, sides.new):
        return sides
    return Sides(sides.old, reach.twin.up(sides.old))


def _closed(states, reaches):
    found = set(states)
    for number, reach in enumerate(reaches):  # a backfill does one change after the other
        if reach.fills:
            found |= {state and _fill_one(state, number, reach) for state in found}
    return found


def _fill_one(state, number, reach):
    sides = list(state.sides)
    sides[number] = _filled(sides[number], reach)
    return State(state.age, tuple(sides))


def _through(states, block, reaches):
    for write in block.writes:
        states = {after for state in states for after in apply(state, write, reaches)}
    return states


def apply(state: State | None, write: Write, reaches: Sequence[Reach]):
    """Return what a write that reached its row may make of it; nothing when it cannot have reached it."""
    if state is None:
        if write.verb not in ("insert", "upsert"):
            return set()
        return _product(write.age, [_inserted(reach, write.values) for reach in reaches])
    if write.verb == "insert":
        return set()
    if write.verb == "delete":
        return {None}
    age = state.age if write.age is None else write.age
    return _product(
        age, [_updated(sides, reach, write.values) for sides, reach in zip(state.sides, reaches, strict=True)]
    )


def _inserted(reach, values):
    """A side that says something fills the other; of both, the new one wins, unless they agree."""
    twin = reach.twin
    old = _assign(twin.old, _nothing(twin.old), values) if reach.old else None
    new = _assign(twin.new, _nothing(twin.new), values) if reach.new else None
    found = {Sides(old, new)}
    if old is None or new is None:
        return found
    virgin = Sides(old, new).is_virgin
    kept = Sides(old, twin.up(old)) if virgin else Sides(twin.down(new), new)
    if virgin or not twin.agree(old, new):
        # Unsynced, the old column of a table that forbids NULL holds its default.
        raw = {Sides(old, new), Sides(tuple(value or "" for value in old), new)}
        found = {kept, *(raw if reach.gap else ())}
    return found


def _updated(sides, reach, values):
    """Whoever wrote last is never altered on its side, the other side follows, and nobody's other columns are lost."""
    twin = reach.twin
    old = None if sides.old is None else _assign(twin.old, sides.old, values)
    new = None if sides.new is None else _assign(twin.new, sides.new, values)
    written = Sides(old, new)
    if old is None or new is None or written == sides:
        return {written}
    found = {written} if reach.gap else set()
    if new == sides.new:
        return found | {written if twin.agree(old, new) else Sides(old, twin.up(old))}
    filled = new
    if sides.is_virgin:  # what a new writer leaves out of a row that was never filled is what the old side said
        before = twin.up(sides.old)
        filled = tuple(value if value is not None else early for value, early in zip(new, before, strict=True))
    found.add(Sides(twin.down(filled), filled))
    # Two spellings of the old side may say the same; then either may stand there.
    return (
        found
        | {Sides(old, each) for each in {new, filled} if twin.up(old) == each}
        | ({written} if not sides.is_virgin and twin.down(new) == old else set())
    )


def _product(age, choices):
    states = [()]
    for sides in choices:
        states = [(*state, one) for state in states for one in sides]
    return {State(age, state) for state in states}


def _assign(names, before, values):
    return tuple(values.get(name, value) for name, value in zip(names, before, strict=True))


def _nothing(names):
    return (None,) * len(names)
