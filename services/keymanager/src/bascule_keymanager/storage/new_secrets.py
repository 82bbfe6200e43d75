"""What a new secret is, and the rows that it becomes."""

import datetime as dt
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.storage.insertions import Insertion, run_insertions
from bascule_keymanager.storage.projects import Project
from bascule_keymanager.storage.rows import Values, fresh
from bascule_keymanager.storage.secret_counts import adding
from bascule_keymanager.storage.tables import encrypted_data, secret_store_metadata, secrets
from bascule_keymanager.stores.store import Kept

__all__ = ["NewSecret", "insert_secret", "insertions_beside", "payload_insertions", "secret_row"]


@dataclass(frozen=True, slots=True)
class NewSecret:
    """What a secret is made of; without a payload it is the first of two steps."""

    creator_id: str | None
    secret_type: str = "opaque"  # noqa: S105 - a kind of secret, not one
    display_name: str | None = None
    algorithm: str | None = None
    bit_length: int | None = None
    mode: str | None = None
    expiration: dt.datetime | None = None
    payload: bytes | None = field(default=None, repr=False)
    content_type: str | None = None


_secret, _encrypted = secrets.insert(), encrypted_data.insert()


def insert_secret(connection: Connection, project: Project, secret_id: str, new: NewSecret, kept: Kept | None) -> None:
    """Insert all rows of one secret within the caller's transaction; `kept` is what a store made of its payload.

    No quota is asked for: whoever ordered it has been asked for theirs.
    """
    others = insertions_beside(connection.dialect.name, project, secret_id, new, kept)
    run_insertions(connection, [Insertion(_secret, secret_row(project, secret_id, new)), *others])


def secret_row(project: Project, secret_id: str, new: NewSecret) -> Values:
    """Return the row of the secret itself."""
    return fresh(
        id=secret_id,
        display_name=new.display_name,
        secret_type=new.secret_type,
        expiration=new.expiration,
        algorithm=new.algorithm,
        bit_length=new.bit_length,
        mode=new.mode,
        creator_id=new.creator_id,
        project_id=project.id,
    )


def insertions_beside(
    dialect: str, project: Project, secret_id: str, new: NewSecret, kept: Kept | None
) -> list[Insertion]:
    """Return what is inserted after the secret's own row."""
    # The note comes last, since other transactions of the project that come to the same part wait for our commit.
    noted = adding(dialect, project.id, expires=new.expiration is not None)
    if kept is None:
        return [noted]
    if new.content_type is None:
        raise AssertionError("a payload has a content type")
    return [*payload_insertions(secret_id, kept, new.content_type), noted]


def payload_insertions(secret_id: str, kept: Kept, content_type: str) -> list[Insertion]:
    """Return what is inserted of a payload."""
    stored = {**kept.metadata, "plugin_name": kept.plugin_name, "content_type": content_type}
    insertions = [_metadata(secret_id, stored)]
    if kept.sealed is not None:
        row = fresh(
            content_type=content_type,
            secret_id=secret_id,
            kek_id=kept.kek_id,
            cypher_text=kept.sealed.cypher_text,
            kek_meta_extended=kept.sealed.extended,
        )
        insertions.append(Insertion(_encrypted, row))
    return insertions


def _metadata(secret_id: str, stored: Mapping[str, str]) -> Insertion:
    rows = [fresh("PENDING", key=key, value=value, secret_id=secret_id) for key, value in stored.items()]
    values = {f"{name}_{number}": value for number, row in enumerate(rows) for name, value in row.items()}
    return Insertion(_metadata_rows(len(rows)), values)


@functools.cache
def _metadata_rows(count: int) -> sa.Insert:
    columns = secret_store_metadata.c
    names = fresh("PENDING", key="", value="", secret_id="").keys()
    return secret_store_metadata.insert().values(
        [
            {name: sa.bindparam(f"{name}_{number}", type_=columns[name].type) for name in names}
            for number in range(count)
        ]
    )
