"""One measured upgrade: load, baseline, the upgrade itself, a tail, read-back, verdict, report."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bascule.documents.evidence import Evidence
from bascule.documents.journal import RunDocument
from bascule.documents.plan import Step
from bascule.documents.status import ServiceStatus
from bascule.errors import BasculeError, GateError
from bascule.fleet import operations
from bascule.fleet.engine import Reporter
from bascule.fleet.fleet import Fleet
from bascule.gate.mutants import Mutant, Saboteur
from bascule.gate.process import LoadProcess
from bascule.gate.report import write_report
from bascule.gate.verdict import Limits, judge
from bascule.release import Release

__all__ = ["Proof", "Rehearsal", "prove"]

_SAMPLE_EVERY_S = 15.0  # each sample starts a program on the machine that is being measured


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What to measure: the load and how long to look before and after.

    `database` is only needed by mutants that write to it; it is never stored.
    """

    target: Release
    workload: Path
    directory: Path
    rate: float = 60.0
    seed: int = 1
    preload: int = 1_000
    baseline_s: float = 10.0
    tail_s: float = 8.0
    limits: Limits = field(default_factory=Limits)
    mutant: Mutant | None = None
    database: str = field(default="", repr=False)
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proof:
    """The verdict with its numbers, where the report is, and what stopped the upgrade, if anything did."""

    evidence: Evidence
    report: Path
    refusal: BasculeError | None


def prove(fleet: Fleet, rehearsal: Rehearsal, reporter: Reporter, say: Callable[[str], None]) -> Proof:
    """Upgrade a running fleet under load and judge it. The fleet is left as the upgrade left it.

    Raises GateError when nothing could be measured; an upgrade that fails is a verdict, not an error.
    """
    running = fleet.observe().releases()
    if len(running) != 1:
        raise GateError(
            f"a proof starts from one release, and the fleet runs {', '.join(map(str, running)) or 'nothing'}",
            next_command="bascule fleet status",
        )
    rehearsal.directory.mkdir(parents=True, exist_ok=True)
    load = LoadProcess(
        rehearsal.workload,
        fleet.config.url,
        rehearsal.directory,
        rate=rehearsal.rate,
        seed=rehearsal.seed,
        preload=rehearsal.preload,
        variables=rehearsal.variables,
    )
    say(f"filling the store with {rehearsal.preload} entries, then {rehearsal.rate:g} requests/s from now to the end")
    with load, _sampling(fleet, rehearsal.target) as (samples, watched):
        load.wait_ready()
        say(f"load is on; looking at normal operation for {rehearsal.baseline_s:g} s")
        time.sleep(rehearsal.baseline_s)
        run, refusal = _upgrade(fleet, rehearsal, _Watching(reporter, watched), say)
        say(f"looking at the time after for {rehearsal.tail_s:g} s")
        time.sleep(rehearsal.tail_s)
        say("reading back everything that was acknowledged")
        load.stop()
    evidence = judge(load.history, run, samples, source=running[0], target=rehearsal.target, limits=rehearsal.limits)
    write_report(evidence, rehearsal.directory)
    return Proof(evidence, rehearsal.directory / "report.html", refusal)


def _upgrade(
    fleet: Fleet, rehearsal: Rehearsal, reporter: Reporter, say: Callable[[str], None]
) -> tuple[RunDocument, BasculeError | None]:
    plan, facts = operations.create_plan(fleet, rehearsal.target)
    path = operations.save_plan(fleet, plan, facts)
    over = ", ".join(map(str, operations.skipped(fleet, plan)))
    seconds = sum(step.estimate.p50_s for step in plan.steps)
    say(f"planned {len(plan.steps)} steps{f' over {over}' if over else ''}, about {seconds:.0f} s: {path}")
    if rehearsal.mutant is not None:
        reporter = Saboteur(reporter, fleet, rehearsal.mutant, rehearsal.database)
    try:
        return operations.apply(fleet, path, reporter), None
    except GateError:
        raise
    except BasculeError as refusal:
        document = operations.run_document(fleet)
        if document is None or document.plan_hash != plan.hash:
            raise
        say(f"the upgrade stopped: {refusal.sentence}")
        return document, refusal


class _Watching:
    """A reporter that asks for a sample when a soak begins, while both releases are sure to run; it passes all on."""

    def __init__(self, inner: Reporter, watched: threading.Event) -> None:
        self._inner, self._watched = inner, watched

    def began(self, step: Step, number: int, total: int, *, undoing: bool) -> None:
        """Pass it on."""
        self._inner.began(step, number, total, undoing=undoing)
        if step.op == "soak":
            self._watched.set()

    def progressed(self, step: Step, text: str) -> None:
        """Pass it on."""
        self._inner.progressed(step, text)

    def ended(self, step: Step, seconds: float, *, how: str) -> None:
        """Pass it on."""
        self._inner.ended(step, seconds, how=how)


@contextmanager
def _sampling(fleet: Fleet, target: Release) -> Iterator[tuple[list[ServiceStatus], threading.Event]]:
    """Ask the service what it says of itself: now and then, whenever the event is set, and once at the end."""
    samples: list[ServiceStatus] = []
    watched = threading.Event()
    done = False

    def sample() -> None:
        staged = fleet.first_node.artefacts.staged()
        release = target if target in staged else staged[-1]
        try:
            status = fleet.service_status(release)
        except BasculeError:
            return  # a sample that failed says nothing; the next one is asked anyway
        if status is not None:
            samples.append(status)

    def watch() -> None:
        while True:
            watched.wait(_SAMPLE_EVERY_S)
            watched.clear()
            sample()  # also when all is over: what was refused last is counted
            if done:
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield samples, watched
    finally:
        done = True
        watched.set()
        watcher.join()
