"""Do one order, exactly once however often it is asked for and whoever else tries."""

import uuid
from collections.abc import Callable
from typing import Any, Literal

from sqlalchemy.engine import Connection

from bascule_keymanager.clock import parse_time
from bascule_keymanager.content import normalise
from bascule_keymanager.log import get_log
from bascule_keymanager.storage.new_secrets import NewSecret, insert_secret
from bascule_keymanager.storage.orders import OrderRow, OrderStore
from bascule_keymanager.storage.pairs import insert_pair
from bascule_keymanager.storage.projects import Project, Projects
from bascule_keymanager.stores.configured import Stores
from bascule_keymanager.stores.generate import CannotGenerate, Reason
from bascule_keymanager.stores.store import Kept, KeySpec, PairIds, Store

__all__ = ["OrderProcessor", "Outcome"]

Outcome = Literal["done", "failed", "not pending"]

# Barbican's status and words for what its worker cannot do.
_REFUSALS: dict[Reason, tuple[str, str]] = {
    "no store": ("400", "Process TypeOrder issue seen - Secret generate supported plugin not found.."),
    "wrong algorithm": ("400", "Process TypeOrder issue seen - Requested algorithm is not supported."),
    "unsupported": ("500", "Process TypeOrder failure seen - please contact site administrator."),
}
_LONGEST_PASSPHRASE = 1_023  # bytes; what an encrypted private key can have

log = get_log()


class OrderProcessor:
    """Turns a waiting order into a secret, or into a pair of keys in a container.

    Everything an order leaves behind is committed in one transaction together with its new status: a process killed
    at any instant leaves either a waiting order and nothing else, or a finished one.
    """

    def __init__(self, orders: OrderStore, projects: Projects, stores: Stores) -> None:
        self._orders, self._projects, self._stores = orders, projects, stores

    def process_id(self, order_id: str) -> Outcome:
        """Do the order of this id, if it waits."""
        order = self._orders.get(order_id)
        return "not pending" if order is None else self.process(order)

    def process(self, order: OrderRow) -> Outcome:
        """Do this order, if it still waits.

        Raises what the database and the store raise: the order then waits on, and is tried again.
        """
        if order.status != "PENDING":
            return "not pending"
        try:
            spec = _spec(order)
            project = self._projects.get_or_create(order.project)
            with self._stores.writing(project) as store:
                if order.type == "asymmetric":
                    return self._make_pair(order, spec, project, store)
                return self._make_key(order, spec, project, store)
        except CannotGenerate as never:
            return self._refuse(order, *_REFUSALS[never.reason])

    def _make_key(self, order: OrderRow, spec: KeySpec, project: Project, store: Store) -> Outcome:
        secret_id = str(uuid.uuid4())
        kept = store.generate_symmetric(project, secret_id, spec)
        new = _new_secret(order, "symmetric")
        done = self._complete(
            order,
            store,
            [kept],
            lambda connection: insert_secret(connection, project, secret_id, new, kept),
            secret_id=secret_id,
        )
        return self._told(order, done, secret=secret_id)

    def _make_pair(self, order: OrderRow, spec: KeySpec, project: Project, store: Store) -> Outcome:
        ids = PairIds(str(uuid.uuid4()), str(uuid.uuid4()), str(uuid.uuid4()) if spec.passphrase else None)
        pair = store.generate_asymmetric(project, ids, spec)
        container_id = str(uuid.uuid4())
        done = self._complete(
            order,
            store,
            [kept for kept in (pair.private, pair.public, pair.passphrase) if kept is not None],
            lambda connection: insert_pair(
                connection, project, container_id, lambda kind: _new_secret(order, kind), ids, pair
            ),
            container_id=container_id,
        )
        return self._told(order, done, container=container_id)

    def _complete(
        self, order: OrderRow, store: Store, kept: list[Kept], effect: Callable[[Connection], None], **made: str
    ) -> bool:
        """Commit an order's effect; what a store keeps elsewhere is deleted there when somebody else was first."""
        try:
            done = self._orders.complete(order.id, effect, **made)
        except Exception as failure:
            # A connection that broke may have committed: then the rows need what the store keeps.
            if not getattr(failure, "connection_invalidated", False):
                _forget(store, kept)
            raise
        if not done:
            _forget(store, kept)
        return done

    def _told(self, order: OrderRow, done: bool, **made: str) -> Outcome:
        if done:
            log.info("order done", order=order.id, **made)
        return "done" if done else "not pending"

    def _refuse(self, order: OrderRow, code: str, reason: str) -> Outcome:
        if not self._orders.fail(order.id, code, reason):
            return "not pending"
        log.warning("order failed", order=order.id, code=code)
        return "failed"


def _forget(store: Store, kept: list[Kept]) -> None:
    for each in kept:
        store.forget(each.metadata)


def _spec(order: OrderRow) -> KeySpec:
    """Return what is ordered. Raises CannotGenerate for what the API would not have accepted, too."""
    meta: dict[str, Any] = order.meta  # Any: JSON that some release's API, or Barbican's, has checked
    algorithm, bits, mode = meta.get("algorithm"), meta.get("bit_length"), meta.get("mode")
    spec = KeySpec(
        algorithm=algorithm if isinstance(algorithm, str) else "",
        bit_length=int(bits) if isinstance(bits, int | float) else 0,
        mode=mode if isinstance(mode, str) else None,
        passphrase=meta.get("passphrase") or None if order.type == "asymmetric" else None,
    )
    if order.type not in ("key", "asymmetric") or not _is_usable(spec.passphrase):
        raise CannotGenerate(spec, "unsupported")
    return spec


def _is_usable(passphrase: object) -> bool:
    """Whether a private key can be encrypted with this: a key without protection must not be made instead."""
    if passphrase is None:
        return True
    try:
        return isinstance(passphrase, str) and len(passphrase.encode()) <= _LONGEST_PASSPHRASE
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell and UTF-8 cannot
        return False


def _new_secret(order: OrderRow, kind: str) -> NewSecret:
    meta: dict[str, Any] = order.meta  # Any: as above
    expiration = meta.get("expiration")
    bits = meta.get("bit_length")
    return NewSecret(
        creator_id=order.creator_id,
        secret_type=kind,
        display_name=meta.get("name"),
        algorithm=meta.get("algorithm"),
        bit_length=None if bits is None else int(bits),
        mode=meta.get("mode"),
        expiration=parse_time(expiration) if expiration else None,
        content_type=normalise(meta.get("payload_content_type") or "application/octet-stream"),
    )
