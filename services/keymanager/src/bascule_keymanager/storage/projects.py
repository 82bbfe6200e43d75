"""Projects and their keys: made on first use, however many requests are the first at once."""

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.crypto.plugin import CryptoPlugin, ProjectKey
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.tables import kek_data, projects

__all__ = ["Project", "Projects", "insert_key"]

# A project deleted, or a key made newer, by another process is noticed this late.
_REMEMBERED_S = 30.0


@dataclass(frozen=True, slots=True)
class Project:
    """A project's row, and by their plugins the keys that seal what it stores now."""

    id: str
    external_id: str
    keys: Mapping[str, ProjectKey] = field(default_factory=dict, repr=False)


_active_kek = sa.and_(
    kek_data.c.project_id == projects.c.id,
    kek_data.c.active == sa.true(),
    kek_data.c.bind_completed == sa.true(),
    kek_data.c.deleted == sa.false(),
)
_key_columns = (kek_data.c.id.label("kek_id"), kek_data.c.plugin_name, kek_data.c.kek_label, kek_data.c.plugin_meta)
_alive = sa.and_(projects.c.external_id == sa.bindparam("external"), projects.c.deleted == sa.false())
# The newest comes last.
_with_keys = (
    sa.select(projects.c.id, *_key_columns)
    .select_from(projects.outerjoin(kek_data, _active_kek))
    .where(_alive)
    .order_by(kek_data.c.created_at, kek_data.c.id)
)
_locked = sa.select(projects.c.id).where(_alive).with_for_update()


class Projects:
    """Finds a project by the name that the identity service gives it, and makes it and its keys where they are new."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, Project]] = {}
        self._lock = threading.Lock()

    def get_or_create(self, external_id: str) -> Project:
        """Return the project, made now if need be; two processes that make it at once end with the same row."""
        with self._lock:
            remembered = self._known.get(external_id)
        if remembered is not None and time.monotonic() - remembered[0] < _REMEMBERED_S:
            return remembered[1]
        project = self._database.read(lambda connection: _find(connection, external_id))
        if project is None:
            self._database.write(lambda connection: _insert_project(connection, external_id))
            project = self._database.read(lambda connection: _find(connection, external_id))
        if project is None:
            raise AssertionError("a project's row is only ever hidden, and was just shown")
        self._remember(project)
        return project

    def key_of(self, project: Project, plugin: CryptoPlugin) -> ProjectKey:
        """Return the newest key that this plugin made for a project, made now if there is none."""
        key = project.keys.get(plugin.plugin_name)
        if key is not None:
            return key
        # A project that was deleted since is shown again by whoever asks for it next: `get_or_create` comes first.
        key = self._database.write(lambda connection: _newest_or_new(connection, project.external_id, plugin))
        self._remember(Project(project.id, project.external_id, {**project.keys, plugin.plugin_name: key}))
        return key

    def renew_key(self, project: Project, plugin: CryptoPlugin) -> ProjectKey:
        """Make a new key for a project; the ones that this plugin made before only open from now on."""

        def renew(connection: Connection) -> ProjectKey:
            connection.execute(_locked, {"external": project.external_id})
            mine = (kek_data.c.project_id == project.id, kek_data.c.plugin_name == plugin.plugin_name)
            connection.execute(kek_data.update().where(*mine).values(active=False, updated_at=utc_now()))
            return insert_key(connection, project.id, project.external_id, plugin)

        key = self._database.write(renew)
        self.forget(project.external_id)
        return key

    def of_row(self, project_id: str) -> Project:
        """Return the project of a row that refers to it."""
        external = sa.select(projects.c.external_id).where(projects.c.id == project_id)
        external_id: str = self._database.read(lambda connection: connection.execute(external).scalar_one())
        return self.get_or_create(external_id)

    def forget(self, external_id: str) -> None:
        """Look at the database when this project is asked for next."""
        with self._lock:
            self._known.pop(external_id, None)

    def _remember(self, project: Project) -> None:
        with self._lock:
            self._known[project.external_id] = (time.monotonic(), project)


def _find(connection: Connection, external_id: str) -> Project | None:
    rows = connection.execute(_with_keys, {"external": external_id}).all()
    if not rows:
        return None
    keys = [ProjectKey(row.kek_id, row.plugin_name, row.kek_label, row.plugin_meta) for row in rows if row.kek_id]
    return Project(rows[0].id, external_id, {key.plugin_name: key for key in keys})


def _newest_or_new(connection: Connection, external_id: str, plugin: CryptoPlugin) -> ProjectKey:
    # Everyone who finds no key queues on the project's row, so that only the first makes one.
    project_id: str = connection.execute(_locked, {"external": external_id}).scalar_one()
    found = _find(connection, external_id)
    if found is not None and plugin.plugin_name in found.keys:
        return found.keys[plugin.plugin_name]
    return insert_key(connection, project_id, external_id, plugin)


def insert_key(connection: Connection, project_id: str, external_id: str, plugin: CryptoPlugin) -> ProjectKey:
    """Make a project's key with this plugin, and keep it, while the caller's transaction has the project's row."""
    kek_id = str(uuid.uuid4())
    label = f"project-{external_id}-key-{kek_id}"[:255]
    new = plugin.new_key(label)
    connection.execute(
        kek_data.insert().values(
            **_fresh(),
            id=kek_id,
            plugin_name=plugin.plugin_name,
            kek_label=label,
            project_id=project_id,
            active=True,
            bind_completed=True,
            algorithm=new.algorithm,
            bit_length=new.bit_length,
            mode=new.mode,
            plugin_meta=new.wrapped,
        )
    )
    return ProjectKey(kek_id, plugin.plugin_name, label, new.wrapped)


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
