"""A release's own upgrade checks: what they say, in words."""

import json

from bascule.fleet.fleet import Fleet
from bascule.fleet.transport import CommandFailed
from bascule.release import Release

__all__ = ["ask_own_checks"]

_WARNINGS = 1


def ask_own_checks(fleet: Fleet, release: Release, *, timeout_s: float) -> tuple[int, str]:
    """Return how many warnings a release's checks have, and what they say in one line.

    Raises CommandFailed, with what is in the way, when a check says that the release cannot take over.
    """
    try:
        done = fleet.command(release, "check", timeout_s=timeout_s, exclusive=False)
    except CommandFailed as failed:
        found = _found(failed.said)
        if failed.returncode != _WARNINGS:
            raise CommandFailed(failed.argv, failed.returncode, "; ".join(_worst(found)) or failed.said) from failed
        return max(1, len(found)), "; ".join(text for _, text in found) or failed.said
    try:
        return 0, f"{len(json.loads(done.stdout)['checks'])} checks passed"
    except (ValueError, KeyError, TypeError):
        return 0, "passed"


def _worst(found: list[tuple[int, str]]) -> list[str]:
    return [text for result, text in found if result > _WARNINGS]


def _found(said: str) -> list[tuple[int, str]]:
    """Return every check that did not pass, of oslo.upgradecheck's JSON; nothing of any other text."""
    try:
        checks = json.loads(said)["checks"]
        return [(each["result"], f"{each['check']}: {each['details']}") for each in checks if each["result"]]
    except (ValueError, KeyError, TypeError):
        return []
