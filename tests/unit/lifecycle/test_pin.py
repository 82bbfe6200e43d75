"""The rules of the pin, of who lives and of who may speak, without clock and database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.lifecycle.pin import (
    FleetUnsettled,
    MemberRow,
    PinRow,
    PinTooNew,
    PinTooOld,
    admit,
    held,
    released,
    settle,
)
from bascule.lifecycle.stance import LEASE_SHARE, Stance
from bascule.lifecycle.watch import Watch, living, watched
from bascule.release import Release

OLD, NEW, NEXT = Release.parse("2026.2"), Release.parse("2027.1"), Release.parse("2027.2")
RELEASES = [OLD, NEW, NEXT]
TTL_S = 5.0


def member(release, *, beat_at=100.0, state="live", name="api-1", acknowledged=1, supported_from=OLD):
    return MemberRow(
        name,
        name,
        "api",
        release,
        "host",
        1,
        0.0,
        beat_at,
        state,
        acknowledged_epoch=acknowledged,
        supported_from=supported_from,
    )


def admitted(row, release, *, living=(), supported_from=OLD):
    return admit(row, service="keymanager", release=release, supported_from=supported_from, living=living)


def test_the_pin_is_proposed_first_and_lifted_once_everybody_who_lives_has_acknowledged():
    proposal = settle(PinRow(OLD, 1), [member(NEW), member(NEXT)])
    assert proposal == PinRow(OLD, 2, proposed=NEW)
    assert settle(proposal, [member(NEW, acknowledged=2), member(NEXT, acknowledged=1)]) == proposal
    assert settle(proposal, [member(NEW, acknowledged=2), member(NEXT, acknowledged=2)]) == PinRow(NEW, 3)


def test_a_proposal_falls_when_an_old_process_comes_in_before_the_lift():
    proposal = PinRow(OLD, 2, proposed=NEW)
    assert settle(proposal, [member(NEW, acknowledged=2), member(OLD, acknowledged=2)]) == PinRow(OLD, 2)


def test_a_proposal_that_changes_needs_new_acknowledgements():
    proposal = PinRow(OLD, 2, proposed=NEXT)
    assert settle(proposal, [member(NEXT, acknowledged=2), member(NEW, acknowledged=2)]) == PinRow(OLD, 3, proposed=NEW)


def test_with_nobody_living_the_pin_stays():
    assert settle(PinRow(OLD, 7), []) == PinRow(OLD, 7)


def test_the_pin_never_rises_over_a_process_whose_release_nobody_can_read():
    assert settle(PinRow(OLD, 1), [member(None), member(NEW)]) == PinRow(OLD, 1)
    assert settle(PinRow(OLD, 2, proposed=NEW), [member(None), member(NEW)]) == PinRow(OLD, 2)


def test_an_old_process_that_knows_of_no_lease_takes_the_pin_down_with_it():
    assert settle(PinRow(NEW, 4), [member(OLD), member(NEW)]) == PinRow(OLD, 5)


def test_a_hold_keeps_the_pin_down_and_letting_go_lets_it_rise():
    row = held(PinRow(OLD, 1), OLD, service="keymanager", living=[])
    assert row == PinRow(OLD, 1, hold=OLD)
    assert settle(row, [member(NEW)]) == row
    assert settle(released(row), [member(NEW)]) == PinRow(OLD, 2, proposed=NEW)


def test_a_hold_lowers_the_pin_at_once_in_a_new_epoch_and_drops_a_proposal():
    assert held(PinRow(NEW, 4, proposed=NEXT), OLD, service="keymanager", living=[]) == PinRow(OLD, 5, hold=OLD)


def test_a_hold_below_what_a_living_process_can_write_is_refused():
    with pytest.raises(PinTooOld, match=r"release 2027\.2 understands 2027\.1 and newer"):
        held(PinRow(NEW, 4), OLD, service="keymanager", living=[member(NEXT, supported_from=NEW)])


def test_a_process_older_than_the_pin_is_refused_and_told_what_to_run_first():
    with pytest.raises(PinTooNew) as refusal:
        admitted(PinRow(NEW), OLD)
    assert "run 2027.1 or newer" in refusal.value.sentence
    assert refusal.value.next_command == "keymanager-manage pin hold 2026.2"


@pytest.mark.parametrize(("others", "hold"), [([member(OLD)], None), ([], OLD)])
def test_a_process_that_no_longer_writes_the_pinned_release_is_refused(others, hold):
    with pytest.raises(PinTooOld, match=r"bring the service to 2027\.1 first"):
        admitted(PinRow(OLD, 1, hold), NEXT, living=others, supported_from=NEW)


def test_a_pin_that_nobody_lives_by_moves_up_to_what_the_newcomer_can_write():
    assert admitted(PinRow(OLD, 1), NEXT, supported_from=NEW) == PinRow(NEW, 2)


def test_an_old_process_waits_until_everybody_has_acknowledged_the_lowered_pin():
    row = PinRow(OLD, 5, hold=OLD)
    with pytest.raises(FleetUnsettled, match=r"not acknowledged by api-1 \(2027\.1, pid 1\)") as refusal:
        admitted(row, OLD, living=[member(NEW, acknowledged=4)])
    assert refusal.value.next_command == "keymanager-manage pin show"
    assert admitted(row, OLD, living=[member(NEW, acknowledged=5)]) == row
    assert admitted(row, NEW, living=[member(NEW, acknowledged=4)]) == row, "who reads everything need not wait"


def test_a_process_that_reads_no_old_things_waits_for_those_that_may_still_say_them():
    with pytest.raises(FleetUnsettled):
        admitted(PinRow(NEW, 3), NEXT, living=[member(NEW, acknowledged=2)], supported_from=NEW)


def seen_from(beats, *, ttl_s=TTL_S):
    """Watch one member through (now, its beat) pairs, and return whether it lives at the last look."""
    watch = Watch()
    for now, beat_at in beats:
        row = member(OLD, beat_at=beat_at)
        watch = watched(watch, [row], now=now, ttl_s=ttl_s)
    return bool(living(watch, [row], now=now, ttl_s=ttl_s))


def test_a_member_is_dead_once_it_stood_still_for_a_whole_ttl_before_steady_eyes():
    assert seen_from([(0, 7.0), (2, 7.0), (4, 7.0), (4.9, 7.0)])
    assert not seen_from([(0, 7.0), (2, 7.0), (4, 7.0), (5, 7.0)])
    assert seen_from([(0, 7.0), (2, 7.0), (4, 7.1), (5, 7.1)])


def test_one_who_did_not_look_for_a_while_takes_nobody_for_dead():
    assert seen_from([(0, 7.0), (2, 7.0), (30, 7.0)])
    watch = watched(watched(Watch(), [member(OLD)], now=0, ttl_s=TTL_S), [member(OLD)], now=2, ttl_s=TTL_S)
    assert living(watch, [member(OLD)], now=60, ttl_s=TTL_S)


@pytest.mark.parametrize("wrong_by_s", [-1e9, 0.0, 1e9])
def test_a_wrong_clock_neither_kills_nor_saves(wrong_by_s):
    assert seen_from([(now, wrong_by_s + now) for now in (0, 2, 4, 6)])
    assert not seen_from([(now, wrong_by_s) for now in (0, 2, 4, 6)])


def test_goodbyes_and_burials_are_believed_at_once():
    assert not living(Watch(), [member(OLD, state="stopped"), member(OLD, state="dead")], now=0, ttl_s=TTL_S)
    assert len(living(Watch(), [member(OLD, state="draining")], now=0, ttl_s=TTL_S)) == 1


def stance(pin=NEW, *, release=NEXT, proposed=None):
    return Stance(release, PinRow(pin, 3, proposed=proposed), 2, 0.0)


def test_a_process_speaks_by_the_pin_and_only_under_its_lease():
    speaker = stance().beaten(began_at=100.0, ttl_s=TTL_S)
    assert speaker.speaks(103.9) == NEW
    assert speaker.speaks(104.0) is None
    assert LEASE_SHARE < 1, "the lease must end before anybody can see the death"
    assert stance(NEXT, release=NEW).beaten(began_at=100.0, ttl_s=TTL_S).speaks(100.0) == NEW


def test_a_change_is_acknowledged_when_nothing_is_said_by_another_pin_any_more():
    assert stance().acknowledging([OLD, NEW]).acknowledged == 2
    assert stance().acknowledging([NEW, NEW]).acknowledged == 3
    assert stance().acknowledging([]).acknowledged == 3


def test_what_is_advertised_is_looked_up_while_the_pin_may_rise():
    assert stance(proposed=NEXT).must_look()
    assert not stance().must_look()


rows = st.builds(
    PinRow,
    st.sampled_from(RELEASES),
    st.integers(0, 9),
    st.none() | st.sampled_from(RELEASES),
    st.none() | st.sampled_from(RELEASES),
)
members = st.lists(
    st.builds(member, st.sampled_from([*RELEASES, None]), acknowledged=st.integers(0, 9)),
    max_size=5,
)


@given(rows, members)
def test_the_pin_is_never_above_a_living_process_and_never_rises_unacknowledged(row, those):
    after = settle(row, those)
    known = [each.release for each in those if each.release is not None]
    assert not known or after.pin <= min(known)
    assert after.hold == row.hold
    if after.pin > row.pin:
        assert row.hold is None
        assert row.proposed == after.pin
        assert all(each.acknowledged_epoch >= row.epoch for each in those)
    assert (after.epoch > row.epoch) == (after.pin != row.pin or (after.proposed not in (None, row.proposed)))
