"""pin-hold and pin-lift: which release's formats the mixed fleet sends, stores and advertises."""

import time

from bascule.documents.plan import Step
from bascule.documents.status import ServiceStatus
from bascule.errors import StepFailed
from bascule.fleet.effects.effect import Context, Seen
from bascule.release import Release

__all__ = ["PinHold", "PinLift"]

_POLL_S = 0.3
_REWRITE_S = 86_400.0  # of all that was stored since the pin rose


class PinHold:
    """Keeps the pin at the old release while both run, so that nothing lifts before the plan says so."""

    def do(self, context: Context, step: Step) -> None:
        """Hold."""
        pin = Release.parse(str(step.args["pin"]))
        if _hold(context, step, pin, context.steady).pin_hold == pin:
            context.looked_at = step.id

    def probe(self, context: Context, step: Step) -> Seen:
        """Look at the hold."""
        status = context.fleet.service_status(context.steady)
        held = status is not None and str(status.pin_hold) == step.args["pin"]
        return Seen.PASSED if held else Seen.FAILED

    def undo(self, context: Context, step: Step) -> None:
        """Let go: the fleet is all of the old release again."""
        context.fleet.command(context.steady, "pin_release", timeout_s=step.timeout_s)

    def probe_undone(self, context: Context, step: Step) -> Seen:  # noqa: ARG002
        """Look that nothing is held."""
        status = context.fleet.service_status(context.steady)
        return Seen.PASSED if status is not None and status.pin_hold is None else Seen.FAILED


class PinLift:
    """Lets the pin rise to the new release, and lowers it again on the way back."""

    def do(self, context: Context, step: Step) -> None:
        """Release the hold and wait until every live process works by the new pin. Raises PinStuck."""
        context.fleet.command(context.target, "pin_release", timeout_s=step.timeout_s)
        _wait_for_pin(context, step, context.target, context.target)
        context.looked_at = step.id

    def probe(self, context: Context, step: Step) -> Seen:  # noqa: ARG002
        """Look at the pin and at what processes acknowledged."""
        status = context.fleet.service_status(context.target)
        return Seen.PASSED if status is not None and _works_by(status, context.target) else Seen.FAILED

    def undo(self, context: Context, step: Step) -> None:
        """Have new processes write what old ones read, and rewrite what those do not, before any of those starts."""
        old = Release.parse(str(step.args["from"]))
        _hold(context, step, old, context.target)
        if context.fleet.has_command(context.target, "pin_lower"):
            context.say(f"rewriting what {old} does not read")
            context.fleet.command(context.target, "pin_lower", timeout_s=_REWRITE_S, pin=str(old))

    def probe_undone(self, context: Context, step: Step) -> Seen:
        """Look that every live process works by the old pin; what was rewritten cannot be seen from here."""
        status = context.fleet.service_status(context.target)
        old = Release.parse(str(step.args["from"]))
        lowered = status is not None and status.pin_hold == old and _works_by(status, old)
        if not lowered:
            return Seen.FAILED
        return Seen.INCONCLUSIVE if context.fleet.has_command(context.target, "pin_lower") else Seen.PASSED


def _hold(context: Context, step: Step, pin: Release, by: Release) -> ServiceStatus:
    context.fleet.command(by, "pin_hold", timeout_s=step.timeout_s, pin=str(pin))
    return _wait_for_pin(context, step, pin, by)


def _wait_for_pin(context: Context, step: Step, pin: Release, by: Release) -> ServiceStatus:
    deadline = time.monotonic() + step.timeout_s
    while True:
        status = context.fleet.service_status(by)
        if status is not None and _works_by(status, pin):
            return status
        if time.monotonic() > deadline:
            raise PinStuck(pin, status, step.timeout_s)
        context.check_mode()
        context.say(f"waiting for every process to work by {pin}")
        time.sleep(_POLL_S)


def _works_by(status: ServiceStatus, pin: Release) -> bool:
    live = [process for process in status.processes if process.state in ("live", "draining")]
    return status.pin == pin and all(process.acknowledged_epoch >= status.pin_epoch for process in live)


class PinStuck(StepFailed):
    """The pin did not get where it should; the processes that hold it are named."""

    def __init__(self, pin: Release, status: ServiceStatus | None, waited_s: float) -> None:
        self.pin = pin
        processes = status.processes if status else ()
        epoch = status.pin_epoch if status else 0
        behind = [
            f"{process.instance} ({process.release}, {process.state})"
            for process in processes
            if process.state in ("live", "draining") and (process.release < pin or process.acknowledged_epoch < epoch)
        ]
        super().__init__(
            f"the pin is not {pin} after {waited_s:.0f} s; it waits for {', '.join(behind) or 'the registry'}",
            next_command="bascule fleet status",
        )
