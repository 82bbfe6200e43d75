"""Consumers of secrets and of containers: who registered that it uses one.

A deleted consumer's row stays, and is shown again when the same one registers again.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.quotas import QuotaStore
from bascule_keymanager.storage.rows import deleted, fresh, lock_living
from bascule_keymanager.storage.tables import (
    container_consumer_metadata,
    containers,
    projects,
    secret_consumer_metadata,
    secrets,
)

__all__ = [
    "Consumer",
    "ConsumerStore",
    "consumers_of",
    "container_consumer_store",
    "secret_consumer_store",
]

CONTAINER_FIELDS = ("name", "URL")
SECRET_FIELDS = ("service", "resource_type", "resource_id")


@dataclass(frozen=True, slots=True)
class Consumer:
    """One registration; `fields` are the ones that its kind has."""

    id: str
    created_at: dt.datetime
    updated_at: dt.datetime
    status: str
    project: str | None
    fields: dict[str, str]


class ConsumerStore:
    """The consumers of one kind of thing. Writers of one thing's consumers wait for each other."""

    def __init__(
        self, database: Database, quotas: QuotaStore, entity: sa.Table, table: sa.Table, fields: Sequence[str]
    ) -> None:
        self._database, self._quotas = database, quotas
        self._entity, self._table, self._fields = entity, table, tuple(fields)
        self._of_entity = table.c[_key(table)]
        self._shown = sa.select(
            table.c.id, table.c.created_at, table.c.updated_at, table.c.status, projects.c.external_id,
            *(table.c[field] for field in fields),
        ).select_from(table.outerjoin(projects, projects.c.id == table.c.project_id))  # fmt: skip

    def get(self, entity_id: str, consumer_id: str) -> Consumer | None:
        """Return one living consumer of this secret or container."""
        one = self._shown.where(self._table.c.id == consumer_id, *self._living(entity_id))
        row = self._database.read(lambda connection: connection.execute(one).first())
        return self._consumer(row) if row is not None else None

    def find(self, entity_id: str, values: Mapping[str, str]) -> Consumer | None:
        """Return the living consumer of these values."""
        one = self._shown.where(*self._living(entity_id), *self._equal(values))
        row = self._database.read(lambda connection: connection.execute(one).first())
        return self._consumer(row) if row is not None else None

    def page(self, entity_id: str, *, limit: int, offset: int) -> tuple[list[Consumer], int]:
        """Return one page of the living consumers and how many there are: by name, or by age where they have none."""
        first = self._table.c.name if "name" in self._fields else self._table.c.created_at
        living = self._living(entity_id)
        by = (first, self._table.c.created_at, self._table.c.id)
        ordered = self._shown.where(*living).order_by(*by).limit(limit).offset(offset)
        counted = sa.select(sa.func.count()).select_from(self._table).where(*living)

        def query(connection: Connection) -> tuple[list[Consumer], int]:
            rows = connection.execute(ordered).all()
            return [self._consumer(row) for row in rows], connection.execute(counted).scalar_one()

        return self._database.read(query)

    def register(self, project_id: str, entity_id: str, values: Mapping[str, str]) -> None:
        """Register a consumer; the same one again changes nothing, and one that was deleted is there again.

        Raises Gone, QuotaReached.
        """
        try:
            self._database.write(lambda connection: self._register(connection, project_id, entity_id, values))
        except exc.IntegrityError:
            # A Barbican that shares the database does not wait for our lock: its row is there now.
            self._database.write(lambda connection: self._register(connection, project_id, entity_id, values))

    def delete(self, consumer_id: str) -> bool:
        """Mark a consumer as deleted; return False when it is so already."""
        alive = self._table.update().where(self._table.c.id == consumer_id, self._table.c.deleted == sa.false())
        return self._database.write(lambda connection: connection.execute(alive.values(deleted())).rowcount > 0)

    def _register(self, connection: Connection, project_id: str, entity_id: str, values: Mapping[str, str]) -> None:
        self._quotas.check(connection, "consumers", project_id, self._counted(project_id))
        lock_living(connection, self._entity, entity_id)
        there = sa.select(self._table.c.id, self._table.c.deleted).where(
            self._of_entity == entity_id, *self._equal(values)
        )
        row = connection.execute(there).first()
        now = utc_now()
        if row is None:
            connection.execute(self._table.insert().values(self._row(project_id, entity_id, values)))
            connection.execute(self._entity.update().where(self._entity.c.id == entity_id).values(updated_at=now))
        elif row.deleted:
            revived = {"deleted": False, "deleted_at": None, "updated_at": now}
            connection.execute(self._table.update().where(self._table.c.id == row.id).values(revived))

    def _row(self, project_id: str, entity_id: str, values: Mapping[str, str]) -> dict[str, Any]:  # Any: column values
        own: dict[str, Any] = {field: values[field] for field in self._fields}
        if "data_hash" in self._table.c:
            text = entity_id + values["name"] + values["URL"]
            own["data_hash"] = hashlib.sha256(text.encode()).hexdigest()
        return fresh(project_id=project_id) | {self._of_entity.name: entity_id} | own

    def _counted(self, project_id: str) -> sa.Select[int]:
        of_project = (self._table.c.project_id == project_id, self._table.c.deleted == sa.false())
        return sa.select(sa.func.count()).select_from(self._table).where(*of_project)

    def _living(self, entity_id: str) -> tuple[sa.ColumnElement[bool], ...]:
        return self._of_entity == entity_id, self._table.c.deleted == sa.false()

    def _equal(self, values: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
        return [self._table.c[field] == values[field] for field in self._fields]

    def _consumer(self, row: Sequence[Any]) -> Consumer:  # Any: the columns of _shown
        consumer_id, created, updated, status, project, *values = row
        fields = dict(zip(self._fields, values, strict=True))
        return Consumer(consumer_id, created, updated, status, project, fields)


def consumers_of(
    connection: Connection, table: sa.Table, fields: Sequence[str], entity_ids: Iterable[str]
) -> dict[str, list[dict[str, str]]]:
    """Return the living consumers of several secrets or containers at once, by their ids, as they are shown there."""
    key = table.c[_key(table)]
    wanted = list(entity_ids)
    found: dict[str, list[dict[str, str]]] = {entity_id: [] for entity_id in wanted}
    if not wanted:
        return found
    listed = (
        sa.select(key, *(table.c[field] for field in fields))
        .where(key.in_(wanted), table.c.deleted == sa.false())
        .order_by(table.c.created_at, table.c.id)
    )
    for entity_id, *values in connection.execute(listed):
        found[entity_id].append(dict(zip(fields, values, strict=True)))
    return found


def secret_consumer_store(database: Database, quotas: QuotaStore) -> ConsumerStore:
    """Return the consumers of secrets."""
    return ConsumerStore(database, quotas, secrets, secret_consumer_metadata, SECRET_FIELDS)


def container_consumer_store(database: Database, quotas: QuotaStore) -> ConsumerStore:
    """Return the consumers of containers."""
    return ConsumerStore(database, quotas, containers, container_consumer_metadata, CONTAINER_FIELDS)


def _key(table: sa.Table) -> str:
    return "secret_id" if "secret_id" in table.c else "container_id"
