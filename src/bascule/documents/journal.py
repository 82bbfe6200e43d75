"""What the journal tells: the run, its steps and its events, for status, reports and the gate."""

from dataclasses import dataclass
from typing import Any, Literal

from bascule.release import Release

__all__ = ["JournalEvent", "RunDocument", "RunMode", "StepRecord", "StepState"]

StepState = Literal["pending", "running", "done", "failed", "undoing", "undone"]
RunMode = Literal["forward", "paused", "aborted", "rollback", "finished", "rolled-back"]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step as it went: seconds since the epoch, planned and actual seconds, attempts."""

    id: str
    title: str
    phase: str
    op: str
    target: str
    state: StepState
    attempts: int
    started_at: float | None
    ended_at: float | None
    planned_s: float
    actual_s: float | None
    point_of_no_return: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One line of the journal; `chain` is sha256(previous chain + this event), so an edited line shows."""

    number: int
    at: float
    step: str
    what: str
    data: dict[str, Any]  # Any: plain JSON values
    chain: str


@dataclass(frozen=True, slots=True)
class RunDocument:
    """One run of a plan."""

    run: str
    service: str
    source: Release | None
    target: Release
    plan_hash: str
    mode: RunMode
    steps: tuple[StepRecord, ...]
    events: tuple[JournalEvent, ...] = ()
    format: int = 1
