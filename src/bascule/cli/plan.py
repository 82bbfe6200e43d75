"""bascule plan create | show."""

from pathlib import Path

import click

from bascule.cli.opening import as_json_option, open_fleet, print_document
from bascule.documents.plan import Plan
from bascule.fleet.operations import create_plan, load_plan, newest_plan, save_plan, skipped

__all__ = ["plan", "print_plan"]


@click.group()
def plan() -> None:
    """Make a plan and read it before anything runs."""


@plan.command()
@click.option("--to", "target", required=True, metavar="RELEASE", help="The release to go to.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write it (default: the state directory).")
@as_json_option
@click.pass_context
def create(context: click.Context, target: str, out: Path | None, *, as_json: bool) -> None:
    """Look at the fleet and write a plan; nothing is changed.

    The plan is bound to the fleet as it is now: `bascule upgrade apply` refuses it when either has changed since.
    """
    fleet = open_fleet(context)
    made, facts = create_plan(fleet, fleet.releases.get(target).release)
    path = save_plan(fleet, made, facts, out)
    if as_json:
        print_document(made)
        return
    print_plan(made)
    over = skipped(fleet, made)
    if over:
        click.echo(
            f"\nover {', '.join(map(str, over))}, whose processes never run: their schema changes are among the steps"
        )
    click.echo(f"\nwritten to {path}", err=True)
    click.echo("next: bascule upgrade apply", err=True)


@plan.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@as_json_option
@click.pass_context
def show(context: click.Context, path: Path | None, *, as_json: bool) -> None:
    """Show a plan (default: the newest): its steps, seconds, impact, and the point of no return."""
    made, _ = load_plan(path or newest_plan(open_fleet(context)))
    if as_json:
        print_document(made)
    else:
        print_plan(made)


def print_plan(made: Plan) -> None:
    """Print the plan as a table that fits a terminal and a mail."""
    seconds = sum(step.estimate.p50_s for step in made.steps)
    slow = sum(step.estimate.p90_s for step in made.steps)
    click.echo(f"{made.kind} of {made.service} on fleet {made.fleet}: {made.source or 'nothing'} -> {made.target}")
    click.echo(f"{len(made.steps)} steps, about {seconds:.0f} s (nine times in ten under {slow:.0f} s)")
    click.echo(f"plan {made.hash[:12]}, made {made.created_at} for fleet state {made.fleet_fingerprint[:12]}\n")
    width = max(len(step.title) for step in made.steps)
    click.echo(f"  {'#':>2}  {'phase':<8}  {'what':<{width}}  {'about':>7}  {'impact':<7} way back")
    for number, step in enumerate(made.steps, 1):
        if step.point_of_no_return:
            click.echo(f"  --- point of no return: from here on only forward {'-' * max(0, width - 20)}")
        back = "yes" if step.reversible else "no"
        about = f"{step.estimate.p50_s:>5.1f} s"
        click.echo(f"  {number:>2}  {step.phase:<8}  {step.title:<{width}}  {about}  {step.impact:<7} {back}")
