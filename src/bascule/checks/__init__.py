"""Upgrade checks: what must be true before an upgrade."""

from bascule.checks.check import Check, Code, Outcome, failure, run_checks, success, warning, worst
from bascule.checks.command import status_command

__all__ = ["Check", "Code", "Outcome", "failure", "run_checks", "status_command", "success", "warning", "worst"]
