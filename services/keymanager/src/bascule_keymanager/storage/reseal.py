"""Seal stored payloads again, with another key or in another format, in batches and while everybody works."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bascule_keymanager.clock import utc_now
from bascule_keymanager.crypto.plugin import CryptoPlugin, Place, ProjectKey, Sealed
from bascule_keymanager.errors import UnknownPlugin
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.tables import encrypted_data, kek_data, projects, secrets
from bascule_keymanager.storage.version_tables import secret_versions

__all__ = ["Batch", "Resealer"]


def _stored_in(table: sa.Table, *kept: sa.ColumnElement[bool]) -> sa.Select[Any]:  # Any: many columns
    """Return the query for the sealed payloads that this table has."""
    return (
        sa.select(
            table.c.id,
            table.c.secret_id,
            table.c.cypher_text,
            table.c.kek_meta_extended,
            kek_data.c.id.label("kek_id"),
            kek_data.c.plugin_name,
            kek_data.c.kek_label,
            kek_data.c.plugin_meta,
            projects.c.external_id,
        )
        .select_from(
            table.join(kek_data, kek_data.c.id == table.c.kek_id)
            .join(secrets, secrets.c.id == table.c.secret_id)
            .join(projects, projects.c.id == secrets.c.project_id)
        )
        .where(*kept, secrets.c.deleted == sa.false(), projects.c.deleted == sa.false())
    )


# Of versions the rows have a payload that have a key: the current one's and destroyed ones have none.
_STORED = {
    encrypted_data.name: _stored_in(encrypted_data, encrypted_data.c.deleted == sa.false()),
    secret_versions.name: _stored_in(secret_versions),
}


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch did. `last` is where the next one goes on; None when there is no next one."""

    resealed: int
    last: str | None


class Resealer:
    """Moves payloads to the newest key of one plugin: all of them, or those that the plugins `sealed_by` sealed.

    Those of one table: `encrypted_data` has what everybody reads, `bascule_secret_versions` the versions beside it.
    Each batch is one transaction, which changes a row only while it holds what was read: whoever reads meanwhile gets
    the same payload before and after. Safe to stop and to run again, and to run twice at once.
    """

    def __init__(
        self,
        database: Database,
        projects: Projects,
        reads: Mapping[str, CryptoPlugin],
        writes: CryptoPlugin,
        *,
        sealed_by: Sequence[str] | None = None,
        table: sa.Table = encrypted_data,
    ) -> None:
        self._database, self._projects, self._reads, self._writes = database, projects, reads, writes
        self._table, stored = table, _STORED[table.name]
        self._found = stored if sealed_by is None else stored.where(kek_data.c.plugin_name.in_(sealed_by))

    def left(self) -> int:
        """Return how many payloads another plugin sealed."""
        other = _STORED[self._table.name].where(kek_data.c.plugin_name != self._writes.plugin_name).subquery()
        counted = sa.select(sa.func.count()).select_from(other)
        return self._database.read(lambda connection: connection.execute(counted).scalar_one())

    def run_batch(self, *, after: str = "", most: int = 100, external_id: str | None = None) -> Batch:
        """Look at the next rows by their ids, and seal those again that the newest key of their project did not seal.

        Raises UnknownPlugin, UnreadableKek, DamagedPayload: the batch then changed nothing.
        """
        page = self._found.where(self._table.c.id > after).order_by(self._table.c.id).limit(most)
        if external_id is not None:
            page = page.where(projects.c.external_id == external_id)
        rows = self._database.read(lambda connection: connection.execute(page).all())
        changes = [change for change in map(self._change, rows) if change is not None]
        resealed = self._database.write(lambda connection: sum(connection.execute(one).rowcount for one in changes))
        return Batch(resealed, rows[-1].id if len(rows) == most else None)

    def _change(self, row: Any) -> sa.Update | None:  # Any: the columns of _stored
        key = self._projects.key_of(self._projects.get_or_create(row.external_id), self._writes)
        if row.kek_id == key.id:
            return None
        plugin = self._reads.get(row.plugin_name)
        if plugin is None:
            raise UnknownPlugin(row.plugin_name)
        place = Place(row.secret_id, row.external_id)
        old = ProjectKey(row.kek_id, row.plugin_name, row.kek_label, row.plugin_meta)
        payload = plugin.open(old, Sealed(row.cypher_text, row.kek_meta_extended), place)
        sealed = self._writes.seal(key, payload, place)
        return (
            self._table.update()
            # The text as well as the key: the row may have another version's payload by now, under the same key. Text
            # that Barbican bound as bytes compares with no text on SQLite unless it is cast.
            .where(
                self._table.c.id == row.id,
                self._table.c.kek_id == row.kek_id,
                sa.cast(self._table.c.cypher_text, sa.Text) == _as_text(row.cypher_text),
            )
            .values(
                kek_id=key.id, cypher_text=sealed.cypher_text, kek_meta_extended=sealed.extended, updated_at=utc_now()
            )
        )


def _as_text(stored: str | bytes) -> str:
    return stored if isinstance(stored, str) else bytes(stored).decode("ascii")
