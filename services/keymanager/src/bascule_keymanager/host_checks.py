"""What must be true around the key manager before an upgrade: room on the disk, the broker, rights, addresses."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule.checks import Check, Code, failure, success, warning
from bascule.errors import BasculeError
from bascule_keymanager.broker_look import look_at_hosts
from bascule_keymanager.config import Settings
from bascule_keymanager.errors import KeyManagerError
from bascule_keymanager.migrations.base import metadata
from bascule_keymanager.service import Parts
from bascule_keymanager.storage.order_seals import has_sealed_orders
from bascule_keymanager.storage.reseal import Resealer

__all__ = ["host_checks"]

Answer = tuple[Code, str]
FreeBytes = Callable[[str], int]

_LEAST_FREE = 64 * 1024 * 1024
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_MARIADB_RIGHTS = (*_RIGHTS, "CREATE", "ALTER", "DROP", "INDEX")


def host_checks(parts: Parts, free_bytes: FreeBytes = lambda path: shutil.disk_usage(path).free) -> list[Check]:
    """Return the checks, in the order in which a person would ask them."""
    return [
        Check("there is room on the disk", lambda: _room(parts, free_bytes)),
        Check("the database user may do what is needed", lambda: parts.database.read(_rights)),
        Check("the broker can be reached", lambda: _broker(parts.settings)),
        Check("references do not change", lambda: _references(parts.settings)),
        Check("payloads are sealed as configured", lambda: _sealed(parts)),
        Check("sealed orders open", lambda: _orders_open(parts)),
    ]


def _room(parts: Parts, free_bytes: FreeBytes) -> Answer:
    # A change may copy a table, and a copy of the database is the way back when all else fails.
    folder, size = parts.database.read(_place_and_size)
    needed = max(size, _LEAST_FREE)
    if folder is None or not Path(folder).is_dir():
        return success(
            f"the database has {_mega(size)} MB; whether its server has as much room cannot be seen from here"
        )
    free = free_bytes(folder)
    if free < needed:
        return failure(
            f"{_mega(free)} MB are free where the database is, and it has {_mega(size)} MB itself; "
            f"make room for {_mega(needed)} MB"
        )
    return success(f"{_mega(free)} MB are free")


def _place_and_size(connection: Connection) -> tuple[str | None, int]:
    """Return the folder of the database, where it may be on this machine, and its size in bytes."""
    if connection.dialect.name == "sqlite":
        file = connection.engine.url.database or ""
        return str(Path(file).resolve().parent), Path(file).stat().st_size if Path(file).is_file() else 0
    here = connection.engine.url.host in (None, "", "localhost", "127.0.0.1", "::1")
    if connection.dialect.name == "postgresql":
        size = connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one()
        return None, int(size)
    size, folder = connection.execute(
        sa.text(
            "SELECT COALESCE(SUM(data_length + index_length), 0), @@datadir FROM information_schema.tables"
            " WHERE table_schema = DATABASE()"
        )
    ).one()
    return (folder if here else None), int(size)


def _rights(connection: Connection) -> Answer:
    if connection.dialect.name == "sqlite":
        return _rights_on_file(connection.engine.url.database or "")
    if connection.dialect.name == "postgresql":
        return _rights_on_postgresql(connection)
    granted = " ".join(connection.execute(sa.text("SHOW GRANTS")).scalars()).upper()
    missing = [right for right in _MARIADB_RIGHTS if right not in granted]
    if missing and "ALL PRIVILEGES" not in granted:
        return failure(f"the database user lacks {', '.join(missing)}; grant them on the key manager's database")
    return success()


def _rights_on_file(file: str) -> Answer:
    for path in (Path(file), Path(file).resolve().parent):
        if path.exists() and not os.access(path, os.W_OK):
            return failure(f"{path} cannot be written by this user; run the key manager as its owner")
    return success()


def _rights_on_postgresql(connection: Connection) -> Answer:
    lacking = sa.text(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        " AND relname = ANY(:names) AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')"
        " AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))"
    )
    tables = connection.execute(lacking, {"names": list(metadata.tables)}).scalars().all()
    if tables:
        shown = ", ".join(sorted(tables)[:5])
        return failure(f"the database user lacks {', '.join(_RIGHTS)} on {len(tables)} tables, for example {shown}")
    return success()


def _broker(settings: Settings) -> Answer:
    if settings.messaging.url is None:
        return success("none is configured")
    try:
        hosts = look_at_hosts(settings)
    except BasculeError as away:
        return failure(away.sentence)
    return success(f"{hosts} hosts")


def _references(settings: Settings) -> Answer:
    if settings.host_href is None:
        return warning(
            "host_href is not set: references follow each request's address, where Barbican up to 22 wrote "
            "http://localhost:9311; set it to what references begin with that clients have kept"
        )
    return success(settings.host_href)


def _sealed(parts: Parts) -> Answer:
    plugins = parts.crypto_plugins
    first = next(iter(plugins.values()))
    if first.since is None:
        return success()
    if not parts.database.read(lambda connection: sa.inspect(connection).has_table("encrypted_data")):
        return success("the database is empty")
    left = Resealer(parts.database, parts.projects, plugins, first).left()
    if left:
        return warning(
            f"{left} payloads are sealed in another format than the configured one; "
            "once the pin allows it: keymanager-manage payloads reseal --to envelope"
        )
    return success()


def _orders_open(parts: Parts) -> Answer:
    if not parts.database.read(has_sealed_orders):
        return success("there are none in this release's database")
    opened, damaged, after = 0, list[str](), ""
    while True:
        try:
            batch = parts.order_sealing.check_batch(after=after)
        except KeyManagerError as closed:
            return failure(closed.sentence)
        opened, damaged = opened + batch.sealed, [*damaged, *batch.damaged]
        if batch.last is None:
            break
        after = batch.last
    if damaged:
        return failure(
            f"the sealed meta of {len(damaged)} orders does not open, for example of {damaged[0]}; restore their rows "
            "of orders from a backup; where the plain meta is still there: keymanager-manage orders reseal"
        )
    return success(f"{opened} orders")


def _mega(size: int) -> int:
    return -(-size // 1_000_000)
