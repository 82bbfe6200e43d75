"""Seal the meta of the orders that are there, in batches and while everybody works, and the way back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.crypto.plugin import stored_text
from bascule_keymanager.errors import DamagedOrder, SealedOrdersLost
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.order_seals import KEY_COLUMNS, ORDERS_WITH_KEY, OrderSeals, sealed_of
from bascule_keymanager.storage.tables import orders, projects

__all__ = ["OrderBatch", "OrderSealing", "OrdersSealed"]

# Rows that are only looked at cost less than those that are sealed.
_LOOKED_AT = 1_000

_is_plain, _is_sealed = orders.c.meta.is_not(None), orders.c.sealed_meta.is_not(None)
_marks = sa.select(
    orders.c.id,
    _is_plain.label("plain"),
    _is_sealed.label("sealed"),
    orders.c.sealed_meta_kek_id,
    projects.c.external_id,
).select_from(orders.join(projects, projects.c.id == orders.c.project_id))
_whole = sa.select(orders.c.id, orders.c.meta, orders.c.sealed_meta, projects.c.external_id, *KEY_COLUMNS).select_from(
    ORDERS_WITH_KEY.join(projects, projects.c.id == orders.c.project_id)
)


@dataclass(frozen=True, slots=True)
class OrderBatch:
    """What one batch did: metas that were sealed (or opened, on the way back), and plain ones that were removed.

    `damaged` are orders whose seal does not hold, which were left alone. `last` is where the next batch goes on; None
    when there is no next one.
    """

    sealed: int
    removed: int
    damaged: tuple[str, ...]
    last: str | None


@dataclass(frozen=True, slots=True)
class OrdersSealed:
    """How the meta of all orders is kept, deleted ones included."""

    plain: int
    both: int
    sealed: int


class OrderSealing:
    """Walks through all orders by their ids, deleted ones too: what they were ordered with is there until clean-up.

    Each batch is one transaction, which changes a row only while it is as it was read: whoever reads meanwhile gets the
    same meta before and after. Safe to kill, to run again, and to run twice at once. `updated` of an order stays.
    """

    def __init__(self, database: Database, seals: OrderSeals) -> None:
        self._database, self._seals = database, seals

    def status(self) -> OrdersSealed:
        """Return how many orders are kept how."""
        counted = sa.select(
            sa.func.count(sa.case((_is_plain & ~_is_sealed, 1))),
            sa.func.count(sa.case((_is_plain & _is_sealed, 1))),
            sa.func.count(sa.case((~_is_plain & _is_sealed, 1))),
        ).select_from(orders)
        row = self._database.read(lambda connection: connection.execute(counted).one())
        return OrdersSealed(row[0], row[1], row[2])

    def seal_batch(
        self, *, after: str = "", most: int = 100, again: bool = False, external_id: str | None = None
    ) -> OrderBatch:
        """Seal the next metas that are not sealed, and remove plain ones that nobody needs any more.

        `again` also seals what the newest key of its project did not seal, and what is damaged as long as the plain
        meta is there. Call it while the pin allows sealed metas.
        Raises UnreadableKek, UnknownPlugin: the batch then changed nothing. With `again`, DamagedOrder, too.
        """
        marks, alone = self._look(after, external_id), self._seals.stand_alone()
        waiting = [
            mark
            for mark in marks
            if (mark.plain and (again or alone or not mark.sealed)) or (again and self._is_old(mark))
        ]
        rows = self._rows([mark.id for mark in waiting[:most]])
        damaged: list[str] = []
        changes = [change for row in rows for change in self._sealing(row, damaged, again=again)]

        def write(connection: Connection) -> tuple[int, int]:
            alone, sealed, removed = self._seals.may_stand_alone(connection), 0, 0
            for change in changes:
                sealed += connection.execute(change).rowcount
            if alone:
                gone = [row.id for row in rows if row.id not in damaged]
                some = orders.update().where(orders.c.id.in_(gone), _is_plain, _is_sealed).values(meta=None)
                removed = connection.execute(some).rowcount if gone else 0
            return sealed, removed

        done = self._database.write(write) if rows else (0, 0)
        return OrderBatch(*done, tuple(damaged), _last(marks, waiting, most))

    def open_batch(self, *, after: str = "", most: int = 100) -> OrderBatch:
        """Put the plain meta back beside the next sealed ones, for older releases.

        Raises UnreadableKek, UnknownPlugin: the batch then changed nothing.
        """
        marks = self._look(after, None)
        waiting = [mark for mark in marks if mark.sealed and not mark.plain]
        damaged: list[str] = []
        changes = []
        for row in self._rows([mark.id for mark in waiting[:most]]):
            try:
                meta = self._open(row)
            except DamagedOrder:
                damaged.append(row.id)
                continue
            changes.append(orders.update().where(orders.c.id == row.id, ~_is_plain).values(meta=meta))
        opened = self._database.write(lambda connection: sum(connection.execute(one).rowcount for one in changes))
        return OrderBatch(opened, 0, tuple(damaged), _last(marks, waiting, most))

    def put_plain_back(self, *, accept_loss: bool = False) -> int:
        """Put every plain meta back, and return how many: every release reads the orders then.

        Nobody may seal one alone meanwhile. Raises UnreadableKek, UnknownPlugin; SealedOrdersLost where a seal does
        not hold, unless `accept_loss`.
        """
        opened, damaged, after = 0, list[str](), ""
        while True:
            batch = self.open_batch(after=after)
            opened, damaged = opened + batch.sealed, [*damaged, *batch.damaged]
            if batch.last is None:
                break
            after = batch.last
        if damaged and not accept_loss:
            raise SealedOrdersLost(len(damaged), damaged[0])
        return opened

    def check_batch(self, *, after: str = "", most: int = _LOOKED_AT) -> OrderBatch:
        """Open the next sealed metas, and change nothing. `sealed` is how many of them open.

        Raises UnreadableKek, UnknownPlugin.
        """
        page = _whole.where(orders.c.id > after, _is_sealed).order_by(orders.c.id).limit(most)
        rows = self._database.read(lambda connection: connection.execute(page).all())
        damaged = []
        for row in rows:
            try:
                self._open(row)
            except DamagedOrder:
                damaged.append(row.id)
        return OrderBatch(len(rows) - len(damaged), 0, tuple(damaged), rows[-1].id if len(rows) == most else None)

    def _look(self, after: str, external_id: str | None) -> Sequence[Any]:  # Any: the columns of _marks
        page = _marks.where(orders.c.id > after).order_by(orders.c.id).limit(_LOOKED_AT)
        if external_id is not None:
            page = page.where(projects.c.external_id == external_id)
        return self._database.read(lambda connection: connection.execute(page).all())

    def _rows(self, ids: list[str]) -> Sequence[Any]:  # Any: the columns of _whole
        if not ids:
            return []
        return self._database.read(lambda connection: connection.execute(_whole.where(orders.c.id.in_(ids))).all())

    def _is_old(self, mark: Any) -> bool:  # Any: the columns of _marks
        return bool(mark.sealed) and mark.sealed_meta_kek_id != self._seals.newest_key(mark.external_id).id

    def _open(self, row: Any) -> str:  # Any: the columns of _whole
        sealed = sealed_of(row)
        if sealed is None:
            raise AssertionError("only sealed rows are opened")
        return self._seals.open(row.id, row.external_id, sealed)

    def _sealing(self, row: Any, damaged: list[str], *, again: bool) -> list[sa.Update]:  # Any: the columns of _whole
        plain = stored_text(row.meta) if row.meta is not None else None
        if row.sealed_meta is None:
            return [self._seal(row, plain).where(~_is_sealed)] if plain is not None else []
        try:
            meta = self._open(row)
            holds = plain is None or meta == plain
        except DamagedOrder:
            if again and plain is None:
                raise
            holds = False
        if not holds and not again:
            damaged.append(row.id)
            return []
        if holds and (not again or row.kek_id == self._seals.newest_key(row.external_id).id):
            return []
        as_read = orders.c.sealed_meta_kek_id == row.kek_id if row.kek_id is not None else _is_plain
        return [self._seal(row, meta if plain is None else plain).where(as_read)]

    def _seal(self, row: Any, meta: str) -> sa.Update:  # Any: the columns of _whole
        return orders.update().where(orders.c.id == row.id).values(self._seals.seal(row.id, row.external_id, meta))


def _last(marks: Sequence[Any], waiting: Sequence[Any], most: int) -> str | None:  # Any: the columns of _marks
    """Return the last row that a batch was about; None when it has reached the end."""
    if len(waiting) > most:
        return str(waiting[most - 1].id)
    return str(marks[-1].id) if len(marks) == _LOOKED_AT else None
