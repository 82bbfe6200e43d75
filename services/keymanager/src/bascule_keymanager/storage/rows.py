"""What every row has: when it was made, whether it is deleted, and how two writers of the same row agree."""

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now

__all__ = ["Gone", "Values", "deleted", "fresh", "insert_unless_there", "lock_living"]

Values = dict[str, Any]  # Any: column values


class Gone(Exception):
    """What the caller works on was deleted since it was looked up; `table` says what it was."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(f"a row of {table} was deleted meanwhile")


def fresh(status: str = "ACTIVE", **values: Any) -> Values:  # Any: column values
    """Return a new row of these values: an id of its own, made now."""
    now = utc_now()
    return {"id": str(uuid.uuid4()), "created_at": now, "updated_at": now, "deleted": False, "status": status, **values}


def deleted(now: dt.datetime | None = None) -> Values:
    """Return what marks a row as deleted; the row itself stays."""
    now = now or utc_now()
    return {"deleted": True, "deleted_at": now, "updated_at": now}


def lock_living(connection: Connection, table: sa.Table, row_id: str) -> None:
    """Make every other writer of what hangs on this row wait until we commit. Raises Gone when it is deleted."""
    alive = sa.select(table.c.id).where(table.c.id == row_id, table.c.deleted == sa.false())
    if connection.execute(alive.with_for_update(key_share=True)).first() is None:
        raise Gone(table.name)


def insert_unless_there(dialect: str, table: sa.Table, values: Values, unique: tuple[str, ...]) -> sa.Executable:
    """Return an INSERT that leaves a row with the same `unique` columns as it is.

    Two writers that insert the same row at once both succeed, and one row is there.
    """
    # Imported here, since each dialect's package takes longer to import than most of ours, and only one is used.
    if dialect in ("mysql", "mariadb"):
        from sqlalchemy.dialects import mysql  # noqa: PLC0415

        return mysql.insert(table).values(values).on_duplicate_key_update(id=table.c.id)
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return postgresql.insert(table).values(values).on_conflict_do_nothing(index_elements=unique)
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415

    return sqlite.insert(table).values(values).on_conflict_do_nothing(index_elements=unique)
