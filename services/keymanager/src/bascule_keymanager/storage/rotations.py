"""Which keys are made anew, and when: a row for each, which is turned by exactly one worker when it is due."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.owners import SECRET_OWNER, Owner, living_secret, owner_of
from bascule_keymanager.storage.shown_secrets import SHOWN_FROM
from bascule_keymanager.storage.tables import projects, secret_store_metadata, secrets
from bascule_keymanager.storage.version_tables import secret_rotations
from bascule_keymanager.storage.versions import hold
from bascule_keymanager.stores.store import KeySpec

__all__ = ["Due", "NotDue", "Rotation", "RotationStore", "RotationView"]

_FAILURE_LENGTH = 255
# After a failure: twice as long each time, up to an hour, and never longer than the interval.
_FIRST_RETRY_S, _LONGEST_RETRY_S = 30.0, 3_600.0


class NotDue(Exception):
    """Another worker was first, or the rotation was changed: roll everything back."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """How often a key is made anew, and how that went; `failure` is None after one that went well."""

    interval_s: int
    turn: int
    next_at: dt.datetime
    last_at: dt.datetime | None
    failures: int
    failure: str | None


@dataclass(frozen=True, slots=True)
class RotationView:
    """A secret as far as its rotation goes; `spec` is None where it says not which key it is."""

    owner: Owner
    secret_type: str | None
    spec: KeySpec | None
    content_type: str | None
    rotation: Rotation | None


@dataclass(frozen=True, slots=True)
class Due:
    """A key that is to be made anew; `turn` is what its rotation must still be at."""

    secret_id: str
    project: str
    turn: int
    spec: KeySpec | None
    creator_id: str | None
    content_type: str | None


_ROTATION = tuple(
    secret_rotations.c[name] for name in ("interval_s", "turn", "next_at", "last_at", "failures", "failure")
)
_SPEC = (secrets.c.algorithm, secrets.c.bit_length, secrets.c.mode)
_view = (
    sa.select(*SECRET_OWNER.columns, secrets.c.secret_type, *_SPEC, secret_store_metadata.c.value, *_ROTATION)
    .select_from(SHOWN_FROM.outerjoin(secret_rotations, secret_rotations.c.secret_id == secrets.c.id))
    .where(secrets.c.id == sa.bindparam("id"), living_secret)
)
_due = (
    sa.select(
        secrets.c.id,
        projects.c.external_id,
        secret_rotations.c.turn,
        secret_rotations.c.creator_id,
        *_SPEC,
        secret_store_metadata.c.value,
    )
    .select_from(
        secret_rotations.join(secrets, secrets.c.id == secret_rotations.c.secret_id)
        .join(projects, projects.c.id == secrets.c.project_id)
        .outerjoin(
            secret_store_metadata,
            sa.and_(
                secret_store_metadata.c.secret_id == secrets.c.id,
                secret_store_metadata.c.key == "content_type",
                secret_store_metadata.c.deleted == sa.false(),
            ),
        )
    )
    .where(secret_rotations.c.next_at <= sa.bindparam("now", type_=sa.DateTime), living_secret)
)
_next = _due.order_by(secret_rotations.c.next_at).limit(sa.bindparam("most", type_=sa.Integer))
_one = _due.where(secret_rotations.c.secret_id == sa.bindparam("id"))


class RotationStore:
    """Keeps rotations, and says which are due."""

    def __init__(self, database: Database, clock: Callable[[], dt.datetime] = utc_now) -> None:
        self._database, self._clock = database, clock

    def view(self, secret_id: str, user: str | None) -> RotationView | None:
        """Return a living secret's rotation, with its owner as `user` would see it, in one statement."""
        parameters = {"id": secret_id, "user": user, "now": utc_now()}
        row = self._database.read(lambda connection: connection.execute(_view, parameters).first())
        if row is None:
            return None
        values: Sequence[Any] = row[9:]  # Any: the columns of _ROTATION
        rotation = None if values[0] is None else Rotation(*values)
        return RotationView(owner_of(row[:4]), row[4], _spec(row[5:8]), row[8], rotation)

    def put(self, secret_id: str, interval_s: int, creator_id: str | None) -> None:
        """Make a key anew every so many seconds from now on, also where it is so already. Raises Gone."""

        def work(connection: Connection) -> None:
            hold(connection, secret_id)  # its row: of two that do this at once the second changes what the first made
            now = self._clock()
            values = {
                "interval_s": interval_s,
                "next_at": now + dt.timedelta(seconds=interval_s),
                "creator_id": creator_id,
                "failures": 0,
                "failure": None,
                "updated_at": now,
            }
            there = secret_rotations.update().where(secret_rotations.c.secret_id == secret_id)
            changed = there.values(turn=secret_rotations.c.turn + 1, **values)
            if connection.execute(changed).rowcount == 0:
                new = {"secret_id": secret_id, "turn": 1, "created_at": now, "last_at": None, **values}
                connection.execute(secret_rotations.insert().values(new))

        self._database.write(work)

    def remove(self, secret_id: str) -> bool:
        """Make a key anew no more; return False when it was not. What is being made at this moment may still come."""
        gone = secret_rotations.delete().where(secret_rotations.c.secret_id == secret_id)
        return self._database.write(lambda connection: connection.execute(gone).rowcount > 0)

    def hasten(self, secret_id: str, wake: Callable[[Connection, dt.datetime], None]) -> bool:
        """Make a rotation due now and call `wake` in the same transaction; return False when there is none."""

        def work(connection: Connection) -> bool:
            now = self._clock().replace(microsecond=0)  # MariaDB would round it, perhaps into the future
            mine = secret_rotations.update().where(secret_rotations.c.secret_id == secret_id)
            if connection.execute(mine.values(next_at=now, updated_at=now)).rowcount == 0:
                return False
            wake(connection, now)
            return True

        return self._database.write(work)

    def due(self, *, most: int) -> list[Due]:
        """Return keys that are to be made anew now, the longest overdue first."""
        parameters = {"now": self._clock(), "most": most}
        rows = self._database.read(lambda connection: connection.execute(_next, parameters).all())
        return [_due_of(row) for row in rows]

    def due_one(self, secret_id: str) -> Due | None:
        """Return this key if it is to be made anew now."""
        parameters = {"now": self._clock(), "id": secret_id}
        row = self._database.read(lambda connection: connection.execute(_one, parameters).first())
        return _due_of(row) if row is not None else None

    def turn(self, connection: Connection, due: Due) -> None:
        """Take this turn, within the transaction that makes the key current. Raises NotDue."""
        mine = (secret_rotations.c.secret_id == due.secret_id, secret_rotations.c.turn == due.turn)
        rotation = sa.select(secret_rotations.c.interval_s, secret_rotations.c.next_at).where(*mine)
        row = connection.execute(rotation.with_for_update()).first()
        now = self._clock()
        if row is None or row.next_at > now:
            raise NotDue
        done = {"last_at": now, "next_at": _after(row.next_at, row.interval_s, now), "failures": 0, "failure": None}
        connection.execute(secret_rotations.update().where(*mine).values(turn=due.turn + 1, updated_at=now, **done))

    def fail(self, due: Due, failure: str) -> None:
        """Write down why a key could not be made anew, and try again later; nothing happens where another did it."""
        mine = (secret_rotations.c.secret_id == due.secret_id, secret_rotations.c.turn == due.turn)

        def work(connection: Connection) -> None:
            rotation = sa.select(secret_rotations.c.interval_s, secret_rotations.c.failures).where(*mine)
            row = connection.execute(rotation.with_for_update()).first()
            if row is None:
                return
            pause_s = min(_FIRST_RETRY_S * 2 ** min(row.failures, 16), _LONGEST_RETRY_S, row.interval_s)
            now = self._clock()
            values = {
                "failures": row.failures + 1,
                "failure": failure[:_FAILURE_LENGTH],
                "next_at": now + dt.timedelta(seconds=pause_s),
                "updated_at": now,
            }
            connection.execute(secret_rotations.update().where(*mine).values(turn=due.turn + 1, **values))

        self._database.write(work)


def _after(due_at: dt.datetime, interval_s: int, now: dt.datetime) -> dt.datetime:
    """Return when it is due next: an interval after it was, or after now, when that is over already."""
    interval = dt.timedelta(seconds=interval_s)
    return due_at + interval if due_at + interval > now else now + interval


def _spec(row: Sequence[Any]) -> KeySpec | None:  # Any: the columns of _SPEC
    algorithm, bit_length, mode = row
    return KeySpec(algorithm, bit_length, mode) if algorithm and bit_length else None


def _due_of(row: Sequence[Any]) -> Due:  # Any: the columns of _due
    secret_id, project, turn, creator_id = row[:4]
    return Due(secret_id, project, turn, _spec(row[4:7]), creator_id, row[7])
