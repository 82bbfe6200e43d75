"""Orders: the row is the work. It is PENDING until exactly one transaction has done it."""

import datetime as dt
import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.crypto.plugin import stored_text
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.order_seals import KEY_COLUMNS, ORDERS_WITH_KEY, OrderSeals, sealed_of
from bascule_keymanager.storage.quotas import QuotaStore
from bascule_keymanager.storage.tables import orders, projects

__all__ = ["OrderRow", "OrderStore"]

_ERROR_CODE_LENGTH, _ERROR_REASON_LENGTH = 16, 255
_LOOKED_THROUGH_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as it is stored; `project` is the name that the identity service gave.

    A sealed meta is opened when it is asked for: who only counts or deletes orders needs no key.
    """

    id: str
    project: str
    created_at: dt.datetime
    updated_at: dt.datetime
    status: str
    type: str
    creator_id: str | None
    secret_id: str | None
    container_id: str | None
    sub_status: str | None
    status_detail: str | None
    error_status_code: str | None
    error_reason: str | None
    read_meta: Callable[[], str | None] = field(repr=False, compare=False)

    @property
    def meta(self) -> dict[str, Any]:  # Any: JSON as the client sent it
        """What was ordered, passphrase included. Raises DamagedOrder, UnreadableKek, UnknownPlugin."""
        text = self.read_meta()
        meta: dict[str, Any] = json.loads(text) if text else {}  # Any: as above
        return meta


class _NotPending(Exception):
    """Another worker was first: roll everything back. Never leaves this module."""


_listed = sa.select(
    orders.c.id,
    projects.c.external_id,
    orders.c.created_at,
    orders.c.updated_at,
    orders.c.status,
    orders.c.type,
    orders.c.creator_id,
    orders.c.secret_id,
    orders.c.container_id,
    orders.c.sub_status,
    orders.c.status_detail,
    orders.c.error_status_code,
    orders.c.error_reason,
    orders.c.meta,
    orders.c.sealed_meta,
    *KEY_COLUMNS,
).select_from(ORDERS_WITH_KEY.join(projects, projects.c.id == orders.c.project_id))
_FIELDS = 13  # of OrderRow, which come first
_alive = orders.c.deleted == sa.false()
_one = _listed.where(orders.c.id == sa.bindparam("id"), _alive)
_pending = (
    _listed.where(orders.c.status == "PENDING", _alive, orders.c.created_at <= sa.bindparam("before"))
    .order_by(orders.c.created_at, orders.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


class OrderStore:
    """Keeps orders, finds those that wait, and finishes each exactly once."""

    def __init__(self, database: Database, quotas: QuotaStore, seals: OrderSeals) -> None:
        self._database, self._quotas, self._seals = database, quotas, seals

    def add(
        self,
        project_id: str,
        creator_id: str | None,
        kind: str,
        meta: dict[str, Any],  # Any: as OrderRow.meta
        wake: Callable[[Connection, str, dt.datetime], None],
        *,
        seal_for: str | None = None,
    ) -> str:
        """Keep an order and call `wake` in the same transaction, so that both happen or neither; return its id.

        `seal_for` is the project by the name that the identity service gives it, where every live process reads a
        sealed meta; the plain one is kept beside it as long as an older release may come back.
        Raises QuotaReached; UnreadableKek where it is to be sealed.
        """
        order_id, now, plain = str(uuid.uuid4()), utc_now(), json.dumps(meta)
        sealed = self._seals.seal(order_id, seal_for, plain) if seal_for is not None else {}
        row = {
            "id": order_id,
            "created_at": now,
            "updated_at": now,
            "deleted": False,
            "status": "PENDING",
            "type": kind,
            "project_id": project_id,
            "creator_id": creator_id,
            **sealed,
        }

        def insert(connection: Connection) -> None:
            row["meta"] = None if sealed and self._seals.may_stand_alone(connection) else plain
            unlimited = self._quotas.unlimited("orders", orders, row)
            if unlimited is None or connection.execute(unlimited.statement, unlimited.values).rowcount == 0:
                self._quotas.check(connection, "orders", project_id, _living_of(project_id))
                connection.execute(orders.insert().values(row))
            wake(connection, order_id, now)

        self._database.write(insert)
        return order_id

    def get(self, order_id: str) -> OrderRow | None:
        """Return an order that is not deleted, of whatever project."""
        row = self._database.read(lambda connection: connection.execute(_one, {"id": order_id}).first())
        return self._order(row) if row is not None else None

    def page(self, external_id: str, *, limit: int, offset: int, meta: str | None = None) -> tuple[list[OrderRow], int]:
        """Return one page of a project's orders, oldest first, and how many there are in all.

        `meta` is a name or value that the order's meta holds, as one whole JSON string; `%` and `_` stand for others.
        """
        if meta:
            return self._page_of_ids(list(self._with_meta(external_id, meta)), limit=limit, offset=offset)
        mine = (projects.c.external_id == external_id, _alive)
        ordered = _listed.where(*mine).order_by(orders.c.created_at, orders.c.id).limit(limit).offset(offset)
        joined = orders.join(projects, projects.c.id == orders.c.project_id)
        counted = sa.select(sa.func.count()).select_from(joined).where(*mine)

        def query(connection: Connection) -> tuple[list[OrderRow], int]:
            rows = connection.execute(ordered).all()
            return [self._order(row) for row in rows], connection.execute(counted).scalar_one()

        return self._database.read(query)

    def _page_of_ids(self, ids: list[str], *, limit: int, offset: int) -> tuple[list[OrderRow], int]:
        shown = ids[offset : offset + limit]
        ordered = _listed.where(orders.c.id.in_(shown)).order_by(orders.c.created_at, orders.c.id)
        rows = self._database.read(lambda connection: connection.execute(ordered).all()) if shown else []
        return [self._order(row) for row in rows], len(ids)

    def _with_meta(self, external_id: str, meta: str) -> Iterator[str]:
        """Give the ids of a project's orders with this in their meta.

        SQL looks at plain ones; sealed ones are opened, all that the project has.
        """
        wanted = json.dumps(meta)
        ignore_case = 0 if self._database.dialect == "postgresql" else re.IGNORECASE  # as LIKE does
        parts = ({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in wanted)
        pattern = re.compile("".join(parts), re.DOTALL | ignore_case)
        sealed = sa.and_(orders.c.meta.is_(None), orders.c.sealed_meta.is_not(None))
        page = _listed.where(
            projects.c.external_id == external_id, _alive, sa.or_(orders.c.meta.like(f"%{wanted}%"), sealed)
        )
        page = page.order_by(orders.c.created_at, orders.c.id).limit(_LOOKED_THROUGH_AT_ONCE)
        after: sa.ColumnElement[bool] = sa.true()
        while True:
            following = page.where(after)
            rows = self._database.read(lambda connection: connection.execute(following).all())  # noqa: B023 - called at once
            for row in rows:
                if row.meta is not None or pattern.search(self._order(row).read_meta() or ""):
                    yield row.id
            if len(rows) < _LOOKED_THROUGH_AT_ONCE:
                return
            last = rows[-1]
            later = orders.c.created_at > last.created_at
            after = sa.or_(later, sa.and_(orders.c.created_at == last.created_at, orders.c.id > last.id))

    def pending(self, *, older_than_s: float, most: int) -> list[OrderRow]:
        """Return orders that have waited this long, oldest first."""
        parameters = {"before": utc_now() - dt.timedelta(seconds=older_than_s), "most": most}
        rows = self._database.read(lambda connection: connection.execute(_pending, parameters).all())
        return [self._order(row) for row in rows]

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

    def _order(self, row: Any) -> OrderRow:  # Any: the columns of _listed
        plain, sealed, order_id, external_id = row.meta, sealed_of(row), row.id, row.external_id

        def read_meta() -> str | None:
            if plain is not None:
                return stored_text(plain)
            return self._seals.open(order_id, external_id, sealed) if sealed is not None else None

        return OrderRow(*[*row[:_FIELDS], read_meta])

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
