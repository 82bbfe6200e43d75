"""Orders: the row is the work. It is PENDING until exactly one transaction has done it."""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.quotas import QuotaStore
from bascule_keymanager.storage.tables import orders, projects

__all__ = ["OrderRow", "OrderStore"]

_ERROR_CODE_LENGTH, _ERROR_REASON_LENGTH = 16, 255


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as it is stored; `project` is the name that the identity service gave."""

    id: str
    project: str
    created_at: dt.datetime
    updated_at: dt.datetime
    status: str
    type: str
    meta: dict[str, Any]  # Any: JSON as the client sent it
    creator_id: str | None
    secret_id: str | None
    container_id: str | None
    sub_status: str | None
    status_detail: str | None
    error_status_code: str | None
    error_reason: str | None


class _NotPending(Exception):
    """Another worker was first: roll everything back. Never leaves this module."""


_listed = sa.select(
    orders.c.id,
    projects.c.external_id,
    orders.c.created_at,
    orders.c.updated_at,
    orders.c.status,
    orders.c.type,
    orders.c.meta,
    orders.c.creator_id,
    orders.c.secret_id,
    orders.c.container_id,
    orders.c.sub_status,
    orders.c.status_detail,
    orders.c.error_status_code,
    orders.c.error_reason,
).select_from(orders.join(projects, projects.c.id == orders.c.project_id))
_alive = orders.c.deleted == sa.false()
_one = _listed.where(orders.c.id == sa.bindparam("id"), _alive)
_pending = (
    _listed.where(orders.c.status == "PENDING", _alive, orders.c.created_at <= sa.bindparam("before"))
    .order_by(orders.c.created_at, orders.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


class OrderStore:
    """Keeps orders, finds those that wait, and finishes each exactly once."""

    def __init__(self, database: Database, quotas: QuotaStore) -> None:
        self._database, self._quotas = database, quotas

    def add(
        self,
        project_id: str,
        creator_id: str | None,
        kind: str,
        meta: dict[str, Any],  # Any: as OrderRow.meta
        wake: Callable[[Connection, str, dt.datetime], None],
    ) -> str:
        """Keep an order and call `wake` in the same transaction, so that both happen or neither; return its id.

        Raises QuotaReached.
        """
        order_id, now = str(uuid.uuid4()), utc_now()
        row = {
            "id": order_id,
            "created_at": now,
            "updated_at": now,
            "deleted": False,
            "status": "PENDING",
            "type": kind,
            "project_id": project_id,
            "creator_id": creator_id,
            "meta": json.dumps(meta),
        }

        def insert(connection: Connection) -> None:
            if not self._quotas.insert_unlimited(connection, "orders", orders, row):
                self._quotas.check(connection, "orders", project_id, _living_of(project_id))
                connection.execute(orders.insert().values(row))
            wake(connection, order_id, now)

        self._database.write(insert)
        return order_id

    def get(self, order_id: str) -> OrderRow | None:
        """Return an order that is not deleted, of whatever project."""
        row = self._database.read(lambda connection: connection.execute(_one, {"id": order_id}).first())
        return _order(row) if row is not None else None

    def page(self, external_id: str, *, limit: int, offset: int, meta: str | None = None) -> tuple[list[OrderRow], int]:
        """Return one page of a project's orders, oldest first, and how many there are in all.

        `meta` is a name or value that the order's meta holds, as one whole JSON string; `%` and `_` stand for others.
        """
        mine = [projects.c.external_id == external_id, _alive]
        if meta:
            mine.append(orders.c.meta.like(f"%{json.dumps(meta)}%"))
        ordered = _listed.where(*mine).order_by(orders.c.created_at, orders.c.id).limit(limit).offset(offset)
        joined = orders.join(projects, projects.c.id == orders.c.project_id)
        counted = sa.select(sa.func.count()).select_from(joined).where(*mine)

        def query(connection: Connection) -> tuple[list[OrderRow], int]:
            rows = connection.execute(ordered).all()
            return [_order(row) for row in rows], connection.execute(counted).scalar_one()

        return self._database.read(query)

    def pending(self, *, older_than_s: float, most: int) -> list[OrderRow]:
        """Return orders that have waited this long, oldest first."""
        parameters = {"before": utc_now() - dt.timedelta(seconds=older_than_s), "most": most}
        rows = self._database.read(lambda connection: connection.execute(_pending, parameters).all())
        return [_order(row) for row in rows]

    def count_pending(self) -> int:
        """Return how many orders wait."""
        counted = sa.select(sa.func.count()).select_from(orders).where(orders.c.status == "PENDING", _alive)
        return self._database.read(lambda connection: connection.execute(counted).scalar_one())

    def complete(
        self,
        order_id: str,
        effect: Callable[[Connection], None],
        *,
        secret_id: str | None = None,
        container_id: str | None = None,
    ) -> bool:
        """Do an order's effect and mark it ACTIVE in one transaction; return False when it was not ours to do.

        Two workers may both try: the second finds the order no longer PENDING, and its effect is rolled back.
        """

        def work(connection: Connection) -> None:
            effect(connection)  # first: the order refers to what the effect makes
            done = {"status": "ACTIVE", "sub_status": "Unknown", "status_detail": "Unknown", "updated_at": utc_now()}
            self._finish(connection, order_id, {**done, "secret_id": secret_id, "container_id": container_id})

        return self._run(work)

    def delete(self, external_id: str, order_id: str) -> bool:
        """Delete a project's order, but nothing that it made; return False when there is none."""
        now = utc_now()
        mine = sa.select(projects.c.id).where(projects.c.external_id == external_id).scalar_subquery()
        alive = orders.update().where(orders.c.id == order_id, orders.c.project_id == mine, _alive)
        gone = alive.values(deleted=True, deleted_at=now, updated_at=now)
        return self._database.write(lambda connection: connection.execute(gone).rowcount == 1)

    def fail(self, order_id: str, code: str, reason: str) -> bool:
        """Mark a waiting order as failed for good; return False when it no longer waits."""
        values = {
            "status": "ERROR",
            "error_status_code": code[:_ERROR_CODE_LENGTH],
            "error_reason": reason[:_ERROR_REASON_LENGTH],
            "updated_at": utc_now(),
        }
        return self._run(lambda connection: self._finish(connection, order_id, values))

    def _run(self, work: Callable[[Connection], None]) -> bool:
        try:
            self._database.write(work)
        except _NotPending:
            return False
        return True

    @staticmethod
    def _finish(connection: Connection, order_id: str, values: dict[str, Any]) -> None:  # Any: column values
        waiting = orders.update().where(orders.c.id == order_id, orders.c.status == "PENDING", _alive)
        if connection.execute(waiting.values(values)).rowcount != 1:
            raise _NotPending


def _living_of(project_id: str) -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(orders).where(orders.c.project_id == project_id, _alive)


def _order(row: Sequence[Any]) -> OrderRow:  # Any: the columns of _listed
    values = list(row)
    values[6] = json.loads(values[6]) if values[6] else {}
    return OrderRow(*values)
