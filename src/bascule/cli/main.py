"""`bascule <noun> <verb>`: the nouns, loaded only when they are used, and one way to print a refusal."""

import importlib
import os
import sys
from pathlib import Path

import click

from bascule.errors import BasculeError

__all__ = ["main"]

# noun -> (module, attribute, one line of help): `bascule --help` imports none of them.
_NOUNS = {
    "demo": ("bascule.cli.demo", "demo", "Roll a real fleet under load, on this machine, without root."),
    "fleet": ("bascule.cli.fleet", "fleet", "Start, stop and look at a fleet."),
    "gate": ("bascule.cli.gate", "gate", "Prove an upgrade under load, and report what was measured."),
    "plan": ("bascule.cli.plan", "plan", "Make a plan and read it before anything runs."),
    "upgrade": ("bascule.cli.upgrade", "upgrade", "Check, apply, pause, resume, abort, roll back."),
}


class _Nouns(click.Group):
    """A group that knows its commands' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_NOUNS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in _NOUNS:
            return None
        module, attribute, _ = _NOUNS[name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101  # the table above is ours
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _NOUNS.items()])


@click.command(cls=_Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--fleet",
    "fleet_file",
    type=click.Path(path_type=Path),
    default=lambda: Path(os.environ.get("BASCULE_FLEET", "fleet.toml")),
    show_default="fleet.toml, or BASCULE_FLEET",
    help="The fleet file.",
)
@click.version_option(package_name="bascule")
@click.pass_context
def cli(context: click.Context, fleet_file: Path) -> None:
    """Upgrade running, networked services without anyone noticing.

    \b
    A first look:          bascule demo
    An upgrade:            bascule plan create --to 2027.1
                           bascule plan show
                           bascule upgrade check
                           bascule upgrade apply
    The way back:          bascule upgrade roll-back

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 stopped and resumable.
    """  # noqa: D301  # \b is click's mark for text that is not rewrapped
    context.obj = fleet_file


def main() -> None:
    """Run the command line; print a refusal as one sentence and the next command, and end with its code."""
    try:
        code = cli.main(standalone_mode=False)
    except BasculeError as refusal:
        _print_refusal(refusal)
        sys.exit(refusal.exit_code)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(wrong.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nstopped; the journal holds what was done, and nothing else was.", err=True)
        click.echo("next: bascule upgrade status", err=True)
        sys.exit(3)
    sys.exit(code if isinstance(code, int) else 0)


def _print_refusal(refusal: BasculeError) -> None:
    click.echo(f"bascule: {refusal.sentence}", err=True)
    if refusal.next_command:
        click.echo(f"next: {_with_fleet(refusal.next_command)}", err=True)


def _with_fleet(command: str) -> str:
    """Repeat --fleet in the next command when it was given, so that it can be pasted as it is."""
    arguments = sys.argv[1:3]
    if command.startswith("bascule ") and len(arguments) == 2 and arguments[0] == "--fleet":
        return f"bascule --fleet {arguments[1]} {command.removeprefix('bascule ')}"
    return command
