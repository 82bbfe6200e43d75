"""The rules of the pin, without clock and database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.lifecycle.pin import MemberRow, PinRow, PinTooNew, PinTooOld, admit, follow, held, is_live, released
from bascule.release import Release

OLD, NEW, NEXT = Release.parse("2026.2"), Release.parse("2027.1"), Release.parse("2027.2")
RELEASES = [OLD, NEW, NEXT]
TTL_S = 5.0


def member(release, *, beat_at=100.0, state="live", name="api-1"):
    return MemberRow(name, name, "api", release, "host", 1, 0.0, beat_at, state)


def followed(row, members, *, now=100.0, may_bury=True):
    return follow(row, members, now=now, ttl_s=TTL_S, may_bury=may_bury)


def test_the_pin_is_the_lowest_live_release():
    assert followed(PinRow(OLD, 1), [member(OLD), member(NEW)]) == PinRow(OLD, 1)
    assert followed(PinRow(OLD, 1), [member(NEW), member(NEXT)]) == PinRow(NEW, 2)


def test_a_draining_process_still_counts_and_a_stopped_one_does_not():
    assert followed(PinRow(OLD, 1), [member(OLD, state="draining"), member(NEW)]).pin == OLD
    assert followed(PinRow(OLD, 1), [member(OLD, state="stopped"), member(NEW)]).pin == NEW


def test_with_nobody_live_the_pin_stays():
    assert followed(PinRow(OLD, 7), []) == PinRow(OLD, 7)
    assert followed(PinRow(OLD, 7), [member(NEW, state="stopped")]) == PinRow(OLD, 7)


def test_a_process_whose_heart_stopped_is_dead_after_its_ttl():
    assert followed(PinRow(OLD, 1), [member(OLD, beat_at=95.1), member(NEW)]).pin == OLD
    assert followed(PinRow(OLD, 1), [member(OLD, beat_at=95.0), member(NEW)]).pin == NEW


def test_one_who_has_not_beaten_for_a_whole_ttl_itself_buries_nobody():
    assert followed(PinRow(OLD, 1), [member(OLD, beat_at=0.0), member(NEW)], may_bury=False).pin == OLD


def test_a_beat_from_a_clock_ahead_of_ours_counts_as_live():
    assert is_live(member(OLD, beat_at=103.0), now=100.0, ttl_s=TTL_S)


def test_a_hold_keeps_the_pin_down_and_letting_go_lets_it_rise():
    row = held(PinRow(OLD, 1), OLD)
    assert row == PinRow(OLD, 1, hold=OLD)
    assert followed(row, [member(NEW)]) == row
    assert followed(released(row), [member(NEW)]) == PinRow(NEW, 2)


def test_a_hold_lowers_the_pin_at_once_in_a_new_epoch():
    assert held(PinRow(NEW, 4), OLD) == PinRow(OLD, 5, hold=OLD)


def test_an_old_process_that_was_thought_dead_takes_the_pin_down_with_it():
    assert followed(PinRow(NEW, 4), [member(OLD), member(NEW)]) == PinRow(OLD, 5)


def test_a_process_older_than_the_pin_is_refused_and_told_what_to_type():
    with pytest.raises(PinTooNew) as refusal:
        admit(PinRow(NEW), service="keymanager", release=OLD, supported_from=OLD, anyone_live=True)
    assert "run 2027.1 or newer" in refusal.value.sentence
    assert refusal.value.next_command == "keymanager-manage pin hold 2026.2"


@pytest.mark.parametrize(("anyone_live", "hold"), [(True, None), (False, OLD)])
def test_a_process_that_no_longer_writes_the_pinned_release_is_refused(anyone_live, hold):
    with pytest.raises(PinTooOld, match=r"understands 2027\.1 and newer"):
        admit(PinRow(OLD, 1, hold), service="keymanager", release=NEXT, supported_from=NEW, anyone_live=anyone_live)


def test_a_pin_that_nobody_lives_by_moves_up_to_what_the_newcomer_can_write():
    row = admit(PinRow(OLD, 1), service="keymanager", release=NEXT, supported_from=NEW, anyone_live=False)
    assert row == PinRow(NEW, 2)


rows = st.builds(PinRow, st.sampled_from(RELEASES), st.integers(0, 9), st.none() | st.sampled_from(RELEASES))
members = st.lists(
    st.builds(
        member,
        st.sampled_from(RELEASES),
        beat_at=st.sampled_from([0.0, 94.0, 99.0, 101.0]),
        state=st.sampled_from(["live", "draining", "stopped"]),
    ),
    max_size=5,
)


@given(rows, members, st.booleans())
def test_the_pin_is_never_above_a_live_process_and_moves_once(row, those, may_bury):
    after = followed(row, those, may_bury=may_bury)
    live = [each.release for each in those if is_live(each, now=100.0, ttl_s=TTL_S)]
    assert not live or after.pin <= min(live)
    assert after.hold == row.hold
    assert after.epoch == row.epoch + (after.pin != row.pin)
    if row.hold is not None:
        assert after.pin <= row.pin
    assert followed(after, those, may_bury=may_bury) == after
