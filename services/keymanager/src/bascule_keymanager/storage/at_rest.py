"""Where a version's payload is kept: the current one's where Barbican keeps payloads, the others' in their own rows.

Everything here runs within the caller's transaction, which has locked the secret's row.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.crypto.plugin import stored_text
from bascule_keymanager.storage.rows import Values, fresh
from bascule_keymanager.storage.tables import encrypted_data, secret_store_metadata, secrets
from bascule_keymanager.storage.version_tables import secret_versions
from bascule_keymanager.stores.crypto import STORE_CRYPTO
from bascule_keymanager.stores.store import Kept

__all__ = ["EMPTY", "AtRest", "put_in_place", "stored_in_place", "stored_in_version"]

# The columns of a version's row while its payload is where Barbican keeps it, or destroyed.
EMPTY: Values = dict.fromkeys(("plugin_name", "store_metadata", "kek_id", "cypher_text", "kek_meta_extended"))


@dataclass(frozen=True, slots=True)
class AtRest:
    """What our tables have of one payload, wherever it is."""

    plugin_name: str
    content_type: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    kek_id: str | None = None
    cypher_text: str | None = field(default=None, repr=False)
    extended: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, kept: Kept, content_type: str) -> "AtRest":
        """Return what is to be written of a payload that a store has just kept."""
        if kept.sealed is None:
            return cls(kept.plugin_name, content_type, kept.metadata)
        text = stored_text(kept.sealed.cypher_text)
        return cls(kept.plugin_name, content_type, kept.metadata, kept.kek_id, text, kept.sealed.extended)

    @property
    def columns(self) -> Values:
        """The columns of the version's row that has this payload."""
        return {
            "plugin_name": self.plugin_name,
            "store_metadata": json.dumps(dict(self.metadata)) if self.metadata else None,
            "kek_id": self.kek_id,
            "cypher_text": self.cypher_text,
            "kek_meta_extended": self.extended,
        }


_sealed = (
    sa.select(
        encrypted_data.c.id,
        encrypted_data.c.kek_id,
        encrypted_data.c.cypher_text,
        encrypted_data.c.kek_meta_extended,
    )
    .where(encrypted_data.c.secret_id == sa.bindparam("secret"), encrypted_data.c.deleted == sa.false())
    .order_by(encrypted_data.c.created_at, encrypted_data.c.id)
    .limit(1)
)
_metadata = sa.select(secret_store_metadata.c.key, secret_store_metadata.c.value).where(
    secret_store_metadata.c.secret_id == sa.bindparam("secret"), secret_store_metadata.c.deleted == sa.false()
)
_of_version = sa.select(
    secret_versions.c.plugin_name,
    secret_versions.c.content_type,
    secret_versions.c.store_metadata,
    secret_versions.c.kek_id,
    secret_versions.c.cypher_text,
    secret_versions.c.kek_meta_extended,
).where(secret_versions.c.secret_id == sa.bindparam("secret"), secret_versions.c.number == sa.bindparam("number"))


def stored_in_place(connection: Connection, secret_id: str) -> AtRest | None:
    """Return the payload that Barbican's tables have of a secret; None while it has none."""
    metadata = {row.key: row.value for row in connection.execute(_metadata, {"secret": secret_id})}
    sealed = connection.execute(_sealed, {"secret": secret_id}).first()
    if not metadata and sealed is None:
        return None
    plugin_name = metadata.pop("plugin_name", STORE_CRYPTO)
    content_type = metadata.pop("content_type", None)
    if sealed is None:
        return AtRest(plugin_name, content_type, metadata)
    text = stored_text(sealed.cypher_text or "")
    return AtRest(plugin_name, content_type, metadata, sealed.kek_id, text, sealed.kek_meta_extended)


def stored_in_version(connection: Connection, secret_id: str, number: int) -> AtRest | None:
    """Return the payload that a version's own row has; None where it is elsewhere, or destroyed."""
    row = connection.execute(_of_version, {"secret": secret_id, "number": number}).first()
    return _at_rest(row) if row is not None and row.plugin_name is not None else None


def _at_rest(row: Sequence[Any]) -> AtRest:  # Any: the columns of _of_version
    plugin_name, content_type, metadata, kek_id, text, extended = row
    return AtRest(plugin_name, content_type, json.loads(metadata or "{}"), kek_id, text, extended)


def put_in_place(connection: Connection, secret_id: str, payload: AtRest) -> None:
    """Make this the secret's payload for whoever reads it as Barbican does.

    A row that is there is written anew rather than marked as deleted: what it had would stay in the database.
    """
    _put_sealed(connection, secret_id, payload)
    connection.execute(secret_store_metadata.delete().where(secret_store_metadata.c.secret_id == secret_id))
    shown = {**payload.metadata, "plugin_name": payload.plugin_name}
    if payload.content_type is not None:
        shown["content_type"] = payload.content_type
    rows = [{**fresh("PENDING"), "key": key, "value": value, "secret_id": secret_id} for key, value in shown.items()]
    connection.execute(secret_store_metadata.insert(), rows)
    connection.execute(secrets.update().where(secrets.c.id == secret_id).values(updated_at=utc_now()))


def _put_sealed(connection: Connection, secret_id: str, payload: AtRest) -> None:
    there = connection.execute(_sealed, {"secret": secret_id}).first()
    if payload.kek_id is None:
        # Whoever finds a row there takes it for the payload.
        connection.execute(encrypted_data.delete().where(encrypted_data.c.secret_id == secret_id))
        return
    values = {
        "content_type": payload.content_type,
        "kek_id": payload.kek_id,
        "cypher_text": payload.cypher_text,
        "kek_meta_extended": payload.extended,
    }
    if there is None:
        connection.execute(encrypted_data.insert().values({**fresh(), "secret_id": secret_id, **values}))
        return
    written = encrypted_data.update().where(encrypted_data.c.id == there.id)
    connection.execute(written.values(updated_at=utc_now(), **values))
