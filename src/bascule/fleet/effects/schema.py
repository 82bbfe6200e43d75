"""schema: a phase of the schema, by the release's own command."""

from bascule.documents.plan import Step
from bascule.fleet.effects.effect import Context, Seen

__all__ = ["Schema"]

# From which phase on a change counts as having passed a command (facts: schema, "States per change").
_PHASES = ["rolled_back", "rolling_back", "planned", "expanding", "expanded", "backfilling", "synced", "fenced"]
_PHASES += ["contracting", "contracted", "purged"]
_REACHED = {"expand": "expanded", "migrate": "synced", "contract": "contracted"}


class Schema:
    """Runs expand, migrate or contract; the service's state tables tell what is there."""

    def do(self, context: Context, step: Step) -> None:
        """Run the command; it is idempotent, and an orphan of a killed run is waited for."""
        command = str(step.args["command"])
        context.fleet.command(context.target, command, timeout_s=step.timeout_s, on_line=context.say)

    def probe(self, context: Context, step: Step) -> Seen:
        """Look at the phase of every change, or ask the recipe's own probe."""
        command = str(step.args["command"])
        own = context.fleet.probe_says(context.target, command)
        if own is not None:
            return Seen.PASSED if own else Seen.FAILED
        changes = step.args.get("changes", [])
        if not changes or not context.fleet.has_command(context.target, "status"):
            return Seen.INCONCLUSIVE
        phases = _phases(context)
        least = _PHASES.index(_REACHED[command])
        reached = all(_PHASES.index(phases.get(change, "planned")) >= least for change in changes)
        return Seen.PASSED if reached else Seen.FAILED

    def undo(self, context: Context, step: Step) -> None:
        """Take expand and migrate back with one command; without one, the old release lives with the new schema."""
        if step.args.get("undo") == "rollback":
            context.fleet.command(context.target, "rollback", timeout_s=step.timeout_s, on_line=context.say)

    def probe_undone(self, context: Context, step: Step) -> Seen:
        """Look that no change is left beyond `planned`."""
        if step.args.get("undo") != "rollback":
            return Seen.PASSED
        if not context.fleet.has_command(context.target, "status"):
            return Seen.INCONCLUSIVE
        phases = _phases(context)
        gone = all(phases.get(change, "planned") in ("planned", "rolled_back") for change in step.args["changes"])
        return Seen.PASSED if gone else Seen.FAILED


def _phases(context: Context) -> dict[str, str]:
    status = context.fleet.service_status(context.target)
    return {change.id: change.phase for change in status.changes} if status else {}
