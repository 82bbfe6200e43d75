"""What a history proves about a store: lost, wrong, resurrected and stale keys, orders without their one effect.

A pure function. Each operation took effect at some instant between its start and its end, `info` ones perhaps never;
only what no such choice of instants explains is reported, so concurrency raises no false alarm. The rules follow the
set checker of Jepsen: an acknowledged key must be in every later read until a delete of it begins.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bascule.gate.history import Operation

__all__ = ["Checked", "Finding", "FindingKind", "check"]

FindingKind = Literal["lost", "wrong", "resurrected", "stale", "unread", "order-lost", "order-doubled"]
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that went wrong with one key or order, and the operation that shows it."""

    kind: FindingKind
    key: str
    sentence: str
    shown_by: Operation
    written_by: Operation | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """The checker's answer, and how much it had to go by."""

    findings: tuple[Finding, ...]
    keys: int
    reads: int
    orders_accepted: int
    orders_done: int

    def of(self, kind: FindingKind) -> tuple[Finding, ...]:
        """Return the findings of a kind, in the order in which they showed."""
        return tuple(finding for finding in self.findings if finding.kind == kind)


@dataclass(slots=True)
class _Trace:
    """Everything that happened to one key."""

    created: Operation | None = None
    reads: list[Operation] = field(default_factory=list)  # present or absent, in the order of their starts
    deletes: list[Operation] = field(default_factory=list)

    @property
    def deleted_by(self) -> float:
        """Return the time by which it was surely deleted."""
        return min((delete.end for delete in self.deletes if delete.outcome == "ok"), default=NEVER)

    @property
    def deletable_from(self) -> float:
        """Return the time from which a delete may have taken effect."""
        return min((delete.start for delete in self.deletes if delete.outcome != "fail"), default=NEVER)


def check(history: Iterable[Operation]) -> Checked:
    """Return what the history proves; the order of its operations does not matter."""
    operations = sorted(history, key=lambda operation: (operation.start, operation.n))
    traces, doubles = _traces(operations)
    orders = _orders(operations)
    owners = {trace.created.hash: key for key, trace in traces.items() if trace.created and trace.created.hash}
    findings = list(doubles)
    for key, trace in traces.items():
        findings += _check_key(key, trace, owners)
    for key, seen in orders.items():
        findings += _check_order(key, seen)
    findings += _check_made(operations, orders)
    findings += _check_count(operations)
    findings.sort(key=lambda finding: finding.shown_by.end)
    return Checked(
        findings=tuple(findings),
        keys=len(traces),
        reads=sum(len(trace.reads) for trace in traces.values()),
        orders_accepted=len(orders),
        orders_done=sum(any(poll.state == "done" for poll in seen) for seen in orders.values()),
    )


def _traces(operations: Sequence[Operation]) -> tuple[dict[str, _Trace], list[Finding]]:
    traces: dict[str, _Trace] = {}
    doubles: list[Finding] = []
    for operation in operations:
        if operation.kind == "create" and operation.outcome == "ok" and operation.key is not None:
            if operation.key in traces:
                sentence = "two creates were given one key"
                doubles.append(Finding("wrong", operation.key, sentence, operation, traces[operation.key].created))
            traces[operation.key] = _Trace(created=operation)
    for operation in operations:
        for key in operation.seen:  # a page of a list shows what is there; what it leaves out may be on another page
            if key in traces:
                traces[key].reads.append(operation)
        trace = traces.get(operation.key or "")
        if trace is None:
            continue
        if operation.kind == "delete":
            trace.deletes.append(operation)
        if operation.kind in {"read", "describe", "delete"} and operation.state in {"present", "absent"}:
            trace.reads.append(operation)
    return traces, doubles


def _is_present(read: Operation) -> bool:
    return read.state == "present" or read.kind == "list"


def _check_key(key: str, trace: _Trace, owners: Mapping[str, str]) -> Iterator[Finding]:
    created = trace.created
    assert created is not None  # noqa: S101  # _traces makes none without
    later = [read for read in trace.reads if read.start > created.end]
    if not later and trace.deletable_from == NEVER:
        yield Finding("unread", key, "acknowledged, but no later read was answered", created, created)
    yield from _check_content(key, trace, created, owners)
    missing = next((read for read in later if not _is_present(read) and read.end < trace.deletable_from), None)
    if missing is not None:
        back = any(_is_present(read) and read.start >= missing.start for read in later if read is not missing)
        if back:
            yield Finding("stale", key, "acknowledged, then absent for a later read, then there", missing, created)
        else:
            yield Finding("lost", key, "acknowledged and never deleted, but absent", missing, created)
    risen = _first_after_delete(trace)
    if risen is not None:
        yield Finding("resurrected", key, "deleted, but readable afterwards", risen, created)


def _first_after_delete(trace: _Trace) -> Operation | None:
    """Return the first read that found the key after it was surely gone."""
    gone = trace.deleted_by
    for read in trace.reads:
        # A key that a delete of unknown outcome has visibly removed must stay away as well.
        if not _is_present(read) and read.start >= trace.deletable_from:
            gone = min(gone, read.end)
    return next((read for read in trace.reads if _is_present(read) and read.start > gone), None)


def _check_content(key: str, trace: _Trace, created: Operation, owners: Mapping[str, str]) -> Iterator[Finding]:
    """Find at most one wrong payload and one wrong set of metadata: one key counts once for each."""
    for name, what in (("hash", "payload"), ("meta", "metadata")):
        expected = getattr(created, name)
        if expected is None:
            continue
        for read in trace.reads:
            found = getattr(read, name)
            if found is not None and found != expected and read.kind in {"read", "describe"}:
                owner = owners.get(found) if name == "hash" else None
                sentence = f"its {what} is that of {owner}" if owner else f"its {what} is not what was written"
                if read.error:
                    sentence += f" ({read.error})"
                yield Finding("wrong", key, sentence, read, created)
                break


def _orders(operations: Sequence[Operation]) -> dict[str, list[Operation]]:
    """Return per accepted order its acceptance and then its polls."""
    orders: dict[str, list[Operation]] = {}
    for operation in operations:
        if operation.kind == "order" and operation.outcome == "ok" and operation.key is not None:
            orders[operation.key] = [operation]
    for operation in operations:
        if operation.kind == "poll" and operation.key in orders and operation.state is not None:
            orders[operation.key].append(operation)
    return orders


def _check_order(key: str, seen: Sequence[Operation]) -> Iterator[Finding]:
    accepted, polls = seen[0], seen[1:]
    done = [poll for poll in polls if poll.state == "done"]
    if not polls:
        yield Finding("unread", key, "accepted, but nobody could look at it again", accepted, accepted)
        return
    if not done:
        last = polls[-1]
        ended = {"failed": "ended in an error", "absent": "is not known any more"}.get(
            last.state or "", "was never done"
        )
        yield Finding("order-lost", key, f"accepted, but it {ended}", last, accepted)
        return
    refs = {poll.made for poll in done if poll.made is not None}
    if len(refs) > 1:
        yield Finding("order-doubled", key, f"one order has made {len(refs)} different things", done[-1], accepted)
    first = min(poll.end for poll in done)
    back = next((poll for poll in polls if poll.state != "done" and poll.start > first), None)
    if back is not None:
        yield Finding("wrong", key, f"done, but later {back.state}", back, accepted)
    differs = next(
        (poll for poll in done if None not in {poll.meta, accepted.meta} and poll.meta != accepted.meta), None
    )
    if differs is not None:
        yield Finding("wrong", key, differs.error or "its answer is not what was ordered", differs, accepted)


def _check_made(operations: Sequence[Operation], orders: Mapping[str, list[Operation]]) -> Iterator[Finding]:
    """Find what orders have made that is not readable from then on, changes, or belongs to two of them."""
    makers: dict[str, tuple[str, Operation]] = {}
    for key, seen in orders.items():
        for poll in seen[1:]:
            if poll.made is None:
                continue
            owner, _ = makers.setdefault(poll.made, (key, poll))
            if owner != key:
                yield Finding(
                    "wrong", poll.made, f"two orders, {owner} and {key}, say that they made it", poll, seen[0]
                )
    reads: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.kind == "read" and operation.key in makers and operation.state is not None:
            reads[operation.key].append(operation)
    for made, (key, poll) in makers.items():
        found = reads[made]
        absent = next((read for read in found if read.state == "absent" and read.start > poll.end), None)
        if absent is not None:
            kind: FindingKind = "stale" if any(_is_present(r) and r.start >= absent.end for r in found) else "lost"
            yield Finding(kind, made, f"made by {key}, which is done, but absent", absent, poll)
        hashes = {read.hash for read in found if read.hash is not None}
        if len(hashes) > 1:
            yield Finding("wrong", made, f"made by {key}, and not the same at each read", found[-1], poll)


def _check_count(operations: Sequence[Operation]) -> Iterator[Finding]:
    """Compare the last count with the ledger: too many means work done twice, too few means something is gone.

    Only when the first and the last operation on the store are counts and nothing else overlaps them.
    """
    counts = [each for each in operations if each.kind == "count" and each.total is not None]
    if len(counts) < 2:
        return
    first, last = counts[0], counts[-1]
    changes = [each for each in operations if each.kind in {"create", "delete", "order"}]
    if any(each.start < first.end or each.end > last.start for each in changes):
        return
    least = most = first.total or 0
    done = {each.key for each in operations if each.kind == "poll" and each.state == "done"}
    for each in changes:
        sign = -1 if each.kind == "delete" else 1
        amount = 1 if each.kind == "delete" else each.makes
        is_sure = each.outcome == "ok" and (each.kind != "order" or each.key in done)
        is_open = each.outcome == "info" or (each.kind == "order" and each.outcome == "ok" and not is_sure)
        least += sign * amount if is_sure or (is_open and sign < 0) else 0
        most += sign * amount if is_sure or (is_open and sign > 0) else 0
    total = last.total or 0
    if total > most:
        yield Finding("order-doubled", "count", f"{total} keys at the end, but at most {most} were made", last)
    if total < least:
        yield Finding("lost", "count", f"{total} keys at the end, but at least {least} were made and kept", last)
