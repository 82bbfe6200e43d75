"""The report: report.html for people, one file without anything external, and report.json for programs."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import jinja2

from bascule.documents.codec import from_plain, to_plain
from bascule.documents.evidence import Evidence
from bascule.errors import GateError
from bascule.gate.charts import build_chart

__all__ = ["EvidenceUnreadable", "ReportUnwritable", "read_evidence", "render_report", "write_report"]


class EvidenceUnreadable(GateError):
    """A report.json cannot be read."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(f"evidence {path} cannot be read: {why}", next_command="bascule gate judge --help")


class ReportUnwritable(GateError):
    """The report cannot be written where it was asked for."""

    def __init__(self, directory: Path, why: str) -> None:
        self.directory = directory
        super().__init__(f"the report cannot be written to {directory}: {why}", next_command="choose another --report")


def write_report(evidence: Evidence, directory: Path) -> tuple[Path, Path]:
    """Write report.html and report.json; return their paths. Earlier ones are replaced, each at once.

    Raises ReportUnwritable.
    """
    html, plain = directory / "report.html", directory / "report.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _replace(plain, json.dumps(to_plain(evidence), indent=2, ensure_ascii=False) + "\n")
        _replace(html, render_report(evidence))
    except OSError as fault:
        raise ReportUnwritable(directory, fault.strerror or str(fault)) from fault
    return html, plain


def read_evidence(path: Path) -> Evidence:
    """Return the evidence of a report.json. Raises EvidenceUnreadable or DocumentError."""
    try:
        plain = json.loads(path.read_text())
    except (OSError, ValueError) as fault:
        raise EvidenceUnreadable(path, str(fault)) from fault
    return from_plain(Evidence, plain, where=path.name)


def render_report(evidence: Evidence) -> str:
    """Return the whole page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bascule.gate"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    environment.filters["seconds"] = _seconds
    environment.filters["moment"] = lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    template = environment.get_template("report.html")
    overall = next((each for each in evidence.latency if each.phase == "all"), None)
    return template.render(evidence=evidence, chart=build_chart(evidence), overall=overall)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _replace(path: Path, text: str) -> None:
    """Write a file at once: a reader sees the old one or the whole new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
