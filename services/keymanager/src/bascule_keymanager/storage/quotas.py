"""Quotas: how much of what a project may keep, and that two creations at once do not exceed it."""

import functools
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.insertions import Insertion
from bascule_keymanager.storage.rows import Values, fresh
from bascule_keymanager.storage.tables import project_quotas, projects

__all__ = ["RESOURCES", "QuotaReached", "QuotaStore", "Quotas"]

RESOURCES = ("secrets", "orders", "containers", "consumers", "cas")


class QuotaReached(Exception):
    """The project has as many as it may. Never leaves the API."""

    def __init__(self, resource: str) -> None:
        self.resource = resource
        super().__init__(f"the project's quota of {resource} is reached")


@dataclass(frozen=True, slots=True)
class Quotas:
    """What every project may keep unless it has quotas of its own; a negative number is no limit."""

    secrets: int = -1
    orders: int = -1
    containers: int = -1
    consumers: int = -1
    cas: int = -1


_columns = tuple(project_quotas.c[name] for name in RESOURCES)
_of_project = (
    sa.select(*_columns)
    .select_from(project_quotas.join(projects, projects.c.id == project_quotas.c.project_id))
    .where(projects.c.external_id == sa.bindparam("external"))
    .order_by(project_quotas.c.created_at)
    .limit(1)
)
_all = sa.select(projects.c.external_id, *_columns).select_from(
    project_quotas.join(projects, projects.c.id == project_quotas.c.project_id)
)


class QuotaStore:
    """The quotas that projects have of their own, above the configured ones."""

    def __init__(self, database: Database, configured: Quotas) -> None:
        self._database = database
        self._configured: dict[str, int] = asdict(configured)

    def own(self, external_id: str) -> dict[str, int | None] | None:
        """Return a project's own quotas, None where one is not set; None when it has none at all."""
        row = self._database.read(lambda connection: connection.execute(_of_project, {"external": external_id}).first())
        return dict(zip(RESOURCES, row, strict=True)) if row is not None else None

    def effective(self, external_id: str) -> dict[str, int]:
        """Return what holds for a project."""
        own = self.own(external_id) or {}
        return {name: _or_default(own.get(name), default) for name, default in self._configured.items()}

    def page(self, *, limit: int, offset: int) -> tuple[list[tuple[str, dict[str, int | None]]], int]:
        """Return one page of the projects that have quotas of their own, oldest first, and how many there are."""
        ordered = _all.order_by(project_quotas.c.created_at, project_quotas.c.id).limit(limit).offset(offset)
        counted = sa.select(sa.func.count()).select_from(project_quotas)

        def query(connection: Connection) -> tuple[list[tuple[str, dict[str, int | None]]], int]:
            rows = connection.execute(ordered).all()
            found = [(row[0], dict(zip(RESOURCES, row[1:], strict=True))) for row in rows]
            return found, connection.execute(counted).scalar_one()

        return self._database.read(query)

    def put(self, project_id: str, changes: dict[str, int]) -> None:
        """Give a project quotas of its own, or change those that are named."""

        def work(connection: Connection) -> None:
            _lock_project(connection, project_id)
            changed = project_quotas.update().where(project_quotas.c.project_id == project_id)
            if connection.execute(changed.values(updated_at=utc_now(), **changes)).rowcount == 0:
                connection.execute(project_quotas.insert().values(fresh(project_id=project_id) | changes))

        self._database.write(work)

    def delete(self, external_id: str) -> bool:
        """Take a project's own quotas away for good; return False when it had none."""
        mine = sa.select(projects.c.id).where(projects.c.external_id == external_id)
        gone = project_quotas.delete().where(project_quotas.c.project_id.in_(mine))
        return self._database.write(lambda connection: connection.execute(gone).rowcount > 0)

    def unlimited(self, resource: str, table: sa.Table, row: Values) -> Insertion | None:
        """Return the insertion of a row of a project without a limit, which inserts nothing where there may be one.

        Then the caller asks `check` before it inserts; so it does where this is None, since all projects have a limit.
        """
        if self._configured[resource] >= 0:
            return None
        return Insertion(_guarded(resource, table, tuple(row)), row)

    def check(self, connection: Connection, resource: str, project_id: str, counted: sa.Select[int]) -> None:
        """Hold a creation to its quota, within its transaction. Raises QuotaReached.

        Where there is a limit, creations of one project wait here for each other: the next one counts what this one
        has committed, so that none exceeds it. Where there is none, this is one statement and nobody waits.
        """
        own = sa.select(project_quotas.c[resource]).where(project_quotas.c.project_id == project_id)
        oldest = own.order_by(project_quotas.c.created_at).limit(1)
        limit = _or_default(connection.execute(oldest).scalar(), self._configured[resource])
        if limit < 0:
            return
        if limit > 0:
            _lock_project(connection, project_id)
            if connection.execute(counted).scalar_one() < limit:
                return
        raise QuotaReached(resource)


@functools.cache
def _guarded(resource: str, table: sa.Table, names: tuple[str, ...]) -> sa.Insert:
    """Return an INSERT of these columns as parameters, if the project has no quota of this resource of its own."""
    project = sa.bindparam("project_id", type_=sa.String(36))
    limited = sa.exists().where(project_quotas.c.project_id == project, project_quotas.c[resource].is_not(None))
    values = [sa.bindparam(name, type_=table.c[name].type) for name in names]
    # From a table, since not every database takes a condition without one.
    source = sa.select(*values).select_from(projects).where(projects.c.id == project, ~limited)
    # Without the option SQLAlchemy keeps no count of what an INSERT did.
    return table.insert().from_select(names, source).execution_options(preserve_rowcount=True)


def _or_default(own: int | None, default: int) -> int:
    return default if own is None else own


def _lock_project(connection: Connection, project_id: str) -> None:
    row = sa.select(projects.c.id).where(projects.c.id == project_id)
    connection.execute(row.with_for_update(key_share=True)).all()
