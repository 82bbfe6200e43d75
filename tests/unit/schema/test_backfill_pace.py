import itertools

import pytest

from bascule.schema.databases import database_of
from bascule.schema.pace import Eta, Pace, Pacer


class Clock:
    """Time that goes on only when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def walk(eta, clock, *, batches, rows, batch_s):
    for _ in range(batches):
        clock.now += batch_s
        eta.walked(rows)


def test_no_end_is_told_before_enough_is_known():
    clock = Clock()
    eta = Eta(clock)
    assert eta.left_s(1_000) is None
    walk(eta, clock, batches=4, rows=100, batch_s=1.0)
    assert eta.left_s(1_000) is None  # few batches
    few = Eta(clock)
    walk(few, clock, batches=30, rows=100, batch_s=0.05)
    assert few.left_s(1_000) is None  # little time


@pytest.mark.parametrize("batch_s", [0.01, 0.5, 3.0])
def test_at_a_steady_rate_the_end_is_told_exactly_whatever_the_batches(batch_s):
    clock = Clock()
    eta = Eta(clock)
    walk(eta, clock, batches=500, rows=round(1_000 * batch_s), batch_s=batch_s)
    assert eta.left_s(60_000) == pytest.approx(60, rel=0.01)


def test_a_walk_that_was_slowed_down_is_believed_within_seconds():
    clock = Clock()
    eta = Eta(clock)
    walk(eta, clock, batches=600, rows=100, batch_s=0.1)
    walk(eta, clock, batches=300, rows=10, batch_s=0.1)  # thirty seconds at a tenth of the speed
    assert eta.left_s(1_000) == pytest.approx(10, rel=0.35)


def test_a_wait_counts_as_time():
    clock = Clock()
    eta = Eta(clock)
    walk(eta, clock, batches=100, rows=100, batch_s=0.1)
    before = eta.left_s(10_000)
    clock.now += 30
    walk(eta, clock, batches=1, rows=100, batch_s=0.1)
    assert eta.left_s(10_000) > 3 * before


def test_nothing_left_takes_no_time():
    assert Eta(Clock()).left_s(0) == 0


def test_batches_grow_and_shrink_to_the_wished_time_by_at_most_a_factor_of_two():
    pacer = Pacer(Pace(batch_s=0.05, first_rows=100, duty=1.0, most_rows=1_000))
    grown = []
    for _ in range(5):
        pacer.after(0.001, walked=pacer.rows)
        grown.append(pacer.rows)
    assert grown == [200, 400, 800, 1_000, 1_000]
    pacer.after(5.0, walked=pacer.rows)
    assert pacer.rows == 500
    for _ in range(20):
        pacer.after(5.0, walked=pacer.rows)
    assert pacer.rows == 10


def test_the_pause_keeps_the_duty_and_is_never_long():
    pacer = Pacer(Pace(batch_s=0.02, first_rows=100, duty=0.25))
    assert pacer.after(0.02, walked=100) == pytest.approx(0.06)
    assert pacer.after(60, walked=100) == 1.0
    assert Pacer(Pace(0.02, 100, 1.0)).after(0.02, walked=100) == 0


def test_every_database_knows_every_pace_and_gentle_leaves_more_room(db):
    paces = database_of(db.dialect).paces
    assert set(paces) == {"fast", "gentle", "off-hours"}
    by_room = [paces[name].duty for name in ("gentle", "fast", "off-hours")]
    assert all(left <= right for left, right in itertools.pairwise(by_room))
