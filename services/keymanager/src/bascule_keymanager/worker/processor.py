"""Do one order, exactly once however often it is asked for and whoever else tries."""

import uuid
from typing import Any, Literal

from bascule_keymanager.clock import parse_time
from bascule_keymanager.content import normalise
from bascule_keymanager.crypto.simple import Vault
from bascule_keymanager.log import get_log
from bascule_keymanager.storage.orders import OrderRow, OrderStore
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.secrets import NewSecret, insert_secret
from bascule_keymanager.worker.keys import KeyNotSupported, make_key

__all__ = ["OrderProcessor", "Outcome"]

Outcome = Literal["done", "failed", "not pending"]

# Barbican's words for what its worker cannot do.
_UNSUPPORTED = "Process TypeOrder issue seen - Secret generate supported plugin not found.."

log = get_log()


class OrderProcessor:
    """Turns a waiting order into a secret.

    Everything an order leaves behind is committed in one transaction together with its new status: a process killed
    at any instant leaves either a waiting order and nothing else, or a finished one.
    """

    def __init__(self, orders: OrderStore, projects: Projects, vault: Vault) -> None:
        self._orders, self._projects, self._vault = orders, projects, vault

    def process_id(self, order_id: str) -> Outcome:
        """Do the order of this id, if it waits."""
        order = self._orders.get(order_id)
        return "not pending" if order is None else self.process(order)

    def process(self, order: OrderRow) -> Outcome:
        """Do this order, if it still waits.

        Raises what the database raises: the order then waits on, and is tried again.
        """
        if order.status != "PENDING":
            return "not pending"
        try:
            new = _new_secret(order)
        except KeyNotSupported:
            return self._refuse(order)
        project = self._projects.get_or_create(order.project)
        secret_id = str(uuid.uuid4())
        done = self._orders.complete(
            order.id,
            secret_id,
            lambda connection: insert_secret(connection, self._vault, project, secret_id, new),
        )
        if done:
            log.info("order done", order=order.id, secret=secret_id)
        return "done" if done else "not pending"

    def _refuse(self, order: OrderRow) -> Outcome:
        if not self._orders.fail(order.id, "400", _UNSUPPORTED):
            return "not pending"
        log.warning("order failed", order=order.id, code="400")
        return "failed"


def _new_secret(order: OrderRow) -> NewSecret:
    if order.type != "key":
        raise KeyNotSupported
    meta: dict[str, Any] = order.meta  # Any: JSON that the API has checked
    expiration = meta.get("expiration")
    return NewSecret(
        creator_id=order.creator_id,
        secret_type="symmetric",  # noqa: S106 - a kind of secret, not one
        display_name=meta.get("name"),
        algorithm=meta.get("algorithm"),
        bit_length=meta.get("bit_length"),
        mode=meta.get("mode"),
        expiration=parse_time(expiration) if expiration else None,
        payload=make_key(meta),
        content_type=normalise(meta.get("payload_content_type") or "application/octet-stream"),
    )
