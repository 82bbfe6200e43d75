"""What the database remembers of its changes: a row per change, and a journal of every DDL statement.

The phase of a change is read from here and nowhere else; Alembic's version table is never looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from bascule.documents.codec import canonical, fingerprint
from bascule.schema.changes import ColumnType, Split
from bascule.schema.databases import Database
from bascule.schema.refusals import StatementFailed
from bascule.schema.session import Session

__all__ = ["CHANGES", "JOURNAL", "ChangeRow", "Phase", "create_tables", "ensure_row", "read", "read_all", "spec_of"]

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
)


class Phase:
    """The phases of a change, in order; `rolled_back` starts over, and there is no way back from `contracting` on."""

    PLANNED: Final = "planned"
    EXPANDING: Final = "expanding"  # DDL began: new columns that exist from here on are ours
    EXPANDED: Final = "expanded"  # both releases may write; new columns of old rows are not filled yet
    BACKFILLING: Final = "backfilling"
    SYNCED: Final = "synced"  # a scan found no stale row
    CONTRACTING: Final = "contracting"  # the point of no return
    CONTRACTED: Final = "contracted"  # triggers and old columns are gone
    ROLLING_BACK: Final = "rolling_back"
    ROLLED_BACK: Final = "rolled_back"

    WITH_TRIGGERS: Final = (EXPANDED, BACKFILLING, SYNCED)
    WITHOUT_OLD: Final = (CONTRACTING, CONTRACTED)
    UNTOUCHED: Final = (PLANNED, ROLLED_BACK)


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


_ROW = tuple(CHANGES.c[name] for name in ChangeRow.__slots__)


def create_tables(session: Session) -> None:
    """Create the state tables where they are missing; safe when several processes do it at once."""

    def create(connection: sa.Connection) -> None:
        _METADATA.create_all(connection, checkfirst=True)

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


def spec_of(split: Split, database: Database) -> dict[str, object]:
    """Return the change as this database would apply it, in plain values."""

    def side(columns: Mapping[str, ColumnType]) -> dict[str, list[str]]:
        return {name: [database.compile(kind), split.expression(name, database.name)] for name, kind in columns.items()}

    return {"id": split.id, "table": split.table, "old": side(split.old), "new": side(split.new)}


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


def read_all(connection: sa.Connection) -> tuple[ChangeRow, ...]:
    """Return the rows of all changes, of all releases, in the order of their names."""
    if not exist(connection):
        return ()
    rows = connection.execute(sa.select(*_ROW).order_by(CHANGES.c.release, CHANGES.c.id))
    return tuple(ChangeRow(*row) for row in rows)
