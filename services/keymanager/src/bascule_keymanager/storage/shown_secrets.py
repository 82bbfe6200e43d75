"""A secret as it is shown, and the query that reads it: never its payload."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bascule_keymanager.storage.owners import SECRET_OWNER, Owner, owner_of
from bascule_keymanager.storage.tables import secret_store_metadata, secrets

__all__ = ["SHOWN", "SHOWN_FROM", "Secret", "shown"]


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it is shown: never its payload."""

    id: str
    owner: Owner
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
SHOWN: tuple[sa.ColumnElement[Any], ...] = (  # Any: columns of several types
    *SECRET_OWNER.columns,
    secrets.c.id,
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
SHOWN_FROM = SECRET_OWNER.join.outerjoin(secret_store_metadata, _content_type)


def shown(row: Sequence[Any]) -> Secret:  # Any: the columns of SHOWN
    """Return the secret that these columns tell."""
    identity, *rest = row[4:]
    return Secret(identity, owner_of(row[:4]), *rest)
