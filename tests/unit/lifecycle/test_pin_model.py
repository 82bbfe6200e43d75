"""Every order of beats, lost answers, pauses, crashes, starts and holds, decided by the functions of the real code.

The model and what it proves: `support.pin_model`. `make fuzz-pins` explores more processes, for hours if it must.
"""

import dataclasses

import pytest
from support.pin_model import TTL, Model, Rules, Violation, explore

from bascule.lifecycle.pin import LIVE_STATES, admit, held, settle
from bascule.lifecycle.stance import Stance
from bascule.lifecycle.watch import living

TWO = {"slots": 2, "releases": 2, "starts": 2, "crashes": 1, "holds": 1, "slow_answers": False, "speaks": False}
THREE_RELEASES = {"slots": 2, "releases": 3, "starts": 3, "crashes": 0, "holds": 1, "cuts": False, "speaks": False}
BLOCKS = {**TWO, "slow_answers": True, "speaks": True}


@pytest.mark.parametrize("size", [{**TWO, "holds": 0}, THREE_RELEASES], ids=["two processes", "three releases"])
def test_nothing_is_said_that_a_living_process_cannot_read_and_the_pin_always_settles(size):
    found = explore(Model(**size))
    print(found)
    assert found.states > 3_000
    assert found.settled_within <= 4 * TTL


def one_phase(row, those):
    after = settle(row, those)
    return row.moved_to(after.proposed) if after.proposed is not None else after


def without_new_epoch(row, those):
    after = settle(row, those)
    return dataclasses.replace(after, epoch=row.epoch) if after.pin == row.pin else after


def never_enough(row, those):
    return settle(row, [dataclasses.replace(each, acknowledged_epoch=each.acknowledged_epoch - 1) for each in those])


def lets_anyone_in(row, *, living, **who):
    return admit(row, living=[dataclasses.replace(each, acknowledged_epoch=row.epoch) for each in living], **who)


def lets_old_ones_in(row, *, release, supported_from, **who):
    return admit(row, release=max(release, row.pin), supported_from=min(supported_from, row.pin), **who)


def holds_at_once(row, release, **who):
    return dataclasses.replace(held(row, release, **who), epoch=row.epoch)


def holds_anywhere(row, release, *, service, living):
    return held(row, release, service=service, living=[])


def by_the_wall_clock(watch, members, *, now, ttl_s):
    return tuple(each for each in members if each.state in LIVE_STATES and now - each.heartbeat_at < ttl_s)


def after_half_a_ttl(watch, members, *, now, ttl_s):
    return living(watch, members, now=now, ttl_s=ttl_s / 2)


class NeverSilent(Stance):
    def in_force(self, now):
        return True


class FromMemory(Stance):
    def must_look(self):
        return False


class Hasty(Stance):
    def acknowledging(self, spoken):
        return super().acknowledging([])


class Eager(Stance):
    @property
    def cap(self):
        return self.release if self.seen.proposed is not None else super().cap


class Sleepy(Stance):
    def acknowledging(self, spoken):
        return self


FAULTS = {
    "the pin rises in one phase": Rules(settle=one_phase),
    "old acknowledgements count for a new proposal": Rules(settle=without_new_epoch),
    "nobody's acknowledgement is enough": Rules(settle=never_enough),
    "an old process comes in before a lowered pin is acknowledged": Rules(admit=lets_anyone_in),
    "a process comes in below the pin": Rules(admit=lets_old_ones_in),
    "a hold is no new epoch": Rules(held=holds_at_once),
    "a hold goes below what a living process writes": Rules(held=holds_anywhere),
    "death is judged by the clocks of two hosts": Rules(living=by_the_wall_clock),
    "death comes before the lease has lapsed": Rules(living=after_half_a_ttl),
    "the dead are not marked": Rules(buries=False),
    "a process speaks on without its lease": Rules(stance=NeverSilent),
    "a process advertises from memory while the pin may rise": Rules(stance=FromMemory),
    "a process acknowledges while a block still speaks by the old pin": Rules(stance=Hasty),
    "a proposal is taken for a lift": Rules(stance=Eager),
    "nobody acknowledges": Rules(stance=Sleepy),
    "a block goes on after its process was taken for dead": Rules(begins_anew=False),
}


SIZES = {
    "a hold goes below what a living process writes": THREE_RELEASES,
    "a process acknowledges while a block still speaks by the old pin": BLOCKS,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault):
    with pytest.raises(Violation) as found:
        explore(Model(**SIZES.get(fault, TWO), rules=FAULTS[fault]))
    print(found.value)
