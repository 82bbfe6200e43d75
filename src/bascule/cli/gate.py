"""`bascule gate`: judge a measured upgrade, and show its report."""

import json
import sys
from pathlib import Path

import click

from bascule.documents.codec import from_plain, to_plain
from bascule.documents.evidence import Evidence
from bascule.documents.journal import RunDocument
from bascule.documents.status import ServiceStatus
from bascule.errors import BasculeError, DocumentError
from bascule.gate.report import read_evidence, write_report
from bascule.gate.verdict import Limits, judge
from bascule.release import Release

__all__ = ["gate", "print_verdict"]

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
    try:
        evidence = judge(
            history,
            from_plain(RunDocument, _json(run_file), where=run_file.name),
            [from_plain(ServiceStatus, _json(file), where=file.name) for file in status_files],
            source=Release.parse(source),
            target=Release.parse(target),
            limits=Limits(mixed_answers=mixed_answers, requests=requests, rate_per_s=rate),
        )
        written = write_report(evidence, directory)[0] if directory is not None else None
    except BasculeError as refused:
        raise _said(refused) from refused
    print_verdict(evidence, report=written, as_json=as_json)
    sys.exit(evidence.exit_code)


@gate.command("report")
@click.argument("evidence_file", type=FILE, metavar="REPORT.JSON")
@click.option("--to", "directory", type=DIRECTORY, help="Directory for report.html; default: beside REPORT.JSON.")
def show_report(*, evidence_file: Path, directory: Path | None) -> None:
    """Write report.html again from a report.json, and print its verdict."""
    try:
        evidence = read_evidence(evidence_file)
        html, _ = write_report(evidence, directory or evidence_file.parent)
    except BasculeError as refused:
        raise _said(refused) from refused
    print_verdict(evidence, report=html)


def print_verdict(evidence: Evidence, *, report: Path | None = None, as_json: bool = False) -> None:
    """Print the verdict with its reasons and the numbers that people ask for first; with `as_json` the document."""
    if as_json:
        click.echo(json.dumps(to_plain(evidence), indent=2, ensure_ascii=False))
        return
    colour = {"PASS": "green", "REFUSE": "red", "INCONCLUSIVE": "yellow"}[evidence.verdict]
    heading = click.style(evidence.verdict, fg=colour, bold=True)
    click.echo(f"{heading}  {evidence.service} {evidence.source} -> {evidence.target}")
    for reason in evidence.reasons:
        click.echo(f"  - {reason.sentence} [{reason.code}]")
    mixed = ", ".join(f"{count} by {release}" for release, count in evidence.answers_by_release_while_mixed.items())
    overall = next((part for part in evidence.latency if part.phase == "all"), None)
    click.echo(
        f"  {evidence.requests} requests at {evidence.load_rate_per_s:.1f}/s: {evidence.failed} failed, "
        f"{evidence.lost} lost, {evidence.wrong} wrong, {evidence.resurrected} resurrected, {evidence.stale} stale"
    )
    click.echo(
        f"  orders: {evidence.orders.done} of {evidence.orders.accepted} done, {evidence.orders.lost} lost, "
        f"{evidence.orders.doubled} doubled"
    )
    click.echo(f"  mixed for {evidence.mixed_seconds:.1f} s, answers: {mixed or 'none'}")
    if overall is not None:
        click.echo(f"  latency p50 {overall.p50_ms:.1f} ms, p99 {overall.p99_ms:.1f} ms, max {overall.max_ms:.0f} ms")
    if report is not None:
        click.echo(f"  report: {report}")


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except ValueError as fault:
        raise DocumentError(f"{path} is not a JSON document: {fault}") from fault


def _said(refused: BasculeError) -> click.ClickException:
    """Return the refusal as click prints it: one sentence, and the next command."""
    follow = f"\nNext: {refused.next_command}" if refused.next_command else ""
    return click.ClickException(f"{refused.sentence}{follow}")
