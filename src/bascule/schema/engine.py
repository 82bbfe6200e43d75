"""The phases of a release's schema changes, on a database that is in use: expand, migrate, contract, and the way back.

The engine takes one connection of its own out of the given SQLAlchemy engine for each call and closes it afterwards.
It works with a plain `create_engine(url)` as well as with one whose owner set event hooks: on SQLite each writing
transaction is ended and begun again as BEGIN IMMEDIATE on that connection, whatever a hook had begun.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import sqlalchemy as sa

from bascule.documents.status import ChangeStatus
from bascule.errors import SchemaError
from bascule.release import Release
from bascule.schema import state
from bascule.schema.backfill import Prefer, Progress
from bascule.schema.changes import Change, as_split
from bascule.schema.databases import Pace
from bascule.schema.lease import Lease, hold
from bascule.schema.phases import Fleet, Listener, PhaseRun, require_started
from bascule.schema.refusals import BadChange, LeaseLost, NotSynced, PastPointOfNoReturn, Stopped
from bascule.schema.session import Retry, Session
from bascule.schema.state import ChangeRow, Phase

__all__ = ["Options", "SchemaEngine"]

_BASE = "base"


@dataclass(frozen=True, slots=True)
class Options:
    """How patient the engine is: the length of its lease, how long it waits for another's, and for locks.

    `pace` replaces the database's own pace of backfills.
    """

    lease_s: float = 10.0
    lease_wait_s: float = 30.0
    retry: Retry = field(default_factory=Retry)
    pace: Pace | None = None


class SchemaEngine:
    """The schema changes of one release, on one database.

    `base` creates the tables of a fresh database, once, before the first expand; it must be harmless on a database
    that has them, and must not commit. `live_older` and `live_same` name the live processes of releases older than the
    given one, and of it. Every phase is safe to kill at any statement and to run again; of several engines at once, one
    works on a change and the others wait for its lease. Every method raises SchemaError, and returns `status()`.
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
        options: Options | None = None,
    ) -> None:
        self.engine = engine
        self.release = Release.parse(release) if isinstance(release, str) else release
        self.changes = tuple(changes)
        self.base = base
        self.options = options or Options()
        self._fleet = Fleet(self.release, live_older, live_same)
        ids = [change.id for change in self.changes]
        for change in ids:
            if change == _BASE or ids.count(change) > 1:
                raise BadChange(change, "its id is taken")

    def expand(self) -> tuple[ChangeStatus, ...]:
        """Create the state tables, a fresh database's base, the new columns, and the triggers that keep both in sync.

        Puts back triggers that someone removed; the rows must then be migrated again.
        Raises: BadChange, SpecChanged, RollbackUnfinished, LockNotGranted, LeaseHeld.
        """
        with self._session() as session:
            state.create_tables(session)
            self._run_base(session)
            for change in self.changes:
                split = as_split(change)
                spec = state.spec_of(split, session.database)
                state.ensure_row(session, split.id, release=str(self.release), table=split.table, spec=spec)
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
        """Fill the new columns of old rows batch by batch, then prove by a scan that no row is stale.

        Where both sides hold values and disagree, nobody decides silently: `prefer` says which side is right.
        Raises: NotExpanded, TriggersMissing, NewColumnsWritten, Stopped (at a batch's edge; the next run goes on).
        """
        with self._session() as session:
            self._require_started(session)
            for change in self.changes:
                with self._run(session, change) as run:
                    run.migrate(Listener(progress, should_stop), prefer)
        return self.status()

    def contract(self) -> tuple[ChangeStatus, ...]:
        """Remove triggers and old columns: the point of no return.

        Raises: OlderProcessesAlive, NotExpanded, NotSynced, TriggersMissing, StaleRows; then nothing was removed.
        """
        with self._session() as session:
            for row in self._require_started(session):
                if row.phase not in (*Phase.WITHOUT_OLD, Phase.SYNCED):
                    raise NotSynced(row.id, row.phase)
            for change in self.changes:
                with self._run(session, change) as run:
                    run.contract()
        return self.status()

    def rollback(self, *, accept_loss: bool = False) -> tuple[ChangeStatus, ...]:
        """Remove triggers and new columns, newest change first; what the new release wrote is in the old columns.

        Raises: PastPointOfNoReturn, SameReleaseAlive; StaleRows when a missing trigger let a new-shape write pass the
        old columns by, unless `accept_loss`.
        """
        with self._session() as session:
            rows = self._rows(session)
            for change in self.changes:
                if change.id in rows and rows[change.id].phase in Phase.WITHOUT_OLD:
                    raise PastPointOfNoReturn(change.id, change.table, tuple(as_split(change).old))
            for change in reversed(self.changes):
                if change.id in rows:
                    with self._run(session, change) as run:
                        run.rollback(accept_loss=accept_loss)
        return self.status()

    def verify(self, progress: Callable[[Progress], None] = lambda _: None) -> tuple[ChangeStatus, ...]:
        """Look at triggers, columns and every row, and record how many are stale.

        Raises: TriggersMissing; StaleRows when a change that counts as synced is not; OldColumnsUsed after contract.
        """
        with self._session() as session:
            rows = self._rows(session)
            for change in self.changes:
                if change.id in rows:
                    with self._run(session, change) as run:
                        run.verify(Listener(progress))
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
            else ChangeStatus(change.id, self.release, change.table, Phase.PLANNED)
            for change in self.changes
        )
        return (*others, *declared)

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
                sentence = error.sentence
                with suppress(SchemaError):  # the first error tells more than that it could not be recorded
                    session.transaction("record the failure", lambda c: lease.write(c, last_error=sentence))
                raise

    @contextmanager
    def _run(self, session: Session, change: Change) -> Iterator[PhaseRun]:
        with self._hold(session, change.id) as lease:
            yield PhaseRun(lease, change, self._fleet)

    def _rows(self, session: Session) -> dict[str, ChangeRow]:
        return {row.id: row for row in session.read("read the changes", state.read_all)}

    def _require_started(self, session: Session) -> list[ChangeRow]:
        rows = self._rows(session)
        return [require_started(change, rows.get(change.id)) for change in self.changes]

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


def _status(row: ChangeRow) -> ChangeStatus:
    release = Release.parse(row.release)
    return ChangeStatus(row.id, release, row.table_name, row.phase, row.rows_total, row.rows_done, row.rows_stale)
