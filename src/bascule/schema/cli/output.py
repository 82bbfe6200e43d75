"""How a command runs, is stopped, and tells what it did: results on stdout, talk on stderr."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Self, TypeVar

import click

from bascule.documents.codec import to_plain
from bascule.documents.status import ChangeStatus
from bascule.errors import BasculeError
from bascule.schema.march import Progress
from bascule.schema.refusals import Stopped

__all__ = ["Meter", "attempt", "interruptible", "print_statuses", "wants_json"]

T = TypeVar("T")
_REPORT_EVERY_S = 1.0


def wants_json(as_json: bool) -> bool:
    """Whether --json was given, before the command or after it."""
    return as_json or bool(click.get_current_context().find_root().params.get("as_json"))


def attempt(work: Callable[[], T], *, codes: Mapping[type[BasculeError], int] | None = None) -> T:
    """Do some work; a refusal ends the program with one line on stderr and its exit code: 1, or 3 when stopped."""
    try:
        return work()
    except BasculeError as error:
        click.echo(_last_line(error), err=True)
        known: dict[type[BasculeError], int] = {Stopped: 3, **(codes or {})}
        raise SystemExit(next((code for kind, code in known.items() if isinstance(error, kind)), 1)) from error


def print_statuses(statuses: Sequence[ChangeStatus], *, as_json: bool) -> None:
    """Print the phase and the rows of every change."""
    if wants_json(as_json):
        click.echo(json.dumps({"changes": [to_plain(status) for status in statuses]}))
        return
    for status in statuses:
        click.echo(
            f"{status.id} ({status.release}, {status.table}): {status.phase}, "
            f"{status.rows_done} of {status.rows_total} rows, {status.rows_stale} stale"
        )
    if not statuses:
        click.echo("no changes")


def _last_line(error: BasculeError) -> str:
    """Return one line: what is the matter, and what to type next."""
    program = click.get_current_context().find_root().info_name or "db-manage"
    verb = error.next_command
    return f"Error: {error.sentence}" + (f"; next: {program} {verb}" if verb else "")


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a wish that is read at the edge of a batch; only the main thread can."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Meter:
    """Tells progress on stderr: one living line on a terminal, else a line per second and activity."""

    def __init__(self) -> None:
        self.alive = sys.stderr.isatty()
        self.told_at, self.activity = 0.0, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.alive and self.activity:
            click.echo(err=True)

    def __call__(self, progress: Progress) -> None:
        """Tell, if it is time to."""
        now, activity = time.monotonic(), f"{progress.activity} {progress.change}"
        if activity == self.activity and now - self.told_at < _REPORT_EVERY_S and progress.done < progress.total:
            return
        if self.alive and self.activity and activity != self.activity:
            click.echo(err=True)
        self.told_at, self.activity = now, activity
        left = "" if progress.eta_s is None else f", {progress.eta_s:.0f} s left"
        stale = f", {progress.stale} stale" if progress.activity == "verify" else ""
        waiting = f", waiting for {progress.waiting_for}" if progress.waiting_for else ""
        line = f"{activity}: {progress.done} of {progress.total} rows{stale}{left}{waiting}"
        click.echo(f"\r\x1b[K{line}" if self.alive else line, nl=not self.alive, err=True)
