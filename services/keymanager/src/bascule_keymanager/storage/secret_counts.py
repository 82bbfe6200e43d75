"""How many living secrets a project has, told without counting them each time.

Whoever adds or deletes a secret notes so, in the same transaction, in one of the rows that its project has for this.
The notes alone say nothing: secrets were there before the first note. But what a process counted once, and what the
notes came to at that moment, give every later number from the notes of then. Both are read by one statement, so in
one snapshot, and no writer waits for it.

That holds as long as everybody notes. Releases before 2028.2 do not, so a count is good within one epoch of the pin,
which says who writes; and a process counts again every minute, whatever anybody did to the table by hand. A secret
that expires goes without a note: a count is good until the next one does, or one is added or deleted.

The notes tell, too, whether anything was added or deleted at all. While nothing was, a page that begins where another
one ended, or somewhat later, is read from there, instead of from the first secret on.
"""

import datetime as dt
import functools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule.release import Release
from bascule_keymanager.storage.insertions import Insertion
from bascule_keymanager.storage.owners import living_secret
from bascule_keymanager.storage.page_ends import PageEnds
from bascule_keymanager.storage.tables import projects, secret_counts, secrets

__all__ = [
    "NOTED_SINCE",
    "NOTES",
    "Known",
    "Noted",
    "SecretCounts",
    "adding",
    "nobody_knows",
    "note_deleted",
]

NOTED_SINCE = Release.parse("2028.2")

# Gives, for the length of a block, the pin's epoch while all who write secrets note so; None while others may write.
Noted = Callable[[], AbstractContextManager[int | None]]

_PARTS = 32
_KEEP_S = 60.0
_MOST = 10_000  # projects; some hundred bytes each, and as much for each end of a page

_project = sa.select(projects.c.id).where(projects.c.external_id == sa.bindparam("external")).scalar_subquery()
_notes = sa.select(
    sa.func.coalesce(sa.func.sum(secret_counts.c.living), 0),
    sa.func.coalesce(sa.func.sum(secret_counts.c.expiring_changes), 0),
    sa.func.coalesce(sa.func.sum(secret_counts.c.changes), 0),
).where(secret_counts.c.project_id == _project)
# One row of `external`'s project, whatever it has: its notes on living secrets, on changes to expiring ones, on all.
NOTES = _notes.subquery("noted")
_counted = (
    sa.select(sa.func.count().label("total"), sa.func.min(secrets.c.expiration).label("expires"))
    .where(secrets.c.project_id == _project, living_secret)
    .subquery("counted")
)
_both = sa.select(_counted.c.total, _counted.c.expires, *NOTES.c).select_from(_counted.join(NOTES, sa.true()))


def nobody_knows() -> AbstractContextManager[int | None]:
    """Where nothing is known of who else writes: every list counts."""
    return nullcontext(None)


def adding(dialect: str, project_id: str, *, expires: bool) -> Insertion:
    """Return the note of a transaction that adds a living secret."""
    values = {"project_id": project_id, "part": _part(), "living": 0 if expires else 1, "expiring": int(expires)}
    return Insertion(_noting(dialect, "added"), values)


def note_deleted(connection: Connection, secret_id: str) -> None:
    """Note that the caller's transaction deletes a secret, whose row it has locked."""
    connection.execute(_noting(connection.dialect.name, "deleted"), {"secret_id": secret_id, "part": _part()})


@dataclass(frozen=True, slots=True)
class Known:
    """What was counted under `epoch`, less what the notes came to; good while nothing that expires has changed."""

    epoch: int
    without_notes: int
    expiring_changes: int
    expires: dt.datetime | None
    until: float  # of the monotonic clock
    ends: PageEnds = field(default_factory=PageEnds)

    def is_good(self, epoch: int, now: dt.datetime, monotonic: float) -> bool:
        """Whether nothing but notes can have changed the number."""
        return self.epoch == epoch and monotonic < self.until and (self.expires is None or now < self.expires)

    def total(self, notes: Sequence[int]) -> int | None:
        """Return how many secrets the project has now that its notes come to this; None where it is to be counted."""
        living, expiring_changes, _ = notes
        return self.without_notes + int(living) if expiring_changes == self.expiring_changes else None


class SecretCounts:
    """What this process has counted. Threads may share it."""

    def __init__(self, noted: Noted = nobody_knows, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._noted_under, self._monotonic = noted, monotonic
        self._known: dict[str, Known] = {}  # each look at it is one operation

    @contextmanager
    def known(self, external_id: str, now: dt.datetime) -> Iterator[Known | None]:
        """Give what is known of a project, by which notes that are read within the block tell how many secrets it has.

        None where nothing is known that would still be good.
        """
        with self._noted_under() as epoch:
            known = self._known.get(external_id)
            is_good = epoch is not None and known is not None and known.is_good(epoch, now, self._monotonic())
            yield known if is_good else None

    def total(self, connection: Connection, external_id: str, now: dt.datetime) -> int | None:
        """Return how many living secrets a project has, in one small statement mostly; None where it is to be counted.

        `connection` is one without a transaction, whose statements each see what is committed by then.
        """
        with self._noted_under() as epoch:
            if epoch is None:
                return None
            known, began = self._known.get(external_id), self._monotonic()
            if known is not None and known.is_good(epoch, now, began):
                found = known.total(connection.execute(_notes, {"external": external_id}).one())
                if found is not None:
                    return found
            total, expires, living, changes, _ = connection.execute(_both, {"external": external_id, "now": now}).one()
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[external_id] = Known(epoch, total - int(living), int(changes), expires, began + _KEEP_S)
            return int(total)


def _part() -> int:
    return random.randrange(_PARTS)  # noqa: S311 - spreads load


@functools.cache
def _noting(dialect: str, what: str) -> sa.Insert:
    """Return the statement that adds one note to a project's part, whether its row is there or not."""
    names = ("project_id", "part", "living", "expiring_changes", "changes")
    part = sa.bindparam("part", type_=sa.SmallInteger)
    added = {
        "project_id": sa.bindparam("project_id", type_=sa.String(36)),
        "part": part,
        "living": sa.bindparam("living", type_=sa.Integer),
        "expiring_changes": sa.bindparam("expiring", type_=sa.Integer),
        "changes": sa.literal(1),
    }
    stays = secrets.c.expiration.is_(None)
    deleted = sa.select(
        secrets.c.project_id, part, sa.case((stays, -1), else_=0), sa.case((stays, 0), else_=1), sa.literal(1)
    ).where(secrets.c.id == sa.bindparam("secret_id", type_=sa.String(36)))  # fmt: skip

    def filled(insert: Any) -> Any:  # Any: each dialect has an Insert of its own
        return insert.values(added) if what == "added" else insert.from_select(names, deleted)

    # Imported here, since each dialect's package takes longer to import than most of ours, and only one is used.
    if dialect in ("mysql", "mariadb"):
        from sqlalchemy.dialects import mysql  # noqa: PLC0415

        ours = filled(mysql.insert(secret_counts))
        return ours.on_duplicate_key_update(_sums(ours.inserted))  # type: ignore[no-any-return]
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        ours = filled(postgresql.insert(secret_counts))
    else:
        from sqlalchemy.dialects import sqlite  # noqa: PLC0415

        ours = filled(sqlite.insert(secret_counts))
    return ours.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=["project_id", "part"], set_=_sums(ours.excluded)
    )


def _sums(new: Any) -> dict[str, sa.ColumnElement[int]]:  # Any: a namespace of columns, each dialect's own
    return {name: secret_counts.c[name] + new[name] for name in ("living", "expiring_changes", "changes")}
