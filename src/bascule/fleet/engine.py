"""The interpreter of plans: intent, effect, probe, done; step by step, killed and resumed at any instant.

A step's intent is in the journal before its effect begins, and its end after a probe saw the effect. A step that a
killed run left in hand is probed first, so an effect that is there is not brought about again.
"""

import time
from collections.abc import Callable
from typing import Protocol

from bascule.documents.journal import StepState
from bascule.documents.plan import Plan, Step
from bascule.errors import BasculeError, PlanRefused, StepFailed
from bascule.fleet.effects import EFFECTS, Context, Seen
from bascule.fleet.fleet import Fleet
from bascule.fleet.journal import Journal

__all__ = ["Engine", "Reporter", "Silent", "Stopped"]


class Reporter(Protocol):
    """Where a run tells what it does; the command line prints it, tests collect it."""

    def began(self, step: Step, number: int, total: int, *, undoing: bool) -> None:
        """Tell that a step begins, and how long it is expected to take."""
        ...

    def progressed(self, step: Step, text: str) -> None:
        """Tell how far the step is."""
        ...

    def ended(self, step: Step, seconds: float, *, how: str) -> None:
        """Tell that a step ended: done, undone, found done, or failed."""
        ...


class Silent:
    """A reporter for whoever only wants the result."""

    def began(self, step: Step, number: int, total: int, *, undoing: bool) -> None:
        """Say nothing."""

    def progressed(self, step: Step, text: str) -> None:
        """Say nothing."""

    def ended(self, step: Step, seconds: float, *, how: str) -> None:
        """Say nothing."""


class Stopped(BasculeError):
    """The run stopped at the edge of a step because it was asked to; it can go on."""

    exit_code = 3

    def __init__(self, why: str, next_command: str) -> None:
        self.why = why
        super().__init__(f"the run is {why}; the fleet keeps serving as it is", next_command=next_command)


class Engine:
    """One run of one plan. The caller holds the fleet's lock."""

    def __init__(self, fleet: Fleet, journal: Journal, run: str, reporter: Reporter) -> None:
        self.journal = journal
        self.run = run
        self.plan: Plan = journal.plan(run)
        self.reporter = reporter
        self.context = Context(fleet, self.plan)

    def forward(self, *, until: str | None = None) -> None:
        """Do every step that is not done, in order; with `until`, pause after that step.

        Raises Stopped when the run is paused or aborted meanwhile, StepFailed when an effect does not come about.
        """
        self.context.check_mode = self._check_forward
        for number, step in enumerate(self.plan.steps, 1):
            state = self.journal.state(self.run, step.id)
            if state != "done":
                self._check_forward()
                self._refuse_out_of_order(step)
                self._do(step, number, resumed=state in ("running", "failed"))
            if step.id == until and number < len(self.plan.steps):
                self.journal.set_mode(self.run, "paused", by="--until")
                self._check_forward()
        self.journal.set_mode(self.run, "finished")

    def back(self) -> None:
        """Undo every step that was begun, last first. Raises StepFailed; may be run again."""
        begun = [step for step in self.plan.steps if self.journal.state(self.run, step.id) not in ("pending", "undone")]
        for number, step in enumerate(reversed(begun), 1):
            state = self.journal.state(self.run, step.id)
            self._undo(step, number, len(begun), resumed=state == "undoing")
        self.journal.set_mode(self.run, "rolled-back")

    def _check_forward(self) -> None:
        mode = self.journal.mode(self.run)
        if mode == "paused":
            raise Stopped("paused", "bascule upgrade resume")
        if mode != "forward":
            raise Stopped("aborted" if mode == "aborted" else mode, "bascule upgrade roll-back")

    def _refuse_out_of_order(self, step: Step) -> None:
        for before in step.after:
            if self.journal.state(self.run, before) != "done":
                raise PlanRefused(
                    f"step {step.id} comes after {before}, which is not done", next_command="bascule plan create"
                )

    def _do(self, step: Step, number: int, *, resumed: bool) -> None:
        effect = EFFECTS[step.op]
        self.journal.set_state(self.run, step.id, "running", resumed=resumed)
        self.reporter.began(step, number, len(self.plan.steps), undoing=False)
        if resumed and effect.probe(self.context, step) is Seen.PASSED:
            self._finish(step, "done", "found done")
            return
        self._guard(step, "failed", lambda: effect.do(self.context, step))
        if self.context.looked_at != step.id and effect.probe(self.context, step) is Seen.FAILED:
            self._fail(step, "failed", NotThere(step, "is not there"))
        self._finish(step, "done", "done")

    def _undo(self, step: Step, number: int, total: int, *, resumed: bool) -> None:
        effect = EFFECTS[step.op]
        self.journal.set_state(self.run, step.id, "undoing", resumed=resumed)
        self.reporter.began(step, number, total, undoing=True)
        if resumed and effect.probe_undone(self.context, step) is Seen.PASSED:
            self._finish(step, "undone", "found undone")
            return
        self._guard(step, "undoing", lambda: effect.undo(self.context, step))
        if effect.probe_undone(self.context, step) is Seen.FAILED:
            self._fail(step, "undoing", NotThere(step, "is still there"))
        self._finish(step, "undone", "undone")

    def _guard(self, step: Step, failed: StepState, act: Callable[[], None]) -> None:
        self.context.say = lambda text: self.reporter.progressed(step, text)
        try:
            act()
        except Stopped:
            # Asked to stop in the middle of a wait: the step stays in hand and is probed when the run goes on.
            raise
        except BasculeError as error:
            self._fail(step, failed, error)

    def _fail(self, step: Step, state: StepState, error: BasculeError) -> None:
        if state == "failed":
            self.journal.set_state(self.run, step.id, state, error=error.sentence)
        else:
            self.journal.note(self.run, step.id, "undo failed", error=error.sentence)
        self.reporter.ended(step, self._seconds(step), how="failed")
        raise StepStopped(step, error) from error

    def _finish(self, step: Step, state: StepState, how: str) -> None:
        self.journal.set_state(self.run, step.id, state, how=how)
        self.reporter.ended(step, self._seconds(step), how=how)

    def _seconds(self, step: Step) -> float:
        record = next(record for record in self.journal.document(self.run).steps if record.id == step.id)
        return (record.ended_at or time.time()) - (record.started_at or time.time())


class NotThere(StepFailed):
    """The probe after an effect did not see it."""

    def __init__(self, step: Step, what: str) -> None:
        self.step = step
        super().__init__(f"the effect of {step.id} {what} although its command succeeded")


class StepStopped(StepFailed):
    """A step failed; the fleet serves on as it stands, and the run can go on or back."""

    def __init__(self, step: Step, error: BasculeError) -> None:
        self.step, self.error = step, error
        super().__init__(
            f"step {step.id} ({step.title}) failed: {error.sentence}",
            next_command=error.next_command or "bascule upgrade roll-back",
        )
