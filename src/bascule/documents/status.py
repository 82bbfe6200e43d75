"""What a service says of itself: its live processes, its pin, its schema changes and its unfinished work.

A service prints this document with the command its recipe calls `status`; fleet and gate read it.
"""

from dataclasses import dataclass
from typing import Literal

from bascule.release import Release

__all__ = ["ChangeStatus", "ProcessStatus", "ServiceStatus"]

ProcessState = Literal["live", "draining", "stopped", "dead"]


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process as the service's own registry knows it.

    `acknowledged_epoch` is the pin epoch that the process works by. `refused` counts the messages and objects
    that it could not read because they were newer than its release: more than 0 means that a pin was not kept.
    `pin_override` is what the process works by instead of the service's pin, because somebody told it to.
    """

    instance: str
    role: str
    release: Release
    pid: int
    state: ProcessState
    age_s: float
    acknowledged_epoch: int
    refused: int = 0
    pin_override: Release | None = None


@dataclass(frozen=True, slots=True)
class ChangeStatus:
    """One schema change: its phase, and its rows in all, done, and stale (not yet equal on both sides)."""

    id: str
    release: Release
    table: str
    phase: str
    rows_total: int = 0
    rows_done: int = 0
    rows_stale: int = 0


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The whole document."""

    service: str
    pin: Release | None
    pin_epoch: int = 0
    pin_hold: Release | None = None
    processes: tuple[ProcessStatus, ...] = ()
    changes: tuple[ChangeStatus, ...] = ()
    pending_work: int = 0
    format: int = 1
