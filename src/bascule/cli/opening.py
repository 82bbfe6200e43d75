"""What commands share: opening the fleet that --fleet names, and printing one document."""

import json

import click

from bascule.documents.codec import to_plain
from bascule.fleet.config import FleetConfig
from bascule.fleet.fleet import Fleet

__all__ = ["as_json_option", "open_fleet", "print_document"]

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")


def open_fleet(context: click.Context) -> Fleet:
    """Open the fleet of --fleet."""
    return Fleet.open(FleetConfig.load(context.find_root().obj))


def print_document(document: object) -> None:
    """Print a document as JSON on stdout."""
    click.echo(json.dumps(to_plain(document), indent=2))
