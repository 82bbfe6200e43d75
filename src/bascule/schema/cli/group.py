"""The command line of a service's schema: `schema_cli(make_engine)` is the whole of `<service>-db-manage`.

    <service>-db-manage plan [--sql]                    what would be done: statements, locks, cost, way back
    <service>-db-manage expand | migrate | fence | contract | purge | rollback | verify | status | history  [--json]
    <service>-db-manage online_data_migrations [--max-count N]
    <service>-db-manage --expand | --migrate | --contract                                                   [--json]
    <service>-db-manage lint PATH|- --database postgresql [--phase expand]                                  [--json]

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 stopped at the edge of a batch (the same command goes on).
`status` tells what is next: 0 nothing, 3 expand, 4 migrate, 5 contract. `online_data_migrations`: 0 finished, 1 more to
do, 2 failed without progress, 3 rows are blocked until somebody mends them, 127 wrong usage.
"""

import datetime as dt
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import click

from bascule.documents.status import ChangeStatus
from bascule.errors import BasculeError, ReleaseError
from bascule.release import Release
from bascule.schema.cli.output import Meter, attempt, interruptible, print_statuses, wants_json
from bascule.schema.derive import Fence
from bascule.schema.engine import SchemaEngine
from bascule.schema.pace import PaceName
from bascule.schema.rows import Prefer
from bascule.schema.state import Phase
from bascule.schema.throttle import Probe, ReplicaLag, Throttle

__all__ = ["schema_cli"]

MakeEngine = Callable[[], SchemaEngine]

_ALL = 2**62
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
_VERBS = (
    "plan, expand, migrate, online_data_migrations, fence, contract, purge, rollback, verify, status, history, lint"
)


def schema_cli(make_engine: MakeEngine) -> click.Group:
    """Return the command group; `make_engine` is called once a command is known, and may raise BasculeError."""

    @click.group(invoke_without_command=True)
    @click.option("--expand", "phases", flag_value="expand", multiple=True, help="Same as the command expand.")
    @click.option("--migrate", "phases", flag_value="migrate", multiple=True, help="Same as the command migrate.")
    @click.option("--contract", "phases", flag_value="contract", multiple=True, help="Same as the command contract.")
    @_JSON
    @click.pass_context
    def db_manage(context: click.Context, phases: Sequence[str], as_json: bool) -> None:
        """Change the database's schema while the service runs.

        In this order: plan, expand, migrate; then roll the fleet to the new release; then contract. A release later,
        or when nobody wants to go back any more: purge. Until purge, rollback leads back from everywhere.
        """
        given = [*phases, *([context.invoked_subcommand] if context.invoked_subcommand else [])]
        if len(given) != 1:
            raise click.UsageError(f"give exactly one of: {_VERBS}")
        if not context.invoked_subcommand:
            context.invoke(db_manage.commands[phases[0]], as_json=as_json)

    for add in (_add_looking, _add_forward, _add_migrating, _add_online, _add_ending, _add_lint):
        add(db_manage, make_engine)
    return db_manage


def _add_looking(group: click.Group, make_engine: MakeEngine) -> None:
    @group.command()
    @click.option("--sql", "as_sql", is_flag=True, help="Print it as an SQL script for review.")
    @_JSON
    def plan(as_sql: bool, as_json: bool) -> None:
        """Print every statement that is left to run, with its lock, its cost and its undo; changes nothing."""
        from bascule.schema import plan_text  # noqa: PLC0415 # the other commands print no plan

        found = attempt(lambda: make_engine().plan())
        if wants_json(as_json):
            click.echo(json.dumps(asdict(found)))
        else:
            click.echo(plan_text.as_sql(found) if as_sql else plan_text.as_text(found))

    @group.command()
    @_JSON
    def status(as_json: bool) -> None:
        """Print the phase and the rows of every change; the exit code tells what is next. Changes nothing."""
        engine = attempt(make_engine)
        statuses = attempt(engine.status)
        print_statuses(statuses, as_json=as_json)
        own = {change.id for change in engine.changes}
        sys.exit(_next_code([status for status in statuses if status.id in own]))

    @group.command()
    @_JSON
    def history(as_json: bool) -> None:
        """Print every statement that was ever run, when, and whether it ended; changes nothing."""
        entries = attempt(lambda: make_engine().history())
        if wants_json(as_json):
            click.echo(json.dumps({"statements": [asdict(entry) for entry in entries]}))
            return
        for entry in entries:
            began = dt.datetime.fromtimestamp(entry.started, dt.UTC).isoformat(timespec="seconds")
            took = "was cut off" if entry.finished is None else f"{(entry.finished - entry.started) * 1000:.0f} ms"
            click.echo(f"{began} {entry.change} {entry.phase} {took}: {entry.statement}")

    @group.command()
    @_JSON
    def verify(as_json: bool) -> None:
        """Look at triggers, columns and every row; fails when something is not as it must be."""
        with Meter() as meter:
            print_statuses(attempt(lambda: make_engine().verify(meter)), as_json=as_json)


def _next_code(statuses: Sequence[ChangeStatus]) -> int:
    phases = {status.phase for status in statuses}
    if phases & {*Phase.UNTOUCHED, Phase.EXPANDING, Phase.ROLLING_BACK}:
        return 3
    if phases & {Phase.EXPANDED, Phase.BACKFILLING, Phase.RESTORING}:
        return 4
    return 5 if phases & {Phase.SYNCED, Phase.FENCED, Phase.CONTRACTING} else 0


def _add_forward(group: click.Group, make_engine: MakeEngine) -> None:
    @group.command()
    @_JSON
    def expand(as_json: bool) -> None:
        """Add what both releases can live with, kept in step by triggers; the running release does not notice."""
        print_statuses(attempt(lambda: make_engine().expand()), as_json=as_json)

    @group.command()
    @click.option("--refuse", is_flag=True, help="Have writes of the old release fail, instead of counting them.")
    @_JSON
    def fence(refuse: bool, as_json: bool) -> None:
        """Have every write in the old release's shape counted; contract refuses once there was one."""
        mode: Fence = "refuse" if refuse else "count"
        print_statuses(attempt(lambda: make_engine().fence(mode)), as_json=as_json)

    @group.command()
    @_JSON
    def contract(as_json: bool) -> None:
        """End the old release's part; its columns stay, so that rollback can put it back until purge."""
        print_statuses(attempt(lambda: make_engine().contract()), as_json=as_json)

    @group.command()
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @_JSON
    def purge(yes: bool, as_json: bool) -> None:
        """Remove for good what only the old release needed. There is no way back from here."""
        engine = attempt(make_engine)
        if not yes:
            _ask([phase.note for phase in attempt(engine.plan).phases if phase.phase == "purge" and phase.note])
        print_statuses(attempt(engine.purge), as_json=as_json)


def _ask(what: Sequence[str]) -> None:
    for line in what:
        click.echo(line, err=True)
    if not sys.stdin.isatty():
        raise click.UsageError("purge asks before it removes anything; without a terminal, say --yes")
    click.confirm("Remove it?", abort=True, err=True)


def _add_migrating(group: click.Group, make_engine: MakeEngine) -> None:
    @group.command()
    @click.option(
        "--prefer",
        type=click.Choice(["old", "new"]),
        help="Where both sides hold values and disagree, overwrite the other side with this one.",
    )
    @click.option(
        "--pace",
        type=click.Choice(["fast", "gentle", "off-hours"]),
        help="How much of the database's time it takes; gentle when users must not notice at all.",
    )
    @click.option(
        "--in-place", is_flag=True, help="Fill rows where they are, also where a copy of the table is faster."
    )
    @click.option("--probe", help="A command that is run once a second; while it fails, the backfill waits.")
    @click.option("--probe-limit", type=float, help="The highest number that the probe may print last.")
    @click.option("--max-lag", type=float, help="Wait while a replica of PostgreSQL is this many seconds behind.")
    @_JSON
    def migrate(
        as_json: bool,
        prefer: Prefer | None = None,
        pace: PaceName | None = None,
        in_place: bool = False,
        probe: str | None = None,
        probe_limit: float | None = None,
        max_lag: float | None = None,
    ) -> None:
        """Make old rows right in small batches, and prove that no row was missed.

        On MariaDB, a table of 100,000 rows or more is filled by a copy that takes its place; `plan` says where.

        Ctrl-C stops it at the edge of a batch; the same command goes on from there.
        """
        throttles: list[Throttle] = [ReplicaLag(max_lag)] if max_lag is not None else []
        if probe is not None:
            line, limit = probe, probe_limit
            throttles.append(attempt(lambda: Probe.parse(line, limit=limit)))
        elif probe_limit is not None:
            raise click.UsageError("--probe-limit needs a --probe whose number it is")

        with interruptible() as should_stop, Meter() as meter:
            engine = attempt(make_engine)
            engine.options = replace(
                engine.options,
                pace=pace or engine.options.pace,
                copies_from=None if in_place else engine.options.copies_from,
                throttles=(*engine.options.throttles, *throttles),
            )
            statuses = attempt(lambda: engine.migrate(meter, should_stop=should_stop, prefer=prefer))
        print_statuses(statuses, as_json=as_json)


def _add_online(group: click.Group, make_engine: MakeEngine) -> None:
    @group.command("online_data_migrations")
    @click.option("--max-count", default=None, help="At most so many rows of all changes together; all without it.")
    @_JSON
    def online_data_migrations(max_count: str | None, as_json: bool) -> None:
        """Make a number of old rows right, and tell how many were found, done and blocked.

        Exit codes: 0 finished, 1 more to do (run it again), 2 failed without progress, 3 rows are blocked until
        somebody mends them, 127 wrong usage.
        """
        if max_count is not None and not (max_count.isdecimal() and int(max_count) > 0):
            click.echo("Error: --max-count must be a whole number above 0", err=True)
            sys.exit(127)
        engine = attempt(make_engine, codes={BasculeError: 2})
        summary = attempt(
            lambda: engine.online_data_migrations(_ALL if max_count is None else int(max_count)),
            codes={BasculeError: 2},
        )
        if wants_json(as_json):
            click.echo(
                json.dumps(
                    {"code": summary.code, "changes": [asdict(change) for change in summary.changes]}, default=str
                )
            )
        else:
            for change in summary.changes:
                click.echo(f"{change.change}: {change.found} found, {change.done} done, {change.blocked} blocked")
                if change.error:
                    click.echo(f"Error: {change.error}", err=True)
        sys.exit(summary.code)


def _add_ending(group: click.Group, make_engine: MakeEngine) -> None:
    @group.command()
    @click.option("--to", "to", metavar="RELEASE", help="Only changes newer than this release; all without it.")
    @click.option("--keep-synced", is_flag=True, help="Take back fence and contract only: both releases can run then.")
    @click.option("--accept-loss", is_flag=True, help="Roll back although some rows exist in the new columns only.")
    @_JSON
    def rollback(as_json: bool, to: str | None, keep_synced: bool, accept_loss: bool) -> None:
        """Take changes back, newest first; what the new release wrote is in the old columns then."""
        try:
            release = None if to is None else Release.parse(to)
        except ReleaseError as error:
            raise click.UsageError(error.sentence) from error
        with interruptible() as should_stop, Meter() as meter:
            engine = attempt(make_engine)
            losses = () if keep_synced else attempt(engine.losses)
            statuses = attempt(
                lambda: engine.rollback(
                    meter, to=release, keep_synced=keep_synced, accept_loss=accept_loss, should_stop=should_stop
                )
            )
        for loss in losses:
            click.echo(f"lost with {loss.change} ({loss.table}): {loss.what}; rows concerned: {loss.rows}", err=True)
        print_statuses(statuses, as_json=as_json)


def _add_lint(group: click.Group, make_engine: MakeEngine) -> None:
    del make_engine  # it judges text, and needs no database

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

        run_lint(path, database, phase, as_json=wants_json(as_json))
