"""What the database remembers of its changes: a row per change, and a journal of every DDL statement.

The phase of a change is read from here and nowhere else; Alembic's version table is never looked at.
"""

import json
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from bascule.documents.codec import canonical, fingerprint
from bascule.schema.derive import Known
from bascule.schema.refusals import StatementFailed
from bascule.schema.session import Session

__all__ = [
    "CHANGES",
    "JOURNAL",
    "ChangeRow",
    "JournalEntry",
    "Phase",
    "create_tables",
    "ensure_row",
    "phase_of",
    "read",
    "read_all",
    "read_journal",
]

_METADATA = sa.MetaData()

CHANGES = sa.Table(
    "bascule_change",
    _METADATA,
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("release", sa.String(64), nullable=False),
    sa.Column("table_name", sa.String(128), nullable=False),
    sa.Column("spec_json", sa.Text, nullable=False),
    sa.Column("spec_sha", sa.String(64), nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("phase_at", sa.Double, nullable=False),
    sa.Column("cursor", sa.Text),
    sa.Column("rows_total", sa.BigInteger, nullable=False),
    sa.Column("rows_done", sa.BigInteger, nullable=False),
    sa.Column("rows_stale", sa.BigInteger, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Column("lease_owner", sa.String(255)),
    sa.Column("lease_until", sa.Double, nullable=False),
    sa.Column("lease_token", sa.BigInteger, nullable=False),
    # Added since the first release that shipped these tables, whose engines leave them out: hence all nullable.
    sa.Column("depth", sa.Integer),
    sa.Column("fence", sa.String(10)),
    sa.Column("tripwire", sa.BigInteger),
    sa.Column("remembered", sa.Text),
    sa.Column("contracted_by", sa.String(64)),
)
JOURNAL = sa.Table(
    "bascule_schema_journal",
    _METADATA,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("change", sa.String(100), nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("statement", sa.Text, nullable=False),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("finished", sa.Double),
    sa.Column("undo_sql", sa.Text),
)


class Phase:
    """The phases of a change, in order; `rolled_back` starts over, and from `purging` on there is no way back."""

    PLANNED: Final = "planned"
    EXPANDING: Final = "expanding"  # DDL began: new columns that exist from here on are ours
    EXPANDED: Final = "expanded"  # both releases may write; new columns of old rows are not filled yet
    BACKFILLING: Final = "backfilling"
    SYNCED: Final = "synced"  # a scan found no stale row
    FENCED: Final = "fenced"  # writes of the old release are counted, or refused
    CONTRACTING: Final = "contracting"
    CONTRACTED: Final = "contracted"  # nothing is kept in step any more; the old columns are still there
    RESTORING: Final = "restoring"  # on the way back from contracted to synced
    PURGING: Final = "purging"  # the point of no return
    PURGED: Final = "purged"  # the old columns are gone
    ROLLING_BACK: Final = "rolling_back"
    ROLLED_BACK: Final = "rolled_back"

    UNTOUCHED: Final = (PLANNED, ROLLED_BACK)
    WITH_TRIGGERS: Final = (EXPANDED, BACKFILLING, SYNCED, FENCED)
    WITHOUT_OLD: Final = (CONTRACTING, CONTRACTED, RESTORING, PURGING, PURGED)  # the old release cannot run
    GONE: Final = (PURGING, PURGED)


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A row of bascule_change, without its lease."""

    id: str
    release: str
    table_name: str
    spec_sha: str
    phase: str
    cursor: str | None
    rows_total: int
    rows_done: int
    rows_stale: int
    last_error: str | None
    depth: int | None
    fence: str | None
    tripwire: int | None
    remembered: str | None
    contracted_by: str | None

    @property
    def known(self) -> Known:
        """What was recorded when the change was expanded."""
        return Known(self.depth, None if self.remembered is None else json.loads(self.remembered))


_ROW = tuple(CHANGES.c[name] for name in ChangeRow.__slots__)


def create_tables(session: Session) -> None:
    """Create the state tables where they are missing, and their columns; safe when several processes do it at once."""

    def create(connection: sa.Connection) -> None:
        _METADATA.create_all(connection, checkfirst=True)
        for table in _METADATA.tables.values():
            there = session.database.columns(connection, table.name)
            for column in table.columns:
                if column.name not in there:
                    kind = session.database.compile(column.type)
                    add = session.database.add_column(table.name, column.name, kind)
                    connection.exec_driver_sql(add.statements[0])

    for last_try in (False, False, True):
        try:
            session.transaction("create the state tables", create)
            return
        except StatementFailed:
            if last_try:
                raise  # not a race: in one, the other process has created them by now


def exist(connection: sa.Connection) -> bool:
    """Whether the state tables are there."""
    return sa.inspect(connection).has_table(CHANGES.name)


def ensure_row(session: Session, change: str, *, release: str, table: str, spec: dict[str, object]) -> None:
    """Insert the change as planned when it is not there yet."""

    def insert(connection: sa.Connection) -> None:
        if read(connection, change) is not None:
            return
        connection.execute(
            sa.insert(CHANGES).values(
                id=change,
                release=release,
                table_name=table,
                spec_json=canonical(spec),
                spec_sha=fingerprint(spec),
                phase=Phase.PLANNED,
                phase_at=session.database.clock,
                rows_total=0,
                rows_done=0,
                rows_stale=0,
                lease_until=0.0,
                lease_token=0,
            )
        )

    try:
        session.transaction(f"record change {change}", insert)
    except StatementFailed:
        if session.read("read the changes", lambda connection: read(connection, change)) is None:
            raise  # not another process that inserted it between our look and our insert


def read(connection: sa.Connection, change: str) -> ChangeRow | None:
    """Return the row of a change."""
    row = connection.execute(sa.select(*_ROW).where(CHANGES.c.id == change)).one_or_none()
    return None if row is None else ChangeRow(*row)


def phase_of(connection: sa.Connection, change: str, *, hold: bool = False) -> str:
    """Return the phase of a change, for a service that does one thing before it and another one after.

    With `hold` no engine moves the change on before the caller's transaction ends; ask first in that transaction, since
    an engine that waits for the caller's tables has this row already. A change that nobody expanded yet is `planned`.
    """
    query = sa.select(CHANGES.c.phase).where(CHANGES.c.id == change)
    if hold:
        query = query.with_for_update(read=True)
    return connection.execute(query).scalar_one_or_none() or Phase.PLANNED


def read_all(connection: sa.Connection) -> tuple[ChangeRow, ...]:
    """Return the rows of all changes, of all releases, in the order of their names."""
    if not exist(connection):
        return ()
    there = {column["name"] for column in sa.inspect(connection).get_columns(CHANGES.name)}
    # Tables that an older engine made lack what came later, until a phase of this one runs.
    columns = [column if column.name in there else sa.null().label(column.name) for column in _ROW]
    rows = connection.execute(sa.select(*columns).order_by(CHANGES.c.release, CHANGES.c.id))
    return tuple(ChangeRow(*row) for row in rows)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One statement that was run: seconds since the epoch by the database's clock; `finished` is None if it was cut."""

    seq: int
    change: str
    phase: str
    statement: str
    started: float
    finished: float | None
    undo_sql: str | None


def read_journal(connection: sa.Connection) -> tuple[JournalEntry, ...]:
    """Return every statement that was run, oldest first."""
    if not exist(connection):
        return ()
    there = {column["name"] for column in sa.inspect(connection).get_columns(JOURNAL.name)}
    wanted = [JOURNAL.c[name] for name in JournalEntry.__slots__]
    columns = [column if column.name in there else sa.null().label(column.name) for column in wanted]
    return tuple(JournalEntry(*row) for row in connection.execute(sa.select(*columns).order_by(JOURNAL.c.seq)))
