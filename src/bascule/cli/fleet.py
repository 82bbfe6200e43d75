"""bascule fleet start | stop | status | releases."""

import click

from bascule.cli.opening import as_json_option, open_fleet, print_document
from bascule.cli.progress import choose_reporter
from bascule.documents.codec import to_plain
from bascule.fleet import operations

__all__ = ["fleet"]


@click.group()
def fleet() -> None:
    """Start, stop and look at a fleet."""


@fleet.command()
@click.argument("release")
@as_json_option
@click.pass_context
def start(context: click.Context, release: str, *, as_json: bool) -> None:
    """Install a release on a fleet in which nothing runs, and start every instance.

    Safe to run again after it was killed.
    """
    opened = open_fleet(context)
    wanted = opened.releases.get(release).release
    document = operations.install(opened, wanted, choose_reporter(as_json=as_json))
    if as_json:
        print_document(document)
    else:
        click.echo(f"{wanted} serves at {opened.config.url}", err=True)
        click.echo("next: bascule fleet status", err=True)


@fleet.command()
@click.pass_context
def stop(context: click.Context) -> None:
    """Drain and stop every instance of the fleet."""
    stopped = operations.stop_fleet(open_fleet(context))
    click.echo(f"stopped {', '.join(stopped) or 'nothing: nothing ran'}", err=True)


@fleet.command()
@as_json_option
@click.pass_context
def status(context: click.Context, *, as_json: bool) -> None:
    """Show what runs where, the pin, and the schema's changes."""
    opened = open_fleet(context)
    facts = opened.observe()
    if as_json:
        print_document({**to_plain(facts), "fingerprint": facts.fingerprint})
        return
    click.echo(f"fleet {facts.fleet} ({facts.service}), state {facts.fingerprint[:12]}")
    for node in facts.nodes:
        staged = ", ".join(map(str, node.staged)) or "nothing"
        click.echo(f"node {node.name}: staged {staged}, {node.free_bytes // 1024**2} MiB free")
    for instance in facts.instances:
        click.echo(f"  {instance.name:<12} {instance.release}  on {instance.node}")
    held = f", held at {facts.pin_hold}" if facts.pin_hold else ""
    click.echo(f"pin: {facts.pin or 'unknown'}{held}")
    for change, phase in facts.phases.items():
        click.echo(f"schema change {change}: {phase}")


@fleet.command()
@as_json_option
@click.pass_context
def releases(context: click.Context, *, as_json: bool) -> None:
    """List the releases there are, and from which each can be upgraded to."""
    opened = open_fleet(context)
    if as_json:
        print_document([folder.manifest for folder in opened.releases.folders.values()])
        return
    for release in opened.releases.train.releases:
        manifest = opened.releases.get(release).manifest
        sources = ", ".join(map(str, manifest.upgrades_from)) or "a fresh start only"
        click.echo(f"{release}  from {sources}{'  (skip-level)' if manifest.skip_level else ''}")
