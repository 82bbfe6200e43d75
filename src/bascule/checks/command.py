"""The command `<service>-status upgrade check`, in the form that operators of OpenStack know."""

import textwrap
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from bascule.checks.check import Check, Outcome, run_checks, worst
from bascule.documents.codec import canonical

__all__ = ["document", "status_command", "table"]

TITLE = "Upgrade Check Results"

# As oslo.upgradecheck 2.8 draws it, so that what reads its table reads ours.
_DETAILS_WIDTH = 60
_COULD_NOT_ASK = 255


def table(outcomes: Sequence[Outcome]) -> str:
    """Draw the results as a table."""
    blocks = [[TITLE]]
    for outcome in outcomes:
        block = [f"Check: {outcome.name}", f"Result: {outcome.code.name.capitalize()}"]
        details = textwrap.wrap(outcome.details or "None", _DETAILS_WIDTH, subsequent_indent="  ")
        blocks.append([*block, f"Details: {details[0]}", *details[1:]])
    width = max(len(line) for block in blocks for line in block)
    rule = f"+{'-' * (width + 2)}+"
    drawn = [rule]
    for block in blocks:
        drawn += [*(f"| {line:<{width}} |" for line in block), rule]
    return "\n".join(drawn)


def document(service: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:  # Any: JSON
    """Return the results as one JSON document."""
    checks = [{"check": each.name, "result": int(each.code), "details": each.details or None} for each in outcomes]
    return {"name": TITLE, "checks": checks, "service": service, "code": int(worst(outcomes)), "format": 2}


def status_command(service: str, checks: Callable[[], Iterable[Check]]) -> click.Group:
    """Return the click group of `<service>-status`, with `upgrade check`.

    `checks` is called when the command runs. Exit code: 0 all succeeded, 1 a warning, 2 a failure, 255 when the
    checks could not be asked. `--json` prints one document on stdout and nothing else. Table, document and exit
    codes are those of oslo.upgradecheck, whose document is {"name", "checks": [{"check", "result": exit code,
    "details": text or null}]}; ours also says "service", "code" and "format".
    """

    @click.group(name=f"{service}-status", help=f"What stands in the way of an upgrade of {service}.")
    def status() -> None: ...

    @status.group(help="Before an upgrade.")
    def upgrade() -> None: ...

    @upgrade.command(help="Exit 0: upgrade. 1: somebody should look first. 2: do not upgrade. 255: could not tell.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @click.pass_context
    def check(context: click.Context, as_json: bool) -> None:
        try:
            outcomes = run_checks(checks())
        except Exception as error:  # noqa: BLE001  # whatever it was, an upgrade must not take it for a success
            frames = "".join(traceback.format_tb(error.__traceback__))
            click.echo(f"{frames}the checks could not be asked: {type(error).__name__}", err=True)
            context.exit(_COULD_NOT_ASK)
        if as_json:
            click.echo(canonical(document(service, outcomes)))
        else:
            click.echo(table(outcomes))
        context.exit(int(worst(outcomes)))

    return status
