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

__all__ = ["Batch", "Resealer"]

_stored = (
    sa.select(
        encrypted_data.c.id,
        encrypted_data.c.secret_id,
        encrypted_data.c.cypher_text,
        encrypted_data.c.kek_meta_extended,
        kek_data.c.id.label("kek_id"),
        kek_data.c.plugin_name,
        kek_data.c.kek_label,
        kek_data.c.plugin_meta,
        projects.c.external_id,
    )
    .select_from(
        encrypted_data.join(kek_data, kek_data.c.id == encrypted_data.c.kek_id)
        .join(secrets, secrets.c.id == encrypted_data.c.secret_id)
        .join(projects, projects.c.id == secrets.c.project_id)
    )
    .where(encrypted_data.c.deleted == sa.false(), secrets.c.deleted == sa.false(), projects.c.deleted == sa.false())
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch did. `last` is where the next one goes on; None when there is no next one."""

    resealed: int
    last: str | None


class Resealer:
    """Moves payloads to the newest key of one plugin: all of them, or those that the plugins `sealed_by` sealed.

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
    ) -> None:
        self._database, self._projects, self._reads, self._writes = database, projects, reads, writes
        self._found = _stored if sealed_by is None else _stored.where(kek_data.c.plugin_name.in_(sealed_by))

    def left(self) -> int:
        """Return how many payloads another plugin sealed."""
        other = _stored.where(kek_data.c.plugin_name != self._writes.plugin_name).subquery()
        counted = sa.select(sa.func.count()).select_from(other)
        return self._database.read(lambda connection: connection.execute(counted).scalar_one())

    def run_batch(self, *, after: str = "", most: int = 100, external_id: str | None = None) -> Batch:
        """Look at the next rows by their ids, and seal those again that the newest key of their project did not seal.

        Raises UnknownPlugin, UnreadableKek, DamagedPayload: the batch then changed nothing.
        """
        page = self._found.where(encrypted_data.c.id > after).order_by(encrypted_data.c.id).limit(most)
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
            encrypted_data.update()
            # The key, and not the text: a text that Barbican bound as bytes compares with no text on SQLite.
            .where(encrypted_data.c.id == row.id, encrypted_data.c.kek_id == row.kek_id)
            .values(
                kek_id=key.id, cypher_text=sealed.cypher_text, kek_meta_extended=sealed.extended, updated_at=utc_now()
            )
        )
