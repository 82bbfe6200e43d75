"""Upgrade checks: what must be true before an upgrade, asked of the service as it stands."""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bascule.errors import BasculeError

__all__ = ["Check", "Code", "Outcome", "failure", "run_checks", "success", "warning", "worst"]


class Code(enum.IntEnum):
    """How a check came out; the worst of all is the exit code."""

    SUCCESS = 0
    WARNING = 1
    FAILURE = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check as it came out; `details` say what to do when it is not a success."""

    name: str
    code: Code
    details: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A named question; `ask` returns its code and details."""

    name: str
    ask: Callable[[], tuple[Code, str]]


def success(details: str = "") -> tuple[Code, str]:
    """Answer that nothing stands in the way."""
    return Code.SUCCESS, details


def warning(details: str) -> tuple[Code, str]:
    """Answer that somebody should look, and that the upgrade may go on."""
    return Code.WARNING, details


def failure(details: str) -> tuple[Code, str]:
    """Answer that the upgrade must not go on."""
    return Code.FAILURE, details


def run_checks(checks: Iterable[Check]) -> tuple[Outcome, ...]:
    """Ask every check, also after one failed. A BasculeError is a failure; a bug is not caught.

    A check that cannot tell must fail: it is asked because somebody is about to upgrade.
    """
    return tuple(_outcome(check) for check in checks)


def worst(outcomes: Iterable[Outcome]) -> Code:
    """Return the worst code; without any outcome, success."""
    return max((outcome.code for outcome in outcomes), default=Code.SUCCESS)


def _outcome(check: Check) -> Outcome:
    try:
        code, details = check.ask()
    except BasculeError as error:
        command = f"; next: {error.next_command}" if error.next_command else ""
        code, details = Code.FAILURE, error.sentence + command
    return Outcome(check.name, Code(code), details)
