"""How versions end: destroyed, pushed out by newer ones, or gone with their secret.

Rows end in the caller's transaction. What a store elsewhere has of them is deleted there afterwards: until that is
done the row keeps its name, and the worker's upkeep finds what nobody finished.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule.errors import BasculeError
from bascule_keymanager.clock import utc_now
from bascule_keymanager.log import get_log
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.tables import secrets
from bascule_keymanager.storage.version_tables import (
    secret_labels,
    secret_rotations,
    secret_versions,
    versioned_secrets,
)
from bascule_keymanager.stores.configured import Stores

__all__ = ["Left", "VersionEnds", "end_versions"]

_AT_ONCE = 100
# Whoever destroyed a payload this long ago is no longer about to delete it elsewhere.
_UNFINISHED_S = 60.0

log = get_log()


@dataclass(frozen=True, slots=True)
class Left:
    """A version that may end. `metadata` is where a store elsewhere has its payload; with `goes`, its row goes too."""

    secret_id: str
    number: int
    plugin_name: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_destroyed: bool = False
    goes: bool = False

    @property
    def is_elsewhere(self) -> bool:
        """Whether there is something to delete that is not in our database."""
        return self.plugin_name is not None and bool(self.metadata)


_unfinished = (
    sa.select(
        secret_versions.c.secret_id,
        secret_versions.c.number,
        secret_versions.c.plugin_name,
        secret_versions.c.store_metadata,
        secrets.c.deleted,
    )
    .select_from(secret_versions.join(secrets, secrets.c.id == secret_versions.c.secret_id))
    .where(
        secret_versions.c.destroyed_at <= sa.bindparam("before", type_=sa.DateTime),
        secret_versions.c.store_metadata.is_not(None),
    )
    .limit(_AT_ONCE)
)
_orphans = (
    sa.select(versioned_secrets.c.secret_id)
    .select_from(versioned_secrets.outerjoin(secrets, secrets.c.id == versioned_secrets.c.secret_id))
    .where(sa.or_(secrets.c.id.is_(None), secrets.c.deleted == sa.true()))
    .limit(_AT_ONCE)
)


class VersionEnds:
    """Ends versions, and finishes elsewhere what was ended here."""

    def __init__(self, database: Database, stores: Stores) -> None:
        self._database, self._stores = database, stores

    @staticmethod
    def mark(connection: Connection, secret_id: str, numbers: Sequence[int]) -> None:
        """Destroy what our database has of these payloads."""
        now = utc_now()
        nothing = {"kek_id": None, "cypher_text": None, "kek_meta_extended": None}
        destroyed = secret_versions.update().where(
            secret_versions.c.secret_id == secret_id, secret_versions.c.number.in_(numbers)
        )
        connection.execute(destroyed.values(destroyed_at=now, updated_at=now, **nothing))

    def drop(self, connection: Connection, going: Sequence[Left]) -> list[Left]:
        """Remove these versions of one secret, and return those that `finish` removes once that is committed."""
        here = [left.number for left in going if not left.is_elsewhere]
        if here:
            mine = secret_versions.c.secret_id == going[0].secret_id
            connection.execute(secret_versions.delete().where(mine, secret_versions.c.number.in_(here)))
        elsewhere = [replace(left, goes=True) for left in going if left.is_elsewhere]
        if elsewhere:
            self.mark(connection, going[0].secret_id, [left.number for left in elsewhere])
        return elsewhere

    def finish(self, ended: Iterable[Left], *, strict: bool = False) -> None:
        """Delete elsewhere what was ended here. With `strict`, raises what a store raises; else the upkeep tries on."""
        for left in ended:
            if left.plugin_name is None:
                continue
            try:
                self._stores.forget(left.plugin_name, left.metadata)
            except BasculeError as failure:
                if strict:
                    raise
                log.warning("payload of an ended version is left elsewhere", secret=left.secret_id, version=left.number,
                            sentence=failure.sentence)  # fmt: skip
                continue
            mine = (secret_versions.c.secret_id == left.secret_id, secret_versions.c.number == left.number)
            nothing = {"plugin_name": None, "store_metadata": None, "updated_at": utc_now()}
            end = secret_versions.delete() if left.goes else secret_versions.update().values(nothing)
            still = end.where(*mine, secret_versions.c.destroyed_at.is_not(None))
            self._database.write(lambda connection: connection.execute(still))  # noqa: B023 - called at once

    def upkeep(self) -> int:
        """Finish what nobody finished, and end the versions of secrets that an older release deleted; return how many.

        Safe to run in several processes at once, and to stop.
        """
        orphans = self._database.read(lambda connection: list(connection.execute(_orphans).scalars()))
        for secret_id in orphans:
            self.finish(self._database.write(lambda connection: end_versions(connection, secret_id)))  # noqa: B023
        before = {"before": utc_now() - dt.timedelta(seconds=_UNFINISHED_S)}
        rows = self._database.read(lambda connection: connection.execute(_unfinished, before).all())
        self.finish(
            Left(
                row.secret_id,
                row.number,
                row.plugin_name,
                json.loads(row.store_metadata),
                is_destroyed=True,
                goes=row.deleted,
            )
            for row in rows
        )
        return len(orphans) + len(rows)


def end_versions(connection: Connection, secret_id: str) -> list[Left]:
    """End all of a secret's versions, labels and its rotation, within the transaction that deletes it.

    Returns what `finish` removes once that is committed. It is one statement for a secret that has none.
    """
    versioned = versioned_secrets.delete().where(versioned_secrets.c.secret_id == secret_id)
    if connection.execute(versioned).rowcount == 0:
        return []
    for table in (secret_labels, secret_rotations):
        connection.execute(table.delete().where(table.c.secret_id == secret_id))
    mine = secret_versions.c.secret_id == secret_id
    connection.execute(secret_versions.delete().where(mine, secret_versions.c.store_metadata.is_(None)))
    elsewhere = sa.select(
        secret_versions.c.number, secret_versions.c.plugin_name, secret_versions.c.store_metadata
    ).where(mine)
    rows = connection.execute(elsewhere).all()
    if rows:
        VersionEnds.mark(connection, secret_id, [row.number for row in rows])
    return [
        Left(secret_id, row.number, row.plugin_name, json.loads(row.store_metadata), is_destroyed=True, goes=True)
        for row in rows
    ]
