"""What the command `lint` prints: findings per file, as lines or as one JSON document."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import click

from bascule.errors import BasculeError
from bascule.schema.lint.findings import DATABASES, Finding, Phase
from bascule.schema.lint.paths import lint_path

__all__ = ["run_lint"]

_Findings = Mapping[Path, tuple[Finding, ...]]


def run_lint(path: str, database: str, phase: str | None, *, as_json: bool) -> None:
    """Print the findings and end with 0, or with 1 where something is refused or cannot be read."""
    of = next(known for known in DATABASES if known == database)
    at = next((known for known in get_args(Phase) if known == phase), None)
    try:
        found = lint_path(Path(path), of, phase=at)
    except BasculeError as error:
        click.echo(f"Error: {error.sentence}", err=True)
        raise SystemExit(1) from error
    if as_json:
        click.echo(json.dumps({"database": database, "findings": _plain(found), "format": 1}))
    else:
        _print(found)
    if any(one.severity == "refuse" for findings in found.values() for one in findings):
        raise SystemExit(1)


def _plain(found: _Findings) -> list[dict[str, object]]:
    return [{"file": str(path), **dataclasses.asdict(one)} for path, findings in found.items() for one in findings]


def _print(found: _Findings) -> None:
    for path, findings in found.items():
        for one in findings:
            because = f" (allowed: {one.allowed})" if one.allowed else ""
            click.echo(f"{path}: {one.severity} {one.code}{because}: {one.statement}")
            click.echo(f"    {one.happens}\n    instead ({one.phase}): {one.safe}")
    everything = [one for findings in found.values() for one in findings]
    refused = sum(one.severity == "refuse" for one in everything)
    click.echo(f"{len(found)} files, {refused} refused, {len(everything) - refused} warnings", err=True)
