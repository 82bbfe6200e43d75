"""bascule demo: the main job on this machine, without root and without a server."""

import base64
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import click

from bascule.cli.progress import choose_reporter
from bascule.cli.verdict import print_verdict
from bascule.errors import FleetError
from bascule.fleet import operations
from bascule.fleet.config import FleetConfig
from bascule.fleet.engine import Reporter
from bascule.fleet.fleet import Fleet
from bascule.gate.mutants import load_mutants, pick_mutant, sabotage
from bascule.gate.prove import Proof, Rehearsal, prove
from bascule.release import Release

__all__ = ["SERVICE_CONFIGURATION", "demo"]

_FLEET = """\
[fleet]
name = "demo"
releases = "{releases}"

[variables]
config_file = "{config}"

[balancer]
kind = "shared-socket"
bind = "127.0.0.1:{port}"

[policy]
canary_s = 14.0
soak_s = 4.0

[roles.api]
count = 3

[roles.worker]
count = 2
"""
SERVICE_CONFIGURATION = """\
[DEFAULT]
host_href = http://127.0.0.1:{port}
# For a laptop: whoever the headers name is who asks.
auth_strategy = noauth
[oslo_policy]
enforce_new_defaults = True
[database]
connection = {database}
# From 2027.2 on each payload has a key of its own, as soon as no older release is left that could not read it.
[crypto]
enabled_crypto_plugins = envelope
enabled_crypto_plugins = simple_crypto
[queue]
enable = True
[simple_crypto_plugin]
kek = {kek}
"""


@click.command()
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    default=Path("demo-report"),
    show_default=True,
    help="Where report.html and report.json go.",
)
@click.option("--database", metavar="URL", help="Run on PostgreSQL or MariaDB instead of SQLite (an empty database).")
@click.option("--break", "broken", metavar="NAME", help="Run a deliberately bad upgrade, which the gate must refuse.")
@click.option("--from", "source", default="2026.2", show_default=True, help="The release to start with.")
@click.option("--to", "target", default="2028.1", show_default=True, help="The release to go to.")
@click.option("--rate", default=60.0, show_default=True, help="Requests per second, open loop.")
@click.option("--secrets", "preload", default=1_000, show_default=True, help="Entries that are there before.")
@click.option("--seed", default=1, show_default=True, help="Seed of the load.")
@click.option("--releases", type=click.Path(path_type=Path), help="The folder of releases (default: of this checkout).")
@click.option(
    "--lay-out",
    "by_hand",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Only write fleet.toml and keymanager.conf into DIR, to do the rest by hand.",
)
@click.option("--keep", is_flag=True, help="Leave the fleet's directory behind, to look at.")
@click.option("--json", "as_json", is_flag=True, help="Print the evidence as one JSON document and nothing else.")
def demo(
    report: Path,
    database: str | None,
    broken: str | None,
    source: str,
    target: str,
    rate: float,
    preload: int,
    seed: int,
    releases: Path | None,
    by_hand: Path | None,
    *,
    keep: bool,
    as_json: bool,
) -> None:
    """Roll a real fleet under load, on this machine, without root.

    Three API processes and two workers of one release of the key manager, 1,000 secrets and 60 requests a second;
    then check, plan, roll to a release over those between, contract; then every acknowledged write is read back and the
    gate says PASS, REFUSE or INCONCLUSIVE.

    \b
    Bad upgrades that the gate must refuse:
      bascule demo --break no-drain            processes end without finishing what they have in hand
      bascule demo --break kill                SIGKILL instead of SIGTERM
      bascule demo --break contract-too-early  old columns are dropped while the old release runs
      bascule demo --break missing-trigger     one sync trigger is missing
      bascule demo --break pin-ignored         the new release speaks its newest while the old one listens

    Exit codes: 0 PASS, 1 REFUSE, 3 INCONCLUSIVE.
    """  # noqa: D301  # \b is click's mark for text that is not rewrapped
    folder = releases or _find_releases()
    if by_hand is not None:
        _prepare_by_hand(by_hand.absolute(), folder, database)
        return
    directory = Path(tempfile.mkdtemp(prefix="bascule-demo-"))
    reporter = choose_reporter(as_json=as_json)
    begins = Release.parse(source)
    rehearsal = Rehearsal(
        target=Release.parse(target),
        workload=folder / target / "workload.toml",
        directory=report.absolute(),
        rate=rate,
        seed=seed,
        preload=preload,
        mutant=pick_mutant(load_mutants(folder / target / "mutants.toml"), broken, begins) if broken else None,
        database=database or _sqlite(directory),
    )
    fleet = _lay_out(directory, folder, rehearsal.database)
    try:
        proof = _run(fleet, begins, rehearsal, reporter, quiet=as_json)
    finally:
        operations.stop_fleet(fleet)
        if keep:
            click.echo(f"the fleet's directory is {directory}", err=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    print_verdict(proof.evidence, report=proof.report, as_json=as_json)
    sys.exit(proof.evidence.exit_code)


def _run(fleet: Fleet, source: Release, rehearsal: Rehearsal, reporter: Reporter, *, quiet: bool) -> Proof:
    if rehearsal.mutant is not None:
        sabotage(fleet, rehearsal.mutant)
    _say(f"installing and starting {source}: 3 API processes and 2 workers", quiet=quiet)
    operations.install(fleet, source, reporter)
    return prove(fleet, rehearsal, reporter, lambda text: _say(text, quiet=quiet))


def _prepare_by_hand(directory: Path, releases: Path, database: str | None) -> None:
    """Write the demo's files for somebody who types the commands. Nothing is started."""
    if (directory / "fleet.toml").exists():
        raise FleetError(
            f"{directory} has a fleet.toml already, and its processes may still run",
            next_command=f"bascule --fleet {directory / 'fleet.toml'} fleet status",
        )
    directory.mkdir(parents=True, exist_ok=True)
    _lay_out(directory, releases, database or _sqlite(directory))
    click.echo(f"export BASCULE_FLEET={directory / 'fleet.toml'}")


def _sqlite(directory: Path) -> str:
    return f"sqlite:///{directory / 'keymanager.sqlite'}"


def _lay_out(directory: Path, releases: Path, database: str) -> Fleet:
    """Write the fleet file and the service's configuration, with a master key of this run only."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = directory / "keymanager.conf"
    config.touch(mode=0o600)
    kek = base64.urlsafe_b64encode(os.urandom(32)).decode()
    config.write_text(SERVICE_CONFIGURATION.format(port=port, database=database, kek=kek))
    fleet_file = directory / "fleet.toml"
    fleet_file.write_text(_FLEET.format(releases=releases.absolute(), config=config, port=port))
    return Fleet.open(FleetConfig.load(fleet_file))


def _find_releases() -> Path:
    """Return the releases of this checkout, or of the current directory."""
    for folder in (Path("releases"), Path(__file__).parents[3] / "releases"):
        if any(folder.glob("*/manifest.json")):
            return folder.absolute()
    raise FleetError(
        "the demo needs the key manager's releases, and none were found here",
        next_command="bascule demo --releases PATH/releases",
    )


def _say(text: str, *, quiet: bool) -> None:
    if not quiet:
        click.echo(f"== {text}", err=True)
