"""What an op does: four answers, and the context they get."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from bascule.documents.plan import Plan, Step
from bascule.fleet.fleet import Fleet, Node
from bascule.release import Release

__all__ = ["Context", "Effect", "Seen"]


class Seen(Enum):
    """What a probe saw: the effect is there, is not there, or cannot be told."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


def _say_nothing(text: str) -> None:
    """Drop progress when nobody watches."""
    del text


@dataclass(slots=True)
class Context:
    """What effects may use. `say` shows one line of progress; `check_mode` raises when the run is to stop.

    An effect that ends by looking whether it came about notes its step in `looked_at`, and is not probed after that: a
    look starts a program on a node that is busy.
    """

    fleet: Fleet
    plan: Plan
    say: Callable[[str], None] = _say_nothing
    check_mode: Callable[[], None] = field(default=lambda: None)
    looked_at: str | None = None

    @property
    def target(self) -> Release:
        """Return the release that the plan leads to."""
        return self.plan.target

    @property
    def steady(self) -> Release:
        """Return a release whose environment surely stands: the one that the plan starts from."""
        return self.plan.source or self.plan.target

    def node(self, step: Step) -> Node:
        """Return the node that a step names."""
        return self.fleet.nodes[str(step.args.get("node", step.target))]


class Effect(Protocol):
    """The meaning of one op.

    Every method is safe to call again after a kill at any point of an earlier call.
    """

    def do(self, context: Context, step: Step) -> None:
        """Bring the effect about. Raises BasculeError."""
        ...

    def probe(self, context: Context, step: Step) -> Seen:
        """Look whether the effect is there, changing nothing."""
        ...

    def undo(self, context: Context, step: Step) -> None:
        """Take the effect back, whole or partial. Raises BasculeError."""
        ...

    def probe_undone(self, context: Context, step: Step) -> Seen:
        """Look whether the effect is gone, changing nothing."""
        ...
