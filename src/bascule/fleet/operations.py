"""What an operator asks for: make a plan, apply it, pause, go on, stop, go back. The command line calls these."""

import contextlib
import datetime as dt
import functools
import json
from collections.abc import Iterator
from pathlib import Path

from bascule.documents.codec import from_plain, to_plain
from bascule.documents.facts import Facts
from bascule.documents.journal import RunDocument
from bascule.documents.plan import Plan
from bascule.errors import DocumentError, PlanRefused
from bascule.fleet.engine import Engine, Reporter
from bascule.fleet.fleet import Fleet
from bascule.fleet.journal import Journal
from bascule.fleet.lock import fleet_lock
from bascule.fleet.planner import PlanInputs, build_install, build_upgrade
from bascule.fleet.preflight import preflight, refuse_on_findings
from bascule.release import Release

__all__ = [
    "abort",
    "apply",
    "create_plan",
    "install",
    "load_plan",
    "newest_plan",
    "open_journal",
    "pause",
    "resume",
    "roll_back",
    "run_document",
    "save_plan",
    "skipped",
    "stop_fleet",
]


def create_plan(fleet: Fleet, target: Release, *, install: bool = False) -> tuple[Plan, Facts]:
    """Look at the fleet and plan; nothing is changed. Raises PlanRefused, UnknownRelease, NodeUnreachable."""
    folder = fleet.releases.get(target)
    recipe = fleet.recipe(target)
    facts = fleet.observe()
    running = [release for release in facts.releases() if release in fleet.releases.folders]
    inputs = PlanInputs(
        facts=facts,
        placement=fleet.placement(),
        target=folder.manifest,
        recipe=recipe,
        source_recipe=fleet.recipe(running[0]) if running else None,
        policy=fleet.config.file.policy,
        self_draining=fleet.balancer.drains_by_itself,
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        train=fleet.releases.train,
        durations=_durations(fleet),
    )
    return (build_install(inputs) if install else build_upgrade(inputs)), facts


def skipped(fleet: Fleet, plan: Plan) -> tuple[Release, ...]:
    """Return the fleet's releases that a plan goes over: their schema changes are made, their processes never run."""
    if plan.source is None:
        return ()
    return tuple(release for release in fleet.releases.train.between(plan.source, plan.target) if release < plan.target)


def save_plan(fleet: Fleet, plan: Plan, facts: Facts, path: Path | None = None) -> Path:
    """Write the plan, and beside it the facts it was made from; return where."""
    target = path or fleet.config.state / "plans" / f"{plan.source or 'install'}-{plan.target}-{plan.hash[:12]}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    document = {**to_plain(plan), "facts": to_plain(facts)}
    draft = target.with_suffix(".draft")
    draft.write_text(json.dumps(document, indent=2) + "\n")
    draft.replace(target)
    return target


def load_plan(path: Path) -> tuple[Plan, Facts | None]:
    """Read a plan. Raises DocumentError, ChangedPlan when its hash is not the one it must carry."""
    try:
        data = json.loads(path.read_text())
    except OSError as broken:
        raise DocumentError(
            f"the plan {path} cannot be read: {broken.strerror}", next_command="bascule plan create --to RELEASE"
        ) from broken
    except ValueError as broken:
        raise DocumentError(
            f"{path} is not a plan: {broken}", next_command="bascule plan create --to RELEASE"
        ) from broken
    facts = data.pop("facts", None) if isinstance(data, dict) else None
    plan = from_plain(Plan, data)
    if plan.computed_hash() != plan.hash:
        raise ChangedPlan(path, plan)
    return plan, from_plain(Facts, facts) if facts else None


def newest_plan(fleet: Fleet) -> Path:
    """Return the plan that was made last. Raises PlanRefused when there is none."""
    plans = sorted((fleet.config.state / "plans").glob("*.json"), key=lambda path: path.stat().st_mtime)
    if not plans:
        raise PlanRefused("there is no plan yet", next_command="bascule plan create --to RELEASE")
    return plans[-1]


def apply(fleet: Fleet, path: Path, reporter: Reporter, *, until: str | None = None) -> RunDocument:
    """Do a plan, from its beginning or from where its run stands.

    Raises ChangedPlan, StalePlan, AlreadyRunning, PlanRefused before anything is changed; Stopped when the run was
    paused or aborted; StepFailed when a step failed.
    """
    plan, facts = load_plan(path)
    if until is not None and until not in {step.id for step in plan.steps}:
        raise PlanRefused(f"the plan has no step {until!r}", next_command="bascule plan show")
    with _locked(fleet) as journal:
        run = journal.open_run()
        if run is None:
            run = _begin(fleet, journal, plan, facts)
        else:
            _refuse_other_run(journal, run, plan)
        Engine(fleet, journal, run, reporter).forward(until=until)
        return journal.document(run)


def install(fleet: Fleet, target: Release, reporter: Reporter) -> RunDocument:
    """Plan and do the first start of a fleet, or go on with one that was killed. Raises as apply does."""
    with _locked(fleet) as journal:
        run = journal.open_run()
        if run is None:
            refuse_on_findings(preflight(fleet, target))
            plan, _ = create_plan(fleet, target, install=True)
            run = journal.begin(plan)
        elif journal.plan(run).kind != "install" or journal.plan(run).target != target:
            going = journal.plan(run)
            raise PlanRefused(
                f"a run to {going.target} is not finished; nothing was changed", next_command="bascule upgrade status"
            )
        Engine(fleet, journal, run, reporter).forward()
        return journal.document(run)


def resume(fleet: Fleet, reporter: Reporter, *, until: str | None = None) -> RunDocument:
    """Go on with the run that was paused. Raises as apply does."""
    with _locked(fleet) as journal:
        run = _open_run(journal)
        if journal.mode(run) == "aborted":
            raise PlanRefused(
                "the run was aborted; an aborted run only goes back", next_command="bascule upgrade roll-back"
            )
        if journal.mode(run) == "rollback":
            raise PlanRefused("the run is on its way back", next_command="bascule upgrade roll-back")
        if journal.mode(run) == "paused":
            journal.set_mode(run, "forward")
        Engine(fleet, journal, run, reporter).forward(until=until)
        return journal.document(run)


def pause(fleet: Fleet) -> RunDocument:
    """Ask the run to stop at the edge of the step in hand. Durable, and it may be asked while `apply` runs."""
    with open_journal(fleet) as journal:
        run = _open_run(journal)
        if journal.mode(run) != "forward":
            raise PlanRefused(
                f"the run is {journal.mode(run)}, not going forward", next_command="bascule upgrade status"
            )
        journal.set_mode(run, "paused", by="pause")
        return journal.document(run)


def abort(fleet: Fleet) -> RunDocument:
    """Ask the run to stop for good; what is done stays, and the way on is back. Raises PastReturn."""
    with open_journal(fleet) as journal:
        run = _open_run(journal)
        _refuse_past_return(fleet, journal, run, "aborted", "bascule upgrade resume")
        if journal.mode(run) == "rollback":
            raise PlanRefused("the run is on its way back already", next_command="bascule upgrade roll-back")
        journal.set_mode(run, "aborted", by="abort")
        return journal.document(run)


def roll_back(fleet: Fleet, reporter: Reporter) -> RunDocument:
    """Undo the open or the last finished run. Raises PastReturn, which says what would be lost."""
    with _locked(fleet) as journal:
        run = journal.open_run() or journal.last_run()
        if run is None or journal.mode(run) == "rolled-back" or journal.plan(run).kind == "install":
            raise PlanRefused("there is no run to roll back", next_command="bascule upgrade status")
        _refuse_past_return(fleet, journal, run, "rolled back", "bascule upgrade apply")
        journal.set_mode(run, "rollback")
        Engine(fleet, journal, run, reporter).back()
        return journal.document(run)


def run_document(fleet: Fleet) -> RunDocument | None:
    """Return the open run, or else the last one."""
    if not (fleet.config.state / "journal.sqlite").exists():
        return None
    with open_journal(fleet) as journal:
        run = journal.open_run() or journal.last_run()
        return journal.document(run) if run else None


def stop_fleet(fleet: Fleet) -> list[str]:
    """Drain and stop every instance and the balancer's own process; return what was stopped."""
    stopped = []
    with fleet_lock(fleet.config.state / "apply.lock"):
        for node in fleet.nodes.values():
            for instance, role in node.runtime.alive().items():
                wanted = fleet.recipe(instance.release).file.roles[role]
                node.runtime.stop(instance, signal_name=wanted.stop_signal, timeout_s=wanted.stop_timeout_s)
                stopped.append(str(instance))
        fleet.balancer.stop()
    return stopped


@contextlib.contextmanager
def open_journal(fleet: Fleet) -> Iterator[Journal]:
    """Open the fleet's journal and close it again."""
    journal = Journal(fleet.config.state / "journal.sqlite")
    try:
        yield journal
    finally:
        journal.close()


@contextlib.contextmanager
def _locked(fleet: Fleet) -> Iterator[Journal]:
    with fleet_lock(fleet.config.state / "apply.lock"), open_journal(fleet) as journal:
        yield journal


def _begin(fleet: Fleet, journal: Journal, plan: Plan, planned: Facts | None) -> str:
    observe = functools.cache(fleet.observe)  # one look for both: it asks the service, which takes a second
    refuse_on_findings(preflight(fleet, plan.target, observe))
    facts = observe()
    if facts.fingerprint != plan.fleet_fingerprint:
        raise StalePlan(plan, facts.differences(planned) if planned else [])
    return journal.begin(plan)


def _refuse_other_run(journal: Journal, run: str, plan: Plan) -> None:
    going, mode = journal.plan(run), journal.mode(run)
    if going.hash != plan.hash:
        raise PlanRefused(
            f"the run {run} from {going.source} to {going.target} is not finished ({mode}); nothing was changed",
            next_command="bascule upgrade status",
        )
    if mode == "paused":
        raise PlanRefused("the run of this plan is paused; nothing was changed", next_command="bascule upgrade resume")
    if mode != "forward":
        raise PlanRefused(
            f"the run of this plan is {'on its way back' if mode == 'rollback' else mode}; nothing was changed",
            next_command="bascule upgrade roll-back",
        )


def _open_run(journal: Journal) -> str:
    run = journal.open_run()
    if run is None:
        raise PlanRefused("no run is under way", next_command="bascule upgrade status")
    return run


def _refuse_past_return(fleet: Fleet, journal: Journal, run: str, what: str, next_command: str) -> None:
    document = journal.document(run)
    passed = [step for step in document.steps if step.point_of_no_return and step.state != "pending"]
    if not passed:
        return
    status = fleet.service_status(document.target)
    changes = status.changes if status else ()
    lost = [
        f"{change.table} ({change.id}, {change.rows_total} rows)"
        for change in changes
        if document.source is None or change.release > document.source
    ]
    raise PastReturn(
        what, passed[0].id, document, lost, next_command if document.mode in ("forward", "paused") else None
    )


def _durations(fleet: Fleet) -> dict[str, list[float]]:
    if not (fleet.config.state / "journal.sqlite").exists():
        return {}
    with open_journal(fleet) as journal:
        return journal.durations()


class ChangedPlan(PlanRefused):
    """The plan was edited after it was made."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path, self.plan = path, plan
        super().__init__(
            f"the plan {path} was changed after it was made: its hash is not {plan.hash[:12]}; nothing was changed",
            next_command=f"bascule plan create --to {plan.target}",
        )


class StalePlan(PlanRefused):
    """The fleet is no longer what the plan was made for."""

    def __init__(self, plan: Plan, differences: list[str]) -> None:
        self.plan, self.differences = plan, differences
        what = f" ({', '.join(differences)})" if differences else ""
        super().__init__(
            f"the fleet has changed{what} since the plan was made at {plan.created_at}; nothing was changed",
            next_command=f"bascule plan create --to {plan.target}",
        )


class PastReturn(PlanRefused):
    """The point of no return is behind; going back would lose data, and this says which."""

    def __init__(self, what: str, step: str, run: RunDocument, lost: list[str], next_command: str | None) -> None:
        self.step, self.lost = step, lost
        lose = "; ".join(lost) or "what only the new release's schema holds"
        super().__init__(
            f"the run to {run.target} has passed its point of no return (step {step}) and cannot be {what}: "
            f"{run.source} would not find what was written since in {lose}; only a restored backup brings it back,"
            " without every later write",
            next_command=next_command or "bascule fleet status",
        )
