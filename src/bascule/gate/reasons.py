"""The sentences of a verdict: what went wrong, how often, during which step, and the first example of it."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from bascule.documents.evidence import OverriddenPin, Reason, RefusedMessages
from bascule.documents.journal import RunDocument
from bascule.gate.checker import Checked, Finding, FindingKind
from bascule.gate.exercise import Exercise
from bascule.gate.history import Operation
from bascule.gate.timeline import Timeline, first_failed
from bascule.release import Release

__all__ = [
    "failed_requests",
    "findings",
    "not_mixed",
    "nothing_read",
    "pin_not_kept",
    "pin_overridden",
    "too_little_load",
    "unread",
    "upgrade_failed",
]

# What the errors of the client mean, for people; other failures are named by their status.
ERRORS = {
    "refused": "found nobody listening",
    "reset": "lost the connection to a reset",
    "closed": "lost the connection before the answer",
    "timeout": "got no answer in time",
    "protocol": "got something that is not HTTP",
    "connection": "lost the connection",
}
FINDINGS: dict[FindingKind, tuple[str, str, str]] = {
    "lost": ("acknowledged-lost", "acknowledged key is lost", "acknowledged keys are lost"),
    "wrong": ("wrong-content", "key or order shows something wrong", "keys or orders show something wrong"),
    "resurrected": ("resurrected", "deleted key came back", "deleted keys came back"),
    "stale": ("stale-read", "acknowledged key was missing for a while", "acknowledged keys were missing for a while"),
    "order-lost": ("order-lost", "accepted order was never done", "accepted orders were never done"),
    "order-doubled": ("order-doubled", "order was done more than once", "orders were done more than once"),
}


def upgrade_failed(run: RunDocument, modes: Sequence[str]) -> Reason | None:
    """Refuse when the upgrade itself did not come to its end."""
    failed = first_failed(run.steps)
    if run.mode in modes:
        return None
    evidence: dict[str, object] = {"run": run.run, "mode": run.mode}
    if failed is None:
        undone = [step.title for step in run.steps if step.state not in {"done", "undone"}]
        next_step = f"; the next step would have been '{undone[0]}'" if undone else ""
        sentence = f"the upgrade did not come to its end: it is {run.mode}{next_step}"
        return Reason("upgrade-failed", "REFUSE", sentence, evidence)
    evidence |= {"step": failed.id, "attempts": failed.attempts, "error": failed.error}
    sentence = f"the upgrade failed at step '{failed.title}': {failed.error or 'no error was recorded'}"
    return Reason("upgrade-failed", "REFUSE", sentence, evidence)


def failed_requests(failed: Sequence[Operation], start: float, timeline: Timeline) -> list[Reason]:
    """Refuse for each class of failure, the most frequent first."""
    classes: dict[str, list[Operation]] = defaultdict(list)
    for operation in failed:
        classes[_class_of(operation)].append(operation)
    ordered = sorted(classes.items(), key=lambda item: -len(item[1]))
    return [_failed_class(name, part, start, timeline) for name, part in ordered]


def _class_of(operation: Operation) -> str:
    if operation.status is None:
        return operation.error or "no answer"
    return str(operation.status) if operation.error is None else f"{operation.status}, {operation.error}"


def _failed_class(name: str, part: Sequence[Operation], start: float, timeline: Timeline) -> Reason:
    part = sorted(part, key=lambda operation: operation.at)
    what = ERRORS.get(name, f"{'was' if len(part) == 1 else 'were'} answered {name}")
    noun = "request" if len(part) == 1 else "requests"
    steps = Counter(_step_of(operation, timeline) for operation in part)
    when = _when(steps, part[0].end - start, part[-1].end - start)
    sentence = f"{len(part)} {noun} {what} {when}; first: {part[0].said()}"
    numbers = {
        "count": len(part),
        "class": name,
        "first_s": round(part[0].end - start, 3),
        "last_s": round(part[-1].end - start, 3),
        "by_step": dict(steps.most_common()),
        "by_operation": dict(Counter(operation.op for operation in part).most_common()),
        "by_connection": dict(Counter(operation.connection for operation in part).most_common()),
        "example": part[0].said(),
    }
    return Reason("failed-requests", "REFUSE", sentence, numbers)


def _step_of(operation: Operation, timeline: Timeline) -> str:
    stop = timeline.stop_within(operation.start, operation.end) if operation.status is None else None
    return stop or timeline.step_at(operation.end)


def _when(steps: Counter[str], first_s: float, last_s: float) -> str:
    (step, most), *others = steps.most_common()
    also = f" ({most} of them; also {', '.join(name for name, _ in others[:3])})" if others else ""
    span = f"{first_s:.1f} s" if last_s - first_s < 0.05 else f"{first_s:.1f}-{last_s:.1f} s"
    return f"at {span}, {step}{also}"


def findings(checked: Checked, start: float, timeline: Timeline) -> list[Reason]:
    """Refuse for each kind of fault in what the store showed; unread keys are a doubt, not a fault."""
    return [_finding_kind(kind, found, start, timeline) for kind in FINDINGS if (found := checked.of(kind))]


def _finding_kind(kind: FindingKind, found: Sequence[Finding], start: float, timeline: Timeline) -> Reason:
    code, one, several = FINDINGS[kind]
    first = found[0]
    shown = first.shown_by
    written = first.written_by
    writer = f", written {_moment(written, start, timeline)} by {written.release}" if written is not None else ""
    seen = f"seen {_moment(shown, start, timeline)} in {shown.said()}"
    sentence = (
        f"{len(found)} {one if len(found) == 1 else several}; first: {first.key}: {first.sentence}{writer}, {seen}"
    )
    numbers = {
        "count": len(found),
        "keys": [finding.key for finding in found[:20]],
        "by_sentence": dict(Counter(finding.sentence for finding in found).most_common(5)),
        "written_by": _releases([finding.written_by for finding in found]),
        "shown_by": _releases([finding.shown_by for finding in found]),
    }
    return Reason(code, "REFUSE", sentence, numbers)


def _moment(operation: Operation, start: float, timeline: Timeline) -> str:
    if operation.phase == "preload":
        return "before the load"
    if operation.phase == "final":
        return "in the read-back at the end"
    return f"at {operation.end - start:.1f} s ({timeline.step_at(operation.end)})"


def _releases(operations: Sequence[Operation | None]) -> dict[str, int]:
    return dict(Counter(operation.release or "unknown" for operation in operations if operation is not None))


def pin_not_kept(refused: RefusedMessages) -> Reason:
    """Refuse when a process was sent something newer than it can read."""
    sentence = (
        f"the pin was not kept: {refused.instance} of {refused.release} was sent {refused.refused} "
        f"{'message' if refused.refused == 1 else 'messages'} that only a newer release can read"
    )
    numbers = {"instance": refused.instance, "release": str(refused.release), "refused": refused.refused}
    return Reason("pin-not-kept", "REFUSE", sentence, numbers)


def pin_overridden(overridden: Sequence[OverriddenPin]) -> Reason | None:
    """Refuse when processes speak something newer than the service's pin, whether or not anyone was harmed yet."""
    if not overridden:
        return None
    first = overridden[0]
    names = ", ".join(each.instance for each in overridden)
    speak = "speaks" if len(overridden) == 1 else "speak"
    sentence = (
        f"the pin was not kept: {names} of {first.release} {speak} {first.override} because of BASCULE_PIN_OVERRIDE, "
        f"while the pin was {first.pin}"
    )
    numbers = {"instances": [each.instance for each in overridden], "pin": str(first.pin)}
    return Reason("pin-overridden", "REFUSE", sentence, numbers)


def not_mixed(exercised: Exercise, releases: tuple[Release, Release], least: int) -> Reason | None:
    """Doubt a run in which one of the releases hardly answered beside the other."""
    answers = {str(release): exercised.mixed.get(str(release), 0) for release in releases}
    if min(answers.values()) >= least:
        return None
    few = ", ".join(f"{count} by {release}" for release, count in answers.items())
    sentence = (
        f"both releases must answer at least {least} requests while mixed, but in {exercised.mixed_s:.1f} s "
        f"there were {few}; this run says nothing about mixing"
    )
    return Reason("not-mixed", "INCONCLUSIVE", sentence, {"answers": answers, "least": least})


def too_little_load(requests: int, rate: float, least: int, least_rate: float) -> Reason | None:
    """Doubt a load that was too small or too thin to see a short fault."""
    if requests >= least and rate >= least_rate:
        return None
    sentence = (
        f"the load was {requests} requests at {rate:.1f}/s; at least {least} at {least_rate:g}/s are needed "
        "to see a short fault"
    )
    return Reason("load-too-small", "INCONCLUSIVE", sentence, {"requests": requests, "rate_per_s": round(rate, 2)})


def nothing_read(reads: int, was_read_back: bool) -> Reason | None:
    """Doubt a run after which nobody looked at what had been acknowledged."""
    if reads and was_read_back:
        return None
    what = "nothing was read back at the end (the load was killed?)" if reads else "nothing was ever read"
    return Reason("nothing-read", "INCONCLUSIVE", f"{what}, so nothing is known about losses", {"reads": reads})


def unread(found: Sequence[Finding]) -> Reason | None:
    """Doubt a run that could not read everything that was acknowledged."""
    if not found:
        return None
    noun = "key or order was" if len(found) == 1 else "keys or orders were"
    sentence = f"{len(found)} acknowledged {noun} never seen again, there or missing; first: {found[0].key}"
    return Reason("unread", "INCONCLUSIVE", sentence, {"count": len(found), "keys": [each.key for each in found[:20]]})
