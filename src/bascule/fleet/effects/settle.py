"""settle: what the old release's workers took is finished before they are stopped."""

from bascule.documents.plan import Step
from bascule.fleet.effects.effect import Context, Seen

__all__ = ["Settle"]


class Settle:
    """Asks the new release, which sees the same work, and waits until nothing is left that the old one may have."""

    def do(self, context: Context, step: Step) -> None:
        """Wait; the command ends when it is so. Raises CommandFailed with what is left."""
        context.fleet.command(context.target, "settle", timeout_s=step.timeout_s, exclusive=False, on_line=context.say)

    def probe(self, context: Context, step: Step) -> Seen:  # noqa: ARG002
        """Look at nothing: a wait leaves nothing behind and is simply done again."""
        return Seen.INCONCLUSIVE

    def undo(self, context: Context, step: Step) -> None:
        """Nothing was changed."""

    def probe_undone(self, context: Context, step: Step) -> Seen:  # noqa: ARG002
        """Nothing has to be gone."""
        return Seen.PASSED
