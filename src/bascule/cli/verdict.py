"""How a verdict looks on a terminal."""

import click

from bascule.documents.evidence import Evidence
from bascule.gate.prove import Proof

__all__ = ["exit_code", "print_proof"]

_CODES = {"PASS": 0, "REFUSE": 1, "INCONCLUSIVE": 3}


def exit_code(evidence: Evidence) -> int:
    """Return 0 for PASS, 1 for REFUSE, 3 for INCONCLUSIVE."""
    return _CODES[evidence.verdict]


def print_proof(proof: Proof) -> None:
    """Print the numbers that matter, the verdict with its reasons, and where the report is."""
    evidence = proof.evidence
    mixed = ", ".join(f"{count} by {release}" for release, count in evidence.answers_by_release_while_mixed.items())
    orders = evidence.orders
    rows = [
        ("requests", f"{evidence.requests} at {evidence.load_rate_per_s:.1f}/s, {evidence.failed} failed"),
        ("while mixed", f"{mixed or 'no answers'} in {evidence.mixed_seconds:.1f} s"),
        (
            "writes",
            f"{evidence.lost} lost, {evidence.wrong} wrong, {evidence.resurrected} resurrected, {evidence.stale} stale",
        ),
        ("orders", f"{orders.accepted} accepted, {orders.done} done, {orders.lost} lost, {orders.doubled} done twice"),
        *(
            (f"latency {part.phase}", f"p50 {part.p50_ms:.1f} ms, p99 {part.p99_ms:.1f} ms")
            for part in evidence.latency
        ),
    ]
    for name, text in rows:
        click.echo(f"{name:<18} {text}")
    colour = {"PASS": "green", "REFUSE": "red", "INCONCLUSIVE": "yellow"}[evidence.verdict]
    click.secho(f"\n{evidence.verdict}: {evidence.source} -> {evidence.target}", fg=colour, bold=True)
    for reason in evidence.reasons:
        click.echo(f"  {reason.code}: {reason.sentence}")
    click.echo(f"report: {proof.report}")
