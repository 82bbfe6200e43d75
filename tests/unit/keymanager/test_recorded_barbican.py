"""Every recorded answer of real Barbican 23 with real Keystone, and what our key manager answers in its place."""

import pytest
from support.barbican_corpus import load
from support.barbican_lists import idle, load_intended, load_not_yet, unintended
from support.keymanager_replay import CORPUS, replay_area

AREAS = {area.name: area for area in load(CORPUS)}
PAIRS = [pair for area in AREAS.values() for pair in area.pairs]
INTENDED, NOT_YET = load_intended(), load_not_yet()


@pytest.fixture(scope="module")
def outcome_of(tmp_path_factory):
    """What became of a pair; its area is replayed when the first of its pairs is asked for."""
    replayed = {}

    def find(pair):
        if pair.area not in replayed:
            outcomes = replay_area(AREAS[pair.area], tmp_path_factory.mktemp(pair.area))
            replayed[pair.area] = {outcome.pair.name: outcome for outcome in outcomes}
        return replayed[pair.area][pair.name]

    return find


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_a_recorded_request_is_answered_as_barbican_answers_it(pair, outcome_of):
    outcome = outcome_of(pair)
    differences = unintended(outcome, INTENDED)
    if pair.id in NOT_YET:
        assert differences, f"{pair.id!r} matches by now: take it off the list (make corpus-status ARGS=--take-off)"
    else:
        assert not differences, str(outcome)


def test_every_intended_difference_shows(outcome_of):
    outcomes = [outcome_of(pair) for pair in PAIRS]
    assert idle(INTENDED, outcomes) == []


def test_the_lists_name_recorded_pairs_alone():
    known = {pair.id for pair in PAIRS}
    assert len(known) == len(PAIRS)
    assert known >= NOT_YET
