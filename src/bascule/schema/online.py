"""Online data migrations, some rows at a time: what a service's operator runs again and again until nothing is left.

Exit codes: 0 every change's rows are right; 1 there is more to do, so run it again; 2 something failed, and no row was
done; 3 rows are left, but all of them are blocked, so that running it again alone will not help. 127, for a count that
is none, is for the command line to say, where BadCount is raised.
"""

from dataclasses import dataclass, replace

from bascule.documents.status import ChangeStatus
from bascule.errors import SchemaError
from bascule.schema.changes import Change, DataMigration
from bascule.schema.databases import database_of
from bascule.schema.engine import Options, SchemaEngine
from bascule.schema.march import Progress
from bascule.schema.pace import Pace
from bascule.schema.refusals import BadCount, NewColumnsWritten, RowsBlocked, RowsInTheWay, StaleRows, Stopped
from bascule.schema.state import Phase

__all__ = ["ChangeSummary", "OnlineSummary", "migrate_some"]


@dataclass(frozen=True, slots=True)
class ChangeSummary:
    """What was done for one change: rows that were waiting, rows done, rows that cannot be done now.

    `error` is why it failed, in a sentence without any value; `blocked_keys` are at most ten of the blocked rows.
    """

    change: str
    table: str
    found: int
    done: int
    blocked: int = 0
    blocked_keys: tuple[object, ...] = ()
    more: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class OnlineSummary:
    """What was done for every change, and the exit code that it makes."""

    changes: tuple[ChangeSummary, ...]

    @property
    def code(self) -> int:
        """Return the exit code, as above."""
        done = any(change.done for change in self.changes)
        if any(change.error for change in self.changes):
            return 1 if done else 2
        if any(change.more for change in self.changes):
            return 1
        return 3 if any(change.blocked for change in self.changes) else 0


def migrate_some(engine: SchemaEngine, max_count: int) -> OnlineSummary:
    """Migrate at most so many rows, of each change in its turn, and tell what came of it.

    Fewer are done where the next batch could pass the count.
    Raises: BadCount; what keeps the engine from beginning, as DatabaseUnreachable.
    """
    if max_count < 1:
        raise BadCount(max_count)
    left, summaries, own = max_count, [], {change.id: change for change in engine.changes}
    for status in engine.status():
        if status.id in own:
            summary = _Turn(engine, own[status.id], status, left).take()
            left -= summary.done
            summaries.append(summary)
    return OnlineSummary(tuple(summaries))


class _Turn:
    """One change's turn: counts the rows that are done, and stops before the count could be passed."""

    def __init__(self, engine: SchemaEngine, change: Change, status: ChangeStatus, left: int) -> None:
        self.engine, self.change, self.status, self.left = engine, change, status, left
        self.batch, self.done = max(left // 2, 1), 0
        # A data migration tells where it begins; what others tell first is behind their first batch.
        begun = status.rows_done if status.phase == Phase.BACKFILLING else 0
        self.seen = None if isinstance(change, DataMigration) else begun

    def take(self) -> ChangeSummary:
        """Migrate, and tell what came of it."""
        waiting = max(self.status.rows_total - self.status.rows_done, 0)
        summary = ChangeSummary(self.change.id, self.change.table, waiting, 0)
        if self.left <= 0:
            return replace(summary, more=self.status.phase in (Phase.EXPANDED, Phase.BACKFILLING))
        try:
            (after,) = self._migrate()
            summary = replace(summary, more=after.rows_stale > 0 and after.phase == Phase.SYNCED)
        except Stopped:
            summary = replace(summary, more=True)
        except RowsBlocked as blocked:
            summary = replace(summary, blocked=len(blocked.keys), blocked_keys=blocked.keys[:10])
        except (NewColumnsWritten, RowsInTheWay) as blocked:
            summary = replace(summary, blocked=blocked.rows)
        except StaleRows:
            summary = replace(summary, more=True)
        except SchemaError as error:
            summary = replace(summary, error=error.sentence)
        return replace(summary, found=max(waiting, self.done + summary.blocked), done=self.done)

    def _migrate(self) -> list[ChangeStatus]:
        engine = self.engine.of(self.change, self._options())
        statuses = engine.migrate(self._hear, should_stop=self._should_stop)
        return [status for status in statuses if status.id == self.change.id]

    def _options(self) -> Options:
        options = self.engine.options
        pace = options.pace
        if not isinstance(pace, Pace):
            pace = database_of(self.engine.engine.dialect).paces[pace or "fast"]
        rows = min(pace.most_rows, self.batch)
        counted = replace(pace, first_rows=min(pace.first_rows, rows), most_rows=rows)
        return replace(options, pace=counted, copies_from=None)  # a copy is done when all of its rows are

    def _hear(self, progress: Progress) -> None:
        if progress.activity == "backfill":
            if self.seen is not None:
                self.done += max(progress.done - self.seen, 0)
            self.seen = progress.done

    def _should_stop(self) -> bool:
        return self.done + self.batch > self.left
