"""soak: wait and watch that every process of the fleet stays alive."""

import time

from bascule.documents.plan import Step
from bascule.errors import StepFailed
from bascule.fleet.effects.effect import Context, Seen

__all__ = ["Soak"]

_POLL_S = 0.5


class Soak:
    """Watches for the seconds that the policy asks for; a watch that was killed starts again."""

    def do(self, context: Context, step: Step) -> None:
        """Watch. Raises DiedWhileWatched."""
        before = _names(context)
        end = time.monotonic() + float(step.args["seconds"])
        while (left := end - time.monotonic()) > 0:
            context.check_mode()
            gone = before - _names(context)
            if gone:
                raise DiedWhileWatched(sorted(gone))
            context.say(f"{left:.0f} s left")
            time.sleep(min(_POLL_S, left))

    def probe(self, context: Context, step: Step) -> Seen:  # noqa: ARG002
        """Look at nothing: a watch leaves nothing behind."""
        return Seen.INCONCLUSIVE

    def undo(self, context: Context, step: Step) -> None:
        """Nothing was changed."""

    def probe_undone(self, context: Context, step: Step) -> Seen:  # noqa: ARG002
        """Nothing has to be gone."""
        return Seen.PASSED


def _names(context: Context) -> set[str]:
    return {f"{name}@{release}" for name, found in context.fleet.alive().items() for release in found}


class DiedWhileWatched(StepFailed):
    """A process ended while the fleet was watched."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        super().__init__(f"{', '.join(names)} ended while being watched", next_command="bascule upgrade roll-back")
