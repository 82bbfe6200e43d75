"""Why a schema phase refuses or fails: one class per fact, one sentence, and the verb to type next.

`next_command` holds the verb and its flags (`migrate`); the command line puts its own program name before it.
"""

from collections.abc import Sequence

from bascule.errors import SchemaError
from bascule.release import Release

__all__ = [
    "BadChange",
    "BadCount",
    "DatabaseUnreachable",
    "EarlierUnfinished",
    "FleetTooOld",
    "LeaseHeld",
    "LeaseLost",
    "LockNotGranted",
    "NewColumnsWritten",
    "NotContracted",
    "NotExpanded",
    "NotSynced",
    "OldColumnsUsed",
    "OldWritesSeen",
    "OlderProcessesAlive",
    "PastPointOfNoReturn",
    "RollbackUnfinished",
    "RowsBlocked",
    "RowsInTheWay",
    "SameReleaseAlive",
    "SpecChanged",
    "StaleRows",
    "StatementFailed",
    "StillBuiltUpon",
    "Stopped",
    "TransformFailed",
    "TriggersMissing",
    "UnsupportedDatabase",
]


class UnsupportedDatabase(SchemaError):
    """The database cannot do what online migration needs."""

    def __init__(self, found: str, needed: str) -> None:
        self.found, self.needed = found, needed
        super().__init__(f"{found} cannot be migrated online; needed is {needed}", next_command="status")


class BadChange(SchemaError):
    """A change as its author wrote it does not fit itself or the table; nothing was changed."""

    def __init__(self, change: str, why: str) -> None:
        self.change, self.why = change, why
        super().__init__(f"change {change} cannot be applied: {why}", next_command="status")


class SpecChanged(SchemaError):
    """A change was edited after it had been applied to this database."""

    def __init__(self, change: str, phase: str) -> None:
        self.change, self.phase = change, phase
        super().__init__(
            f"change {change} is {phase} in this database but was edited since; "
            "run the release that applied it, or roll it back with that release first",
            next_command="status",
        )


class LeaseHeld(SchemaError):
    """Another engine works on this change and did not finish while we waited."""

    def __init__(self, change: str, owner: str, left_s: float) -> None:
        self.change, self.owner, self.left_s = change, owner, left_s
        super().__init__(
            f"change {change} is being worked on by {owner}, whose lease ends in {max(left_s, 0):.0f} s unless it is "
            "renewed; wait for it to finish",
            next_command="status",
        )


class LeaseLost(SchemaError):
    """Another engine took over while this one was away; its last transaction was rolled back."""

    def __init__(self, change: str) -> None:
        self.change = change
        super().__init__(
            f"another process took over change {change} while this one was stalled; it goes on there",
            next_command="status",
        )


class LockNotGranted(SchemaError):
    """The database did not grant a lock, in any of several short tries; nothing was changed by this step."""

    def __init__(self, what: str, tries: int, waited_s: float, blockers: Sequence[str] = ()) -> None:
        self.what, self.tries, self.waited_s, self.blockers = what, tries, waited_s, tuple(blockers)
        who = f"some transaction stays open ({'; '.join(self.blockers)})" if blockers else "some transaction stays open"
        super().__init__(
            f"{what} got no lock in {tries} short tries over {waited_s:.0f} s, because {who}; "
            "end it, then run the same command again",
            next_command="status",
        )


class NotExpanded(SchemaError):
    """A phase needs expand to have run."""

    def __init__(self, change: str, phase: str) -> None:
        self.change, self.phase = change, phase
        super().__init__(f"change {change} is {phase}, and must be expanded first", next_command="expand")


class NotSynced(SchemaError):
    """Contract needs every row to be the same on both sides, proved."""

    def __init__(self, change: str, phase: str) -> None:
        self.change, self.phase = change, phase
        super().__init__(
            f"change {change} is {phase}, and its rows must be migrated before contract", next_command="migrate"
        )


class StaleRows(SchemaError):
    """Rows exist whose old and new columns do not follow from each other."""

    def __init__(self, change: str, table: str, rows: int, *, next_command: str = "migrate") -> None:
        self.change, self.table, self.rows = change, table, rows
        super().__init__(
            f"change {change} has {rows} stale rows in {table}: old and new columns do not agree",
            next_command=next_command,
        )


class NewColumnsWritten(StaleRows):
    """Stale rows that a backfill must not decide on: both sides hold a value, so a person says which one wins."""

    def __init__(self, change: str, table: str, rows: int) -> None:
        super().__init__(change, table, rows)
        self.sentence = (
            f"change {change} has {rows} stale rows in {table} where both sides were written without sync; "
            "say which side is right with --prefer old or --prefer new"
        )
        self.next_command = "migrate --prefer old"
        self.args = (self.sentence,)


class RowsInTheWay(StaleRows):
    """Rows that nobody but a person can mend stand in the way of a constraint, or of a way back."""

    def __init__(self, change: str, table: str, rows: int, what: str) -> None:
        super().__init__(change, table, rows)
        self.sentence = f"change {change}: {rows} rows of {table} {what}"
        self.args = (self.sentence,)


class RowsBlocked(StaleRows):
    """Rows that a data migration cannot do until somebody does something; trying again alone will not help."""

    def __init__(self, change: str, table: str, rows: int, keys: Sequence[object]) -> None:
        super().__init__(change, table, rows)
        self.keys = tuple(keys)
        listed = ", ".join(map(repr, self.keys[:10])) + (", ..." if len(self.keys) > 10 else "")
        self.sentence = (
            f"change {change}: {len(self.keys)} rows of {table} are blocked, with the keys {listed}; "
            "see what their transform says of them"
        )
        self.args = (self.sentence,)


class TransformFailed(SchemaError):
    """A data migration's function cannot cope with a row; nothing of that row's batch was written."""

    def __init__(self, change: str, key: object, what: str) -> None:
        self.change, self.key, self.what = change, key, what
        super().__init__(
            f"change {change}: the row with the key {key!r} {what}; nothing of its batch was written",
            next_command="migrate",
        )


class FleetTooOld(SchemaError):
    """Rows may only be migrated when every process is of some release."""

    def __init__(self, change: str, release: Release, names: Sequence[str]) -> None:
        self.change, self.release, self.names = change, release, tuple(names)
        super().__init__(
            f"change {change} must wait for {len(self.names)} live process(es) older than {release}: "
            f"{', '.join(self.names)}; replace them first",
            next_command="migrate",
        )


class BadCount(SchemaError):
    """Online data migrations are asked for no rows at all."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"{count} rows cannot be migrated: give a count of at least 1", next_command="status")


class OldWritesSeen(SchemaError):
    """Something still writes in the old shape, although no older process is registered."""

    def __init__(self, change: str, table: str, writes: int) -> None:
        self.change, self.table, self.writes = change, table, writes
        super().__init__(
            f"change {change} saw {writes} writes to {table} in the old release's shape since it was fenced; find the "
            "process that no heartbeat tells of, then fence again",
            next_command="fence",
        )


class EarlierUnfinished(SchemaError):
    """A change of an earlier release is not finished; contract would cut off its way."""

    def __init__(self, unfinished: Sequence[tuple[str, str, str]]) -> None:
        self.unfinished = tuple(unfinished)
        listed = "; ".join(f"{change} of {release} is {phase}" for change, release, phase in self.unfinished)
        super().__init__(
            f"{listed}; finish that release first, from its own environment, with its own contract",
            next_command="status",
        )


class NotContracted(SchemaError):
    """Purge needs contract to have run."""

    def __init__(self, change: str, phase: str) -> None:
        self.change, self.phase = change, phase
        super().__init__(f"change {change} is {phase}, and must be contracted before purge", next_command="contract")


class StillBuiltUpon(SchemaError):
    """Triggers of a later change read the columns that would be removed."""

    def __init__(self, change: str, by: str, phase: str) -> None:
        self.change, self.by, self.phase = change, by, phase
        super().__init__(
            f"change {change} cannot be removed while {by}, which goes on from its columns, is {phase}; "
            "contract that one first, or roll it back",
            next_command="status",
        )


class TriggersMissing(SchemaError):
    """Someone removed or disabled a sync trigger: writes may have missed the other side."""

    def __init__(self, change: str, names: Sequence[str]) -> None:
        self.change, self.names = change, tuple(names)
        super().__init__(
            f"change {change} lacks its sync trigger {', '.join(self.names)}; "
            "expand puts it back, and migrate must then run again",
            next_command="expand",
        )


class OldColumnsUsed(SchemaError):
    """Purge is done, but what it removes is still there."""

    def __init__(self, change: str, table: str, columns: Sequence[str]) -> None:
        self.change, self.table, self.columns = change, table, tuple(columns)
        super().__init__(
            f"change {change} is purged, yet {', '.join(self.columns)} of {table} is there", next_command="purge"
        )


class OlderProcessesAlive(SchemaError):
    """Contract would take columns from under processes that still use them."""

    def __init__(self, release: Release, names: Sequence[str]) -> None:
        self.release, self.names = release, tuple(names)
        super().__init__(
            f"contract of {release} must wait for {len(self.names)} older live process(es): {', '.join(self.names)}; "
            "replace them first",
            next_command="contract",
        )


class SameReleaseAlive(SchemaError):
    """Rollback would take columns from under processes of this release."""

    def __init__(self, release: Release, names: Sequence[str]) -> None:
        self.release, self.names = release, tuple(names)
        super().__init__(
            f"rollback of {release} must wait for {len(self.names)} live process(es) of it: {', '.join(self.names)}; "
            "stop them first",
            next_command="rollback",
        )


class PastPointOfNoReturn(SchemaError):
    """The old columns are gone, or going: there is nothing to roll back to."""

    def __init__(self, change: str, table: str, columns: Sequence[str]) -> None:
        self.change, self.table, self.columns = change, table, tuple(columns)
        what = ", ".join(self.columns) or f"what only the old release needed of {table}"
        super().__init__(
            f"change {change} cannot be rolled back: purge has begun to remove {what}, and what processes wrote since "
            "is only on the new side; restore a backup, or go forward",
            next_command="purge",
        )


class RollbackUnfinished(SchemaError):
    """A rollback was interrupted; it must be finished before the change can go forward again."""

    def __init__(self, change: str) -> None:
        self.change = change
        super().__init__(f"the rollback of change {change} was interrupted; finish it first", next_command="rollback")


class DatabaseUnreachable(SchemaError):
    """There is no connection to be had."""

    def __init__(self, where: str, kind: str) -> None:
        self.where, self.kind = where, kind
        super().__init__(
            f"the database {where} cannot be reached ({kind}); check its address and that it runs",
            next_command="status",
        )


class StatementFailed(SchemaError):
    """The database refused a statement. Only its class and code are told: its text may quote stored values."""

    def __init__(self, what: str, kind: str, code: str) -> None:
        self.what, self.kind, self.code = what, kind, code
        super().__init__(f"the database refused to {what} ({kind} {code}".rstrip() + ")", next_command="status")


class Stopped(SchemaError):
    """Someone asked to stop; the work stands at the edge of a batch and goes on from there."""

    def __init__(self, change: str, rows_done: int, rows_total: int) -> None:
        self.change, self.rows_done, self.rows_total = change, rows_done, rows_total
        super().__init__(
            f"stopped at {rows_done} of {rows_total} rows of change {change}; the same command goes on from there",
            next_command="migrate",
        )
