"""The few figures that the gate computes: percentiles by rank, latency summaries, seconds, and the zero-failure bound.

Nothing here is an inference test; those belong to the tags.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from bascule.documents.evidence import Bucket, LatencySummary
from bascule.gate.history import Operation

__all__ = ["per_second", "percentile", "summarise_latency", "zero_failure_bound"]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of sorted values: the least value with `share` of them at or below it."""
    if not ordered:
        raise AssertionError("a percentile of nothing was asked for")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def zero_failure_bound(successes: int) -> float | None:
    """Return the failure probability that `successes` answers without a failure exclude at 95 %: 3/n, at most 1."""
    return min(1.0, 3.0 / successes) if successes else None


def summarise_latency(phase: str, operations: Iterable[Operation]) -> LatencySummary | None:
    """Return the percentiles of the answered operations, None when there are none."""
    ordered = sorted(operation.latency_s * 1000 for operation in operations if operation.status is not None)
    if not ordered:
        return None
    p50, p90, p99, p999 = (round(percentile(ordered, share), 2) for share in (0.5, 0.9, 0.99, 0.999))
    return LatencySummary(phase, len(ordered), p50, p90, p99, p999, max_ms=round(ordered[-1], 2))


def per_second(operations: Iterable[Operation], start: float) -> tuple[Bucket, ...]:
    """Return one bucket per second since `start`, without gaps; an operation counts in the second it was due."""
    seconds: dict[int, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.at >= start:
            seconds[int(operation.at - start)].append(operation)
    last = max(seconds, default=-1)
    return tuple(_bucket(second, seconds.get(second, [])) for second in range(last + 1))


def _bucket(second: int, operations: list[Operation]) -> Bucket:
    ordered = sorted(operation.latency_s * 1000 for operation in operations if operation.status is not None)
    releases: dict[str, int] = defaultdict(int)
    for operation in operations:
        if operation.release is not None:
            releases[operation.release] += 1
    ok = sum(operation.outcome == "ok" for operation in operations)
    return Bucket(
        second=second,
        ok=ok,
        failed=len(operations) - ok,
        p50_ms=round(percentile(ordered, 0.5), 2) if ordered else None,
        p99_ms=round(percentile(ordered, 0.99), 2) if ordered else None,
        by_release=dict(sorted(releases.items())),
    )
