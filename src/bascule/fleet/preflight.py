"""What is looked at before anything is changed: findings with the command that heals each."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bascule.documents.codec import to_plain
from bascule.documents.facts import Facts
from bascule.errors import BasculeError, PlanRefused
from bascule.fleet.fleet import Fleet
from bascule.fleet.own_checks import ask_own_checks
from bascule.release import Release

__all__ = ["Finding", "preflight", "refuse_on_findings"]

_LEAST_FREE_BYTES = 200 * 1024 * 1024
_LEAST_STATE_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: passed, warning or failed, what was seen, and what to type."""

    name: str
    result: str
    seen: str
    next_command: str | None = None


def preflight(fleet: Fleet, target: Release, observe: Callable[[], Facts] | None = None) -> list[Finding]:
    """Look at everything that an upgrade to `target` needs. Changes nothing; never raises BasculeError.

    `observe` looks at the fleet in the place of `fleet.observe`, for a caller that wants to know what was seen.
    """
    return list(_findings(fleet, target, observe or fleet.observe))


def refuse_on_findings(findings: list[Finding]) -> None:
    """Raise PlanRefused for the first finding that failed."""
    for finding in findings:
        if finding.result == "failed":
            raise PlanRefused(finding.seen, next_command=finding.next_command)


def _findings(fleet: Fleet, target: Release, observe: Callable[[], Facts]) -> Iterator[Finding]:
    yield _attempt("state", lambda: _room_for_state(fleet.config.state))
    reached = True
    for node in fleet.nodes.values():
        try:
            free = node.transport.reach(node.directory)
        except BasculeError as error:
            reached = False
            yield Finding(f"node {node.name}", "failed", error.sentence, error.next_command)
            continue
        if free < _LEAST_FREE_BYTES:
            yield Finding(
                f"disk of {node.name}",
                "failed",
                f"node {node.name} has {free // 1024} KiB free in {node.directory}, and a release needs"
                f" {_LEAST_FREE_BYTES // 1024**2} MiB; nothing was changed",
                f"df {node.directory}",
            )
        else:
            yield Finding(f"node {node.name}", "passed", f"reachable, {free // 1024**2} MiB free")
    yield _attempt("release", lambda: _files(fleet, target))
    if not reached:
        return
    yield _attempt("fleet", lambda: _running(observe()))
    if fleet.first_node.artefacts.is_staged(fleet.releases.get(target)) and fleet.has_command(target, "check"):
        yield _attempt("service", lambda: _own_checks(fleet, target))
    elif fleet.has_command(target, "check"):
        yield Finding("service", "passed", f"{target} is not staged yet; its own checks run after the stage step")


def _attempt(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "passed", look())
    except BasculeError as error:
        return Finding(name, "failed", error.sentence, error.next_command)


def _room_for_state(directory: Path) -> str:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(directory).free
    except OSError as broken:
        raise PlanRefused(
            f"the state directory {directory} cannot be used: {broken.strerror}; nothing was changed",
            next_command="set state in the [fleet] section of fleet.toml",
        ) from broken
    if free < _LEAST_STATE_BYTES:
        raise PlanRefused(
            f"the state directory {directory} has {free // 1024} KiB free, and the journal needs"
            f" {_LEAST_STATE_BYTES // 1024**2} MiB; nothing was changed",
            next_command=f"df {directory}",
        )
    return f"{directory} has {free // 1024**2} MiB free"


def _files(fleet: Fleet, target: Release) -> str:
    folder = fleet.releases.get(target)
    folder.verify_files()
    return f"{target}: {len(folder.wheels)} wheels and the lock match their sha256"


def _running(facts: Facts) -> str:
    running = ", ".join(map(str, facts.releases())) or "nothing"
    return f"{len(facts.instances)} instances of {running}, pin {facts.pin or 'unknown'}"


def _own_checks(fleet: Fleet, target: Release) -> str:
    warnings, said = ask_own_checks(fleet, target, timeout_s=120.0)
    return f"{target} says that it can take over{f', and warns: {said}' if warnings else ''}"


def as_document(findings: list[Finding]) -> dict[str, object]:
    """Return the findings as plain data."""
    return {"format": 1, "findings": to_plain(findings)}
