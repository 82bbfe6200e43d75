"""The phases of a release's schema changes, on a database that is in use: expand, migrate, contract, and the way back.

The engine takes one connection of its own out of the given SQLAlchemy engine for each call and closes it afterwards.
It works with a plain `create_engine(url)` as well as with one whose owner set event hooks: on SQLite each writing
transaction is ended and begun again as BEGIN IMMEDIATE on that connection, whatever a hook had begun.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from bascule.documents.status import ChangeStatus
from bascule.errors import SchemaError
from bascule.release import Release
from bascule.schema import state
from bascule.schema.backfill import Progress
from bascule.schema.changes import Change
from bascule.schema.derive import Fence, Known, derive
from bascule.schema.lease import Lease, hold
from bascule.schema.pace import Pace, PaceName
from bascule.schema.phases import PhaseRun, require_started
from bascule.schema.refusals import (
    BadChange,
    EarlierUnfinished,
    LeaseLost,
    NotContracted,
    NotSynced,
    PastPointOfNoReturn,
    StaleRows,
    Stopped,
)
from bascule.schema.rows import Prefer
from bascule.schema.session import Retry, Session
from bascule.schema.state import ChangeRow, JournalEntry, Phase
from bascule.schema.surroundings import Fleet, Listener
from bascule.schema.table_copy.settle import settle
from bascule.schema.throttle import Throttle

if TYPE_CHECKING:
    from bascule.schema.online import OnlineSummary
    from bascule.schema.plan import SchemaPlan

__all__ = ["Loss", "Options", "SchemaEngine"]

_BASE = "base"


@dataclass(frozen=True, slots=True)
class Options:
    """How patient the engine is: the length of its lease, how long it waits for another's, and for locks.

    `pace` is that of backfills, by name or in numbers; `throttles` may hold them back. `watch_s` is how long contract
    looks for writes of old processes that no heartbeat tells of. Where filling rows in place is slow (MariaDB), tables
    of about `copies_from` rows or more are filled by a copy that takes their place, if they can be; None for never.
    """

    lease_s: float = 10.0
    lease_wait_s: float = 30.0
    retry: Retry = field(default_factory=Retry)
    pace: Pace | PaceName | None = None
    watch_s: float = 1.0
    throttles: tuple[Throttle, ...] = ()
    copies_from: int | None = 100_000


@dataclass(frozen=True, slots=True)
class Loss:
    """What a rollback of a change cannot keep, in words, and how many rows hold such a thing now."""

    change: str
    table: str
    what: str
    rows: int


class SchemaEngine:
    """The schema changes of one release, on one database; of the releases before it too, when several are skipped.

    `changes` come in the order of their releases; one that names no release is of the given one. `base` creates the
    tables of a fresh database, once, before the first expand; it must be harmless on a database that has them, and must
    not commit. `live_older` and `live_same` name the live processes of releases older than the given one, and of it.
    `on_restore` is called when a rollback takes a contracted change back, with its id and whether loss is accepted: the
    change stays `restoring`, in which no old process starts, until it returns. It must be harmless to call again.
    Every phase is safe to kill at any statement and to run again; of several engines at once, one works on a change and
    the others wait for its lease. Every method raises SchemaError, and those that do something return `status()`.
    """

    def __init__(
        self,
        engine: sa.Engine,
        *,
        release: Release | str,
        changes: Sequence[Change],
        live_older: Callable[[Release], Sequence[str]],
        live_same: Callable[[Release], Sequence[str]],
        base: Callable[[sa.Connection], object] | None = None,
        on_restore: Callable[[str, bool], object] | None = None,
        options: Options | None = None,
    ) -> None:
        self.engine = engine
        self.release = Release.parse(release) if isinstance(release, str) else release
        self.changes = tuple(replace(change, release=change.release or str(self.release)) for change in changes)
        self.base = base
        self.on_restore = on_restore
        self.options = options or Options()
        self._fleet = Fleet(self.release, live_older, live_same)
        self._check_changes()

    def expand(self) -> tuple[ChangeStatus, ...]:
        """Create the state tables, a fresh database's base, and what both releases can live with, kept in step.

        Puts back triggers that someone removed; the rows must then be migrated again.
        Raises: BadChange, SpecChanged, RollbackUnfinished, LockNotGranted, LeaseHeld.
        """
        with self._session() as session:
            state.create_tables(session)
            self._run_base(session)
            for change in self.changes:
                derived = derive(change, session.database, Known())
                state.ensure_row(session, change.id, release=change.release, table=change.table, spec=derived.spec())
                with self._run(session, change) as run:
                    run.expand()
        return self.status()

    def migrate(
        self,
        progress: Callable[[Progress], None] = lambda _: None,
        *,
        should_stop: Callable[[], bool] = lambda: False,
        prefer: Prefer | None = None,
    ) -> tuple[ChangeStatus, ...]:
        """Make old rows right batch by batch, and prove by a scan that none is stale.

        Where both sides hold values and disagree, nobody decides silently: `prefer` says which side is right.
        Raises: NotExpanded, TriggersMissing, Stopped (at a batch's edge; the next run goes on); NewColumnsWritten and
        RowsInTheWay, after the other changes were migrated.
        """
        wrong: StaleRows | None = None
        with self._started() as session:
            for change in self.changes:
                try:
                    with self._run(session, change) as run:
                        run.migrate(Listener(progress, should_stop, self.options.throttles), prefer)
                except StaleRows as stale:
                    wrong = wrong or stale
        if wrong is not None:
            raise wrong
        return self.status()

    def online_data_migrations(self, max_count: int) -> "OnlineSummary":
        """Migrate at most so many rows and return what came of it, with the exit code; see `online`.

        Raises: BadCount; what keeps the engine from beginning. Whatever fails later is told in the summary.
        """
        from bascule.schema.online import migrate_some  # noqa: PLC0415 # it takes an engine

        return migrate_some(self, max_count)

    def of(self, change: Change, options: Options) -> "SchemaEngine":
        """Return an engine for one of the changes only, with other options."""
        fleet = self._fleet
        return SchemaEngine(
            self.engine,
            release=self.release,
            changes=[change],
            live_older=fleet.live_older,
            live_same=fleet.live_same,
            options=options,
        )

    def fence(self, mode: Fence = "count") -> tuple[ChangeStatus, ...]:
        """Have every write in the old release's shape counted, or refused; what the new one writes is synced as before.

        Fencing again counts from now on. Raises: OlderProcessesAlive, NotExpanded, NotSynced, TriggersMissing.
        """
        with self._started() as session:
            for change in self.changes:
                with self._run(session, change) as run:
                    run.fence(mode)
        return self.status()

    def contract(self) -> tuple[ChangeStatus, ...]:
        """End the old release's part: triggers go, constraints bind, old columns stay but are written no more.

        Fences first what is not fenced, and looks for old writers. What earlier releases contracted is purged.
        Raises: OlderProcessesAlive, OldWritesSeen, NotExpanded, NotSynced, TriggersMissing, StaleRows,
        EarlierUnfinished; then nothing of that change was ended.
        """
        with self._started() as session:
            rows = self._rows(session)
            self._require_earlier_done(rows)
            for row in (rows[change.id] for change in self.changes):
                if row.phase not in (*Phase.WITHOUT_OLD, Phase.SYNCED, Phase.FENCED):
                    raise NotSynced(row.id, row.phase)
            for change in self.changes:
                with self._run(session, change) as run:
                    run.contract()
            for change in self.changes:  # last, since triggers of later changes may have read what goes here
                if self._is_left_over(rows[change.id]):
                    with self._run(session, change) as run:
                        run.purge()
        return self.status()

    def purge(self) -> tuple[ChangeStatus, ...]:
        """Remove for good what only the old release needed: the point of no return.

        Raises: OlderProcessesAlive, NotContracted; then nothing was removed.
        """
        with self._started() as session:
            rows = self._rows(session)
            for row in (rows[change.id] for change in self.changes):
                if row.phase not in (Phase.CONTRACTED, *Phase.GONE):
                    raise NotContracted(row.id, row.phase)
            for change in self.changes:
                with self._run(session, change) as run:
                    run.purge()
        return self.status()

    def rollback(
        self,
        progress: Callable[[Progress], None] = lambda _: None,
        *,
        to: Release | None = None,
        keep_synced: bool = False,
        accept_loss: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> tuple[ChangeStatus, ...]:
        """Take changes back, newest first: what the new release wrote is on the old side then.

        Of every change that is newer than `to`; without it, of those of this release, and of releases between that an
        engine of this one expanded. `keep_synced` stops where both releases can
        run: fence and contract are taken back, and both sides are kept in step. See `losses` for what cannot be kept.
        Raises: PastPointOfNoReturn, SameReleaseAlive, RowsInTheWay; StaleRows when a missing trigger let a new-shape
        write pass the old columns by, unless `accept_loss`; Stopped.
        """

        def restore(change: str) -> None:
            if self.on_restore is not None:
                self.on_restore(change, accept_loss)

        listener = Listener(progress, should_stop, self.options.throttles, restore)
        with self._session() as session:
            rows = self._rows(session)
            if not rows:
                return self.status()
            state.create_tables(session)
            chosen = [
                change
                for change in reversed(self.changes)
                if change.id in rows and self._is_to_go_back(change, rows[change.id], to)
            ]
            gone = [change for change in chosen if rows[change.id].phase in Phase.GONE]
            removed = {change.id: derive(change, session.database, Known()).removes() for change in gone}
            for change in sorted(gone, key=lambda change: not removed[change.id]):  # first what really went away
                raise PastPointOfNoReturn(change.id, change.table, removed[change.id])
            for change in chosen:
                with self._run(session, change) as run:
                    if keep_synced:
                        run.restore(listener, accept_loss=accept_loss)
                    else:
                        run.rollback(accept_loss=accept_loss, listener=listener)
        return self.status()

    def losses(self) -> tuple[Loss, ...]:
        """Return what a rollback from here would lose; looks at every row of the tables concerned, and changes none."""
        found = []
        with self._session() as session:
            rows = self._rows(session)
            for change in self.changes:
                if change.id not in rows or rows[change.id].phase in (*Phase.UNTOUCHED, Phase.EXPANDING):
                    continue
                derived = derive(change, session.database, rows[change.id].known)
                count = session.read("count what would be lost", derived.count_lost)
                if derived.loses() or count:
                    found.append(Loss(change.id, change.table, derived.loses() or "values", count))
        return tuple(found)

    def verify(self, progress: Callable[[Progress], None] = lambda _: None) -> tuple[ChangeStatus, ...]:
        """Look at triggers, columns and every row, and record how many are stale.

        Raises: TriggersMissing; StaleRows when a change that counts as synced is not; OldColumnsUsed after purge.
        """
        with self._session() as session:
            rows = self._rows(session)
            if rows:
                state.create_tables(session)
            for change in self.changes:
                if change.id in rows:
                    with self._run(session, change) as run:
                        run.verify(Listener(progress, throttles=self.options.throttles))
        return self.status()

    def status(self) -> tuple[ChangeStatus, ...]:
        """Return the changes of other releases that the database knows, then this release's in their order."""
        with self._session() as session:
            rows = self._rows(session)
        own = {change.id for change in self.changes}
        others = [_status(row) for row in rows.values() if row.id not in own and row.id != _BASE]
        declared = (
            _status(rows[change.id])
            if change.id in rows
            else ChangeStatus(change.id, Release.parse(change.release), change.table, Phase.PLANNED)
            for change in self.changes
        )
        return (*others, *declared)

    def plan(self) -> "SchemaPlan":
        """Return what is left to do, with every statement, its lock, its cost and its way back; changes nothing."""
        from bascule.schema.plan import make_plan  # noqa: PLC0415 # only whoever plans needs it

        with self._session() as session:
            title = session.read("tell its version", _title)
            rows = self._rows(session)
            return make_plan(
                session,
                str(self.release),
                self.changes,
                rows,
                title,
                copies_from=self.options.copies_from,
                unfinished=self._earlier_unfinished(rows),
            )

    def history(self) -> tuple[JournalEntry, ...]:
        """Return every statement that any engine ran on this database, oldest first."""
        with self._session() as session:
            return session.read("read the journal", state.read_journal)

    def _check_changes(self) -> None:
        ids = [change.id for change in self.changes]
        for change in ids:
            if change == _BASE or ids.count(change) > 1:
                raise BadChange(change, "its id is taken")
        releases = [Release.parse(change.release) for change in self.changes]
        if releases != sorted(releases) or any(release > self.release for release in releases):
            raise BadChange(ids[0], f"changes must come in the order of their releases, up to {self.release}")

    def _require_earlier_done(self, rows: dict[str, ChangeRow]) -> None:
        if unfinished := self._earlier_unfinished(rows):
            raise EarlierUnfinished([(row.id, row.release, row.phase) for row in unfinished])

    def _earlier_unfinished(self, rows: dict[str, ChangeRow]) -> list[ChangeRow]:
        """Return the changes of earlier releases that only those can finish, from their own environments."""
        own = {change.id for change in self.changes} | {_BASE}
        return [
            row
            for row in rows.values()
            if row.id not in own
            and Release.parse(row.release) < self.release
            and row.phase not in (*Phase.UNTOUCHED, Phase.CONTRACTED, Phase.PURGED)
        ]

    def _is_to_go_back(self, change: Change, row: ChangeRow, to: Release | None) -> bool:
        if to is not None:
            return Release.parse(change.release) > to
        expanded_by = (row.known.before or {}).get("expanded_by", change.release)
        return str(self.release) in (change.release, expanded_by)

    def _is_left_over(self, row: ChangeRow) -> bool:
        """Whether an engine of an earlier release contracted it: everybody has lived without it since."""
        by = row.contracted_by or row.release
        return row.phase in (Phase.CONTRACTED, Phase.PURGING) and Release.parse(by) < self.release

    @contextmanager
    def _started(self) -> Iterator[Session]:
        with self._session() as session:
            rows = self._rows(session)
            for change in self.changes:
                require_started(change, rows.get(change.id))
            if rows:
                state.create_tables(session)  # those of an older engine lack what came later
            yield session

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with Session.open(self.engine, self.options.retry, self.options.pace) as session:
            yield session

    @contextmanager
    def _hold(self, session: Session, change: str) -> Iterator[Lease]:
        with hold(session, change, lease_s=self.options.lease_s, wait_s=self.options.lease_wait_s) as lease:
            try:
                yield lease
            except (LeaseLost, Stopped):
                raise
            except SchemaError as error:
                self._record_failure(session, lease, error)
                raise

    @staticmethod
    def _record_failure(session: Session, lease: Lease, error: SchemaError) -> None:
        sentence = error.sentence
        try:
            session.transaction("record the failure", lambda c: lease.write(c, last_error=sentence))
        except LeaseLost as lost:  # that is why: what we worked on was taken away meanwhile
            raise lost from error
        except SchemaError as unrecorded:  # the first error tells more
            error.add_note(f"it could not be recorded: {unrecorded.sentence}")

    @contextmanager
    def _run(self, session: Session, change: Change) -> Iterator[PhaseRun]:
        with self._hold(session, change.id) as lease:
            settle(lease)
            yield PhaseRun(lease, change, self._fleet, self.options.watch_s, self.options.copies_from)

    def _rows(self, session: Session) -> dict[str, ChangeRow]:
        return {row.id: row for row in session.read("read the changes", state.read_all)}

    def _run_base(self, session: Session) -> None:
        if self.base is None:
            return
        base = self.base
        state.ensure_row(session, _BASE, release=str(self.release), table="", spec={"id": _BASE})
        with self._hold(session, _BASE) as lease:

            def create(connection: sa.Connection) -> None:
                if lease.row(connection).phase == Phase.PLANNED:
                    lease.renew(connection, for_long=True)
                    base(connection)
                    lease.write(connection, phase=Phase.CONTRACTED)

            session.transaction("create the base tables", create)


def _title(connection: sa.Connection) -> str:
    names = {"postgresql": "PostgreSQL", "sqlite": "SQLite", "mysql": "MariaDB"}
    version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
    return f"{names[connection.dialect.name]} {version}"


def _status(row: ChangeRow) -> ChangeStatus:
    release = Release.parse(row.release)
    return ChangeStatus(row.id, release, row.table_name, row.phase, row.rows_total, row.rows_done, row.rows_stale)
