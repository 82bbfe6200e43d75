"""Which plan step was running at a moment, and which phase of the run a request belongs to."""

import bisect
from collections.abc import Sequence

from bascule.documents.evidence import StepTiming
from bascule.documents.journal import RunDocument, StepRecord

__all__ = ["AFTER", "BEFORE", "Timeline"]

BEFORE, AFTER = "before", "after"


class Timeline:
    """The steps of a run on the wall clock. Between two steps, the earlier one's phase goes on."""

    def __init__(self, run: RunDocument) -> None:
        begun = [step for step in run.steps if step.started_at is not None]
        self._steps = sorted(begun, key=lambda step: step.started_at or 0.0)
        self._starts = [step.started_at or 0.0 for step in self._steps]
        ends = [step.ended_at for step in self._steps if step.ended_at is not None]
        self._all = run.steps
        # A step that never ended still runs at the end of the history.
        self.end = max(ends) if ends and len(ends) == len(self._steps) else float("inf")

    @property
    def phases(self) -> tuple[str, ...]:
        """Return every phase name in order: before, those of the plan as they began, after."""
        seen = dict.fromkeys([BEFORE, *(step.phase for step in self._steps), AFTER])
        return tuple(seen)

    def phase_at(self, moment: float) -> str:
        """Return the phase of the run at a moment."""
        step = self._last_begun(moment)
        if step is None:
            return BEFORE
        return AFTER if moment > self.end else step.phase

    def step_at(self, moment: float) -> str:
        """Return, for sentences, what was going on at a moment."""
        step = self._last_begun(moment)
        if step is None:
            return "before the first step"
        if moment > self.end:
            return "after the last step"
        running = step.ended_at is None or moment <= step.ended_at
        return f"during step '{step.title}'" if running else f"after step '{step.title}'"

    def stop_within(self, start: float, end: float) -> str | None:
        """Return, for sentences, the last step that stopped a process between two moments, or None.

        A connection that was lost was lost when its process ended, which its client may notice in a later step.
        """
        stops = [
            step
            for step in self._steps
            if step.op == "stop"
            and (step.started_at or 0.0) <= end
            and (step.ended_at is None or step.ended_at >= start)
        ]
        return f"during step '{stops[-1].title}'" if stops else None

    def timings(self, start: float) -> tuple[StepTiming, ...]:
        """Return planned and actual seconds of every step, in the order of the plan; offsets count from `start`."""
        return tuple(
            StepTiming(
                id=step.id,
                title=step.title,
                phase=step.phase,
                state=step.state,
                planned_s=step.planned_s,
                actual_s=None if step.actual_s is None else round(step.actual_s, 3),
                offset_s=None if step.started_at is None else round(step.started_at - start, 3),
                point_of_no_return=step.point_of_no_return,
                error=step.error,
            )
            for step in self._all
        )

    def _last_begun(self, moment: float) -> StepRecord | None:
        position = bisect.bisect_right(self._starts, moment)
        return self._steps[position - 1] if position else None


def first_failed(steps: Sequence[StepRecord]) -> StepRecord | None:
    """Return the first step that failed, if one did."""
    return next((step for step in steps if step.state == "failed"), None)
