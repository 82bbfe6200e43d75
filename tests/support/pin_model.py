"""An explicit-state model of the pin's protocol that decides by the project's own functions.

A state is a tuple of small numbers: the pin's row, the members' rows, and what each process holds in memory. What
happens next (a beat's parts, a lost answer, a crash, a start, a hold, the passing of time) is an action; what it
leads to is computed by the functions of `bascule.lifecycle` that the real processes call, given as `Rules`, so that
a test can plant a fault in one of them.

Numbers are relative, so that the states are finitely many: ages are in ticks up to the ttl, and an epoch is either
current or behind. Every process has a clock of its own that is wrong by a lot, and shows in its beats. States that
differ only in what can make no difference are one: which of two slots a process has, what a watch says of a row that
changed since, a block that speaks by the pin that its process works by anyway.
"""

import marshal
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from bascule.errors import LifecycleError
from bascule.lifecycle import pin as pin_rules
from bascule.lifecycle import watch as watch_rules
from bascule.lifecycle.pin import FleetUnsettled, MemberRow, PinRow, PinTooNew, PinTooOld
from bascule.lifecycle.stance import Stance
from bascule.lifecycle.watch import Watch
from bascule.release import Release

TTL = 2  # ticks
NOW = 100.0
EPOCH = 10
NONE = -1
JOINING, LIVE = 0, 1
SKEW_S = (0.0, -1e6, 1e6, 3e3)


class Violation(AssertionError):
    """The model found a state that must not be."""


@dataclass(frozen=True)
class Rules:
    """The functions under test; the real ones by default."""

    settle: object = staticmethod(pin_rules.settle)
    admit: object = staticmethod(pin_rules.admit)
    held: object = staticmethod(pin_rules.held)
    watched: object = staticmethod(watch_rules.watched)
    living: object = staticmethod(watch_rules.living)
    stance: type = Stance
    buries: bool = True  # whoever counts a row as dead marks it, so that its process must ask to come back
    begins_anew: bool = True  # a process that comes back may not finish what it had begun


class Table(NamedTuple):
    pin: int
    hold: int
    proposed: int


class Row(NamedTuple):
    release: int
    dead: int
    ack_lag: int


class Process(NamedTuple):
    """What a process has in memory; `watch` holds for each slot since how many ticks it stands unchanged, or NONE."""

    release: int
    mode: int
    seen_pin: int
    seen_proposed: int
    seen_lag: int
    ack_lag: int
    age: int  # ticks since the beat that the lease counts from
    speech: int  # the pin of an open block, or NONE
    looked: int  # ticks since it looked last
    watch: tuple


class State(NamedTuple):
    table: Table
    budget: tuple  # how many starts, crashes and holds are left
    processes: tuple
    rows: tuple


def release_of(number):
    return Release((number,))


def supported_from(number):
    return max(0, number - 1)


def number_of(release):
    return NONE if release is None else release.numbers[0]


def pin_row(table):
    return PinRow(
        release_of(table.pin),
        EPOCH,
        None if table.hold == NONE else release_of(table.hold),
        None if table.proposed == NONE else release_of(table.proposed),
    )


def changed_at(items, index, item):
    return (*items[:index], item, *items[index + 1 :])


class Model:
    """All that can happen with `slots` processes of `releases` releases, of which `speaks` may keep blocks open."""

    def __init__(
        self,
        *,
        slots,
        releases,
        starts,
        crashes,
        holds,
        rules=None,
        speaks=True,
        slow_answers=True,
        cuts=True,
        forgets=True,
    ):
        self.slots, self.releases, self.rules = slots, releases, rules or Rules()
        self.budget, self.speaks, self.slow_answers = (starts, crashes, holds), speaks, slow_answers
        self.cuts = cuts  # whether others may act between the parts of a beat
        self.forgets = forgets  # a watch without a look for half a ttl is void: `living` says so
        self._living = lru_cache(None)(self._living_uncached)
        self._watched = lru_cache(None)(self._watched_uncached)
        self._settled = lru_cache(None)(self._settled_uncached)
        self._admitted = lru_cache(None)(self._admitted_uncached)
        self._held = lru_cache(None)(self._held_uncached)
        self._speaks = lru_cache(None)(self._speaks_uncached)
        self._acknowledging = lru_cache(None)(self._acknowledging_uncached)
        self._older = lru_cache(None)(self._older_uncached)
        self._tidied = lru_cache(None)(self._tidied_uncached)
        self._permuted = lru_cache(None)(self._permuted_uncached)
        self._order = tuple(range(slots))

    def initial(self):
        return State(Table(0, NONE, NONE), self.budget, (None,) * self.slots, (None,) * self.slots)

    # --- the project's functions on the model's numbers ---

    def _member(self, slot, row, beat=0.0):
        state = "dead" if row.dead else "live"
        return MemberRow(
            str(slot), str(slot), "", release_of(row.release), "", 0, 0.0, SKEW_S[slot] + beat, state,
            EPOCH - row.ack_lag, supported_from=release_of(supported_from(row.release)),
        )  # fmt: skip

    def _watch(self, looked, watch):
        if looked == NONE:
            return Watch()
        unchanged = {str(slot): (SKEW_S[slot], NOW - entry) for slot, entry in enumerate(watch) if entry != NONE}
        return Watch(unchanged, NOW - looked)

    def _living_uncached(self, looked, watch, rows, besides):
        members = [self._member(slot, row) for slot, row in enumerate(rows) if row is not None and slot != besides]
        alive = self.rules.living(self._watch(looked, watch), members, now=NOW, ttl_s=TTL)
        return tuple(int(member.id) for member in alive)

    def _watched_uncached(self, looked, watch, rows):
        members = [self._member(slot, row) for slot, row in enumerate(rows) if row is not None]
        after = self.rules.watched(self._watch(looked, watch), members, now=NOW, ttl_s=TTL).unchanged
        entries = []
        for slot in range(self.slots):
            found = after.get(str(slot))
            entries.append(NONE if found is None else min(TTL, int(NOW - found[1])))
        return tuple(entries)

    def _settled_uncached(self, table, rows, alive):
        before = pin_row(table)
        after = self.rules.settle(before, [self._member(slot, rows[slot]) for slot in alive])
        return Table(number_of(after.pin), table.hold, number_of(after.proposed)), after.epoch > EPOCH

    def _admitted_uncached(self, table, rows, alive, release):
        try:
            after = self.rules.admit(
                pin_row(table), service="s", release=release_of(release),
                supported_from=release_of(supported_from(release)),
                living=[self._member(slot, rows[slot]) for slot in alive],
            )  # fmt: skip
        except LifecycleError as refusal:
            return type(refusal)
        return Table(number_of(after.pin), table.hold, number_of(after.proposed)), after.epoch > EPOCH

    def _held_uncached(self, table, rows, alive, release):
        try:
            members = [self._member(slot, rows[slot]) for slot in alive]
            after = self.rules.held(pin_row(table), release_of(release), service="s", living=members)
        except PinTooOld:
            return None
        return Table(number_of(after.pin), release, number_of(after.proposed)), after.epoch > EPOCH

    def _stance(self, process):
        proposed = None if process.seen_proposed == NONE else release_of(process.seen_proposed)
        seen = PinRow(release_of(process.seen_pin), EPOCH - process.seen_lag, proposed=proposed)
        stance = self.rules.stance(release_of(process.release), seen, EPOCH - process.ack_lag, 0.0)
        return stance.beaten(began_at=NOW - process.age, ttl_s=TTL)

    def _speaks_uncached(self, process):
        """Return what the process may say now, whether its block may still speak, and whether it must look."""
        stance = self._stance(process)
        return number_of(stance.speaks(NOW)), stance.in_force(NOW), stance.must_look()

    def _acknowledging_uncached(self, process):
        spoken = [] if process.speech == NONE else [release_of(process.speech)]
        return EPOCH - self._stance(process).acknowledging(spoken).acknowledged

    # --- what can happen ---

    def successors(self, state):
        """Yield every (label, state) that may come next."""
        yield "tick", self.tick(state)
        for slot, process in enumerate(state.processes):
            if process is None:
                yield from self._starts(state, slot)
                continue
            yield from self._steps(state, slot, process)
        yield from self._operators(state)

    def _starts(self, state, slot):
        starts, crashes, holds = state.budget
        if not starts or (state.rows[slot] is not None and not state.rows[slot].dead):
            return
        for release in range(self.releases):
            process = Process(release, JOINING, 0, NONE, 1, 1, TTL, NONE, NONE, (NONE,) * self.slots)
            begun = State(
                state.table,
                (starts - 1, crashes, holds),
                changed_at(self._forget(state.processes, slot), slot, process),
                changed_at(state.rows, slot, None),
            )
            yield f"start {slot} at {release}", self.join(begun, slot)

    def _steps(self, state, slot, process):
        if process.mode == JOINING:
            yield f"join {slot}", self.join(state, slot)
            return
        if not self.cuts:
            yield f"beat {slot}", self.beat(state, slot)
            if self.slow_answers:
                yield f"beat {slot}, answer lost", self.say(state, slot, answered=False)
        else:
            yield from self._parts_of_a_beat(state, slot, process)
        yield f"leave {slot}", self._gone(state, slot, row=None)
        starts, crashes, holds = state.budget
        if crashes:
            after = self._gone(state, slot, row=state.rows[slot])
            yield f"crash {slot}", after._replace(budget=(starts, crashes - 1, holds))
        if process.speech != NONE:
            yield f"end block {slot}", self._with(state, slot, process._replace(speech=NONE))

    def beat(self, state, slot):
        """All of a beat at once."""
        for step in (self.say, self.follow, self.say):
            if self._mode(state, slot) is not None:
                state = step(state, slot)
        return state

    def _parts_of_a_beat(self, state, slot, process):
        yield f"say {slot}", self.say(state, slot)
        if self.slow_answers:
            yield f"say {slot}, answer lost", self.say(state, slot, answered=False)
        after = self.follow(state, slot)
        yield f"follow {slot}", after
        if self.speaks and process.speech == NONE and after.processes[slot].seen_pin != process.seen_pin:
            # A block that began before goes on: it could have begun at any time, and only now makes a difference.
            yield f"follow {slot} in a block", self.follow(state, slot, speech=min(process.seen_pin, process.release))

    def _operators(self, state):
        starts, crashes, holds = state.budget
        if state.table.hold != NONE:
            yield "release hold", state._replace(table=state.table._replace(hold=NONE))
        if holds:
            unburied = self._living(NONE, (), state.rows, NONE)
            for release in range(self.releases):
                outcome = self._held(state.table, state.rows, unburied, release)
                if outcome is not None:
                    yield f"hold {release}", self._moved(state, *outcome)._replace(budget=(starts, crashes, holds - 1))

    def tick(self, state):
        """Let time pass for everybody."""
        return state._replace(processes=tuple(each and self._older(each) for each in state.processes))

    @staticmethod
    def _older_uncached(process):
        looked = process.looked if process.looked == NONE else min(TTL, process.looked + 1)
        ages = tuple(each if each == NONE else min(TTL, each + 1) for each in process.watch)
        return process._replace(age=min(TTL, process.age + 1), looked=looked, watch=ages)

    def look(self, state, slot):
        """Read the rows, and remember since when each stands unchanged."""
        process = state.processes[slot]
        watch = self._watched(process.looked, process.watch, state.rows)
        return self._with(state, slot, process._replace(looked=0, watch=changed_at(watch, slot, NONE)))

    def join(self, state, slot, *, comes_back=False):
        """Ask to come in, or to come back, under the lock."""
        if not comes_back:
            state = self.look(state, slot)
        process = state.processes[slot]
        alive = self._living(process.looked, process.watch, state.rows, slot)
        outcome = self._admitted(state.table, state.rows, alive, process.release)
        if outcome is PinTooNew or (outcome is PinTooOld and comes_back):
            return self._gone(state, slot, row=state.rows[slot])
        if outcome in (FleetUnsettled, PinTooOld):
            return self.look(state, slot) if comes_back else state
        state = self._moved(self._bury(state, alive, besides=slot), *outcome)
        speech = NONE if self.rules.begins_anew or not comes_back else min(process.seen_pin, process.release)
        process = state.processes[slot]._replace(
            mode=LIVE, seen_pin=state.table.pin, seen_proposed=state.table.proposed, seen_lag=0, ack_lag=0, age=0,
            speech=speech,
        )  # fmt: skip
        rows = changed_at(state.rows, slot, Row(process.release, 0, 0))
        return state._replace(processes=self._forget(changed_at(state.processes, slot, process), slot), rows=rows)

    def say(self, state, slot, *, answered=True):
        """Write the own row; with its answer lost, the lease is not renewed."""
        process, row = state.processes[slot], state.rows[slot]
        if row is None or row.dead:
            return self.join(state, slot, comes_back=True)
        if answered:
            process = process._replace(age=0)
        rows = changed_at(state.rows, slot, row._replace(ack_lag=process.ack_lag))
        return state._replace(processes=self._forget(changed_at(state.processes, slot, process), slot), rows=rows)

    def follow(self, state, slot, *, speech=None):
        """Look, move the pin on under the lock when that is due, and work by it."""
        state = self.look(state, slot)
        process = state.processes[slot]
        alive = self._living(process.looked, process.watch, state.rows, NONE)
        state = self._moved(self._bury(state, alive), *self._settled(state.table, state.rows, alive))
        process = state.processes[slot]._replace(
            seen_pin=state.table.pin,
            seen_proposed=state.table.proposed,
            seen_lag=0,
            speech=process.speech if speech is None else speech,
        )
        return self._with(state, slot, process._replace(ack_lag=self._acknowledging(process)))

    def _bury(self, state, alive, besides=NONE):
        if not self.rules.buries:
            return state
        return state._replace(
            rows=tuple(
                row if row is None or slot in alive or slot == besides else row._replace(dead=1)
                for slot, row in enumerate(state.rows)
            )
        )

    def _moved(self, state, table, new_epoch):
        if not new_epoch:
            return state._replace(table=table)
        behind = tuple(each and each._replace(seen_lag=1, ack_lag=1) for each in state.processes)
        return State(table, state.budget, behind, tuple(row and row._replace(ack_lag=1) for row in state.rows))

    def _gone(self, state, slot, *, row):
        processes = changed_at(state.processes, slot, None)
        if row is None:
            processes = self._forget(processes, slot)
        return state._replace(processes=processes, rows=changed_at(state.rows, slot, row))

    @staticmethod
    def _with(state, slot, process):
        return state._replace(processes=changed_at(state.processes, slot, process))

    @staticmethod
    def _forget(processes, slot):
        """The row of this slot changed: what anybody knows of how it was makes no difference any more."""
        return tuple(
            each
            if each is None or each.watch[slot] == NONE
            else each._replace(watch=changed_at(each.watch, slot, NONE))
            for each in processes
        )

    def canonical(self, state):
        """Return the one state that stands for all that differ in nothing that matters."""
        rows = state.rows
        dead = tuple([row is not None and row.dead for row in rows])
        processes = [each and self._tidied(each, dead) for each in state.processes]
        keys = [_key(process, row) for process, row in zip(processes, rows, strict=True)]
        order = tuple(sorted(range(self.slots), key=keys.__getitem__))
        if order != self._order:
            processes = [each and self._permuted(each, order) for each in processes]
        return State(
            state.table,
            state.budget,
            tuple([processes[slot] for slot in order]),
            tuple([rows[slot] for slot in order]),
        )

    @staticmethod
    def _permuted_uncached(process, order):
        return process._replace(watch=tuple(process.watch[slot] for slot in order))

    def _tidied_uncached(self, process, dead):
        if process.looked != NONE and process.looked > TTL / 2 and self.forgets:
            process = process._replace(looked=NONE, watch=(NONE,) * self.slots)
        if process.speech == min(process.seen_pin, process.release):
            process = process._replace(speech=NONE)
        if any(gone and entry != NONE for gone, entry in zip(dead, process.watch, strict=True)):
            watch = (NONE if gone else entry for gone, entry in zip(dead, process.watch, strict=True))
            process = process._replace(watch=tuple(watch))
        return process

    # --- what must hold ---

    def check(self, state):
        """Raise Violation when something may be said, or is shown, that must not be."""
        listeners = [
            process
            for slot, process in enumerate(state.processes)
            if process is not None and process.mode == LIVE
            and ((state.rows[slot] is not None and not state.rows[slot].dead) or self._speaks(process)[1])
        ]  # fmt: skip
        for process in state.processes:
            if process is None or process.mode == JOINING:
                continue
            word, in_force, must_look = self._speaks(process)
            said = [word] if word != NONE else []
            if in_force and process.speech != NONE:
                said.append(process.speech)
            for each in said:
                for listener in listeners:
                    if not supported_from(listener.release) <= each <= listener.release:
                        raise Violation(f"{each} is said and release {listener.release} listens")
            shown = state.table.pin if must_look else word
            if word != NONE and shown < min(state.table.pin, process.release):
                raise Violation(f"{shown} is advertised after {state.table.pin} was")

    def check_step(self, label, before, after):
        """Raise Violation when the pin came down by itself."""
        if after.table.pin < before.table.pin and not label.startswith("hold"):
            raise Violation(f"the pin came down by itself: {label}")

    # --- what must come in the end ---

    def calm(self, state):
        """The crashes are over, nobody holds the pin, and every block ends."""
        processes = tuple(each and each._replace(speech=NONE) for each in state.processes)
        return state._replace(table=state.table._replace(hold=NONE), budget=(0, 0, 0), processes=processes)

    def fair_round(self, state, *, backwards=False):
        """Everybody gets its turn, once."""
        state = self.tick(state)
        order = range(self.slots - 1, -1, -1) if backwards else range(self.slots)
        for slot in order:
            mode = self._mode(state, slot)
            if mode is not None:
                state = self.join(state, slot) if mode == JOINING else self.beat(state, slot)
        return state

    def without_waiting(self, state):
        """Whoever could not come in gives up."""
        for slot in range(self.slots):
            if self._mode(state, slot) == JOINING:
                state = self._gone(state, slot, row=None)
        return state

    def settled(self, state):
        """Whether the pin is as high as the processes let it be, and all work by it; nobody waits to come in."""
        processes = [each for each in state.processes if each is not None]
        if any(each.mode == JOINING for each in processes):
            return False
        if not processes:
            return True
        lowest = min(each.release for each in processes)
        return state.table.pin == lowest and all(each.seen_pin == lowest and not each.ack_lag for each in processes)

    @staticmethod
    def _mode(state, slot):
        process = state.processes[slot]
        return None if process is None else process.mode


@lru_cache(None)
def _key(process, row):
    return (process is None, process is None or process[:-1], row is None, row or ())


class Found(NamedTuple):
    states: int
    steps: int
    settled_within: int


_PATIENCE = 4 * TTL + 6  # rounds


def explore(model, *, most=10_000_000, report=None, traces=True):
    """Visit every state; raises Violation with the way to it, or when one never settles."""
    first = pack(model.initial())
    parents, frontier, steps, longest, good = {first: None}, [first], 0, 0, {}
    while frontier:
        ahead = []
        for packed in frontier:
            state = unpack(packed)
            try:
                longest = max(longest, *(_settles(model, state, good, backwards) for backwards in (False, True)))
                for label, after in model.successors(state):
                    steps += 1
                    model.check_step(label, state, after)
                    key = pack(model.canonical(after))
                    if key not in parents:
                        parents[key] = (packed, label) if traces else None
                        model.check(unpack(key))
                        ahead.append(key)
            except Violation as violation:
                trace = [*_way_to(parents, packed), locals().get("label", "")]
                raise Violation(f"{violation}; after {' / '.join(trace)}") from violation
        assert len(parents) <= most, f"more than {most} states"
        if report is not None:
            report(len(parents), len(ahead))
        frontier = ahead
    return Found(len(parents), steps, longest)


def _settles(model, state, good, backwards):
    state, way = model.calm(state), []
    for number in range(_PATIENCE):
        if number == _PATIENCE // 2:
            state = model.without_waiting(state)
        key = (pack(model.canonical(state)), backwards)
        if key in good or model.settled(state):
            rounds = good.get(key, 0)
            good[key] = rounds
            for further, each in enumerate(reversed(way), 1):
                good[each] = rounds + further
            return rounds + len(way)
        way.append(key)
        state = model.fair_round(state, backwards=backwards)
    raise Violation(f"never settles: {state}")


def _way_to(parents, packed):
    way = []
    while parents[packed] is not None:
        packed, label = parents[packed]
        way.append(label)
    return reversed(way)


def pack(state):
    """Return the state as few bytes; equal states have equal bytes (format 2 of marshal has no back references)."""
    parts = tuple(state.table), state.budget, tuple(p and tuple(p) for p in state.processes)
    return marshal.dumps((*parts, tuple(row and tuple(row) for row in state.rows)), 2)


def unpack(packed):
    table, budget, processes, rows = marshal.loads(packed)
    return State(
        Table(*table),
        budget,
        tuple(each and Process(*each) for each in processes),
        tuple(row and Row(*row) for row in rows),
    )
