"""bascule gate prove: upgrade the fleet of --fleet under load, and judge it."""

import sys
from pathlib import Path

import click

from bascule.cli.opening import as_json_option, open_fleet
from bascule.cli.progress import choose_reporter
from bascule.cli.verdict import print_verdict
from bascule.errors import GateError
from bascule.fleet.fleet import Fleet
from bascule.gate.prove import Rehearsal, prove
from bascule.gate.verdict import Limits
from bascule.release import Release

__all__ = ["prove_command"]


@click.command("prove")
@click.option("--to", "target", required=True, metavar="RELEASE", help="The release to go to.")
@click.option(
    "--report", type=click.Path(path_type=Path), default=Path("gate-report"), show_default=True, help="Where it goes."
)
@click.option("--workload", type=click.Path(path_type=Path), help="The load (default: that of the release or recipe).")
@click.option("--rate", default=60.0, show_default=True, help="Requests per second, open loop.")
@click.option("--preload", default=1_000, show_default=True, help="Entries written before the load begins.")
@click.option("--baseline", default=10.0, show_default=True, help="Seconds of normal operation before the upgrade.")
@click.option("--tail", default=10.0, show_default=True, help="Seconds of normal operation after it.")
@click.option("--seed", default=1, show_default=True, help="Seed of the load.")
@click.option("--least-mixed", default=500, show_default=True, help="Answers of each release while mixed, at least.")
@click.option("--least-requests", default=3_000, show_default=True, help="Requests in all, at least.")
@click.option("--least-rate", default=50.0, show_default=True, help="Requests per second, at least.")
@as_json_option
@click.pass_context
def prove_command(
    context: click.Context,
    target: str,
    report: Path,
    workload: Path | None,
    rate: float,
    preload: int,
    baseline: float,
    tail: float,
    seed: int,
    least_mixed: int,
    least_requests: int,
    least_rate: float,
    *,
    as_json: bool,
) -> None:
    """Upgrade the fleet under load, read every acknowledged write back, and say what it is worth.

    The fleet must run one release. It is left as the upgrade left it: at the new release when that came to its end.

    Exit codes: 0 PASS, 1 REFUSE, 3 INCONCLUSIVE.
    """
    fleet = open_fleet(context)
    release = fleet.releases.get(target).release
    rehearsal = Rehearsal(
        target=release,
        workload=workload or _workload(fleet, release),
        directory=report.absolute(),
        rate=rate,
        seed=seed,
        preload=preload,
        baseline_s=baseline,
        tail_s=tail,
        limits=Limits(mixed_answers=least_mixed, requests=least_requests, rate_per_s=least_rate),
    )

    def say(text: str) -> None:
        if not as_json:
            click.echo(f"== {text}", err=True)

    proof = prove(fleet, rehearsal, choose_reporter(as_json=as_json), say)
    print_verdict(proof.evidence, report=proof.report, as_json=as_json)
    sys.exit(proof.evidence.exit_code)


def _workload(fleet: Fleet, release: Release) -> Path:
    folder = fleet.releases.get(release)
    if folder.manifest.workload:
        return folder.path / folder.manifest.workload.file
    beside = fleet.recipe(release).path.parent / "workload.toml"
    if not beside.exists():
        raise GateError(
            f"neither release {release} nor its recipe says which load to offer",
            next_command=f"bascule gate prove --to {release} --workload FILE",
        )
    return beside
