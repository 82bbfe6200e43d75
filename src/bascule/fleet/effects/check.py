"""check: the release's own upgrade checks, from its own environment; they change nothing."""

from bascule.documents.plan import Step
from bascule.errors import StepFailed
from bascule.fleet.effects.effect import Context, Seen
from bascule.fleet.own_checks import ask_own_checks
from bascule.fleet.transport import CommandFailed

__all__ = ["Check"]


class Check:
    """Runs the checks; code 1 is a warning that is shown, anything above refuses."""

    def do(self, context: Context, step: Step) -> None:
        """Ask the release. Raises StepFailed with what it said."""
        try:
            warnings, said = ask_own_checks(context.fleet, context.target, timeout_s=step.timeout_s)
        except CommandFailed as failed:
            raise StepFailed(
                f"{context.target} says that it cannot take over: {failed.said}",
                next_command="bascule upgrade roll-back",
            ) from failed
        context.say(f"warning: {said}" if warnings else said)

    def probe(self, context: Context, step: Step) -> Seen:  # noqa: ARG002
        """Look at nothing: a check leaves nothing behind and is simply asked again."""
        return Seen.INCONCLUSIVE

    def undo(self, context: Context, step: Step) -> None:
        """Nothing was changed."""

    def probe_undone(self, context: Context, step: Step) -> Seen:  # noqa: ARG002
        """Nothing has to be gone."""
        return Seen.PASSED
