"""What a measured upgrade showed: the verdict, its reasons and every number behind them."""

from dataclasses import dataclass, field
from typing import Any, Literal

from bascule.release import Release

__all__ = [
    "Bucket",
    "Evidence",
    "FailingInterval",
    "LatencySummary",
    "OrderLedger",
    "OverriddenPin",
    "ProbeSummary",
    "Reason",
    "RefusedMessages",
    "StepTiming",
    "Verdict",
]

Verdict = Literal["PASS", "REFUSE", "INCONCLUSIVE"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the verdict is not PASS: a stable code, one sentence for people, and the numbers it rests on."""

    code: str
    verdict: Verdict
    sentence: str
    evidence: dict[str, Any] = field(default_factory=dict)  # Any: plain JSON numbers and strings


@dataclass(frozen=True, slots=True)
class OrderLedger:
    """Accepted asynchronous work and what became of it by the end of the run."""

    accepted: int
    done: int
    lost: int
    doubled: int


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Milliseconds from the scheduled time to the answer, in one phase of the run, for one class of requests."""

    phase: str
    requests: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class FailingInterval:
    """Seconds after the start of the load during which a probe failed."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class ProbeSummary:
    """One prober: its longest gap between successes, and the union of the intervals in which it failed.

    `failure_bound` is the failure probability that the answers exclude at 95 % (3/n), None when one failed.
    """

    name: str
    sent: int
    failed: int
    longest_gap_s: float
    failing_s: float
    failing: tuple[FailingInterval, ...] = ()
    failure_bound: float | None = None


@dataclass(frozen=True, slots=True)
class StepTiming:
    """One step of the plan: what was expected and what happened; `offset_s` counts from the start of the load."""

    id: str
    title: str
    phase: str
    state: str
    planned_s: float
    actual_s: float | None
    offset_s: float | None
    point_of_no_return: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedMessages:
    """Messages and objects that one process could not read because they were newer than its release."""

    instance: str
    release: Release
    refused: int


@dataclass(frozen=True, slots=True)
class OverriddenPin:
    """A process that was told to speak something newer than the service's pin."""

    instance: str
    release: Release
    override: Release
    pin: Release


@dataclass(frozen=True, slots=True)
class Bucket:
    """One second of the run as clients saw it; `second` counts from the start of the load."""

    second: int
    ok: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None
    by_release: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The whole document, report.json.

    `requests` counts the load itself; `failed` counts every request that failed after the preload: load, probes and
    the read-back at the end (`failed_by_phase` splits it). `lost`, `wrong`, `resurrected` and `stale` count keys,
    lost and doubled orders stand under `orders`. `answers_by_release_while_mixed` counts from the first answer of
    the target to the last of the source. `read_across` counts reads by one release of what another one wrote.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    source: Release
    target: Release
    requests: int
    failed: int
    lost: int
    wrong: int
    resurrected: int
    stale: int
    unread: int
    orders: OrderLedger
    load_rate_per_s: float
    load_seconds: float
    started_at: float
    failed_by_phase: dict[str, int] = field(default_factory=dict)
    failure_bound: float | None = None
    answers_by_release_while_mixed: dict[str, int] = field(default_factory=dict)
    mixed_seconds: float = 0.0
    answers_by_release: dict[str, int] = field(default_factory=dict)
    rows_written_by_one_read_by_other: int = 0
    read_across: dict[str, int] = field(default_factory=dict)
    read_back: int = 0
    latency: tuple[LatencySummary, ...] = ()
    generator_late_p99_ms: float = 0.0
    probes: tuple[ProbeSummary, ...] = ()
    steps: tuple[StepTiming, ...] = ()
    refused_messages: tuple[RefusedMessages, ...] = ()
    overridden_pins: tuple[OverriddenPin, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    run: str = ""
    run_mode: str = ""
    service: str = ""
    format: int = 1

    @property
    def exit_code(self) -> int:
        """Return the exit code of a command that ends with this verdict: 0 PASS, 1 REFUSE, 3 INCONCLUSIVE."""
        return {"PASS": 0, "REFUSE": 1, "INCONCLUSIVE": 3}[self.verdict]
