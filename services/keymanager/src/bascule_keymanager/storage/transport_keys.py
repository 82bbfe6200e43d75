"""Transport keys: what clients may wrap a payload with on its way. A deleted key's row stays."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.rows import deleted, fresh
from bascule_keymanager.storage.tables import transport_keys

__all__ = ["TransportKey", "TransportKeys"]


@dataclass(frozen=True, slots=True)
class TransportKey:
    """A public key, and the plugin that has its other half."""

    id: str
    created_at: dt.datetime
    updated_at: dt.datetime
    status: str
    plugin_name: str
    transport_key: str


_living = transport_keys.c.deleted == sa.false()
_all = sa.select(
    transport_keys.c.id,
    transport_keys.c.created_at,
    transport_keys.c.updated_at,
    transport_keys.c.status,
    transport_keys.c.plugin_name,
    transport_keys.c.transport_key,
).where(_living)


class TransportKeys:
    """Keeps, finds and deletes transport keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, plugin_name: str, transport_key: str) -> str:
        """Keep a key and return its id."""
        row = fresh(plugin_name=plugin_name, transport_key=transport_key)
        self._database.write(lambda connection: connection.execute(transport_keys.insert().values(row)))
        made: str = row["id"]
        return made

    def get(self, key_id: str) -> TransportKey | None:
        """Return a key that is not deleted."""
        one = _all.where(transport_keys.c.id == key_id)
        row = self._database.read(lambda connection: connection.execute(one).first())
        return _key(row) if row is not None else None

    def page(self, plugin_name: str | None, *, limit: int, offset: int) -> tuple[list[str], int]:
        """Return the ids of one page of keys, oldest first, and how many there are, of one plugin if it is named."""
        conditions = [_living]
        if plugin_name is not None:
            conditions.append(transport_keys.c.plugin_name == plugin_name)
        listed = sa.select(transport_keys.c.id).where(*conditions)
        ordered = listed.order_by(transport_keys.c.created_at, transport_keys.c.id).limit(limit).offset(offset)
        counted = sa.select(sa.func.count()).select_from(transport_keys).where(*conditions)

        def query(connection: Connection) -> tuple[list[str], int]:
            return list(connection.execute(ordered).scalars()), connection.execute(counted).scalar_one()

        return self._database.read(query)

    def delete(self, key_id: str) -> bool:
        """Mark a key as deleted; return False when there is none such."""
        alive = transport_keys.update().where(transport_keys.c.id == key_id, _living).values(deleted())
        return self._database.write(lambda connection: connection.execute(alive).rowcount > 0)


def _key(row: Sequence[Any]) -> TransportKey:  # Any: the columns of _all
    return TransportKey(*row)
