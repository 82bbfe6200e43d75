"""The ledger's command line: `python -m ledger RELEASE open|post|accounts|postings|serve ...`."""

import os
import signal
import threading

import click

from ledger.service import RELEASES, Parts


@click.group()
@click.argument("release", type=click.Choice(list(RELEASES)))
@click.pass_context
def ledger(context: click.Context, release: str) -> None:
    """Keep accounts, with the code of one release."""
    context.obj = Parts(release)


@ledger.command("open")
@click.argument("owner")
@click.pass_obj
def open_account(parts: Parts, owner: str) -> None:
    """Open an account."""
    click.echo(f"account {parts.book.open(owner)}")


@ledger.command(context_settings={"ignore_unknown_options": True})  # amounts may be negative
@click.argument("account", type=int)
@click.argument("cents", type=int)
@click.argument("memo", default="")
@click.pass_obj
def post(parts: Parts, account: int, cents: int, memo: str) -> None:
    """Post an amount to an account."""
    click.echo(f"posting {parts.book.post(account, cents, memo)}")


@ledger.command()
@click.pass_obj
def accounts(parts: Parts) -> None:
    """List the accounts."""
    for number, owner in parts.book.accounts().items():
        click.echo(f"{number}  {owner}")


@ledger.command()
@click.argument("account", type=int)
@click.pass_obj
def postings(parts: Parts, account: int) -> None:
    """List the postings of an account."""
    for cents, memo in parts.book.postings(account):
        click.echo(f"{cents / 100:10.2f}  {memo}")


@ledger.command()
@click.pass_obj
def serve(parts: Parts) -> None:
    """Be a process of this release: beat, and look at every account ten times a second, until SIGTERM."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    parts.registry.create_tables()
    with parts.registry.join(f"ledger-{os.getpid()}", "api"):
        click.echo(f"release {parts.release} serves")
        while not ended.wait(0.1):
            for account in parts.book.accounts():
                parts.book.postings(account)


if __name__ == "__main__":
    ledger(prog_name="python -m ledger")
