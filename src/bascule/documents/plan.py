"""The plan: immutable data that can be read, stored, compared and refused before anything runs."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from bascule.documents.codec import fingerprint
from bascule.release import Release

__all__ = ["Estimate", "Op", "Plan", "Step"]

Op = Literal[
    "check",  # read-only: the release's own upgrade checks
    "stage",  # one environment for the release on a node
    "schema",  # a phase of the schema: expand, migrate, contract
    "pin-hold",  # keep the fleet at the old release's formats
    "pin-lift",  # let go, and wait until every process works by the new release's
    "start",  # a process of the new release beside the old one, until it is ready
    "join",  # give it traffic
    "leave",  # take traffic from the old one and wait until it has none in flight
    "stop",  # let the old process finish and end
    "soak",  # wait and watch
    "settle",  # wait until the old release's workers have nothing left in hand
    "verify",  # versions, schema, pin and rows are what they must be
]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds that the step is expected to take, half of the time and nine times in ten, and how we know."""

    p50_s: float
    p90_s: float
    source: str = "recipe"


@dataclass(frozen=True, slots=True)
class Step:
    """One effect with its probe and its undo.

    `after` names the steps that must be done first. `impact` is what users notice: none, degraded or unavailable.
    After a step with `point_of_no_return` nothing can be rolled back.
    """

    id: str
    title: str
    phase: str
    op: Op
    target: str
    args: dict[str, Any] = field(default_factory=dict)  # Any: plain JSON values, read by the op's handler
    after: tuple[str, ...] = ()
    timeout_s: float = 300.0
    estimate: Estimate = Estimate(1.0, 3.0)
    impact: str = "none"
    reversible: bool = True
    point_of_no_return: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """From one release to another for one fleet, as it was seen when the plan was made.

    `fleet_fingerprint` is the sha256 of the normalised facts; `hash` covers everything else in the document.
    """

    service: str
    fleet: str
    kind: Literal["install", "upgrade", "update"]
    source: Release | None
    target: Release
    fleet_fingerprint: str
    steps: tuple[Step, ...]
    created_at: str
    hash: str = ""
    format: int = 1

    def sealed(self) -> Self:
        """Return the plan with its hash filled in."""
        return replace(self, hash=self.computed_hash())

    def computed_hash(self) -> str:
        """Return the hash that this plan must carry."""
        return fingerprint(replace(self, hash=""))
