"""How a verdict looks on a terminal."""

import json
from pathlib import Path

import click

from bascule.documents.codec import to_plain
from bascule.documents.evidence import Evidence

__all__ = ["print_verdict"]


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
