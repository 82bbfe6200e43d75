"""The keys that seal payloads, as the database has them: wrapped, and read anew every few seconds."""

import time
from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.storage.tables import kek_data

__all__ = ["KnownKeys", "StoredKey"]

# A key that is wrapped anew, or moved to another HSM, is known so for no longer; what wrapped it before is kept longer.
_KEEP_S = 10.0
_MOST = 1_000

_key = sa.select(kek_data.c.plugin_name, kek_data.c.kek_label, kek_data.c.plugin_meta).where(
    kek_data.c.id == sa.bindparam("id")
)


class StoredKey(NamedTuple):
    """A row of `kek_data`: who unwraps it, what that one calls it, and the key, wrapped. None where there is no row."""

    plugin_name: str | None
    kek_label: str | None
    plugin_meta: str | bytes | None

    def __repr__(self) -> str:
        """Keep the wrapped key out of every log."""
        return f"StoredKey({self.plugin_name!r}, {self.kek_label!r})"


class KnownKeys:
    """What this process has read of them. Threads may share it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._known: dict[str, tuple[StoredKey, float]] = {}  # each look at it is one operation

    def find(self, connection: Connection, kek_id: str) -> StoredKey:
        """Return a key, by one statement where it has not been read for ten seconds."""
        now = self._monotonic()
        known = self._known.get(kek_id)
        if known is not None and now < known[1]:
            return known[0]
        row = connection.execute(_key, {"id": kek_id}).first()
        if row is None:
            return StoredKey(None, None, None)
        if len(self._known) >= _MOST:
            self._known.clear()
        key = StoredKey(*row)
        self._known[kek_id] = key, now + _KEEP_S
        return key
