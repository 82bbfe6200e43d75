"""Secrets and their payloads: one statement to read either, one transaction to keep or delete both."""

import dataclasses
import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.crypto.plugin import Place, ProjectKey, Sealed
from bascule_keymanager.errors import DamagedPayload
from bascule_keymanager.storage.acls import delete_acls
from bascule_keymanager.storage.consumers import SECRET_FIELDS, consumers_of
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.insertions import run_insertions
from bascule_keymanager.storage.known_keys import KnownKeys, StoredKey
from bascule_keymanager.storage.new_secrets import (
    NewSecret,
    insert_secret,
    insertions_beside,
    payload_insertions,
    secret_row,
)
from bascule_keymanager.storage.owners import SECRET_OWNER, Owner, living_secret, owner_of
from bascule_keymanager.storage.page_ends import PageEnd
from bascule_keymanager.storage.projects import Project
from bascule_keymanager.storage.quotas import QuotaStore
from bascule_keymanager.storage.secret_counts import SecretCounts, note_deleted
from bascule_keymanager.storage.secret_lists import Listing, SecretFilter, listing
from bascule_keymanager.storage.shown_secrets import SHOWN, SHOWN_FROM, Secret, shown
from bascule_keymanager.storage.tables import (
    container_secret,
    encrypted_data,
    secret_acl_users,
    secret_acls,
    secret_consumer_metadata,
    secret_store_metadata,
    secret_user_metadata,
    secrets,
)
from bascule_keymanager.storage.version_ends import Left, VersionEnds, end_versions
from bascule_keymanager.stores.configured import Stores
from bascule_keymanager.stores.crypto import STORE_CRYPTO
from bascule_keymanager.stores.store import OPAQUE, Form, Found, Kept, Store

__all__ = ["SealedPayload", "SecretInUse", "SecretStore", "forgotten_unless_inserted"]


class SecretInUse(Exception):
    """The secret has consumers. Never leaves the API."""


@dataclass(frozen=True, slots=True)
class SealedPayload:
    """What is stored of a payload; all but the first two are None while a secret has none."""

    owner: Owner
    secret_id: str
    content_type: str | None = None
    kek_id: str | None = None
    crypto_plugin: str | None = None
    kek_label: str | None = None
    wrapped_kek: str | bytes | None = field(default=None, repr=False)
    cypher_text: str | bytes | None = field(default=None, repr=False)
    extended: str | None = field(default=None, repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict)
    secret_type: str | None = None
    algorithm: str | None = None

    @property
    def has_payload(self) -> bool:
        """Whether there is a payload, here or in a store elsewhere."""
        return self.kek_id is not None or bool(self.metadata)


_one = sa.select(*SHOWN).select_from(SHOWN_FROM).where(secrets.c.id == sa.bindparam("id"), living_secret)
_one_with_consumers = (
    sa.select(*SHOWN, *(secret_consumer_metadata.c[name] for name in SECRET_FIELDS))
    .select_from(
        SHOWN_FROM.outerjoin(
            secret_consumer_metadata,
            sa.and_(
                secret_consumer_metadata.c.secret_id == secrets.c.id, secret_consumer_metadata.c.deleted == sa.false()
            ),
        )
    )
    .where(secrets.c.id == sa.bindparam("id"), living_secret)
    .order_by(secret_consumer_metadata.c.created_at, secret_consumer_metadata.c.id)
)
# Drivers take as long for each column as for much of what we do ourselves: the key's come from what is known of it.
_payload = (
    sa.select(
        *SECRET_OWNER.columns,
        secrets.c.id,
        encrypted_data.c.content_type,
        encrypted_data.c.kek_id,
        encrypted_data.c.cypher_text,
        encrypted_data.c.kek_meta_extended,
    )
    .select_from(
        SECRET_OWNER.join.outerjoin(
            encrypted_data,
            sa.and_(encrypted_data.c.secret_id == secrets.c.id, encrypted_data.c.deleted == sa.false()),
        )
    )
    .where(secrets.c.id == sa.bindparam("id"), living_secret)
)
_payload_with_form = _payload.add_columns(secrets.c.secret_type, secrets.c.algorithm)
_store_metadata = sa.select(secret_store_metadata.c.key, secret_store_metadata.c.value).where(
    secret_store_metadata.c.secret_id == sa.bindparam("id"), secret_store_metadata.c.deleted == sa.false()
)


class SecretStore:
    """Keeps, finds and deletes secrets; payloads go in and out sealed."""

    def __init__(
        self, database: Database, stores: Stores, quotas: QuotaStore, counts: SecretCounts | None = None
    ) -> None:
        self._database, self._stores, self._quotas = database, stores, quotas
        self._counts, self._keys = counts or SecretCounts(), KnownKeys()

    def add(self, project: Project, new: NewSecret) -> str:
        """Keep a secret, with its payload if it has one, and return its id. Raises QuotaReached."""
        secret_id = str(uuid.uuid4())
        if new.payload is None:
            self._insert(project, secret_id, new, None)
            return secret_id
        with self._stores.writing(project) as store:
            kept = store.keep(project, secret_id, new.payload, Form(new.secret_type, new.algorithm))
            with forgotten_unless_inserted(store, kept):
                self._insert(project, secret_id, new, kept)
        return secret_id

    def add_payload(
        self, project: Project, secret_id: str, payload: bytes, content_type: str, form: Form = OPAQUE
    ) -> bool:
        """Give a secret its payload; return False, and change nothing, when it has one already or is gone."""
        with self._stores.writing(project) as store:
            kept = store.keep(project, secret_id, payload, form)

            def insert(connection: Connection) -> bool:
                locked = sa.select(secrets.c.id).where(secrets.c.id == secret_id, secrets.c.deleted == sa.false())
                if connection.execute(locked.with_for_update()).first() is None:
                    return False
                there = sa.select(secret_store_metadata.c.id).where(secret_store_metadata.c.secret_id == secret_id)
                if connection.execute(there.limit(1)).first() is not None:
                    return False
                run_insertions(connection, payload_insertions(secret_id, kept, content_type))
                return True

            with forgotten_unless_inserted(store, kept):
                inserted = self._database.write(insert)
            if not inserted:
                store.forget(kept.metadata)
            return inserted

    def get(self, secret_id: str, user: str | None) -> tuple[Secret, Owner] | None:
        """Return a secret that is neither deleted nor expired, of whatever project, and its owner as `user` sees it."""
        parameters = {"id": secret_id, "user": user, "now": utc_now()}
        row = self._database.read(lambda connection: connection.execute(_one, parameters).first())
        return shown(row) if row is not None else None

    def get_with_consumers(self, secret_id: str, user: str | None) -> tuple[Secret, Owner, list[dict[str, str]]] | None:
        """Return what `get` returns, and the consumers of the secret, oldest first."""
        parameters = {"id": secret_id, "user": user, "now": utc_now()}
        rows = self._database.read(lambda connection: connection.execute(_one_with_consumers, parameters).all())
        if not rows:
            return None
        width = len(SHOWN)
        consumers = [dict(zip(SECRET_FIELDS, row[width:], strict=True)) for row in rows if row[width] is not None]
        return *shown(rows[0][:width]), consumers

    def sealed_payload(self, secret_id: str, user: str | None, *, with_form: bool = False) -> SealedPayload | None:
        """Return what is stored of a living secret's payload, with its owner as `user` would see it.

        Its `secret_type` and `algorithm` are there only `with_form`.

        That is one statement where the payload is in our own database and its key is known, and otherwise two.
        """
        parameters = {"id": secret_id, "user": user, "now": utc_now()}
        wanted = _payload_with_form if with_form else _payload

        def query(connection: Connection) -> SealedPayload | None:
            rows = connection.execute(wanted, parameters).all()
            if len(rows) > 1:
                # The first, as in Barbican; that is rare, and sorting even one row costs the server more than all else.
                first = wanted.order_by(encrypted_data.c.created_at).limit(1)
                rows = connection.execute(first, parameters).all()
            if not rows:
                return None
            found = self._sealed(connection, rows[0])
            if found.kek_id is not None:
                return found
            metadata = _metadata_of(connection, secret_id)
            if metadata.get("plugin_name") == STORE_CRYPTO and (rows := connection.execute(wanted, parameters).all()):
                return self._sealed(connection, rows[0])  # another version is the current one since, and is kept here
            return dataclasses.replace(found, content_type=metadata.get("content_type"), metadata=metadata)

        return self._database.read(query)

    def _sealed(self, connection: Connection, row: Sequence[Any]) -> SealedPayload:  # Any: columns of several types
        """Return what a row of _payload, or of _payload_with_form, tells; asks for its key where that is not known."""
        secret_id, content_type, kek_id, cypher_text, extended, *form = row[4:]
        key = StoredKey(None, None, None) if kek_id is None else self._keys.find(connection, kek_id)
        stored = (secret_id, content_type, kek_id, *key, cypher_text, extended, {}, *form)
        return SealedPayload(owner_of(row[:4]), *stored)

    def open(self, sealed: SealedPayload) -> bytes:
        """Return the payload itself. Raises what its store raises."""
        if not sealed.has_payload:
            raise AssertionError("the caller checks that there is a payload")
        place = Place(sealed.secret_id, sealed.owner.project)
        if sealed.kek_id is None:
            return self._stores.read(sealed.metadata["plugin_name"], Found(place, None, None, sealed.metadata))
        if sealed.crypto_plugin is None or sealed.cypher_text is None:
            raise DamagedPayload(sealed.secret_id)
        key = ProjectKey(sealed.kek_id, sealed.crypto_plugin, sealed.kek_label, sealed.wrapped_kek)
        return self._stores.read(STORE_CRYPTO, Found(place, key, Sealed(sealed.cypher_text, sealed.extended)))

    def page(self, external_id: str, wanted: SecretFilter, *, limit: int, offset: int) -> tuple[list[Secret], int]:
        """Return one page of a project's living secrets and how many there are in all; unsorted, the oldest first."""
        ask, now = listing(wanted), utc_now()
        parameters = {**ask.parameters, "now": now}
        if wanted.acl_user is None:
            parameters["external"] = external_id
        page = {**parameters, "user": None, "most": limit, "after": offset}

        def query(connection: Connection) -> tuple[list[Secret], int]:
            if ask.is_whole and (both := self._noted_page(connection, ask, page, external_id, now)):
                return both
            found = [Secret(*row) for row in connection.execute(ask.page, page).all()]
            total = self._counts.total(connection, external_id, now) if ask.is_whole else None
            return found, connection.execute(ask.count, parameters).scalar_one() if total is None else total

        return self._database.read(query)

    def _noted_page(
        self,
        connection: Connection,
        ask: Listing,
        page: Mapping[str, Any],  # Any: column values
        external_id: str,
        now: dt.datetime,
    ) -> tuple[list[Secret], int] | None:
        """Return a page and the total by one statement, where what is known of the project is still good."""
        with self._counts.known(external_id, now) as known:
            if known is None:
                return None
            offset = page["after"]
            end = None if ask.has_own_order else known.ends.before(offset)
            rows: Sequence[Sequence[Any]] = ()  # Any: the columns of LISTED and of NOTES
            if end is not None:
                later = {**page, "after": offset - end.offset, "past": end.created_at, "past_id": end.secret_id}
                rows = connection.execute(ask.later_page, later).all()
                if rows and rows[0][-1] != end.changes:
                    known.ends.forget()
                    rows = ()
            rows = rows or connection.execute(ask.noted_page, page).all()
            total = known.total(rows[0][-3:]) if rows else None
            found = [Secret(*row[:-3]) for row in rows]
            if total is not None and not ask.has_own_order:
                known.ends.keep(PageEnd(int(rows[0][-1]), offset + len(rows), found[-1].created_at, found[-1].id))
        return None if total is None else (found, total)

    def consumers_of(self, found: Sequence[Secret]) -> dict[str, list[dict[str, str]]]:
        """Return the consumers of several secrets, by their ids."""
        ids = [secret.id for secret in found]
        return self._database.read(
            lambda connection: consumers_of(connection, secret_consumer_metadata, SECRET_FIELDS, ids)
        )

    def delete(self, secret_id: str, *, unless_used: bool = False) -> bool:
        """Delete a secret and what hangs on it; return False when it was gone already.

        With `unless_used` it is not deleted while it has consumers. Raises SecretInUse.
        What a store keeps elsewhere goes first, as in Barbican: when that fails, the secret is still there.
        """
        metadata = self._database.read(lambda connection: _metadata_of(connection, secret_id))
        plugin_name = metadata.get("plugin_name", STORE_CRYPTO)
        if plugin_name != STORE_CRYPTO:
            self._stores.forget(plugin_name, metadata)
        versions = self._database.write(lambda connection: _delete(connection, secret_id, unless_used=unless_used))
        if versions is None:
            return False
        VersionEnds(self._database, self._stores).finish(versions)
        return True

    def _insert(self, project: Project, secret_id: str, new: NewSecret, kept: Kept | None) -> None:
        """Insert a secret within its project's quota, which costs statements of its own only where there is one."""
        row = secret_row(project, secret_id, new)
        unlimited = self._quotas.unlimited("secrets", secrets, row)
        others = insertions_beside(self._database.dialect, project, secret_id, new, kept)
        if unlimited is not None and self._database.insert_together([unlimited, *others]):
            return

        def insert(connection: Connection) -> None:
            self._quotas.check(connection, "secrets", project.id, _living_of(project.id))
            insert_secret(connection, project, secret_id, new, kept)

        self._database.write(insert)


def _living_of(project_id: str) -> sa.Select[int]:
    mine = sa.select(sa.func.count()).select_from(secrets).where(secrets.c.project_id == project_id, living_secret)
    return mine.params(now=utc_now())


def _metadata_of(connection: Connection, secret_id: str) -> dict[str, str]:
    rows = connection.execute(_store_metadata, {"id": secret_id})
    return {row.key: row.value for row in rows}


@contextmanager
def forgotten_unless_inserted(store: Store, kept: Kept) -> Iterator[None]:
    """Have a store elsewhere delete what it kept when the block, which inserts its rows, fails.

    Not when the connection broke: the commit may have succeeded, and a payload too many is better than one too few.
    """
    try:
        yield
    except Exception as failure:
        if not getattr(failure, "connection_invalidated", False):
            store.forget(kept.metadata)
        raise


def _delete(connection: Connection, secret_id: str, *, unless_used: bool) -> list[Left] | None:
    """Delete the rows; return the versions that are left elsewhere, None when the secret was gone already."""
    now = utc_now()
    gone = {"deleted": True, "deleted_at": now, "updated_at": now}
    alive = secrets.update().where(secrets.c.id == secret_id, secrets.c.deleted == sa.false())
    if connection.execute(alive.values(gone)).rowcount == 0:
        return None
    # The row is ours by now: whoever registers a consumer waits for us, or was first and is seen here.
    if unless_used and consumers_of(connection, secret_consumer_metadata, SECRET_FIELDS, [secret_id])[secret_id]:
        raise SecretInUse
    soft = (secret_store_metadata, secret_user_metadata, encrypted_data, container_secret, secret_consumer_metadata)
    for table in soft:
        of_secret = table.update().where(table.c.secret_id == secret_id, table.c.deleted == sa.false())
        connection.execute(of_secret.values(gone))
    delete_acls(connection, secret_acls, secret_acl_users, secret_acls.c.secret_id == secret_id)
    left = end_versions(connection, secret_id)
    note_deleted(connection, secret_id)
    return left
