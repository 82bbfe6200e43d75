"""Percentiles, seconds, gaps and bounds are what their definitions say."""

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.gate.downtime import longest_gap, summarise_probes, union
from bascule.gate.history import Operation
from bascule.gate.statistics import per_second, percentile, summarise_latency, zero_failure_bound


def answer(at, took=0.01, phase="load", **fields):
    base = {"n": 1, "op": "read", "kind": "read", "outcome": "ok", "status": 200, "release": "1"}
    return Operation(phase=phase, at=at, start=at, end=at + took, **{**base, **fields})


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0.001, 1))
def test_a_percentile_is_the_least_value_with_its_share_at_or_below(values, share):
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-9
    assert sum(value < found for value in ordered) < share * len(ordered)


def test_the_median_of_an_odd_number_of_values_agrees_with_the_standard_library():
    values = [5.0, 1.0, 9.0, 2.0, 7.0]
    assert percentile(sorted(values), 0.5) == statistics.median(values)


def test_nothing_has_no_percentile():
    with pytest.raises(AssertionError):
        percentile([], 0.5)
    assert summarise_latency("roll", []) is None


def test_the_zero_failure_bound_is_three_over_n():
    assert zero_failure_bound(30_000) == pytest.approx(1e-4)
    assert zero_failure_bound(2) == 1.0
    assert zero_failure_bound(0) is None


def test_latency_leaves_out_requests_without_an_answer_and_the_clients_own_time():
    found = summarise_latency("roll", [answer(0, 2.0, upload_s=1.5), answer(0, 9, status=None, outcome="fail")])
    assert (found.requests, found.p50_ms, found.max_ms) == (1, 500.0, 500.0)


def test_seconds_have_no_gaps_and_count_failures():
    operations = [answer(10.1), answer(10.9, release="2"), answer(12.5, status=None, outcome="fail", release=None)]
    first, second, third = per_second(operations, 10.0)
    assert (first.ok, first.failed, first.by_release) == (2, 0, {"1": 1, "2": 1})
    assert (second.ok, second.failed, second.p50_ms) == (0, 0, None)
    assert (third.ok, third.failed, third.by_release) == (0, 1, {})


def test_the_longest_gap_is_between_neighbouring_successes():
    assert longest_gap([5.0, 1.0, 1.5, 9.0]) == 4.0
    assert longest_gap([1.0]) == 0.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10)), max_size=30))
def test_a_union_covers_exactly_the_same_seconds(parts):
    intervals = [(float(start), float(start + length)) for start, length in parts]
    merged = union(intervals)
    covered = {second for start, end in intervals for second in range(int(start), int(end))}
    assert {second for start, end in merged for second in range(int(start), int(end))} == covered
    assert all(earlier[1] < later[0] for earlier, later in itertools.pairwise(merged))


def test_probes_are_summarised_each_by_itself():
    good = [answer(at / 10, phase="probe", op="probe-control list") for at in range(10)]
    bad = [
        answer(0.0, phase="probe", op="probe-data read"),
        answer(0.2, 0.5, phase="probe", op="probe-data read", outcome="fail"),
        answer(0.4, 0.4, phase="probe", op="probe-data read", outcome="fail"),
        answer(0.9, phase="probe", op="probe-data read"),
    ]
    control, data = summarise_probes([*good, *bad, answer(0.3)], 0.0)
    assert (control.name, control.sent, control.failed, control.failure_bound) == ("control", 10, 0, 0.3)
    assert (data.name, data.failed, data.longest_gap_s, data.failing_s) == ("data", 2, 0.9, 0.6)
    assert [(part.start_s, part.end_s) for part in data.failing] == [(0.2, 0.8)]
    assert data.failure_bound is None
