"""Rows of the registry's tables to values and back."""

import logging
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa

from bascule.errors import ReleaseError
from bascule.lifecycle.pin import MemberRow, PinRow
from bascule.lifecycle.tables import FLEET, PIN
from bascule.lifecycle.watch import Watch, living
from bascule.release import Release

__all__ = ["bury", "forget", "read_living", "read_members", "read_pin", "write_member", "write_pin"]

log = logging.getLogger(__name__)


def read_pin(connection: sa.Connection, service: str, *, absent: Collection[str] = ()) -> PinRow | None:
    """Return the service's pin, or None before its first process; `absent` columns were not added yet, and are null.

    Raises ReleaseError when it is damaged.
    """
    row = connection.execute(sa.select(*_columns(PIN, absent)).where(PIN.c.service == service)).first()
    if row is None:
        return None
    # A release that knows of no proposals may have moved the pin since.
    stands = row.proposed is not None and row.proposed_epoch == row.epoch
    return PinRow(
        Release.parse(row.pin),
        row.epoch,
        Release.parse(row.hold) if row.hold else None,
        Release.parse(row.proposed) if stands else None,
    )


def write_pin(connection: sa.Connection, service: str, row: PinRow) -> None:
    """Write the pin; the caller holds its lock."""
    connection.execute(
        sa.update(PIN)
        .where(PIN.c.service == service)
        .values(
            pin=str(row.pin),
            epoch=row.epoch,
            hold=None if row.hold is None else str(row.hold),
            proposed=None if row.proposed is None else str(row.proposed),
            proposed_epoch=None if row.proposed is None else row.epoch,
        )
    )


def read_living(
    connection: sa.Connection, service: str, watch: Watch, *, now: float, ttl_s: float, besides: str = ""
) -> tuple[MemberRow, ...]:
    """Return who lives, and mark dead who does not, so that it cannot come back as if nothing had happened.

    `besides` is the id of the one who asks, which is left out. The caller holds the lock of the pin.
    """
    members = [member for member in read_members(connection, service) if member.id != besides]
    alive = living(watch, members, now=now, ttl_s=ttl_s)
    dead = [member for member in living(Watch(), members, now=now, ttl_s=ttl_s) if member not in alive]
    for member in dead:
        log.warning("%s (%s, pid %d) has not beaten for %s s", member.instance, member.release, member.pid, ttl_s)
    return alive + bury(connection, dead)


def read_members(connection: sa.Connection, service: str, *, absent: Collection[str] = ()) -> tuple[MemberRow, ...]:
    """Return every process that the registry still knows, oldest first; `absent` columns are read as null."""
    rows = connection.execute(
        sa.select(*_columns(FLEET, absent)).where(FLEET.c.service == service).order_by(FLEET.c.started_at, FLEET.c.id)
    ).mappings()
    return tuple(_member(dict(row)) for row in rows)


def write_member(connection: sa.Connection, service: str, member: MemberRow) -> None:
    """Write the row of a process that comes in, or comes back; the caller holds the lock of the pin."""
    connection.execute(sa.delete(FLEET).where(FLEET.c.id == member.id))
    values = {name: getattr(member, name) for name in MemberRow.__slots__}
    for name in ("release", "pin_override", "supported_from"):
        values[name] = None if values[name] is None else str(values[name])
    connection.execute(sa.insert(FLEET).values(service=service, **values))


def bury(connection: sa.Connection, members: Iterable[MemberRow]) -> tuple[MemberRow, ...]:
    """Mark these members dead and return those that live after all, having beaten since they were read.

    The caller holds the lock of the pin; a beat does not, so that the row itself decides which came first.
    """
    return tuple(member for member in members if not _buried(connection, member))


def _buried(connection: sa.Connection, member: MemberRow) -> bool:
    same = (FLEET.c.id == member.id) & (FLEET.c.heartbeat_at == member.heartbeat_at)
    return connection.execute(sa.update(FLEET).where(same).values(state="dead")).rowcount > 0


def forget(connection: sa.Connection, members: Iterable[MemberRow]) -> None:
    """Remove the rows of these members."""
    gone = [member.id for member in members]
    if gone:
        connection.execute(sa.delete(FLEET).where(FLEET.c.id.in_(gone)))


def _columns(table: sa.Table, absent: Collection[str]) -> list[sa.ColumnElement[Any]]:  # Any: columns of many types
    return [sa.null().label(column.name) if column.name in absent else column for column in table.columns]


def _member(row: dict[str, Any]) -> MemberRow:  # Any: columns of many types
    row.pop("service")
    for name in ("release", "pin_override", "supported_from"):
        row[name] = _release(row[name])
    return MemberRow(**row)


def _release(text: str | None) -> Release | None:
    """Return the release, and None for one that is written in a way that this code cannot read."""
    try:
        return None if text is None else Release.parse(text)
    except ReleaseError:
        return None
