"""The checker says nothing of histories that a correct store could have made, and finds every planted fault."""

import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.gate.checker import check
from bascule.gate.history import Operation

numbers = itertools.count(1)


def operation(kind, start, end, **fields):
    base = {"n": next(numbers), "op": kind, "phase": "load", "at": start, "outcome": "ok", "connection": "kept"}
    return Operation(kind=kind, start=start, end=end, **{**base, **fields})


def created(start=0.0, end=1.0, key="k", **fields):
    return operation("create", start, end, **{"key": key, "hash": "h1", "meta": "m1", "makes": 1, **fields})


def read(start, end, key="k", **fields):
    return operation("read", start, end, **{"key": key, "state": "present", "hash": "h1", **fields})


def absent(start, end, key="k", **fields):
    return operation("read", start, end, **{"key": key, "state": "absent", "outcome": "fail", **fields})


def deleted(start, end, key="k", **fields):
    return operation("delete", start, end, key=key, **fields)


def ordered(key="o", **fields):
    return operation("order", 0.0, 1.0, key=key, makes=1, **fields)


def polled(start, state, key="o", **fields):
    return operation("poll", start, start + 0.1, key=key, state=state, **fields)


def kinds(*history):
    return [finding.kind for finding in check(history).findings]


class SimulatedStore:
    """A linearisable store: each operation takes effect at one instant between its start and its end."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.history = []
        self.clock = 0.0

    def run(self, length):
        pending = []
        for position in range(length):
            self.clock += self.rng.random()
            start = self.clock
            effect = start + self.rng.random() * 5
            end = effect + self.rng.random() * 5
            pending.append((effect, position, start, end))
        state, total = {}, 0
        opened = operation("count", -2.0, -1.0, total=0)
        for effect, position, start, end in sorted(pending):
            total += self.apply(state, effect, position, start, end)
        last = max(item[3] for item in pending)
        for key, value in state.items():
            done = {"state": "present", "hash": value} if value else {"state": "absent", "outcome": "ok"}
            self.history.append(operation("read", last + 1, last + 2, key=key, **done))
        closed = operation("count", last + 3, last + 4, total=total)
        return [opened, *self.history, closed]

    def apply(self, state, effect, position, start, end):
        """Let one drawn operation happen at its instant; return by how much it changes the count."""
        kind = self.rng.choice(["create", "read", "read", "delete", "list"])
        # A client can only name a key that was acknowledged before it sent its request.
        known = [each.key for each in self.history if each.kind == "create" and each.key and each.end < start]
        unknown_outcome = self.rng.random() < 0.15
        if kind == "create" or not known:
            key, value = f"k{position}", f"h{position}"
            if unknown_outcome:
                happens = self.rng.random() < 0.5
                self.history.append(operation("create", start, end, outcome="info", hash=value, makes=1))
                return int(happens)
            state[key] = value
            self.history.append(created(start, end, key, hash=value, meta=None))
            return 1
        key = self.rng.choice(known)
        value = state[key]
        if kind == "list":
            seen = tuple(each for each in known if state[each])
            self.history.append(operation("list", start, end, seen=seen))
        elif kind == "read":
            found = {"state": "present", "hash": value} if value else {"state": "absent"}
            self.history.append(operation("read", start, end, key=key, **found))
        elif unknown_outcome:
            happens = value is not None and self.rng.random() < 0.5
            state[key] = None if happens else value
            self.history.append(deleted(start, end, key, outcome="info"))
            return -int(happens)
        elif value is not None:
            state[key] = None
            self.history.append(deleted(start, end, key))
            return -1
        return 0


@given(seed=st.integers(0, 2**32), length=st.integers(1, 120), order=st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_a_linearisable_store_raises_no_alarm_whatever_the_concurrency(seed, length, order):
    history = SimulatedStore(seed).run(length)
    order.shuffle(history)
    assert check(history).findings == ()


@given(seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_key_that_vanishes_from_a_correct_history_is_found(seed, data):
    history = SimulatedStore(seed).run(80)
    finals = [each for each in history if each.kind == "read" and each.state == "present"]
    touched = {each.key for each in history if each.kind == "delete"}
    last = max(each.start for each in history if each.kind == "read")
    safe = [each for each in finals if each.key not in touched and each.start == last]
    if not safe:
        return
    victim = data.draw(st.sampled_from(safe))
    planted = [each for each in history if each is not victim]
    planted.append(dataclasses.replace(victim, state="absent", outcome="fail", hash=None))
    assert [(found.kind, found.key) for found in check(planted).findings] == [("lost", victim.key)]


@given(seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_payload_that_changes_in_a_correct_history_is_found(seed, data):
    history = SimulatedStore(seed).run(80)
    reads = [each for each in history if each.kind == "read" and each.state == "present"]
    if not reads:
        return
    victim = data.draw(st.sampled_from(reads))
    planted = [dataclasses.replace(each, hash="other") if each is victim else each for each in history]
    assert [(found.kind, found.key) for found in check(planted).findings] == [("wrong", victim.key)]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_a_deleted_key_that_comes_back_in_a_correct_history_is_found(seed):
    history = SimulatedStore(seed).run(80)
    gone = next((each for each in history if each.kind == "delete" and each.outcome == "ok"), None)
    if gone is None:
        return
    last = max(each.end for each in history)
    value = next(each.hash for each in history if each.kind == "create" and each.key == gone.key)
    history.append(read(last + 10, last + 11, gone.key, hash=value))
    assert [(found.kind, found.key) for found in check(history).findings] == [("resurrected", gone.key)]


@given(seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_read_that_misses_an_acknowledged_key_in_a_correct_history_is_stale(seed, data):
    history = SimulatedStore(seed).run(80)
    touched = {each.key for each in history if each.kind == "delete"}
    last = max(each.start for each in history if each.kind == "read")
    safe = [each for each in history if each.kind == "create" and each.key and each.key not in touched]
    if not safe:
        return
    victim = data.draw(st.sampled_from(safe))
    start = data.draw(st.floats(min_value=victim.end, max_value=last, exclude_min=True))
    history.append(absent(start, start + data.draw(st.floats(0, 5)), victim.key))
    assert [(found.kind, found.key) for found in check(history).findings] == [("stale", victim.key)]


def test_an_absent_key_that_is_there_again_is_stale_and_not_lost():
    assert kinds(created(), absent(2, 3), read(4, 5)) == ["stale"]


def test_a_read_that_began_before_the_acknowledgement_may_find_nothing():
    assert kinds(created(0, 5), absent(1, 6), read(7, 8)) == []


def test_a_read_while_a_delete_is_on_the_way_may_find_the_key_or_not():
    assert kinds(created(), deleted(2, 5), absent(3, 4), absent(6, 7)) == []
    assert kinds(created(), deleted(2, 5), read(3, 4), absent(6, 7)) == []


def test_a_delete_of_unknown_outcome_may_have_happened_or_not_but_does_not_flap():
    assert kinds(created(), deleted(2, 3, outcome="info"), absent(4, 5)) == []
    assert kinds(created(), deleted(2, 3, outcome="info"), read(4, 5)) == []
    assert kinds(created(), deleted(2, 3, outcome="info"), absent(4, 5), read(6, 7)) == ["resurrected"]


def test_a_list_that_shows_a_deleted_key_resurrects_it():
    listed = operation("list", 5, 6, seen=("k",))
    assert kinds(created(), deleted(2, 3), listed) == ["resurrected"]


def test_a_payload_of_another_key_is_named_as_foreign():
    findings = check(
        [created(), created(key="l", hash="h2"), read(2, 3, hash="h2"), read(2, 3, "l", hash="h2")]
    ).findings
    assert [(each.kind, each.sentence) for each in findings] == [("wrong", "its payload is that of l")]


def test_metadata_that_differ_are_wrong_and_name_the_field():
    described = operation("describe", 2, 3, key="k", state="present", meta="m2", error="name differs")
    (finding,) = check([created(), described, read(2, 3)]).findings
    assert (finding.kind, finding.sentence) == ("wrong", "its metadata is not what was written (name differs)")


def test_an_acknowledged_key_that_nobody_read_is_unread():
    assert kinds(created()) == ["unread"]


def test_two_creates_with_one_key_are_wrong():
    assert "wrong" in kinds(created(), created(1, 2, hash="h1"), read(3, 4))


@pytest.mark.parametrize("state", ["pending", "failed", "absent"])
def test_an_accepted_order_that_is_not_done_at_the_end_is_lost(state):
    assert kinds(ordered(), polled(2, "pending"), polled(60, state)) == ["order-lost"]


def test_an_order_that_made_two_things_is_doubled():
    history = [ordered(), polled(2, "done", made="s1"), polled(3, "done", made="s2")]
    assert kinds(*history) == ["order-doubled"]


def test_what_an_order_made_must_be_readable_and_stay_the_same():
    done = [ordered(), polled(2, "done", made="s1")]
    assert kinds(*done, read(3, 4, "s1"), read(5, 6, "s1")) == []
    assert kinds(*done, read(3, 4, "s1"), read(5, 6, "s1", hash="h2")) == ["wrong"]
    assert kinds(*done, absent(3, 4, "s1")) == ["lost"]
    assert kinds(*done, absent(3, 4, "s1"), read(5, 6, "s1")) == ["stale"]


def test_an_order_that_goes_back_is_wrong():
    assert kinds(ordered(), polled(2, "done", made="s1"), polled(3, "pending")) == ["wrong"]


def test_two_orders_cannot_have_made_the_same_thing():
    history = [ordered("o"), ordered("p"), polled(2, "done", "o", made="s1"), polled(2, "done", "p", made="s1")]
    assert kinds(*history) == ["wrong"]


def test_the_count_finds_work_done_twice_and_keys_gone_without_a_trace():
    def history(total):
        first = operation("count", -2, -1, total=10)
        last = operation("count", 8, 9, total=total)
        maybe = operation("create", 0, 1, outcome="info", makes=1)
        return [first, maybe, ordered(), polled(2, "done", made="s1"), read(3, 4, "s1"), last]

    assert kinds(*history(11)) == kinds(*history(12)) == []
    assert kinds(*history(13)) == ["order-doubled"]
    assert kinds(*history(10)) == ["lost"]
