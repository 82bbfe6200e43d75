"""The versions of a secret as they are shown, and one of their payloads: one statement for either.

A secret that has only ever had one payload has no rows of its own here: that payload is its version 1, and current.
"""

import datetime as dt
import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from bascule_keymanager.clock import utc_now
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.owners import SECRET_OWNER, Owner, living_secret, owner_of
from bascule_keymanager.storage.secrets import SealedPayload
from bascule_keymanager.storage.shown_secrets import SHOWN_FROM
from bascule_keymanager.storage.tables import encrypted_data, kek_data, projects, secret_store_metadata, secrets
from bascule_keymanager.storage.version_tables import secret_labels, secret_versions, versioned_secrets

__all__ = ["CURRENT", "PREVIOUS", "History", "NoVersion", "Version", "VersionPayload", "VersionReader"]

CURRENT, PREVIOUS = "current", "previous"


class NoVersion(Exception):
    """The secret has no version of this number or label. Never leaves the API."""

    def __init__(self, name: int | str) -> None:
        self.name = name
        super().__init__(f"there is no version {name}")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a secret; never its payload."""

    number: int
    created_at: dt.datetime
    creator_id: str | None
    origin: str
    content_type: str | None
    destroyed_at: dt.datetime | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """A secret's versions, the newest first. `revision` rises by every change of a version or a label."""

    owner: Owner
    revision: int
    versions: tuple[Version, ...]

    @property
    def labels(self) -> dict[str, int]:
        """Every label with the number of its version, by name."""
        return dict(sorted((label, each.number) for each in self.versions for label in each.labels))

    def find(self, name: int | str) -> Version:
        """Return the version of this number or label. Raises NoVersion."""
        for version in self.versions:
            if name == version.number or name in version.labels:
                return version
        raise NoVersion(name)


@dataclass(frozen=True, slots=True)
class VersionPayload:
    """What is stored of one version's payload; `number` is None where there is no such version."""

    owner: Owner
    revision: int
    number: int | None = None
    destroyed_at: dt.datetime | None = None
    sealed: SealedPayload | None = field(default=None, repr=False)


_of_secret = secret_labels.c.secret_id == secret_versions.c.secret_id
_history = (
    sa.select(
        *SECRET_OWNER.columns,
        secrets.c.created_at.label("secret_created_at"),
        secret_store_metadata.c.value.label("only_type"),
        versioned_secrets.c.revision,
        secret_versions.c.number,
        secret_versions.c.created_at,
        secret_versions.c.creator_id.label("maker_id"),
        secret_versions.c.origin,
        secret_versions.c.content_type,
        secret_versions.c.destroyed_at,
        secret_labels.c.label,
    )
    .select_from(
        SHOWN_FROM.outerjoin(versioned_secrets, versioned_secrets.c.secret_id == secrets.c.id)
        .outerjoin(secret_versions, secret_versions.c.secret_id == secrets.c.id)
        .outerjoin(secret_labels, sa.and_(_of_secret, secret_labels.c.number == secret_versions.c.number))
    )
    .where(secrets.c.id == sa.bindparam("id"), living_secret)
    .order_by(secret_versions.c.number.desc(), secret_labels.c.label)
)


def _payload_by(version: sa.FromClause, wanted: sa.ColumnElement[bool]) -> sa.Select[Any]:  # Any: many columns
    """Return the query for the payload of the version that `wanted` is true of.

    Where it is the current one, or the only one, the payload comes from Barbican's tables in the same statement: it may
    be another's a moment later.
    """
    current = secret_labels.alias("current_label")
    is_current = sa.or_(versioned_secrets.c.secret_id.is_(None), secret_versions.c.number == current.c.number)
    in_place = sa.and_(encrypted_data.c.secret_id == secrets.c.id, encrypted_data.c.deleted == sa.false(), is_current)
    beside = sa.and_(
        secret_store_metadata.c.secret_id == secrets.c.id, secret_store_metadata.c.deleted == sa.false(), is_current
    )
    return (
        sa.select(
            *SECRET_OWNER.columns,
            secrets.c.id.label("secret_id"),
            versioned_secrets.c.revision,
            secret_versions.c.number,
            secret_versions.c.destroyed_at,
            secret_versions.c.plugin_name,
            secret_versions.c.store_metadata,
            sa.func.coalesce(secret_versions.c.content_type, encrypted_data.c.content_type).label("content_type"),
            kek_data.c.id.label("kek_id"),
            kek_data.c.plugin_name.label("crypto_plugin"),
            kek_data.c.kek_label,
            kek_data.c.plugin_meta,
            sa.func.coalesce(secret_versions.c.cypher_text, encrypted_data.c.cypher_text).label("cypher_text"),
            sa.func.coalesce(secret_versions.c.kek_meta_extended, encrypted_data.c.kek_meta_extended).label("extended"),
            encrypted_data.c.created_at.label("stored_at"),
            secret_store_metadata.c.key.label("meta_key"),
            secret_store_metadata.c.value.label("meta_value"),
        )
        .select_from(
            SECRET_OWNER.join.outerjoin(versioned_secrets, versioned_secrets.c.secret_id == secrets.c.id)
            .outerjoin(version, wanted)
            .outerjoin(current, sa.and_(current.c.secret_id == secrets.c.id, current.c.label == CURRENT))
            .outerjoin(encrypted_data, in_place)
            .outerjoin(secret_store_metadata, beside)
            .outerjoin(kek_data, kek_data.c.id == sa.func.coalesce(secret_versions.c.kek_id, encrypted_data.c.kek_id))
        )
        .where(secrets.c.id == sa.bindparam("id"), living_secret)
    )


_by_number = _payload_by(
    secret_versions,
    sa.and_(secret_versions.c.secret_id == secrets.c.id, secret_versions.c.number == sa.bindparam("version")),
)
_wanted = secret_labels.alias("wanted_label")
_by_label = _payload_by(
    secret_versions.join(
        _wanted,
        sa.and_(_wanted.c.secret_id == secret_versions.c.secret_id, _wanted.c.number == secret_versions.c.number),
    ),
    sa.and_(secret_versions.c.secret_id == secrets.c.id, _wanted.c.label == sa.bindparam("version")),
)


_others = (
    sa.select(
        projects.c.external_id,
        secret_versions.c.content_type,
        kek_data.c.id.label("kek_id"),
        kek_data.c.plugin_name.label("crypto_plugin"),
        kek_data.c.kek_label,
        kek_data.c.plugin_meta,
        secret_versions.c.cypher_text,
        secret_versions.c.kek_meta_extended,
        secret_versions.c.store_metadata,
        secret_versions.c.plugin_name,
    )
    .select_from(
        secret_versions.join(secrets, secrets.c.id == secret_versions.c.secret_id)
        .join(projects, projects.c.id == secrets.c.project_id)
        .outerjoin(kek_data, kek_data.c.id == secret_versions.c.kek_id)
    )
    .where(
        secrets.c.id == sa.bindparam("id"),
        living_secret,
        secret_versions.c.destroyed_at.is_(None),
        secret_versions.c.plugin_name.is_not(None),
    )
    .order_by(secret_versions.c.number.desc())
)


class VersionReader:
    """Reads versions; the caller asks the policies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def history(self, secret_id: str, user: str | None) -> History | None:
        """Return the versions of a living secret, with its owner as `user` would see it."""
        parameters = {"id": secret_id, "user": user, "now": utc_now()}
        rows = self._database.read(lambda connection: connection.execute(_history, parameters).all())
        return _history_of(rows) if rows else None

    def payload(self, secret_id: str, user: str | None, name: int | str) -> VersionPayload | None:
        """Return what is stored of the payload of the version of this number or label; None without such a secret."""
        query = _by_number if isinstance(name, int) else _by_label
        parameters = {"id": secret_id, "user": user, "now": utc_now(), "version": name}
        rows = self._database.read(lambda connection: connection.execute(query, parameters).all())
        return _payload_of(rows, name) if rows else None

    def others(self, secret_id: str) -> list[SealedPayload]:
        """Return what is stored of the payloads that are not the current one, the newest first.

        Their owner tells no more than the project: the caller has asked the policies for the secret itself.
        """
        parameters = {"id": secret_id, "now": utc_now()}
        rows = self._database.read(lambda connection: connection.execute(_others, parameters).all())
        return [_other(secret_id, row) for row in rows]


def _other(secret_id: str, row: Any) -> SealedPayload:  # Any: the columns of _others
    return SealedPayload(
        Owner(row.external_id, None, True, False),
        secret_id,
        row.content_type,
        row.kek_id,
        row.crypto_plugin,
        row.kek_label,
        row.plugin_meta,
        row.cypher_text,
        row.kek_meta_extended,
        _own_metadata(row.store_metadata, row.plugin_name),
    )


def _history_of(rows: Sequence[Any]) -> History:  # Any: the columns of _history
    first, owner = rows[0], owner_of(rows[0][:4])
    if first.revision is None:
        if first.only_type is None:
            return History(owner, 0, ())
        only = Version(1, first.secret_created_at, owner.creator_id, "client", first.only_type, None, (CURRENT,))
        return History(owner, 1, (only,))
    versions = []
    for number, of_version in groupby(rows, key=operator.attrgetter("number")):
        labelled = list(of_version)
        one = labelled[0]
        labels = tuple(row.label for row in labelled if row.label is not None)
        version = Version(number, one.created_at, one.maker_id, one.origin, one.content_type, one.destroyed_at, labels)
        versions.append(version)
    return History(owner, first.revision, tuple(versions))


def _payload_of(rows: Sequence[Any], name: int | str) -> VersionPayload:  # Any: the columns of _payload_by
    # Barbican may have stored a payload twice, and takes the first for it.
    stored = sorted((row for row in rows if row.stored_at is not None), key=operator.attrgetter("stored_at"))
    one, owner = (stored or rows)[0], owner_of(rows[0][:4])
    metadata: dict[str, str] = {row.meta_key: row.meta_value for row in rows if row.meta_key is not None}
    if one.revision is None:
        has_one = one.kek_id is not None or bool(metadata)
        found = VersionPayload(owner, 1 if has_one else 0, 1 if has_one and name in (1, CURRENT) else None)
    else:
        found = VersionPayload(owner, one.revision, one.number, one.destroyed_at)
    if found.number is None or found.destroyed_at is not None:
        return found
    if one.plugin_name is not None:  # its row has the payload, not Barbican's tables
        metadata = _own_metadata(one.store_metadata, one.plugin_name)
    sealed = SealedPayload(
        owner,
        one.secret_id,
        one.content_type or metadata.get("content_type"),
        one.kek_id,
        one.crypto_plugin,
        one.kek_label,
        one.plugin_meta,
        one.cypher_text,
        one.extended,
        metadata,
    )
    return replace(found, sealed=sealed)


def _own_metadata(written: str | None, plugin_name: str) -> dict[str, str]:
    return {**json.loads(written or "{}"), "plugin_name": plugin_name}
