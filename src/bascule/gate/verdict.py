"""The verdict over one measured run: PASS, REFUSE or INCONCLUSIVE, with a reason in words for each that is not PASS."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bascule.documents.evidence import (
    Evidence,
    LatencySummary,
    OrderLedger,
    OverriddenPin,
    Reason,
    RefusedMessages,
    Verdict,
)
from bascule.documents.journal import RunDocument
from bascule.documents.status import ServiceStatus
from bascule.gate import reasons
from bascule.gate.checker import Checked, check
from bascule.gate.downtime import summarise_probes
from bascule.gate.exercise import Exercise, exercise
from bascule.gate.history import Operation, read_history
from bascule.gate.statistics import per_second, percentile, summarise_latency, zero_failure_bound
from bascule.gate.timeline import Timeline
from bascule.release import Release

__all__ = ["Limits", "judge", "judge_operations", "worst"]

ORDER: tuple[Verdict, ...] = ("PASS", "INCONCLUSIVE", "REFUSE")
ALL = "all"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run must reach to prove anything; `modes` are the ends of the run that count as success."""

    mixed_answers: int = 500
    requests: int = 3_000
    rate_per_s: float = 50.0
    modes: tuple[str, ...] = ("finished",)


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that the reasons are made from."""

    source: Release
    target: Release
    run: RunDocument
    limits: Limits
    start: float
    timeline: Timeline
    checked: Checked
    exercised: Exercise
    load: tuple[Operation, ...]
    failed: tuple[Operation, ...]
    final: tuple[Operation, ...]
    refused: tuple[RefusedMessages, ...]
    overridden: tuple[OverriddenPin, ...]
    rate_per_s: float
    load_s: float


def judge(
    history: Path,
    run: RunDocument,
    statuses: Sequence[ServiceStatus],
    *,
    source: Release,
    target: Release,
    limits: Limits | None = None,
) -> Evidence:
    """Return the evidence of a run: its history file, its journal, and samples of what the service said of itself.

    Raises HistoryUnreadable.
    """
    return judge_operations(read_history(history), run, statuses, source=source, target=target, limits=limits)


def judge_operations(
    operations: Sequence[Operation],
    run: RunDocument,
    statuses: Sequence[ServiceStatus],
    *,
    source: Release,
    target: Release,
    limits: Limits | None = None,
) -> Evidence:
    """Return the evidence of a history that has been read already. Pure."""
    measured = _measure(operations, run, statuses, (source, target), limits or Limits())
    found = (*_refusals(measured), *_doubts(measured))
    verdict = worst([reason.verdict for reason in found])
    return _evidence(measured, operations, verdict, found)


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of several verdicts; PASS when there is none."""
    return max(verdicts, key=ORDER.index, default="PASS")


def _measure(
    operations: Sequence[Operation],
    run: RunDocument,
    statuses: Sequence[ServiceStatus],
    releases: tuple[Release, Release],
    limits: Limits,
) -> Measured:
    source, target = releases
    load = tuple(each for each in operations if each.phase == "load")
    first, last = min((each.at for each in load), default=0.0), max((each.at for each in load), default=0.0)
    return Measured(
        source=source,
        target=target,
        run=run,
        limits=limits,
        start=first,
        timeline=Timeline(run),
        checked=check(operations),
        exercised=exercise(operations, str(source), str(target)),
        load=load,
        failed=tuple(each for each in operations if each.phase != "preload" and each.outcome != "ok"),
        final=tuple(each for each in operations if each.phase == "final"),
        refused=_refused_messages(statuses),
        overridden=_overridden_pins(statuses),
        rate_per_s=len(load) / (last - first) if last > first else 0.0,
        load_s=last - first,
    )


def _refused_messages(statuses: Sequence[ServiceStatus]) -> tuple[RefusedMessages, ...]:
    """Return the highest count that each process ever showed; samples see the same process many times."""
    highest: Counter[tuple[str, Release, int]] = Counter()
    for status in statuses:
        for process in status.processes:
            name = (process.instance, process.release, process.pid)
            highest[name] = max(highest[name], process.refused)
    return tuple(
        RefusedMessages(instance, release, count) for (instance, release, _), count in sorted(highest.items()) if count
    )


def _overridden_pins(statuses: Sequence[ServiceStatus]) -> tuple[OverriddenPin, ...]:
    """Return each process that was seen at work by a pin of its own above the service's: the first time of each."""
    found: dict[tuple[str, Release], OverriddenPin] = {}
    for status in statuses:
        for process in status.processes:
            override = process.pin_override
            if override is None or status.pin is None or process.state not in {"live", "draining"}:
                continue
            if min(override, process.release) > status.pin:
                seen = OverriddenPin(process.instance, process.release, override, status.pin)
                found.setdefault((process.instance, process.release), seen)
    return tuple(found[name] for name in sorted(found))


def _refusals(measured: Measured) -> list[Reason]:
    found = [reasons.upgrade_failed(measured.run, measured.limits.modes)]
    found += reasons.failed_requests(measured.failed, measured.start, measured.timeline)
    found += reasons.findings(measured.checked, measured.start, measured.timeline)
    found += [reasons.pin_not_kept(each) for each in measured.refused]
    found.append(reasons.pin_overridden(measured.overridden))
    return [reason for reason in found if reason is not None]


def _doubts(measured: Measured) -> list[Reason]:
    limits, checked = measured.limits, measured.checked
    found = [
        reasons.not_mixed(measured.exercised, (measured.source, measured.target), limits.mixed_answers),
        reasons.too_little_load(len(measured.load), measured.rate_per_s, limits.requests, limits.rate_per_s),
        reasons.nothing_read(checked.reads, bool(measured.final)),
        reasons.unread(checked.of("unread")),
    ]
    return [reason for reason in found if reason is not None]


def _evidence(
    measured: Measured, operations: Sequence[Operation], verdict: Verdict, found: tuple[Reason, ...]
) -> Evidence:
    checked, exercised = measured.checked, measured.exercised
    late = sorted(max(0.0, each.start - each.at) * 1000 for each in measured.load if each.connection == "kept")
    return Evidence(
        verdict=verdict,
        reasons=found,
        source=measured.source,
        target=measured.target,
        requests=len(measured.load),
        failed=len(measured.failed),
        lost=len(checked.of("lost")),
        wrong=len(checked.of("wrong")),
        resurrected=len(checked.of("resurrected")),
        stale=len(checked.of("stale")),
        unread=len(checked.of("unread")),
        orders=OrderLedger(
            accepted=checked.orders_accepted,
            done=checked.orders_done,
            lost=len(checked.of("order-lost")),
            doubled=len(checked.of("order-doubled")),
        ),
        load_rate_per_s=round(measured.rate_per_s, 2),
        load_seconds=round(measured.load_s, 3),
        started_at=measured.start,
        failed_by_phase=dict(sorted(Counter(str(each.phase) for each in measured.failed).items())),
        failure_bound=None if measured.failed else zero_failure_bound(len(measured.load)),
        answers_by_release_while_mixed=exercised.mixed,
        mixed_seconds=exercised.mixed_s,
        answers_by_release=exercised.answers,
        rows_written_by_one_read_by_other=sum(exercised.read_across.values()),
        read_across=exercised.read_across,
        read_back=len(measured.final),
        latency=_latencies(measured),
        generator_late_p99_ms=round(percentile(late, 0.99), 2) if late else 0.0,
        probes=summarise_probes(operations, measured.start),
        steps=measured.timeline.timings(measured.start),
        refused_messages=measured.refused,
        overridden_pins=measured.overridden,
        buckets=per_second([each for each in operations if each.phase in {"load", "probe"}], measured.start),
        run=measured.run.run,
        run_mode=measured.run.mode,
        service=measured.run.service,
    )


def _latencies(measured: Measured) -> tuple[LatencySummary, ...]:
    """Return the latency of the load in each phase of the run, then over all of it."""
    phases = [(phase, measured.timeline.phase_at) for phase in measured.timeline.phases]
    parts = [summarise_latency(phase, (each for each in measured.load if at(each.at) == phase)) for phase, at in phases]
    return tuple(part for part in (*parts, summarise_latency(ALL, measured.load)) if part is not None)
