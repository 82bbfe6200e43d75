"""stage: one environment for the release on a node."""

from bascule.documents.plan import Step
from bascule.fleet.effects.effect import Context, Seen

__all__ = ["Stage"]


class Stage:
    """Builds the environment; going back leaves it, since it harms nobody and serves the next try."""

    def do(self, context: Context, step: Step) -> None:
        """Build it, from files whose digests are compared first."""
        folder = context.fleet.releases.get(context.target)
        context.node(step).artefacts.stage(folder, timeout_s=step.timeout_s, on_line=context.say)

    def probe(self, context: Context, step: Step) -> Seen:
        """Look for the marker that is written last."""
        staged = context.node(step).artefacts.is_staged(context.fleet.releases.get(context.target))
        return Seen.PASSED if staged else Seen.FAILED

    def undo(self, context: Context, step: Step) -> None:
        """Leave the environment where it is."""

    def probe_undone(self, context: Context, step: Step) -> Seen:  # noqa: ARG002
        """Nothing has to be gone."""
        return Seen.PASSED
