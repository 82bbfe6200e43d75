"""`bascule gate`: judge a measured upgrade, and show its report."""

import json
import sys
from pathlib import Path

import click

from bascule.cli.prove import prove_command
from bascule.cli.verdict import print_verdict
from bascule.documents.codec import from_plain
from bascule.documents.journal import RunDocument
from bascule.documents.status import ServiceStatus
from bascule.errors import DocumentError
from bascule.gate.report import read_evidence, write_report
from bascule.gate.verdict import Limits, judge
from bascule.release import Release

__all__ = ["gate"]

DEFAULTS = Limits()
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.group()
def gate() -> None:
    """Judge upgrades by what clients saw. Exit codes: 0 PASS, 1 REFUSE, 3 INCONCLUSIVE."""


@gate.command("judge")
@click.option("--history", type=FILE, required=True, help="History that the load wrote (JSON lines).")
@click.option("--run", "run_file", type=FILE, required=True, help="Run document: `bascule upgrade status --json`.")
@click.option("--status", "status_files", type=FILE, multiple=True, help="A sample of the service's own status (JSON).")
@click.option("--source", required=True, help="Release the fleet came from.")
@click.option("--target", required=True, help="Release the fleet went to.")
@click.option("--mixed-answers", default=DEFAULTS.mixed_answers, show_default=True, help="Least of each release.")
@click.option("--requests", default=DEFAULTS.requests, show_default=True, help="Least requests of the load.")
@click.option("--rate", default=DEFAULTS.rate_per_s, show_default=True, help="Least requests per second.")
@click.option("--report", "directory", type=DIRECTORY, help="Write report.html and report.json there.")
@click.option("--json", "as_json", is_flag=True, help="Print the evidence document and nothing else.")
def judge_run(
    *,
    history: Path,
    run_file: Path,
    status_files: tuple[Path, ...],
    source: str,
    target: str,
    mixed_answers: int,
    requests: int,
    rate: float,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Judge one measured run: PASS, REFUSE or INCONCLUSIVE, with the reasons."""
    evidence = judge(
        history,
        from_plain(RunDocument, _json(run_file), where=run_file.name),
        [from_plain(ServiceStatus, _json(file), where=file.name) for file in status_files],
        source=Release.parse(source),
        target=Release.parse(target),
        limits=Limits(mixed_answers=mixed_answers, requests=requests, rate_per_s=rate),
    )
    written = write_report(evidence, directory)[0] if directory is not None else None
    print_verdict(evidence, report=written, as_json=as_json)
    sys.exit(evidence.exit_code)


@gate.command("report")
@click.argument("evidence_file", type=FILE, metavar="REPORT.JSON")
@click.option("--to", "directory", type=DIRECTORY, help="Directory for report.html; default: beside REPORT.JSON.")
def show_report(*, evidence_file: Path, directory: Path | None) -> None:
    """Write report.html again from a report.json, and print its verdict."""
    evidence = read_evidence(evidence_file)
    html, _ = write_report(evidence, directory or evidence_file.parent)
    print_verdict(evidence, report=html)


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except ValueError as fault:
        raise DocumentError(f"{path} is not a JSON document: {fault}") from fault


gate.add_command(prove_command)
