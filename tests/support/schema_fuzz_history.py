"""Histories as data: what writers and engines do in which order; drawn by hypothesis, told as text, replayed from text.

A history says as little as it can, so that any part of it may be left out: who writes, but not in which release's
columns. That is decided when it is played, by which releases may run at that moment.
"""

import base64
import json
import zlib
from dataclasses import asdict, dataclass

from hypothesis import strategies as st

__all__ = [
    "NICKS",
    "WORKERS",
    "Begin",
    "Burst",
    "Do",
    "Drop",
    "End",
    "History",
    "Put",
    "Run",
    "Stall",
    "decode",
    "encode",
    "histories",
]

WORKERS = 4  # even ones are of the old release, odd ones of the new, where both may run
OWN_KEYS, SHARED_KEYS, FRESH_KEYS = ("k0", "k1", "k2", "k3"), ("s0", "s1"), ("n0", "n1")
KEYS = (*OWN_KEYS, *SHARED_KEYS, *FRESH_KEYS)
NICKS = ("plain", "blind", "citext")  # how the old release's nick compares; the last two take 'a' for 'A'
CHANGES = (("names",), ("names", "alias"), ("alias",), ("place",), ("alias", "place"))
VALUES = (
    "Ada King", None, "", " ", "a", "A", "a ", " a", "ada king", "Ada  King", "Ada Maria King", "é", "e", "É a",
    "Ada King ", "b a", "B A", "%s", "ß ss", "  ",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Put:
    """One statement on one row. `mask` chooses the columns, in turn with `values`; `both` writes both sides."""

    verb: str
    key: str
    mask: int
    values: tuple[str | None, ...]
    both: bool = False


@dataclass(frozen=True, slots=True)
class Do:
    """A worker runs a statement: in its open transaction, or in one of its own."""

    worker: int
    put: Put


@dataclass(frozen=True, slots=True)
class Begin:
    """A worker begins a transaction and keeps it open while others go on."""

    worker: int


@dataclass(frozen=True, slots=True)
class End:
    """A worker ends its transaction."""

    worker: int
    commit: bool


@dataclass(frozen=True, slots=True)
class Run:
    """An engine runs a phase. `kill_at`: SIGKILL before its n-th statement or commit; a negative one counts from the
    beginning of the backfill. `batches`: asked to stop then.

    `alive`: whether the gate hears of processes that forbid the phase; `later` only when it looks again. `refuse`: a
    fence refuses the old release's writes instead of counting them. `copies`: a table is copied however small it is,
    where the database is one for which that is done.
    """

    verb: str
    kill_at: int | None = None
    batches: int | None = None
    prefer: str | None = None
    alive: str = "no"
    accept_loss: bool = False
    refuse: bool = False
    copies: bool = False


@dataclass(frozen=True, slots=True)
class Burst:
    """All workers run at the same time, unordered, each its list of (statements, commits?); so do up to two engines."""

    lanes: tuple[tuple[tuple[tuple[Put, ...], bool], ...], ...]
    run: Run | None
    twice: bool


@dataclass(frozen=True, slots=True)
class Stall:
    """An engine stops between two batches for longer than its lease; another takes over; then it wakes up."""

    batches: int
    other: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Somebody drops a trigger, or, with `put`, writes past all triggers."""

    number: int
    put: Put | None


@dataclass(frozen=True, slots=True)
class History:
    """One whole history, from the old release's table to its end."""

    changes: tuple[str, ...]
    strict: bool
    indexed: bool
    rows: tuple[str | None, ...]
    actions: tuple[object, ...]
    ending: str
    gate: str  # what the gate first hears at the end, as `Run.alive`
    nick: str = "blind"


def _puts(keys):
    values = st.tuples(*[st.sampled_from(VALUES)] * 2)
    verbs = st.sampled_from(["update", "update", "update", "update", "insert", "upsert", "touch", "delete"])
    return st.builds(
        Put, verbs, st.sampled_from(keys), st.integers(0, 3), values, st.sampled_from([False] * 3 + [True])
    )


def _runs():
    kill = st.one_of(st.none(), st.sampled_from(range(1, 111)))  # a run has about as many statements
    filling = st.one_of(kill, st.sampled_from(range(-16, 0)))  # and a backfill of so few rows so many of them
    alive = st.sampled_from(["no"] * 6 + ["yes", "later"])
    return st.one_of(
        st.builds(Run, st.just("migrate"), filling, st.one_of(st.none(), st.integers(0, 3)), copies=st.booleans()),
        st.builds(Run, st.just("migrate"), st.none(), st.none(), st.sampled_from(["old", "new", None])),
        st.builds(Run, st.just("expand"), kill),
        st.builds(Run, st.just("rollback"), kill, alive=alive, accept_loss=st.booleans()),
        st.builds(Run, st.just("contract"), kill, alive=alive),
        st.builds(Run, st.just("contract")),
        st.builds(Run, st.just("fence"), kill, alive=alive, refuse=st.booleans()),
        st.builds(Run, st.sampled_from(["fence", "restore", "purge", "restore"]), kill),
        st.builds(Run, st.just("verify")),
    )


def _bursts():
    def lane(number):
        keys = (OWN_KEYS[number], *SHARED_KEYS, *FRESH_KEYS)
        transaction = st.tuples(
            st.lists(_puts(keys), min_size=1, max_size=3).map(tuple), st.sampled_from([True] * 4 + [False])
        )
        return st.lists(transaction, max_size=5).map(tuple)

    kill = st.one_of(st.none(), st.sampled_from(range(5, 111)))
    run = st.one_of(
        st.builds(Run, st.just("migrate"), kill, copies=st.booleans()),
        st.builds(
            Run,
            st.sampled_from(["migrate", "expand", "rollback", "contract", "restore", "fence"]),
            kill,
            refuse=st.booleans(),
        ),
        st.none(),
    )
    lanes = st.tuples(*map(lane, range(WORKERS)))
    return st.builds(Burst, lanes, run, st.sampled_from([False, False, True]))


def _actions():
    worker = st.integers(0, WORKERS - 1)
    kinds = {
        "do": (12, st.builds(Do, worker, _puts(KEYS))),
        "begin": (3, st.builds(Begin, worker)),
        "end": (2, st.builds(End, worker, st.sampled_from([True, True, True, False]))),
        "run": (8, _runs()),
        "burst": (4, _bursts()),
        "stall": (1, st.builds(Stall, st.integers(1, 4), st.sampled_from(["migrate", "rollback"]))),
        "drop": (2, st.builds(Drop, st.integers(0, 7), st.one_of(st.none(), _puts(KEYS)))),
    }
    weighted = [kind for kind, (weight, _) in kinds.items() for _ in range(weight)]
    return st.sampled_from(weighted).flatmap(lambda kind: kinds[kind][1])


def histories(*, at_least=5, at_most=14, quick=False):
    """Return hypothesis' strategy for histories. Nearly all begin with an expand: without, there is little to break.

    Quick ones have one change only, and end without asking twice.
    """
    expand = st.just((Run("expand"),))
    at = st.one_of(st.sampled_from(range(20, 111)), st.sampled_from(range(-16, 0)))
    killed = st.builds(lambda at: (Run("expand"), Run("migrate", at)), at)
    expanded = st.sampled_from([expand] * 6 + [killed] * 3 + [st.just(())]).flatmap(lambda chosen: chosen)
    actions = st.lists(_actions(), min_size=at_least, max_size=at_most).map(tuple)
    endings = ["synced", "contract", "rollback"]
    return st.builds(
        History,
        st.sampled_from([changes for changes in CHANGES if len(changes) == 1 or not quick]),
        st.booleans(),
        st.booleans(),
        st.tuples(*[st.sampled_from(VALUES)] * 4),
        st.builds(tuple.__add__, expanded, actions),
        st.sampled_from(endings if quick else [*endings, "fence", "purge", "contract and rollback"]),
        st.sampled_from(["no"] if quick else ["no", "no", "yes", "later"]),
        st.sampled_from(NICKS),
    )


_KINDS = {kind.__name__: kind for kind in (Do, Begin, End, Run, Burst, Stall, Drop)}


def encode(history):
    """Turn a history into one word, for a command line."""
    plain = asdict(history) | {"actions": [[type(action).__name__, asdict(action)] for action in history.actions]}
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(plain).encode(), 9)).decode()


def decode(word):
    """Turn the word back into the history."""
    plain = json.loads(zlib.decompress(base64.urlsafe_b64decode(word)))
    actions = tuple(_action(_KINDS[kind], fields) for kind, fields in plain.pop("actions"))
    return History(actions=actions, **{name: _tuple(value) for name, value in plain.items()})


def _action(kind, fields):
    for name, value in fields.items():
        if name == "put" and value is not None:
            fields[name] = _put(value)
        elif name == "run" and value is not None:
            fields[name] = Run(**value)
        elif name == "lanes":
            fields[name] = tuple(tuple((tuple(map(_put, puts)), commits) for puts, commits in lane) for lane in value)
    return kind(**fields)


def _put(fields):
    return Put(**{name: _tuple(value) for name, value in fields.items()})


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value
