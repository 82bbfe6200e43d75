"""Making versions of a secret, moving labels between them, and destroying payloads: each one transaction.

Whoever writes versions of a secret holds the lock of its row, so that what was expected is compared and changed at
once, and of two that expect the same, one wins. The current version's payload is where Barbican keeps payloads: a
client, Barbican, or an older release that knows of no versions reads it there.
"""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.errors import DamagedPayload
from bascule_keymanager.storage.at_rest import EMPTY, AtRest, put_in_place, stored_in_place, stored_in_version
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.projects import Project
from bascule_keymanager.storage.quotas import QuotaReached
from bascule_keymanager.storage.rows import Gone, Values
from bascule_keymanager.storage.secrets import forgotten_unless_inserted
from bascule_keymanager.storage.tables import secrets
from bascule_keymanager.storage.version_ends import Left, VersionEnds
from bascule_keymanager.storage.version_history import CURRENT, PREVIOUS, NoVersion, VersionReader
from bascule_keymanager.storage.version_tables import secret_labels, secret_versions, versioned_secrets
from bascule_keymanager.stores.configured import Stores
from bascule_keymanager.stores.store import Kept, Store

__all__ = [
    "MOST_LABELS",
    "Changed",
    "Expected",
    "Moved",
    "NewVersion",
    "Outdated",
    "VersionDestroyed",
    "VersionInUse",
    "VersionStore",
    "hold",
]

MOST_LABELS = 20


class Moved(Exception):
    """A label is not where the caller expected it: `found` is the number of its version, 0 for none."""

    def __init__(self, label: str, expected: int, found: int) -> None:
        self.label, self.expected, self.found = label, expected, found
        super().__init__(f"{label} is version {found}, and not {expected}")


class Outdated(Exception):
    """The versions have changed since the caller looked: `revision` is what they are at now."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        super().__init__(f"the versions are at revision {revision}")


class VersionInUse(Exception):
    """The version is the current one, which is not destroyed."""


class VersionDestroyed(Exception):
    """The version's payload was destroyed."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"version {number} was destroyed")


@dataclass(frozen=True, slots=True)
class Expected:
    """What must still be so when a change is made; None is no expectation.

    `number` is where the label that the change is about has to be, 0 for nowhere; `revisions` are those of which the
    versions have to be at one.
    """

    number: int | None = None
    revisions: Collection[int] | None = None

    def check(self, label: str, revision: int, labels: Mapping[str, int]) -> None:
        """Raise Outdated or Moved unless the versions are so."""
        if self.revisions is not None and revision not in self.revisions:
            raise Outdated(revision)
        found = labels.get(label, 0)
        if self.number is not None and found != self.number:
            raise Moved(label, self.number, found)


_ANYTHING = Expected()


def _nothing(_connection: Connection) -> None:
    return


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a version is to be. Without CURRENT among its labels it waits until that is moved to it."""

    content_type: str
    creator_id: str | None
    labels: tuple[str, ...] = (CURRENT,)
    origin: str = "client"


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change left behind: the version that it was about, and the revision that the versions are at now."""

    number: int
    revision: int


@dataclass(slots=True)
class Held:
    """A secret's versions, while its row is locked."""

    secret_id: str
    revision: int
    labels: dict[str, int]
    # Of each version whether it was destroyed, and where a store elsewhere has its payload.
    versions: dict[int, Left]
    is_key: bool

    @property
    def current(self) -> int | None:
        """The number of the current version; None while the secret has no payload."""
        return self.labels.get(CURRENT)

    def living(self, number: int) -> None:
        """Raise NoVersion or VersionDestroyed unless this version is there and has its payload."""
        if number not in self.versions:
            raise NoVersion(number)
        if self.versions[number].is_destroyed:
            raise VersionDestroyed(number)


_row = sa.select(secrets.c.created_at, secrets.c.creator_id, secrets.c.secret_type).where(
    secrets.c.id == sa.bindparam("secret"), secrets.c.deleted == sa.false()
)
_locked = _row.with_for_update(key_share=True)
_held = (
    sa.select(
        versioned_secrets.c.revision,
        secret_versions.c.number,
        secret_versions.c.destroyed_at,
        secret_versions.c.plugin_name,
        secret_versions.c.store_metadata,
        secret_labels.c.label,
    )
    .select_from(
        versioned_secrets.outerjoin(
            secret_versions, secret_versions.c.secret_id == versioned_secrets.c.secret_id
        ).outerjoin(
            secret_labels,
            sa.and_(
                secret_labels.c.secret_id == secret_versions.c.secret_id,
                secret_labels.c.number == secret_versions.c.number,
            ),
        )
    )
    .where(versioned_secrets.c.secret_id == sa.bindparam("secret"))
)


class VersionStore:
    """Writes versions. No secret keeps more than `most` of them: the oldest without a label goes.

    A symmetric key keeps up to `most_of_a_key`, and none of them goes before somebody destroyed its payload: nobody
    here knows what was encrypted with it.
    """

    def __init__(self, database: Database, stores: Stores, *, most: int, most_of_a_key: int) -> None:
        self._database, self._stores = database, stores
        self._most, self._most_of_a_key = most, most_of_a_key
        self._ends = VersionEnds(database, stores)
        self.reader = VersionReader(database)
        self.upkeep = self._ends.upkeep

    def add(
        self,
        project: Project,
        secret_id: str,
        new: NewVersion,
        make: Callable[[Store], Kept],
        *,
        expected: Expected = _ANYTHING,
        also: Callable[[Connection], None] = _nothing,
    ) -> Changed:
        """Have the project's store make a payload and keep it as a new version; do `also` in the same transaction.

        Raises Gone, Outdated, Moved (of CURRENT), QuotaReached, and what the store and `also` raise.
        """
        with self._stores.writing(project) as store:
            kept = make(store)
            payload = AtRest.of(kept, new.content_type)
            with forgotten_unless_inserted(store, kept):
                changed, left = self._database.write(
                    lambda connection: self._insert(connection, secret_id, new, payload, expected, also)
                )
        self._ends.finish(left)
        return changed

    def move(self, secret_id: str, label: str, number: int, expected: Expected) -> Changed:
        """Move a label to a version; what was current becomes previous. Where it is there already, nothing changes.

        Raises Gone, NoVersion, VersionDestroyed, Outdated, Moved (of the label), QuotaReached.
        """

        def work(connection: Connection) -> Changed:
            held = hold(connection, secret_id)
            expected.check(label, held.revision, held.labels)
            held.living(number)
            if held.labels.get(label) == number:
                return Changed(number, held.revision)
            labels = {**held.labels, label: number}
            if label == CURRENT:
                _swap(connection, held, number)
                labels[PREVIOUS] = held.labels[CURRENT]
            if len(labels) > MOST_LABELS:
                raise QuotaReached("labels")
            _write_labels(connection, held, labels)
            return Changed(number, _advance(connection, held))

        return self._database.write(work)

    def remove_label(self, secret_id: str, label: str, expected: Expected) -> Changed:
        """Take a label away. Raises Gone, NoVersion where it is nowhere, Outdated, Moved."""

        def work(connection: Connection) -> Changed:
            held = hold(connection, secret_id)
            expected.check(label, held.revision, held.labels)
            if label not in held.labels:
                raise NoVersion(label)
            _write_labels(connection, held, {name: at for name, at in held.labels.items() if name != label})
            return Changed(held.labels[label], _advance(connection, held))

        return self._database.write(work)

    def destroy(self, secret_id: str, number: int, expected: Expected) -> Changed:
        """Destroy a version's payload for good; its labels go, its number stays. Safe to call again.

        Raises Gone, NoVersion, VersionInUse for the current one, Outdated, and what a store elsewhere raises: then
        nobody reads the payload any more, and calling again, or the worker's upkeep, deletes it there.
        """

        def work(connection: Connection) -> tuple[Changed, list[Left]]:
            held = hold(connection, secret_id)
            expected.check(CURRENT, held.revision, held.labels)
            if number not in held.versions:
                raise NoVersion(number)
            if number == held.current:
                raise VersionInUse
            left = held.versions[number]
            if left.is_destroyed:
                return Changed(number, held.revision), [left] if left.is_elsewhere else []
            _write_labels(connection, held, {name: at for name, at in held.labels.items() if at != number})
            self._ends.mark(connection, secret_id, [number])
            return Changed(number, _advance(connection, held)), [left] if left.is_elsewhere else []

        changed, elsewhere = self._database.write(work)
        self._ends.finish(elsewhere, strict=True)
        return changed

    def _insert(
        self,
        connection: Connection,
        secret_id: str,
        new: NewVersion,
        payload: AtRest,
        expected: Expected,
        also: Callable[[Connection], None],
    ) -> tuple[Changed, list[Left]]:
        held = hold(connection, secret_id)
        expected.check(CURRENT, held.revision, held.labels)
        also(connection)
        number = max(held.versions, default=0) + 1
        names = set(new.labels)
        if held.current is None:  # the first payload is what everybody reads
            names.add(CURRENT)
        labels = {**held.labels, **dict.fromkeys(names, number)}
        own = EMPTY
        if CURRENT in names:
            if held.current is not None:
                _move_out(connection, held, held.current)
                labels[PREVIOUS] = held.current
            put_in_place(connection, secret_id, payload)
        else:
            own = payload.columns
        made = (new.creator_id, new.origin)
        _insert_version(connection, secret_id, number, made, payload.content_type, own)
        if len(labels) > MOST_LABELS:
            raise QuotaReached("labels")
        _write_labels(connection, held, labels)
        left = self._prune(connection, held, {number, *labels.values()})
        return Changed(number, _advance(connection, held)), left

    def _prune(self, connection: Connection, held: Held, kept: Collection[int]) -> list[Left]:
        """Let the oldest versions without a label go, now that there is one more; of a key only destroyed ones."""
        excess = len(held.versions) + 1 - (self._most_of_a_key if held.is_key else self._most)
        if excess <= 0:
            return []
        free = (left for number, left in held.versions.items() if number not in kept)
        going = sorted(left.number for left in free if left.is_destroyed or not held.is_key)[:excess]
        if len(going) < excess:
            raise QuotaReached("versions")
        return self._ends.drop(connection, [held.versions[number] for number in going])


def hold(connection: Connection, secret_id: str) -> Held:
    """Lock a secret's row and return its versions, which have rows of their own from now on. Raises Gone."""
    secret = connection.execute(_locked, {"secret": secret_id}).first()
    if secret is None:
        raise Gone("secrets")
    rows = connection.execute(_held, {"secret": secret_id}).all()
    is_key = secret.secret_type == "symmetric"  # noqa: S105 - a kind of secret, not one
    if rows:
        return _held_of(secret_id, rows, is_key=is_key)
    stored = stored_in_place(connection, secret_id)
    now = utc_now()
    held = Held(secret_id, 0 if stored is None else 1, {}, {}, is_key)
    first = {"secret_id": secret_id, "revision": held.revision, "created_at": now, "updated_at": now}
    connection.execute(versioned_secrets.insert().values(first))
    if stored is not None:
        made, at = (secret.creator_id, "client"), secret.created_at
        _insert_version(connection, secret_id, 1, made, stored.content_type, EMPTY, at=at)
        held.versions[1] = Left(secret_id, 1)
        _write_labels(connection, held, {CURRENT: 1})
        held.labels = {CURRENT: 1}
    return held


def _held_of(secret_id: str, rows: Sequence[Any], *, is_key: bool) -> Held:  # Any: the columns of _held
    versions = {
        row.number: Left(
            secret_id,
            row.number,
            row.plugin_name,
            json.loads(row.store_metadata or "{}"),
            is_destroyed=row.destroyed_at is not None,
        )
        for row in rows
        if row.number is not None
    }
    labels = {row.label: row.number for row in rows if row.label is not None}
    return Held(secret_id, rows[0].revision, labels, versions, is_key)


def _insert_version(
    connection: Connection,
    secret_id: str,
    number: int,
    made: tuple[str | None, str],
    content_type: str | None,
    own: Values,
    *,
    at: dt.datetime | None = None,
) -> None:
    """Insert a version's row; `made` says by whom and how, `own` is what the row has of the payload itself."""
    now = utc_now()
    row = {
        "id": str(uuid.uuid4()),
        "secret_id": secret_id,
        "number": number,
        "created_at": at or now,
        "updated_at": now,
        "creator_id": made[0],
        "origin": made[1],
        "content_type": content_type,
        **own,
    }
    connection.execute(secret_versions.insert().values(row))


def _swap(connection: Connection, held: Held, number: int) -> None:
    """Make a version's payload the one that everybody reads, and keep what that was in its own version's row."""
    stored = stored_in_version(connection, held.secret_id, number)
    if stored is None:
        raise DamagedPayload(held.secret_id)
    if held.current is not None:
        _move_out(connection, held, held.current)
    put_in_place(connection, held.secret_id, stored)
    connection.execute(_row_of(held.secret_id, number).values(updated_at=utc_now(), **EMPTY))


def _move_out(connection: Connection, held: Held, number: int) -> None:
    stored = stored_in_place(connection, held.secret_id)
    if stored is None:
        raise DamagedPayload(held.secret_id)
    connection.execute(_row_of(held.secret_id, number).values(updated_at=utc_now(), **stored.columns))


def _row_of(secret_id: str, number: int) -> sa.Update:
    return secret_versions.update().where(secret_versions.c.secret_id == secret_id, secret_versions.c.number == number)


def _write_labels(connection: Connection, held: Held, wanted: Mapping[str, int]) -> None:
    mine, now = secret_labels.c.secret_id == held.secret_id, utc_now()
    gone = held.labels.keys() - wanted.keys()
    if gone:
        connection.execute(secret_labels.delete().where(mine, secret_labels.c.label.in_(sorted(gone))))
    for label, number in wanted.items():
        if label in held.labels and held.labels[label] != number:
            moved = secret_labels.update().where(mine, secret_labels.c.label == label)
            connection.execute(moved.values(number=number, updated_at=now))
    new = [
        {"secret_id": held.secret_id, "label": label, "number": number, "created_at": now, "updated_at": now}
        for label, number in wanted.items()
        if label not in held.labels
    ]
    if new:
        connection.execute(secret_labels.insert(), new)


def _advance(connection: Connection, held: Held) -> int:
    revision = held.revision + 1
    advanced = versioned_secrets.update().where(versioned_secrets.c.secret_id == held.secret_id)
    connection.execute(advanced.values(revision=revision, updated_at=utc_now()))
    return revision
