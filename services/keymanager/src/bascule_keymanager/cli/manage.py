"""keymanager-manage: look at the fleet and its work, hold or release the pin, and look after keys and rows."""

import json

import click

from bascule.documents.codec import to_plain
from bascule.documents.status import ServiceStatus
from bascule.release import Release
from bascule_keymanager.cli.manage_crypto import hsm, lower_payloads, payloads, simple_crypto
from bascule_keymanager.cli.manage_db import db
from bascule_keymanager.cli.manage_orders import await_orders
from bascule_keymanager.cli.manage_sealed_orders import orders
from bascule_keymanager.cli.refusal import refusals
from bascule_keymanager.config import load_settings
from bascule_keymanager.identity import SERVICE
from bascule_keymanager.service import Parts

__all__ = ["main"]

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
_MANY = 1_000


@click.group()
@click.option("--config-file", help="Default: the file that KEYMANAGER_CONFIG names.")
@click.pass_context
def group(context: click.Context, config_file: str | None) -> None:
    """Look at the key manager's fleet and its work, hold or release its pin, and look after keys and rows."""
    context.obj = config_file


for _more in (await_orders, db, hsm, orders, payloads, simple_crypto):
    group.add_command(_more)


def main() -> None:
    """Run one command."""
    group(prog_name="keymanager-manage")


@group.command()
@_JSON
@click.pass_obj
def fleet(config_file: str | None, as_json: bool) -> None:
    """Show the processes, the pin, the schema changes and the waiting orders."""
    with refusals():
        status = service_status(Parts(load_settings(config_file)))
    if as_json:
        click.echo(json.dumps(to_plain(status)))
        return
    hold = f", held at {status.pin_hold}" if status.pin_hold else ""
    click.echo(f"pin {status.pin or 'not set'}, epoch {status.pin_epoch}{hold}; {status.pending_work} orders wait")
    for process in status.processes:
        override = f", told to work by {process.pin_override}" if process.pin_override else ""
        click.echo(
            f"{process.instance} ({process.role}, {process.release}, pid {process.pid}): {process.state}, "
            f"seen {process.age_s:.1f} s ago, epoch {process.acknowledged_epoch}, refused {process.refused}{override}"
        )
    for change in status.changes:
        click.echo(f"{change.id} ({change.release}, {change.table}): {change.phase}")


@group.command("list-orders")
@click.option("--pending", is_flag=True, required=True, help="Those that wait; the oldest first.")
@_JSON
@click.pass_obj
def list_orders(config_file: str | None, as_json: bool, pending: bool) -> None:  # noqa: ARG001 - the one choice there is
    """List orders."""
    with refusals():
        parts = Parts(load_settings(config_file))
        waiting = parts.orders.pending(older_than_s=0, most=_MANY) if parts.has_orders() else []
    items = [{"id": order.id, "type": order.type, "created": order.created_at.isoformat()} for order in waiting]
    if as_json:
        click.echo(json.dumps({"orders": items}))
        return
    for item in items:
        click.echo(f"{item['id']} {item['type']} since {item['created']}")


@group.group()
def pin() -> None:
    """Cap what the processes speak and store, or let it follow the oldest of them."""


@pin.command()
@click.argument("release")
@click.pass_obj
def hold(config_file: str | None, release: str) -> None:
    """Keep the pin at RELEASE or lower until it is released."""
    with refusals():
        parts = Parts(load_settings(config_file))
        parts.registry.create_tables()
        parts.registry.hold(Release.parse(release))
    click.echo(f"the pin is held at {release}")


@pin.command("release")
@click.pass_obj
def let_go(config_file: str | None) -> None:
    """Let the pin follow the oldest live process again."""
    with refusals():
        parts = Parts(load_settings(config_file))
        parts.registry.create_tables()
        parts.registry.release_hold()
    click.echo("the pin is no longer held")


@pin.command()
@click.argument("release")
@click.pass_obj
def lower(config_file: str | None, release: str) -> None:
    """Rewrite what is stored in formats that RELEASE does not read; the pin must be held there.

    Before a process of RELEASE starts again. In batches; safe to stop, and to run while everything works.
    """
    with refusals():
        done = lower_payloads(Parts(load_settings(config_file)), Release.parse(release))
    click.echo(f"{done} payloads")


@pin.command()
@_JSON
@click.pass_obj
def show(config_file: str | None, as_json: bool) -> None:
    """Show the pin."""
    with refusals():
        release, epoch, held, _ = Parts(load_settings(config_file)).registry.status()
    if as_json:
        click.echo(json.dumps({"pin": to_plain(release), "epoch": epoch, "hold": to_plain(held)}))
        return
    click.echo(f"{release or 'not set'} (epoch {epoch}" + (f", held at {held})" if held else ")"))


def service_status(parts: Parts) -> ServiceStatus:
    """Return what the service says of itself; of an empty database, that nothing is there."""
    release, epoch, held, processes = parts.registry.status()
    return ServiceStatus(
        service=SERVICE,
        pin=release,
        pin_epoch=epoch,
        pin_hold=held,
        processes=processes,
        changes=parts.schema.status(),
        pending_work=parts.orders.count_pending() if parts.has_orders() else 0,
    )
