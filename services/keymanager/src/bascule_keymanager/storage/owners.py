"""Who owns a secret or a container, and who else may read it: what policies are asked about, in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bascule_keymanager.clock import utc_now
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.tables import (
    container_acl_users,
    container_acls,
    containers,
    projects,
    secret_acl_users,
    secret_acls,
    secrets,
)

__all__ = ["CONTAINER_OWNER", "SECRET_OWNER", "Owner", "OwnerColumns", "Owners", "living_secret", "owner_of"]


@dataclass(frozen=True, slots=True)
class Owner:
    """What policies ask about a secret or a container, as seen by the user who was named in the query.

    `project` is the identity service's id; `project_access` is the flag of the read ACL, True without one; `is_listed`
    says whether that ACL names the user.
    """

    project: str
    creator_id: str | None
    project_access: bool
    is_listed: bool


@dataclass(frozen=True, slots=True)
class OwnerColumns:
    """A join and four columns of it that make an Owner; the query's parameter `user` is who asks."""

    join: sa.Join
    columns: tuple[sa.ColumnElement[Any], ...]  # Any: columns of several types


def owner_of(row: Sequence[Any]) -> Owner:  # Any: the four columns of OwnerColumns
    """Return the owner that these four columns tell."""
    project, creator, access, listed = row
    return Owner(project, creator, True if access is None else bool(access), listed is not None)


def _owner_columns(entity: sa.Table, acls: sa.Table, users: sa.Table, key: str) -> OwnerColumns:
    # One row at most on each side: both tables of ACLs have the unique keys that this relies on.
    read = sa.and_(acls.c[key] == entity.c.id, acls.c.operation == "read")
    caller = sa.and_(users.c.acl_id == acls.c.id, users.c.user_id == sa.bindparam("user", type_=sa.String(255)))
    join = entity.join(projects, projects.c.id == entity.c.project_id).outerjoin(acls, read).outerjoin(users, caller)
    return OwnerColumns(join, (projects.c.external_id, entity.c.creator_id, acls.c.project_access, users.c.id))


SECRET_OWNER = _owner_columns(secrets, secret_acls, secret_acl_users, "secret_id")
CONTAINER_OWNER = _owner_columns(containers, container_acls, container_acl_users, "container_id")

living_secret = sa.and_(
    secrets.c.deleted == sa.false(),
    sa.or_(secrets.c.expiration.is_(None), secrets.c.expiration > sa.bindparam("now", type_=sa.DateTime)),
)
_secret = (
    sa.select(*SECRET_OWNER.columns)
    .select_from(SECRET_OWNER.join)
    .where(secrets.c.id == sa.bindparam("id"), living_secret)
)
_container = (
    sa.select(*CONTAINER_OWNER.columns)
    .select_from(CONTAINER_OWNER.join)
    .where(containers.c.id == sa.bindparam("id"), containers.c.deleted == sa.false())
)


class Owners:
    """Tells the owner of what a path names, for everything that hangs on a secret or a container."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_secret(self, secret_id: str, user: str | None) -> Owner | None:
        """Return who owns a secret that is neither deleted nor expired."""
        return self._find(_secret, {"id": secret_id, "user": user, "now": utc_now()})

    def of_container(self, container_id: str, user: str | None) -> Owner | None:
        """Return who owns a container that is not deleted."""
        return self._find(_container, {"id": container_id, "user": user})

    def _find(self, query: sa.Select[Any], parameters: dict[str, Any]) -> Owner | None:  # Any: columns, values
        row = self._database.read(lambda connection: connection.execute(query, parameters).first())
        return owner_of(row) if row is not None else None
