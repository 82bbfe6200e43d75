"""A secret as it is shown, and what of the tables shows one, or a list of them: never a payload."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bascule_keymanager.storage.owners import SECRET_OWNER, Owner, owner_of
from bascule_keymanager.storage.tables import secret_store_metadata, secrets

__all__ = ["LISTED", "SHOWN", "SHOWN_FROM", "Secret", "listed_from", "shown"]


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it is shown: never its payload."""

    id: str
    creator_id: str | None
    created_at: dt.datetime
    updated_at: dt.datetime
    status: str
    display_name: str | None
    secret_type: str | None
    expiration: dt.datetime | None
    algorithm: str | None
    bit_length: int | None
    mode: str | None
    content_type: str | None


_content_type = sa.and_(
    secret_store_metadata.c.secret_id == secrets.c.id,
    secret_store_metadata.c.key == "content_type",
    secret_store_metadata.c.deleted == sa.false(),
)
# A list asks nobody's policy about its secrets one by one, so it reads neither their project nor their ACLs.
LISTED: tuple[sa.ColumnElement[Any], ...] = (  # Any: columns of several types
    secrets.c.id,
    secrets.c.creator_id,
    secrets.c.created_at,
    secrets.c.updated_at,
    secrets.c.status,
    secrets.c.display_name,
    secrets.c.secret_type,
    secrets.c.expiration,
    secrets.c.algorithm,
    secrets.c.bit_length,
    secrets.c.mode,
    secret_store_metadata.c.value,
)
SHOWN = (*SECRET_OWNER.columns, *(column for column in LISTED if column is not secrets.c.creator_id))
SHOWN_FROM = SECRET_OWNER.join.outerjoin(secret_store_metadata, _content_type)


def listed_from(start: sa.FromClause, secret_id: sa.ColumnElement[str]) -> sa.Join:
    """Return where the columns of LISTED come from, for the secrets whose ids `start` has."""
    return start.join(secrets, secrets.c.id == secret_id).outerjoin(secret_store_metadata, _content_type)


def shown(row: Sequence[Any]) -> tuple[Secret, Owner]:  # Any: the columns of SHOWN
    """Return the secret that these columns tell, and its owner."""
    owner = owner_of(row[:4])
    return Secret(row[4], owner.creator_id, *row[5:]), owner
