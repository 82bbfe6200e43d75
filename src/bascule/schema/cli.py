"""The command line of a service's schema: `schema_cli(make_engine)` is the whole of `<service>-db-manage`.

    <service>-db-manage expand | migrate | contract | rollback | verify | status   [--json]
    <service>-db-manage --expand | --migrate | --contract                          [--json]
    <service>-db-manage lint PATH|- --database postgresql [--phase expand]         [--json]

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 stopped at the edge of a batch (the same command goes on).
"""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Self

import click

from bascule.documents.codec import to_plain
from bascule.documents.status import ChangeStatus
from bascule.errors import BasculeError
from bascule.schema.backfill import Progress
from bascule.schema.engine import SchemaEngine
from bascule.schema.refusals import Stopped
from bascule.schema.rows import Prefer

__all__ = ["schema_cli"]

MakeEngine = Callable[[], SchemaEngine]
Statuses = tuple[ChangeStatus, ...]

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document with every change.")
_REPORT_EVERY_S = 1.0


def schema_cli(make_engine: MakeEngine) -> click.Group:
    """Return the command group; `make_engine` is called once a command is known, and may raise BasculeError."""

    @click.group(invoke_without_command=True)
    @click.option("--expand", "phases", flag_value="expand", multiple=True, help="Same as the command expand.")
    @click.option("--migrate", "phases", flag_value="migrate", multiple=True, help="Same as the command migrate.")
    @click.option("--contract", "phases", flag_value="contract", multiple=True, help="Same as the command contract.")
    @_JSON
    @click.pass_context
    def db_manage(context: click.Context, phases: Sequence[str], as_json: bool) -> None:
        """Change the database's schema while the service runs: expand, migrate, contract, or roll back."""
        given = [*phases, *([context.invoked_subcommand] if context.invoked_subcommand else [])]
        if len(given) != 1:
            raise click.UsageError("give exactly one of: expand, migrate, contract, rollback, verify, status, lint")
        if not context.invoked_subcommand:
            context.invoke(db_manage.commands[phases[0]], as_json=as_json)

    _add_commands(db_manage, make_engine)
    _add_lint(db_manage)
    return db_manage


def _add_commands(group: click.Group, make_engine: MakeEngine) -> None:
    @group.command()
    @_JSON
    def expand(as_json: bool) -> None:
        """Add columns and sync triggers; the running release does not notice."""
        _run(as_json, lambda: make_engine().expand())

    @group.command()
    @click.option(
        "--prefer",
        type=click.Choice(["old", "new"]),
        help="Where both sides hold values and disagree, overwrite the other side with this one.",
    )
    @_JSON
    def migrate(as_json: bool, prefer: Prefer | None = None) -> None:
        """Fill the new columns of old rows in small batches, and prove that no row was missed."""
        with _interruptible() as should_stop, _Meter() as meter:
            _run(as_json, lambda: make_engine().migrate(meter, should_stop=should_stop, prefer=prefer))

    @group.command()
    @_JSON
    def contract(as_json: bool) -> None:
        """Remove triggers and old columns. There is no way back from here."""
        _run(as_json, lambda: make_engine().contract())

    @group.command()
    @click.option("--accept-loss", is_flag=True, help="Roll back although some rows exist in the new columns only.")
    @_JSON
    def rollback(as_json: bool, accept_loss: bool) -> None:
        """Remove triggers and new columns; what was written is kept in the old ones."""
        _run(as_json, lambda: make_engine().rollback(accept_loss=accept_loss))

    @group.command()
    @_JSON
    def verify(as_json: bool) -> None:
        """Look at triggers, columns and every row; fails when something is not as it must be."""
        with _Meter() as meter:
            _run(as_json, lambda: make_engine().verify(meter))

    @group.command()
    @_JSON
    def status(as_json: bool) -> None:
        """Print the phase and the rows of every change; changes nothing."""
        _run(as_json, lambda: make_engine().status())


def _add_lint(group: click.Group) -> None:
    @group.command()
    @click.argument("path", type=click.Path(exists=True, allow_dash=True))
    @click.option("--database", required=True, type=click.Choice(["postgresql", "mysql", "mariadb", "sqlite"]))
    @click.option(
        "--phase", type=click.Choice(["expand", "migrate", "contract"]), help="The phase that it is to run in."
    )
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document with every finding.")
    def lint(path: str, database: str, phase: str | None, as_json: bool) -> None:
        """Judge SQL, an Alembic revision, or a directory of revisions, before they ship; code 1 refuses."""
        from bascule.schema.lint.command import run_lint  # noqa: PLC0415  # the other commands load no linter

        run_lint(path, database, phase, as_json=as_json or click.get_current_context().find_root().params["as_json"])


def _run(as_json: bool, work: Callable[[], Statuses]) -> None:
    """Run one phase, print its result, and end with the exit code."""
    try:
        statuses = work()
    except BasculeError as error:
        click.echo(_last_line(error), err=True)
        raise SystemExit(3 if isinstance(error, Stopped) else 1) from error
    if as_json or click.get_current_context().find_root().params.get("as_json"):
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
def _interruptible() -> Iterator[Callable[[], bool]]:
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


class _Meter:
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
        now, activity = time.monotonic(), f"{progress.activity} {progress.change}"
        if activity == self.activity and now - self.told_at < _REPORT_EVERY_S and progress.done < progress.total:
            return
        if self.alive and self.activity and activity != self.activity:
            click.echo(err=True)
        self.told_at, self.activity = now, activity
        left = "" if progress.eta_s is None else f", {progress.eta_s:.0f} s left"
        stale = f", {progress.stale} stale" if progress.activity == "verify" else ""
        line = f"{activity}: {progress.done} of {progress.total} rows{stale}{left}"
        click.echo(f"\r\x1b[K{line}" if self.alive else line, nl=not self.alive, err=True)
