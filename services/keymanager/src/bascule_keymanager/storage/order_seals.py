"""An order's meta, sealed: by which key, bound to what, and when the plain one need not be kept any more."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule.release import Release
from bascule.schema import phase_of
from bascule.schema.state import Phase
from bascule_keymanager.crypto.envelope import Envelope
from bascule_keymanager.crypto.p11 import P11Crypto
from bascule_keymanager.crypto.plugin import CryptoPlugin, Place, ProjectKey, Sealed
from bascule_keymanager.errors import DamagedOrder, DamagedPayload, UnknownPlugin
from bascule_keymanager.migrations.changes import ORDERS_SEALED
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.tables import kek_data, orders

__all__ = [
    "KEY_COLUMNS",
    "ORDERS_WITH_KEY",
    "SEALED_SINCE",
    "OrderSeals",
    "SealedMeta",
    "has_sealed_orders",
    "sealed_of",
]

# The first release that reads a sealed meta.
SEALED_SINCE = Release.parse("2028.1")

_FORMAT = 1
_ALONE = (Phase.CONTRACTED, Phase.PURGING, Phase.PURGED)
# How late a process notices that the change was contracted; until then it keeps the plain meta, too.
_REMEMBERED_S = 5.0

# What a query of orders needs beside their own columns: keys also open what they sealed after they were deleted.
KEY_COLUMNS = (
    kek_data.c.id.label("kek_id"),
    kek_data.c.plugin_name.label("kek_plugin"),
    kek_data.c.kek_label,
    kek_data.c.plugin_meta.label("kek_wrapped"),
)
ORDERS_WITH_KEY = orders.outerjoin(kek_data, kek_data.c.id == orders.c.sealed_meta_kek_id)


@dataclass(frozen=True, slots=True)
class SealedMeta:
    """A sealed meta as its row has it; `key` is None where the key's row is gone."""

    text: str = field(repr=False)
    key: ProjectKey | None


class OrderSeals:
    """Seals the meta of orders with their projects' keys, and opens it.

    What is sealed names the order and the project, whichever plugin seals; the envelope authenticates both besides.
    """

    def __init__(
        self,
        database: Database,
        projects: Projects,
        plugins: Mapping[str, CryptoPlugin],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._projects, self._plugins, self._monotonic = database, projects, plugins, monotonic
        first = next(iter(plugins.values()))
        # What a module seals does not leave it; every other process has the master keys, which is all this one needs.
        self._writes = first if first.plugin_name == P11Crypto.plugin_name else plugins[Envelope.plugin_name]
        self._alone: tuple[float, bool] | None = None

    def newest_key(self, external_id: str) -> ProjectKey:
        """Return the key that seals a project's orders now, made now if there is none."""
        return self._projects.key_of(self._projects.get_or_create(external_id), self._writes)

    def seal(self, order_id: str, external_id: str, meta: str) -> dict[str, str]:
        """Return the columns of an order's sealed meta. Raises UnreadableKek."""
        key = self.newest_key(external_id)
        plain = f"{_header(order_id, external_id)}\n{meta}".encode()
        sealed = self._writes.seal(key, plain, _place(order_id, external_id))
        kept = {"format": _FORMAT, "text": sealed.cypher_text, "extended": sealed.extended}
        return {"sealed_meta": json.dumps(kept, separators=(",", ":")), "sealed_meta_kek_id": key.id}

    def open(self, order_id: str, external_id: str, sealed: SealedMeta) -> str:
        """Return an order's meta as it was given. Raises DamagedOrder, UnreadableKek, UnknownPlugin."""
        if sealed.key is None:
            raise DamagedOrder(order_id)
        plugin = self._plugins.get(sealed.key.plugin_name)
        if plugin is None:
            raise UnknownPlugin(sealed.key.plugin_name)
        try:
            plain = plugin.open(sealed.key, _parsed(sealed.text), _place(order_id, external_id)).decode()
        except (DamagedPayload, AttributeError, LookupError, TypeError, ValueError) as damaged:
            raise DamagedOrder(order_id) from damaged
        header, _, meta = plain.partition("\n")
        if header != _header(order_id, external_id):
            raise DamagedOrder(order_id)
        return meta

    def stand_alone(self) -> bool:
        """Whether sealed metas needed no plain ones beside them lately."""
        now = self._monotonic()
        if self._alone is None or now - self._alone[0] >= _REMEMBERED_S:
            phase = self._database.read(lambda connection: phase_of(connection, ORDERS_SEALED))
            self._alone = now, phase in _ALONE
        return self._alone[1]

    def may_stand_alone(self, connection: Connection) -> bool:
        """Whether a sealed meta needs no plain one beside it; when so, it stays so until the transaction ends.

        Ask this first in a transaction. Until the change is contracted, an older release may come back at any time.
        """
        return self.stand_alone() and phase_of(connection, ORDERS_SEALED, hold=True) in _ALONE


def has_sealed_orders(connection: Connection) -> bool:
    """Whether this database has a place for sealed metas: commands of this release also see older databases."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(orders.name):
        return False
    there = {column["name"] for column in inspector.get_columns(orders.name)}
    return {orders.c.sealed_meta.name, orders.c.sealed_meta_kek_id.name} <= there


def sealed_of(row: Any) -> SealedMeta | None:  # Any: a row with the columns of KEY_COLUMNS
    """Return the sealed meta of a row that was read with KEY_COLUMNS, if it has one."""
    if row.sealed_meta is None:
        return None
    key = ProjectKey(row.kek_id, row.kek_plugin, row.kek_label, row.kek_wrapped) if row.kek_id is not None else None
    return SealedMeta(row.sealed_meta, key)


def _place(order_id: str, external_id: str) -> Place:
    # No secret's id has a colon: what is sealed for an order opens as no secret's payload, and the other way round.
    return Place(f"order:{order_id}", external_id)


def _header(order_id: str, external_id: str) -> str:
    return json.dumps(["bascule-order", _FORMAT, order_id, external_id], separators=(",", ":"))


def _parsed(text: str) -> Sealed:
    kept = json.loads(text)
    if kept["format"] != _FORMAT:
        raise ValueError("not of this format")
    return Sealed(kept["text"], kept["extended"])
