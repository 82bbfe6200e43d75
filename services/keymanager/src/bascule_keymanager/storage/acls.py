"""ACLs of secrets and of containers: who besides the project may read. Their rows are deleted for good."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.rows import Values, fresh, insert_unless_there, lock_living
from bascule_keymanager.storage.tables import (
    container_acl_users,
    container_acls,
    containers,
    secret_acl_users,
    secret_acls,
    secrets,
)

__all__ = ["Acl", "AclStore", "container_acl_store", "delete_acls", "secret_acl_store"]


@dataclass(frozen=True, slots=True)
class Acl:
    """Who may read; without `project_access` the roles of the project do not count."""

    project_access: bool
    users: tuple[str, ...]
    created_at: dt.datetime
    updated_at: dt.datetime


class AclStore:
    """The read ACLs of one kind of thing. Writers of one thing's ACL wait for each other."""

    def __init__(self, database: Database, entity: sa.Table, acls: sa.Table, users: sa.Table, key: str) -> None:
        self._database = database
        self._entity, self._acls, self._users, self._key = entity, acls, users, acls.c[key]
        self._read = (
            sa.select(acls.c.project_access, acls.c.created_at, acls.c.updated_at, users.c.user_id)
            .select_from(acls.outerjoin(users, users.c.acl_id == acls.c.id))
            .where(self._key == sa.bindparam("entity"), acls.c.operation == "read")
            .order_by(users.c.created_at, users.c.user_id)
        )

    def get(self, entity_id: str) -> Acl | None:
        """Return the ACL, None when there is none and the project's roles alone decide."""
        rows = self._database.read(lambda connection: connection.execute(self._read, {"entity": entity_id}).all())
        if not rows:
            return None
        access, created, updated, _ = rows[0]
        return Acl(bool(access), tuple(row.user_id for row in rows if row.user_id is not None), created, updated)

    def write(self, entity_id: str, *, project_access: bool | None, users: Collection[str] | None) -> None:
        """Make the ACL, or change it; what is None stays as it is, and is open to the project in a new ACL.

        Raises Gone.
        """

        def work(connection: Connection) -> None:
            lock_living(connection, self._entity, entity_id)
            acl_id = self._made(connection, entity_id)
            now = utc_now()
            changed: Values = {"updated_at": now}
            if project_access is not None:
                changed["project_access"] = project_access
            connection.execute(self._acls.update().where(self._acls.c.id == acl_id).values(changed))
            if users is not None:
                self._set_users(connection, acl_id, users)
            connection.execute(self._entity.update().where(self._entity.c.id == entity_id).values(updated_at=now))

        self._database.write(work)

    def delete(self, entity_id: str) -> None:
        """Delete the ACL, if there is one."""
        self._database.write(
            lambda connection: delete_acls(connection, self._acls, self._users, self._key == entity_id)
        )

    def _made(self, connection: Connection, entity_id: str) -> str:
        row = fresh(operation="read", project_access=True) | {self._key.name: entity_id}
        connection.execute(insert_unless_there(connection.dialect.name, self._acls, row, (self._key.name, "operation")))
        there = sa.select(self._acls.c.id).where(self._key == entity_id, self._acls.c.operation == "read")
        acl_id: str = connection.execute(there).scalar_one()
        return acl_id

    def _set_users(self, connection: Connection, acl_id: str, users: Collection[str]) -> None:
        of_acl = self._users.delete().where(self._users.c.acl_id == acl_id)
        connection.execute(of_acl.where(self._users.c.user_id.not_in(list(users))))
        for user in dict.fromkeys(users):
            row = fresh(acl_id=acl_id, user_id=user)
            connection.execute(insert_unless_there(connection.dialect.name, self._users, row, ("acl_id", "user_id")))


def delete_acls(connection: Connection, acls: sa.Table, users: sa.Table, which: sa.ColumnElement[bool]) -> None:
    """Delete these ACLs and their users for good, within the caller's transaction."""
    connection.execute(users.delete().where(users.c.acl_id.in_(sa.select(acls.c.id).where(which))))
    connection.execute(acls.delete().where(which))


def secret_acl_store(database: Database) -> AclStore:
    """Return the ACLs of secrets."""
    return AclStore(database, secrets, secret_acls, secret_acl_users, "secret_id")


def container_acl_store(database: Database) -> AclStore:
    """Return the ACLs of containers."""
    return AclStore(database, containers, container_acls, container_acl_users, "container_id")
