"""How a run looks: a live line in a terminal, plain lines in a pipe, nothing beside one document with --json."""

import sys
import time

import click

from bascule.documents.plan import Step
from bascule.fleet.engine import Reporter, Silent

__all__ = ["PlainReporter", "RichReporter", "choose_reporter"]

_REPEAT_S = 5.0


def choose_reporter(*, as_json: bool) -> Reporter:
    """Return the reporter for where we print to."""
    if as_json:
        return Silent()
    return RichReporter() if sys.stderr.isatty() else PlainReporter()


class PlainReporter:
    """One line when a step begins, one when it ends, and now and then one in between."""

    def __init__(self) -> None:
        self._said_at = 0.0
        self._said = ""

    def began(self, step: Step, number: int, total: int, *, undoing: bool) -> None:
        """Print what is done and how long it is expected to take."""
        verb = "undo " if undoing else ""
        click.echo(f"[{number:>2}/{total}] {verb}{step.title} (about {_seconds(step.estimate.p50_s)})", err=True)
        self._said_at = time.monotonic()

    def progressed(self, step: Step, text: str) -> None:  # noqa: ARG002
        """Print progress each few seconds, and warnings at once."""
        warning = text.startswith("warning")
        if text != self._said and (warning or time.monotonic() - self._said_at > _REPEAT_S):
            click.echo(f"        {text}", err=True)
            self._said_at, self._said = time.monotonic(), text

    def ended(self, step: Step, seconds: float, *, how: str) -> None:  # noqa: ARG002
        """Print how it ended."""
        click.echo(f"        {how} in {_seconds(seconds)}", err=True)


class RichReporter:
    """A spinner with the step in hand; done steps stay as lines."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415  # rich costs start-up time that pipes need not pay

        self._console = Console(stderr=True)
        self._status = self._console.status("")
        self._line = ""

    def began(self, step: Step, number: int, total: int, *, undoing: bool) -> None:
        """Show what is done and how long it is expected to take."""
        verb = "undo " if undoing else ""
        self._line = f"[{number:>2}/{total}] {verb}{step.title}"
        self._status.update(f"{_plain(self._line)} [dim]about {_seconds(step.estimate.p50_s)}[/]")
        self._status.start()

    def progressed(self, step: Step, text: str) -> None:  # noqa: ARG002
        """Show progress behind the step."""
        if text.startswith("warning"):
            self._console.print(f"[yellow]{_plain(text)}[/]")
        self._status.update(f"{_plain(self._line)} [dim]{_plain(text)}[/]")

    def ended(self, step: Step, seconds: float, *, how: str) -> None:  # noqa: ARG002
        """Leave a line behind."""
        self._status.stop()
        mark, colour = ("x", "red") if how == "failed" else ("ok", "green")
        self._console.print(f"[{colour}]{mark:>2}[/] {_plain(self._line)} [dim]{how} in {_seconds(seconds)}[/]")


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _seconds(value: float) -> str:
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"
