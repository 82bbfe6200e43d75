"""Delete all that a project has, when the identity service has deleted the project itself."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.migrations.base import metadata
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.secrets import SecretStore

__all__ = ["Ended", "ProjectEnd"]

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Ended:
    """What a project's end took with it."""

    secrets: int
    containers: int


class ProjectEnd:
    """Ends projects. Orders and quotas stay, as in Barbican: orders tell what was done."""

    def __init__(self, database: Database, projects: Projects, secrets: SecretStore) -> None:
        self._database, self._projects, self._secrets = database, projects, secrets

    def end(self, external_id: str) -> Ended | None:
        """Delete the project's containers, secrets, keys, and the project; None where there is no such project.

        Each secret is a transaction, and the rest is one: safe to stop and to call again, until nothing is left.
        Raises what the stores raise that keep payloads elsewhere; what was deleted until then stays so.
        """
        projects = metadata.tables["projects"]
        wanted = sa.select(projects.c.id).where(projects.c.external_id == external_id, projects.c.deleted == sa.false())
        project_id: str | None = self._database.read(lambda connection: connection.execute(wanted).scalar())
        if project_id is None:
            return None
        secrets = self._delete_secrets(project_id)
        containers = self._database.write(lambda connection: _end(connection, project_id))
        self._projects.forget(external_id)
        return Ended(secrets, containers)

    def _delete_secrets(self, project_id: str) -> int:
        secrets, deleted = metadata.tables["secrets"], 0
        living = sa.select(secrets.c.id).where(secrets.c.project_id == project_id, secrets.c.deleted == sa.false())
        while True:
            ids = self._database.read(lambda connection: connection.execute(living.limit(_AT_ONCE)).scalars().all())
            if not ids:
                return deleted
            deleted += sum(self._secrets.delete(secret_id) for secret_id in ids)


def _end(connection: Connection, project_id: str) -> int:
    now = utc_now()
    gone = {"deleted": True, "deleted_at": now, "updated_at": now}
    containers = metadata.tables["containers"]
    mine = sa.select(containers.c.id).where(containers.c.project_id == project_id)
    for name in ("container_secret", "container_consumer_metadata"):
        table = metadata.tables[name]
        living = table.update().where(table.c.container_id.in_(mine), table.c.deleted == sa.false())
        connection.execute(living.values(gone))
    acls, users = metadata.tables["container_acls"], metadata.tables["container_acl_users"]
    of_mine = sa.select(acls.c.id).where(acls.c.container_id.in_(mine))
    connection.execute(users.delete().where(users.c.acl_id.in_(of_mine)))
    connection.execute(acls.delete().where(acls.c.container_id.in_(mine)))
    counts = {}
    for name, column in (("containers", "project_id"), ("kek_data", "project_id"), ("projects", "id")):
        table = metadata.tables[name]
        living = table.update().where(table.c[column] == project_id, table.c.deleted == sa.false())
        counts[name] = connection.execute(living.values(gone)).rowcount
    return counts["containers"]
