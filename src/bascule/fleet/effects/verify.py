"""verify: the fleet is wholly what the plan promised."""

from bascule.documents.plan import Step
from bascule.errors import StepFailed
from bascule.fleet.effects.effect import Context, Seen

__all__ = ["NotVerified", "Verify"]


class Verify:
    """Looks at processes, pin and schema, and runs the service's own verification."""

    def do(self, context: Context, step: Step) -> None:
        """Look. Raises NotVerified with everything that is not as it must be."""
        found = _findings(context)
        if found:
            raise NotVerified(found)
        context.looked_at = step.id
        if context.fleet.has_command(context.target, "verify"):
            context.fleet.command(context.target, "verify", timeout_s=step.timeout_s, on_line=context.say)

    def probe(self, context: Context, step: Step) -> Seen:  # noqa: ARG002
        """Look again."""
        return Seen.FAILED if _findings(context) else Seen.PASSED

    def undo(self, context: Context, step: Step) -> None:
        """Nothing was changed."""

    def probe_undone(self, context: Context, step: Step) -> Seen:  # noqa: ARG002
        """Nothing has to be gone."""
        return Seen.PASSED


def _findings(context: Context) -> list[str]:
    found = []
    alive = context.fleet.alive()
    for name in context.fleet.placement():
        releases = alive.pop(name, {})
        if set(releases) != {context.target}:
            running = ", ".join(map(str, sorted(releases))) or "nothing"
            found.append(f"{name} runs {running} instead of {context.target}")
    found += [f"{name} runs and is not in the fleet file" for name in alive]
    status = context.fleet.service_status(context.target)
    if status is not None:
        if status.pin is not None and status.pin != context.target:
            found.append(f"the pin is {status.pin} instead of {context.target}")
        manifest = context.fleet.releases.get(context.target).manifest
        phases = {change.id: change.phase for change in status.changes}
        for change in manifest.schema.get("contract", ()):
            if phases.get(change) not in ("contracted", "purged"):
                found.append(f"the schema change {change} is {phases.get(change, 'unknown')} instead of contracted")
    return found


class NotVerified(StepFailed):
    """The fleet is not what the plan promised."""

    def __init__(self, findings: list[str]) -> None:
        self.findings = findings
        super().__init__("; ".join(findings), next_command="bascule upgrade apply")
