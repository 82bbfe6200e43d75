"""keymanager-db-manage: the schema's phases, and the base of a fresh database."""

import click

from bascule.schema import SchemaEngine, schema_cli
from bascule_keymanager.cli.refusal import refusals
from bascule_keymanager.config import load_settings
from bascule_keymanager.migrations.base import create_base, has_base
from bascule_keymanager.service import Parts

__all__ = ["main"]


class _Opened:
    """The configuration file that the command line names, and what is made from it once a command needs it."""

    def __init__(self) -> None:
        self.config_file: str | None = None

    def parts(self) -> Parts:
        return Parts(load_settings(self.config_file))

    def schema(self) -> SchemaEngine:
        return self.parts().schema


def main() -> None:
    """Run one phase; exit codes as in bascule.schema.cli."""
    opened = _Opened()
    group = schema_cli(opened.schema)

    def remember(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        opened.config_file = value

    option = click.Option(
        ["--config-file"], expose_value=False, callback=remember, help="Default: the file that KEYMANAGER_CONFIG names."
    )
    group.params.append(option)

    @group.command()
    def base() -> None:
        """Create Barbican's tables in an empty database; a Barbican database is left as it is."""
        with refusals():
            database = opened.parts().database
            there = database.read(has_base)
            database.write(create_base)
            click.echo("Barbican's schema was there already" if there else "created Barbican's schema")

    group(prog_name="keymanager-db-manage")
