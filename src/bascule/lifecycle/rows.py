"""Rows of the registry's tables to values and back."""

from typing import Any

import sqlalchemy as sa

from bascule.lifecycle.pin import MemberRow, PinRow
from bascule.lifecycle.tables import FLEET, PIN
from bascule.release import Release

__all__ = ["insert_member", "read_members", "read_pin", "write_pin"]


def read_pin(connection: sa.Connection, service: str) -> PinRow | None:
    """Return the service's pin, or None before its first process."""
    row = connection.execute(sa.select(PIN.c.pin, PIN.c.epoch, PIN.c.hold).where(PIN.c.service == service)).first()
    if row is None:
        return None
    return PinRow(Release.parse(row.pin), row.epoch, Release.parse(row.hold) if row.hold else None)


def write_pin(connection: sa.Connection, service: str, row: PinRow) -> None:
    """Write the pin; the caller holds its lock."""
    hold = None if row.hold is None else str(row.hold)
    connection.execute(
        sa.update(PIN).where(PIN.c.service == service).values(pin=str(row.pin), epoch=row.epoch, hold=hold)
    )


def read_members(connection: sa.Connection, service: str) -> tuple[MemberRow, ...]:
    """Return every process that the registry still knows, oldest first."""
    rows = connection.execute(
        sa.select(FLEET).where(FLEET.c.service == service).order_by(FLEET.c.started_at, FLEET.c.id)
    ).mappings()
    return tuple(_member(dict(row)) for row in rows)


def insert_member(connection: sa.Connection, service: str, member: MemberRow) -> None:
    """Write the row of a process that comes in; the caller holds the lock of the pin."""
    connection.execute(
        sa.insert(FLEET).values(
            id=member.id,
            service=service,
            instance=member.instance,
            role=member.role,
            release=str(member.release),
            host=member.host,
            pid=member.pid,
            started_at=member.started_at,
            heartbeat_at=member.heartbeat_at,
            state=member.state,
            acknowledged_epoch=member.acknowledged_epoch,
            refused=member.refused,
            pin_override=str(member.pin_override) if member.pin_override else None,
        )
    )


def _member(row: dict[str, Any]) -> MemberRow:  # Any: columns of many types
    row.pop("service")
    override = row.pop("pin_override")
    releases = {"release": Release.parse(row["release"]), "pin_override": Release.parse(override) if override else None}
    return MemberRow(**{**row, **releases})
