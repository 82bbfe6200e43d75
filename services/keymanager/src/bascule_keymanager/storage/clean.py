"""Remove for good what was deleted: in batches, children first, and nothing that is still referred to."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.migrations.base import metadata
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.order_seals import has_sealed_orders
from bascule_keymanager.storage.tables import orders

__all__ = ["ROWS_PER_BATCH", "Cleaned", "Cleaner"]

# Small enough for InnoDB's undo log on a small server; Barbican's own number.
ROWS_PER_BATCH = 10_000

# What is only marked when it is deleted. Projects are not here: `unused_projects` removes those that nobody needs.
_MARKED = (
    "transport_keys",
    "order_barbican_metadata",
    "order_retry_tasks",
    "order_plugin_metadata",
    "orders",
    "encrypted_data",
    "secret_user_metadata",
    "secret_store_metadata",
    "container_secret",
    "secret_consumer_metadata",
    "secrets",
    "container_consumer_metadata",
    "containers",
    "kek_data",
)
_OF_EXPIRED = ("secret_store_metadata", "secret_user_metadata", "encrypted_data", "container_secret")

# A project this young may be in the memory of a process that is about to store something for it.
_IN_USE_S = 3_600


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What one batch did."""

    table: str
    rows: int


class Cleaner:
    """Cleans the database; every batch is one transaction, so that it may be stopped and run again at any time."""

    def __init__(
        self, database: Database, *, rows_per_batch: int = ROWS_PER_BATCH, clock: Callable[[], dt.datetime] = utc_now
    ) -> None:
        self._database, self._rows_per_batch, self._clock = database, rows_per_batch, clock

    def marked(self, *, before: dt.datetime) -> Iterator[Cleaned]:
        """Remove what was marked as deleted until then."""
        for name in _MARKED:
            table = metadata.tables[name]
            gone = (table.c.deleted == sa.true(), table.c.deleted_at <= before, *_unreferenced(table))
            if name == "kek_data" and self._database.read(has_sealed_orders):
                # Sealed orders outlive the keys of a project that ended.
                gone = (*gone, ~sa.exists().where(orders.c.sealed_meta_kek_id == table.c.id))
            # Asked again as it is removed: a consumer that is registered anew gets its old row back.
            yield from self._batches(table, gone, _delete(table, table.c.deleted == sa.true()))

    def unused_projects(self) -> Iterator[Cleaned]:
        """Remove projects that nothing belongs to."""
        table = metadata.tables["projects"]
        unused = (table.c.created_at <= self._clock() - dt.timedelta(seconds=_IN_USE_S), *_unreferenced(table))
        yield from self._batches(table, unused, _delete(table, *_unreferenced(table)))

    def expired_secrets(self) -> Iterator[Cleaned]:
        """Mark expired secrets, and what hangs on them, as deleted; their ACLs are removed at once."""
        secrets, now = metadata.tables["secrets"], self._clock()
        gone = {"deleted": True, "deleted_at": now}
        expired = sa.select(secrets.c.id).where(secrets.c.expiration <= now)
        acls, users = metadata.tables["secret_acls"], metadata.tables["secret_acl_users"]
        of_expired = sa.select(acls.c.id).where(acls.c.secret_id.in_(expired))
        yield from self._batches(users, (users.c.acl_id.in_(of_expired),), _delete(users))
        yield from self._batches(acls, (acls.c.secret_id.in_(expired),), _delete(acls))
        for name in _OF_EXPIRED:
            table = metadata.tables[name]
            of_them = (table.c.deleted == sa.false(), table.c.secret_id.in_(expired))
            yield from self._batches(table, of_them, _mark(table, gone))
        living = (secrets.c.deleted == sa.false(), secrets.c.expiration <= now)
        yield from self._batches(secrets, living, _mark(secrets, gone))

    def _batches(
        self, table: sa.Table, which: tuple[sa.ColumnElement[bool], ...], act: Callable[[list[str]], sa.UpdateBase]
    ) -> Iterator[Cleaned]:
        after = ""
        while True:
            page = sa.select(table.c.id).where(table.c.id > after, *which).order_by(table.c.id)
            page = page.limit(self._rows_per_batch)
            ids = self._database.read(lambda connection: list(connection.execute(page).scalars()))  # noqa: B023
            if not ids:
                return
            yield Cleaned(table.name, self._database.write(lambda connection: _rows(connection, act(ids))))  # noqa: B023
            after = ids[-1]


def _rows(connection: Connection, statement: sa.UpdateBase) -> int:
    return connection.execute(statement).rowcount


def _delete(table: sa.Table, *also: sa.ColumnElement[bool]) -> Callable[[list[str]], sa.UpdateBase]:
    return lambda ids: table.delete().where(table.c.id.in_(ids), *also)


def _mark(table: sa.Table, values: dict[str, Any]) -> Callable[[list[str]], sa.UpdateBase]:  # Any: column values
    return lambda ids: table.update().where(table.c.id.in_(ids)).values(values)


def _unreferenced(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    """Return that no row of any table refers to this one."""
    columns = [column for other in metadata.tables.values() for column in other.columns]
    return [
        ~sa.exists().where(column == table.c.id)
        for column in columns
        if any(key.column.table is table for key in column.foreign_keys)
    ]
