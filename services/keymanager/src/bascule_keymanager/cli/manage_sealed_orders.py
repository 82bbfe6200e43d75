"""keymanager-manage orders: how the meta of orders is kept, and seal it again."""

import json

import click

from bascule.documents.codec import to_plain
from bascule.release import Release
from bascule_keymanager.cli.refusal import refusals
from bascule_keymanager.config import load_settings
from bascule_keymanager.errors import KeyManagerError
from bascule_keymanager.service import Parts
from bascule_keymanager.storage.order_seals import SEALED_SINCE

__all__ = ["orders"]


class NotSealedNow(KeyManagerError):
    """A live process could not read what would be written."""

    def __init__(self, pin: Release, *, shared: bool) -> None:
        why = (
            "[queue] share_with_barbican is on, and Barbican reads no sealed order; take it out once Barbican is gone"
            if shared
            else f"sealed orders need {SEALED_SINCE} to be read, and the pin is {pin}; finish that upgrade first"
        )
        super().__init__(why, next_command="keymanager-manage fleet")


@click.group()
def orders() -> None:
    """Look after what is stored of orders: their meta, which may hold a passphrase."""


@orders.command()
@click.option("--check", is_flag=True, help="Also open every sealed meta.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.pass_obj
def status(config_file: str | None, check: bool, as_json: bool) -> None:
    """Show how many orders are kept plain, sealed, and both; exit code 1 when one that is to be opened does not."""
    with refusals():
        parts = Parts(load_settings(config_file))
        parts.require_schema()
        kept, alone = parts.order_sealing.status(), parts.order_seals.stand_alone()
        pin = parts.registry.status()[0]
        damaged = _damaged(parts) if check else []
    document: dict[str, object] = {
        "pin": to_plain(pin),
        "plain_is_removed": alone,
        "plain": kept.plain,
        "both": kept.both,
        "sealed": kept.sealed,
    }
    if check:
        document["damaged"] = damaged
    if as_json:
        click.echo(json.dumps(document))
    else:
        click.echo(f"{kept.plain} plain, {kept.both} sealed beside the plain one, {kept.sealed} sealed alone")
        click.echo(
            "plain ones are removed"
            if alone
            else "plain ones stay until keymanager-db-manage contract: there is a way back"
        )
        for order in damaged:
            click.echo(f"does not open: {order}")
    if damaged:
        raise SystemExit(1)


def _damaged(parts: Parts) -> list[str]:
    found, after = list[str](), ""
    while True:
        batch = parts.order_sealing.check_batch(after=after)
        found += batch.damaged
        if batch.last is None:
            return found
        after = batch.last


@orders.command()
@click.option("--project", help="Only this project's.")
@click.pass_obj
def reseal(config_file: str | None, project: str | None) -> None:
    """Seal metas with the newest key of their project, in batches; workers do the same with what is not sealed yet.

    Safe to stop, and to run while everything works.
    """
    with refusals():
        parts = Parts(load_settings(config_file))
        parts.require_schema()
        with parts.speaking() as pin:
            _require_sealing(parts, pin)
        with parts.taking_part():
            sealed, removed = _to_the_end(parts, project)
    click.echo(f"{sealed} orders sealed, {removed} plain ones removed")


def _require_sealing(parts: Parts, pin: Release) -> None:
    if not parts.seals_orders(pin):
        raise NotSealedNow(pin, shared=parts.settings.messaging.barbican is not None)


def _to_the_end(parts: Parts, project: str | None) -> tuple[int, int]:
    sealed, removed, after = 0, 0, ""
    while True:
        # Asked before every batch: the pin may be lowered while this runs.
        with parts.speaking() as pin:
            _require_sealing(parts, pin)
            batch = parts.order_sealing.seal_batch(after=after, again=True, external_id=project)
        sealed, removed = sealed + batch.sealed, removed + batch.removed
        if batch.last is None:
            return sealed, removed
        after = batch.last
