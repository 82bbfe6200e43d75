"""The secret stores that projects may choose from, and what they chose. These rows are deleted for good."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from bascule.errors import LifecycleError
from bascule_keymanager.clock import utc_now
from bascule_keymanager.config_stores import ConfiguredStore
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.rows import fresh, lock_living
from bascule_keymanager.storage.tables import project_secret_store, projects, secret_stores

__all__ = ["ChoosableStore", "ChoosableStores", "StoreStillChosen"]


class StoreStillChosen(LifecycleError):
    """A secret store is no longer configured, but projects have chosen it; the process must not start."""

    def __init__(self, name: str, projects: int) -> None:
        self.name, self.projects = name, projects
        super().__init__(
            f"the secret store {name!r} is not configured any more, and {projects} projects prefer it; configure it in "
            f"[secretstore] stores_lookup_suffix, or take their preference away first"
        )


@dataclass(frozen=True, slots=True)
class ChoosableStore:
    """A secret store as projects are shown it; plugins go by their short names."""

    id: str
    created_at: dt.datetime
    updated_at: dt.datetime
    status: str
    name: str
    store_plugin: str
    crypto_plugin: str | None
    global_default: bool


_all = sa.select(
    secret_stores.c.id,
    secret_stores.c.created_at,
    secret_stores.c.updated_at,
    secret_stores.c.status,
    secret_stores.c.name,
    secret_stores.c.store_plugin,
    secret_stores.c.crypto_plugin,
    secret_stores.c.global_default,
)
_preferred = _all.select_from(
    secret_stores.join(project_secret_store, project_secret_store.c.secret_store_id == secret_stores.c.id)
).where(project_secret_store.c.project_id == sa.bindparam("project"))


class ChoosableStores:
    """Finds secret stores, and remembers what projects chose."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[ChoosableStore]:
        """Return every store, oldest first."""
        ordered = _all.order_by(secret_stores.c.created_at, secret_stores.c.name)
        return [_store(row) for row in self._database.read(lambda connection: connection.execute(ordered).all())]

    def get(self, store_id: str) -> ChoosableStore | None:
        """Return one store."""
        return self._first(_all.where(secret_stores.c.id == sa.bindparam("id")), {"id": store_id})

    def default(self) -> ChoosableStore | None:
        """Return the store that takes what no project chose a store for."""
        return self._first(_all.where(secret_stores.c.global_default == sa.true()), {})

    def preferred(self, project_id: str) -> ChoosableStore | None:
        """Return the store that a project chose."""
        return self._first(_preferred, {"project": project_id})

    def prefer(self, project_id: str, store_id: str) -> None:
        """Choose a store for a project, in the place of any that it chose before. Raises Gone for a deleted project."""

        def work(connection: Connection) -> None:
            lock_living(connection, projects, project_id)
            values = {"secret_store_id": store_id, "updated_at": utc_now()}
            if connection.execute(_chosen_by(project_id).values(values)).rowcount == 0:
                row = fresh(project_id=project_id, secret_store_id=store_id)
                connection.execute(project_secret_store.insert().values(row))

        try:
            self._database.write(work)
        except exc.IntegrityError:
            self._database.write(work)  # a Barbican that shares the database was first: its row is changed now

    def prefer_none(self, project_id: str) -> bool:
        """Take a project's choice away; return False when it made none."""
        chosen = project_secret_store.delete().where(project_secret_store.c.project_id == project_id)
        return self._database.write(lambda connection: connection.execute(chosen).rowcount > 0)

    def sync(self, configured: Collection[ConfiguredStore]) -> None:
        """Make the rows what is configured; the ids of stores that stay do not change. Raises StoreStillChosen.

        Call it when a process starts. Where projects may not choose, the rows are left as they are.
        """
        if not configured:
            return
        try:
            self._database.write(lambda connection: _sync(connection, configured))
        except exc.IntegrityError:
            self._database.write(lambda connection: _sync(connection, configured))  # another process was first

    def _first(self, query: sa.Select[Any], parameters: dict[str, str]) -> ChoosableStore | None:  # Any: columns
        row = self._database.read(lambda connection: connection.execute(query, parameters).first())
        return _store(row) if row is not None else None


def _store(row: Sequence[Any]) -> ChoosableStore:  # Any: the columns of _all
    return ChoosableStore(*row)


def _chosen_by(project_id: str) -> sa.Update:
    return project_secret_store.update().where(project_secret_store.c.project_id == project_id)


def _sync(connection: Connection, configured: Collection[ConfiguredStore]) -> None:
    there = {(store.store_plugin, store.crypto_plugin): store for store in map(_store, connection.execute(_all))}
    wanted = {(store.store_plugin, store.crypto_plugin) for store in configured}
    for plugins in there.keys() - wanted:
        _remove(connection, there[plugins])
    for store in configured:
        known = there.get((store.store_plugin, store.crypto_plugin))
        values = {"name": store.name, "global_default": store.global_default}
        if known is None:
            row = fresh(store_plugin=store.store_plugin, crypto_plugin=store.crypto_plugin) | values
            connection.execute(secret_stores.insert().values(row))
        elif (known.name, known.global_default) != (store.name, store.global_default):
            changed = secret_stores.update().where(secret_stores.c.id == known.id)
            connection.execute(changed.values(updated_at=utc_now(), **values))


def _remove(connection: Connection, store: ChoosableStore) -> None:
    counted = sa.select(sa.func.count()).where(project_secret_store.c.secret_store_id == store.id)
    users = connection.execute(counted).scalar_one()
    if users:
        raise StoreStillChosen(store.name, users)
    connection.execute(secret_stores.delete().where(secret_stores.c.id == store.id))
