"""Downtime as the probes saw it: the longest gap between successes, and the union of the failing intervals."""

import itertools
from collections.abc import Iterable, Sequence

from bascule.documents.evidence import FailingInterval, ProbeSummary
from bascule.gate.history import Operation
from bascule.gate.probes import CONTROL, DATA
from bascule.gate.statistics import zero_failure_bound

__all__ = ["longest_gap", "summarise_probes", "union"]


def summarise_probes(operations: Iterable[Operation], start: float) -> tuple[ProbeSummary, ...]:
    """Return one summary per prober that sent anything; seconds count from `start`."""
    probes = [operation for operation in operations if operation.phase == "probe"]
    named = (("control", CONTROL), ("data", DATA))
    parts = ((name, [each for each in probes if each.op.startswith(prefix)]) for name, prefix in named)
    return tuple(_summary(name, part, start) for name, part in parts if part)


def longest_gap(successes: Sequence[float]) -> float:
    """Return the longest time between consecutive successes, given their times in any order."""
    ordered = sorted(successes)
    return max((later - earlier for earlier, later in itertools.pairwise(ordered)), default=0.0)


def union(intervals: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return the same time as intervals that do not overlap, in order."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def _summary(name: str, probes: Sequence[Operation], start: float) -> ProbeSummary:
    failed = [probe for probe in probes if probe.outcome != "ok"]
    failing = union((probe.at, probe.end) for probe in failed)
    gap = longest_gap([probe.end for probe in probes if probe.outcome == "ok"])
    return ProbeSummary(
        name=name,
        sent=len(probes),
        failed=len(failed),
        longest_gap_s=round(gap, 3),
        failing_s=round(sum(end - begin for begin, end in failing), 3),
        failing=tuple(FailingInterval(round(begin - start, 3), round(end - start, 3)) for begin, end in failing),
        failure_bound=None if failed else zero_failure_bound(len(probes)),
    )
