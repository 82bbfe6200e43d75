"""Containers: names for secrets that belong together.

A container is marked as deleted, and so is a link that is taken away; the links of a deleted container go for good.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.storage.acls import delete_acls
from bascule_keymanager.storage.consumers import CONTAINER_FIELDS, consumers_of
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.owners import CONTAINER_OWNER, Owner, living_secret, owner_of
from bascule_keymanager.storage.quotas import QuotaStore
from bascule_keymanager.storage.rows import deleted, fresh, lock_living
from bascule_keymanager.storage.tables import (
    container_acl_users,
    container_acls,
    container_consumer_metadata,
    container_secret,
    containers,
    projects,
    secrets,
)

__all__ = ["Container", "ContainerStore", "Link", "NewContainer", "SecretMissing"]


class SecretMissing(Exception):
    """A secret that a container should name is not one of the project's. Never leaves the API."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        super().__init__("a secret of the container is not there")


@dataclass(frozen=True, slots=True)
class Link:
    """What a container calls one of its secrets."""

    name: str | None
    secret_id: str


@dataclass(frozen=True, slots=True)
class NewContainer:
    """What a container is made of."""

    creator_id: str | None
    type: str
    name: str | None = None
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """A container as it is shown."""

    id: str
    owner: Owner
    created_at: dt.datetime
    updated_at: dt.datetime
    status: str
    name: str | None
    type: str
    links: list[Link] = field(default_factory=list)
    consumers: list[dict[str, str]] = field(default_factory=list)


_shown = (
    *CONTAINER_OWNER.columns,
    containers.c.id,
    containers.c.created_at,
    containers.c.updated_at,
    containers.c.status,
    containers.c.name,
    containers.c.type,
)
_listed = sa.select(*_shown).select_from(CONTAINER_OWNER.join).where(containers.c.deleted == sa.false())
_one = _listed.where(containers.c.id == sa.bindparam("id"))
_living_link = container_secret.c.deleted == sa.false()


class ContainerStore:
    """Keeps, finds and deletes containers."""

    def __init__(self, database: Database, quotas: QuotaStore) -> None:
        self._database, self._quotas = database, quotas

    def add(self, project_id: str, new: NewContainer) -> str:
        """Keep a container and return its id. Raises SecretMissing, QuotaReached."""
        row = fresh(name=new.name, type=new.type, project_id=project_id, creator_id=new.creator_id)
        counted = sa.select(sa.func.count()).select_from(containers)
        mine = counted.where(containers.c.project_id == project_id, containers.c.deleted == sa.false())

        def work(connection: Connection) -> None:
            self._quotas.check(connection, "containers", project_id, mine)
            _require(connection, project_id, new.links)
            connection.execute(containers.insert().values(row))
            if new.links:
                connection.execute(container_secret.insert(), [_link_row(row["id"], link) for link in new.links])

        self._database.write(work)
        made: str = row["id"]
        return made

    def get(self, container_id: str, user: str | None) -> Container | None:
        """Return a container that is not deleted, of whatever project, as `user` would see it."""

        def query(connection: Connection) -> Container | None:
            row = connection.execute(_one, {"id": container_id, "user": user}).first()
            return _with_contents(connection, [row])[0] if row is not None else None

        return self._database.read(query)

    def page(
        self, external_id: str, *, name: str | None, kind: str | None, limit: int, offset: int
    ) -> tuple[list[Container], int]:
        """Return one page of a project's containers, oldest first, and how many there are; `name` is a pattern."""
        conditions = [projects.c.external_id == external_id, containers.c.deleted == sa.false()]
        if name:
            conditions.append(containers.c.name.like(name))
        if kind:
            conditions.append(containers.c.type == kind)
        ordered = _listed.where(*conditions).order_by(containers.c.created_at, containers.c.id)
        owned = containers.join(projects, projects.c.id == containers.c.project_id)
        counted = sa.select(sa.func.count()).select_from(owned).where(*conditions)

        def query(connection: Connection) -> tuple[list[Container], int]:
            rows = connection.execute(ordered.limit(limit).offset(offset), {"user": None}).all()
            return _with_contents(connection, rows), connection.execute(counted).scalar_one()

        return self._database.read(query)

    def delete(self, container_id: str, external_id: str) -> bool:
        """Delete a container of this project, with what hangs on it; return False when the project has none such."""
        mine = sa.select(projects.c.id).where(projects.c.external_id == external_id)
        alive = containers.update().where(
            containers.c.id == container_id, containers.c.deleted == sa.false(), containers.c.project_id.in_(mine)
        )

        def work(connection: Connection) -> bool:
            gone = deleted()
            if connection.execute(alive.values(gone)).rowcount == 0:
                return False
            of_container = container_consumer_metadata.c.container_id == container_id
            living = container_consumer_metadata.c.deleted == sa.false()
            connection.execute(container_consumer_metadata.update().where(of_container, living).values(gone))
            links = container_secret.c.container_id == container_id
            connection.execute(container_secret.delete().where(links, _living_link))
            mine = container_acls.c.container_id == container_id
            delete_acls(connection, container_acls, container_acl_users, mine)
            return True

        return self._database.write(work)

    def link(self, project_id: str, container_id: str, link: Link) -> bool:
        """Name one more secret; return False when the container has it under that name. Raises SecretMissing, Gone."""

        def work(connection: Connection) -> bool:
            lock_living(connection, containers, container_id)
            _require(connection, project_id, [link])
            there = connection.execute(_same_link(container_id, link)).first()
            if there is None:
                connection.execute(container_secret.insert().values(_link_row(container_id, link)))
            elif there.deleted:
                shown = {"deleted": False, "deleted_at": None, "updated_at": utc_now()}
                connection.execute(container_secret.update().where(container_secret.c.id == there.id).values(shown))
            return there is None or there.deleted

        try:
            return self._database.write(work)
        except exc.IntegrityError:
            return False  # a Barbican that shares the database was first

    def unlink(self, project_id: str, container_id: str, link: Link) -> bool:
        """Take a secret away; return False when the container has none such. Raises SecretMissing, Gone."""

        def work(connection: Connection) -> bool:
            lock_living(connection, containers, container_id)
            _require(connection, project_id, [link])
            there = connection.execute(_same_link(container_id, link)).first()
            if there is None or there.deleted:
                return False
            connection.execute(container_secret.update().where(container_secret.c.id == there.id).values(deleted()))
            return True

        return self._database.write(work)


def _require(connection: Connection, project_id: str, links: Sequence[Link]) -> None:
    """Raise SecretMissing for the first link whose secret the project does not have; keep the others from going."""
    if not links:
        return
    wanted = [link.secret_id for link in links]
    mine = sa.select(secrets.c.id).where(secrets.c.id.in_(wanted), secrets.c.project_id == project_id, living_secret)
    locked = mine.order_by(secrets.c.id).with_for_update(read=True)
    there = {row.id for row in connection.execute(locked, {"now": utc_now()})}
    for link in links:
        if link.secret_id not in there:
            raise SecretMissing(link.name)


def _link_row(container_id: str, link: Link) -> dict[str, Any]:  # Any: column values
    return fresh("PENDING", name=link.name, container_id=container_id, secret_id=link.secret_id)


def _same_link(container_id: str, link: Link) -> sa.Select[Any]:  # Any: an id and a flag
    # The living one first: links without a name are not unique among those that were deleted.
    named = container_secret.c.name.is_(None) if link.name is None else container_secret.c.name == link.name
    of_both = (container_secret.c.container_id == container_id, container_secret.c.secret_id == link.secret_id)
    same = sa.select(container_secret.c.id, container_secret.c.deleted).where(*of_both, named)
    return same.order_by(container_secret.c.deleted)


def _with_contents(connection: Connection, rows: Iterable[Sequence[Any]]) -> list[Container]:  # Any: as _shown
    found = [Container(row[4], owner_of(row[:4]), *row[5:]) for row in rows]
    by_id = {container.id: container for container in found}
    if not by_id:
        return []
    linked = (
        sa.select(container_secret.c.container_id, container_secret.c.name, container_secret.c.secret_id)
        .where(container_secret.c.container_id.in_(list(by_id)), _living_link)
        .order_by(container_secret.c.created_at, container_secret.c.name, container_secret.c.id)
    )
    for container_id, name, secret_id in connection.execute(linked):
        by_id[container_id].links.append(Link(name, secret_id))
    consumers = consumers_of(connection, container_consumer_metadata, CONTAINER_FIELDS, by_id)
    for container_id, listed in consumers.items():
        by_id[container_id].consumers.extend(listed)
    return found
