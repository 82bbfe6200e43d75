"""Projects and their keys: made on first use, however many requests are the first at once."""

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.crypto.simple import CRYPTO_PLUGIN, KEK_ALGORITHM, KEK_BIT_LENGTH, KEK_MODE, Vault
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.tables import kek_data, projects

__all__ = ["Project", "Projects"]

# A project deleted, or a key made newer, by another process is noticed this late.
_REMEMBERED_S = 30.0


@dataclass(frozen=True, slots=True)
class Project:
    """A project's row and the key that seals what it stores now."""

    id: str
    external_id: str
    kek_id: str
    wrapped_kek: str | bytes = field(repr=False)


_active_kek = (
    sa.select(kek_data.c.id, kek_data.c.plugin_meta)
    .where(
        kek_data.c.project_id == sa.bindparam("project"),
        kek_data.c.plugin_name == CRYPTO_PLUGIN,
        kek_data.c.active == sa.true(),
        kek_data.c.bind_completed == sa.true(),
        kek_data.c.deleted == sa.false(),
    )
    .order_by(kek_data.c.created_at.desc(), kek_data.c.id.desc())
    .limit(1)
)
_project = sa.select(projects.c.id).where(
    projects.c.external_id == sa.bindparam("external"), projects.c.deleted == sa.false()
)


class Projects:
    """Finds a project by the name that the identity service gives it, and makes it with its key where it is new."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database, self._vault = database, vault
        self._known: dict[str, tuple[float, Project]] = {}
        self._lock = threading.Lock()

    def get_or_create(self, external_id: str) -> Project:
        """Return the project, made now if need be; two processes that make it at once end with the same rows."""
        with self._lock:
            remembered = self._known.get(external_id)
        if remembered is not None and time.monotonic() - remembered[0] < _REMEMBERED_S:
            return remembered[1]
        project = self._database.read(lambda connection: _find(connection, external_id)) or self._create(external_id)
        with self._lock:
            self._known[external_id] = (time.monotonic(), project)
        return project

    def of_row(self, project_id: str) -> Project:
        """Return the project of a row that refers to it, with a key made now if it has none yet."""
        external = sa.select(projects.c.external_id).where(projects.c.id == project_id)
        external_id: str = self._database.read(lambda connection: connection.execute(external).scalar_one())
        return self.get_or_create(external_id)

    def _create(self, external_id: str) -> Project:
        # Two transactions: a lost race for the unique name must not deadlock with the lock on the row.
        self._database.write(lambda connection: _insert_project(connection, external_id))
        return self._database.write(lambda connection: self._with_kek(connection, external_id))

    def _with_kek(self, connection: Connection, external_id: str) -> Project:
        # Everyone who finds no key queues on the project's row, so that only the first makes one.
        project_id: str = connection.execute(_project.with_for_update(), {"external": external_id}).scalar_one()
        row = connection.execute(_active_kek, {"project": project_id}).first()
        if row is not None:
            return Project(project_id, external_id, row.id, row.plugin_meta)
        kek_id, wrapped = str(uuid.uuid4()), self._vault.new_wrapped_key()
        connection.execute(
            kek_data.insert().values(
                **_fresh(),
                id=kek_id,
                plugin_name=CRYPTO_PLUGIN,
                kek_label=f"project-{external_id}-key-{kek_id}"[:255],
                project_id=project_id,
                active=True,
                bind_completed=True,
                algorithm=KEK_ALGORITHM,
                bit_length=KEK_BIT_LENGTH,
                mode=KEK_MODE,
                plugin_meta=wrapped,
            )
        )
        return Project(project_id, external_id, kek_id, wrapped)


def _find(connection: Connection, external_id: str) -> Project | None:
    project_id = connection.execute(_project, {"external": external_id}).scalar()
    if project_id is None:
        return None
    row = connection.execute(_active_kek, {"project": project_id}).first()
    return Project(project_id, external_id, row.id, row.plugin_meta) if row is not None else None


def _insert_project(connection: Connection, external_id: str) -> None:
    """Insert the row, or revive a deleted one; nothing happens where it is there."""
    values = {**_fresh(), "id": str(uuid.uuid4()), "external_id": external_id}
    revived = {"deleted": False, "deleted_at": None}
    connection.execute(_insert_or_revive(connection.dialect.name, values, revived))


def _insert_or_revive(dialect: str, values: dict[str, Any], revived: dict[str, Any]) -> sa.Executable:
    # Imported here, since each dialect's package takes longer to import than most of ours, and only one is used.
    if dialect in ("mysql", "mariadb"):
        from sqlalchemy.dialects import mysql  # noqa: PLC0415

        return mysql.insert(projects).values(values).on_duplicate_key_update(revived)
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        unless_there = postgresql.insert(projects).values(values)
        return unless_there.on_conflict_do_update(index_elements=["external_id"], set_=revived)
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415

    return sqlite.insert(projects).values(values).on_conflict_do_update(index_elements=["external_id"], set_=revived)


def _fresh() -> dict[str, Any]:  # Any: column values
    now = utc_now()
    return {"created_at": now, "updated_at": now, "deleted": False, "status": "ACTIVE"}
