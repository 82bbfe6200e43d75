"""The commands `pin hold | release | show | retire`, for a service's own command line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from sqlalchemy.exc import SQLAlchemyError

from bascule.documents.codec import canonical
from bascule.errors import BasculeError
from bascule.lifecycle.obstacles import obstacles
from bascule.lifecycle.registry import Registry
from bascule.lifecycle.status import process_status
from bascule.release import Release

__all__ = ["pin_commands"]


def pin_commands(registry: Callable[[], Registry]) -> click.Group:
    """Return the click group `pin`; mount it with `add_command`.

    `registry` is called when a command runs. Exit code: 0 done, 1 refused, with one sentence as the last line on
    stderr. `pin show --json` prints one document on stdout and nothing else.
    """

    @click.group(help="Cap what the processes speak and store, or let it follow the oldest of them.")
    def pin() -> None: ...

    @pin.command(help="Keep the pin at RELEASE or lower until it is released.")
    @click.argument("release")
    def hold(release: str) -> None:
        with _refusals():
            it = registry()
            it.create_tables()
            it.hold(Release.parse(release))
        click.echo(f"the pin is held at {release}")

    @pin.command("release", help="Let the pin follow the oldest live process again.")
    def let_go() -> None:
        with _refusals():
            it = registry()
            it.create_tables()
            it.release_hold()
        click.echo("the pin is no longer held")

    @pin.command(help="Forget the processes named INSTANCE, which are gone; one that is alive is refused.")
    @click.argument("instance")
    def retire(instance: str) -> None:
        with _refusals():
            it = registry()
            it.create_tables()
            gone = it.retire(instance)
        click.echo(f"{gone} processes named {instance} are forgotten")

    @pin.command(help="Show the pin, who has acknowledged it, and what keeps it from rising.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
    def show(as_json: bool) -> None:
        with _refusals():
            it = registry()
            it.create_tables()
            document = _document(it)
        click.echo(canonical(document) if as_json else _text(document))

    return pin


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what a person can act on into one sentence and exit code 1."""
    try:
        yield
    except BasculeError as refusal:
        command = f"; next: {refusal.next_command}" if refusal.next_command else ""
        click.echo(refusal.sentence + command, err=True)
        raise click.exceptions.Exit(1) from None
    except SQLAlchemyError as trouble:
        # Its message may quote the address of the database with its password.
        cause = type(getattr(trouble, "orig", None) or trouble).__name__
        click.echo(f"the database could not be asked ({cause}); check its address and the server", err=True)
        raise click.exceptions.Exit(1) from None


def _document(registry: Registry) -> dict[str, Any]:  # Any: JSON
    row, members = registry.pin(), registry.members()
    now = registry.clock()
    shown = [process_status(member, now=now, ttl_s=registry.ttl_s) for member in members]
    return {
        "service": registry.service,
        "pin": None if row is None else row.pin,
        "epoch": 0 if row is None else row.epoch,
        "hold": None if row is None else row.hold,
        "proposed": None if row is None else row.proposed,
        "obstacles": () if row is None else obstacles(row, members),
        "processes": [
            {"process": status, "supported_from": member.supported_from, "manifest": member.manifest}
            for status, member in zip(shown, members, strict=True)
        ],
        "format": 1,
    }


def _text(document: dict[str, Any]) -> str:  # Any: as above
    held = f", held at {document['hold']}" if document["hold"] else ""
    proposed = f", {document['proposed']} proposed" if document["proposed"] else ""
    lines = [f"{document['pin'] or 'not set'} (epoch {document['epoch']}{held}{proposed})"]
    lines += [f"kept from rising: {each}" for each in document["obstacles"]]
    for each in document["processes"]:
        process = each["process"]
        lines.append(
            f"{process.instance} ({process.role}, {process.release}, pid {process.pid}): {process.state}, "
            f"seen {process.age_s:.1f} s ago, epoch {process.acknowledged_epoch}, refused {process.refused}"
        )
    return "\n".join(lines)
