"""bascule upgrade check | apply | status | pause | resume | abort | roll-back."""

import sys
from pathlib import Path

import click

from bascule.cli.opening import as_json_option, open_fleet, print_document
from bascule.cli.plan import print_plan
from bascule.cli.progress import choose_reporter
from bascule.documents.journal import RunDocument
from bascule.errors import PlanRefused
from bascule.fleet import operations
from bascule.fleet.fleet import Fleet
from bascule.fleet.preflight import as_document, preflight
from bascule.release import Release

__all__ = ["upgrade"]


@click.group()
def upgrade() -> None:
    """Check, apply, pause, resume, abort, roll back."""


@upgrade.command()
@click.option("--to", "target", metavar="RELEASE", help="The release to go to (default: that of the newest plan).")
@as_json_option
@click.pass_context
def check(context: click.Context, target: str | None, *, as_json: bool) -> None:
    """Look at everything that the upgrade needs; nothing is changed.

    Exit codes: 0 everything passed, 1 something failed.
    """
    fleet = open_fleet(context)
    findings = preflight(fleet, _target(fleet, target))
    if as_json:
        print_document(as_document(findings))
    else:
        for finding in findings:
            click.echo(f"{finding.result:<8} {finding.name}: {finding.seen}")
            if finding.next_command:
                click.echo(f"         next: {finding.next_command}")
    if any(finding.result == "failed" for finding in findings):
        sys.exit(1)


def _target(fleet: Fleet, target: str | None) -> Release:
    if target is not None:
        return fleet.releases.get(target).release
    return operations.load_plan(operations.newest_plan(fleet))[0].target


@upgrade.command()
@click.argument("plan", type=click.Path(path_type=Path), required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--until", metavar="STEP", help="Pause after this step.")
@as_json_option
@click.pass_context
def apply(context: click.Context, plan: Path | None, until: str | None, *, yes: bool, as_json: bool) -> None:
    """Do a plan (default: the newest), or go on where its run was killed.

    Exit codes: 0 done, 1 refused or failed, 3 paused and resumable.
    """
    fleet = open_fleet(context)
    path = plan or operations.newest_plan(fleet)
    if not yes:
        _ask(path, as_json=as_json)
    _finish(operations.apply(fleet, path, choose_reporter(as_json=as_json), until=until), as_json=as_json)


def _ask(path: Path, *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise PlanRefused(
            "without a terminal nobody can be asked; nothing was changed", next_command="bascule upgrade apply --yes"
        )
    print_plan(operations.load_plan(path)[0])
    click.confirm("\napply this plan?", abort=True)


@upgrade.command()
@as_json_option
@click.pass_context
def status(context: click.Context, *, as_json: bool) -> None:
    """Show the run that is under way, or the last one, and what to type next."""
    fleet = open_fleet(context)
    document = operations.run_document(fleet)
    if as_json:
        print_document(document)
        return
    if document is None:
        click.echo("nothing was ever applied to this fleet")
        click.echo("next: bascule plan create --to RELEASE", err=True)
        return
    click.echo(f"run {document.run}: {document.source or 'nothing'} -> {document.target}, {document.mode}")
    for step in document.steps:
        took = f"{step.actual_s:6.1f} s" if step.actual_s is not None else "        "
        click.echo(f"  {step.state:<8} {took}  {step.title}{'  ' + step.error if step.error else ''}")
    click.echo(f"next: {_next(document)}", err=True)


def _next(document: RunDocument) -> str:
    return {
        "forward": "bascule upgrade apply",
        "paused": "bascule upgrade resume",
        "aborted": "bascule upgrade roll-back",
        "rollback": "bascule upgrade roll-back",
        "finished": "bascule fleet status",
        "rolled-back": "bascule plan create --to RELEASE",
    }[document.mode]


@upgrade.command()
@click.pass_context
def pause(context: click.Context) -> None:
    """Ask the run to stop at the edge of the step in hand; it can go on for days later."""
    operations.pause(open_fleet(context))
    click.echo("the run pauses at the edge of the step in hand", err=True)
    click.echo("next: bascule upgrade resume", err=True)


@upgrade.command()
@click.option("--until", metavar="STEP", help="Pause again after this step.")
@as_json_option
@click.pass_context
def resume(context: click.Context, until: str | None, *, as_json: bool) -> None:
    """Go on with a paused run."""
    _finish(operations.resume(open_fleet(context), choose_reporter(as_json=as_json), until=until), as_json=as_json)


@upgrade.command()
@click.pass_context
def abort(context: click.Context) -> None:
    """Stop the run for good; the fleet keeps serving as it is, and the way on is back."""
    operations.abort(open_fleet(context))
    click.echo("the run is aborted", err=True)
    click.echo("next: bascule upgrade roll-back", err=True)


@upgrade.command("roll-back")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@click.pass_context
def roll_back(context: click.Context, *, yes: bool, as_json: bool) -> None:
    """Undo the run, last step first, while the service goes on; refuses after the point of no return."""
    fleet = open_fleet(context)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise PlanRefused(
                "without a terminal nobody can be asked; nothing was changed",
                next_command="bascule upgrade roll-back --yes",
            )
        click.confirm("undo the run?", abort=True)
    _finish(operations.roll_back(fleet, choose_reporter(as_json=as_json)), as_json=as_json)


def _finish(document: RunDocument, *, as_json: bool) -> None:
    if as_json:
        print_document(document)
        return
    seconds = sum(step.actual_s or 0 for step in document.steps)
    click.echo(
        f"{document.source or 'nothing'} -> {document.target}: {document.mode} ({seconds:.1f} s of steps)", err=True
    )
