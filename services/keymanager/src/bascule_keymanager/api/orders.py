"""/v1/orders: accept orders for keys and pairs of keys, and tell how they stand."""

import json
from typing import Any, Protocol

import falcon

from bascule_keymanager.api.access import Target, authorize
from bascule_keymanager.api.body import read_json
from bascule_keymanager.api.context import Caller, caller_of, request_id_of
from bascule_keymanager.api.errors import ApiRefusal, operation
from bascule_keymanager.api.links import page_document, requested_page, resource_url
from bascule_keymanager.api.secret_body import check_order
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.orders import OrderRow, OrderStore

__all__ = ["AcceptOrder", "OrderResource", "OrdersResource"]


class AcceptOrder(Protocol):
    """What makes an order durable and wakes a worker."""

    def __call__(self, caller: Caller, kind: str, meta: dict[str, Any], request_id: str) -> str:  # Any: JSON
        """Keep the order and return its id."""


class OrdersResource:
    """The collection."""

    def __init__(self, settings: Settings, store: OrderStore, accept: AcceptOrder) -> None:
        self._settings, self._store, self._accept = settings, store, accept

    @operation("Order creation")
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Accept an order; a worker does it."""
        authorize(req, "orders:post")
        kind, meta = check_order(
            read_json(req, self._settings.max_request_bytes, "Order"), self._settings.max_secret_bytes
        )
        order_id = self._accept(caller_of(req), kind, meta, request_id_of(req))
        reference = resource_url(req, self._settings, "orders", order_id)
        resp.status = 202
        resp.location = reference
        _json(resp, {"order_ref": reference})

    @operation("Order(s) retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show one page of the caller's orders."""
        authorize(req, "orders:get")
        page = requested_page(req, self._settings)
        found, total = self._store.page(
            caller_of(req).project, limit=page.limit, offset=page.offset, meta=req.get_param("meta")
        )
        items = [_document(req, self._settings, order) for order in found]
        _json(resp, page_document(req, self._settings, "orders", page, items, total))

    @operation("Order update")
    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:  # noqa: ARG002 - falcon's signature
        """Refuse: an order is never changed."""
        authorize(req, "orders:put")
        raise ApiRefusal(405, "Order update is not supported.")


class OrderResource:
    """One order."""

    def __init__(self, settings: Settings, store: OrderStore) -> None:
        self._settings, self._store = settings, store

    @operation("Order retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, order_id: str) -> None:
        """Tell how the order stands; an order of another project does not exist for the caller."""
        order = self._find(req, order_id)
        authorize(req, "order:get", Target(order.project, order.creator_id))
        _json(resp, _document(req, self._settings, order))

    @operation("Order deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, order_id: str) -> None:
        """Delete the order; what it made stays, and one that waits is not done any more."""
        order = self._find(req, order_id)
        authorize(req, "order:delete", Target(order.project, order.creator_id))
        if not self._store.delete(order.project, order_id):
            raise _not_found()
        resp.status = 204

    def _find(self, req: falcon.Request, order_id: str) -> OrderRow:
        order = self._store.get(order_id)
        if order is None or order.project != caller_of(req).project:
            raise _not_found()
        return order


def _not_found() -> ApiRefusal:
    return ApiRefusal(404, "Order not found.")


def _document(req: falcon.Request, settings: Settings, order: OrderRow) -> dict[str, Any]:  # Any: JSON
    document: dict[str, Any] = {
        "created": order.created_at.isoformat(),
        "updated": order.updated_at.isoformat(),
        "status": order.status,
        "type": order.type,
        "meta": order.meta,
        "order_ref": resource_url(req, settings, "orders", order.id),
    }
    optional = {
        "secret_ref": resource_url(req, settings, "secrets", order.secret_id) if order.secret_id else None,
        "container_ref": resource_url(req, settings, "containers", order.container_id) if order.container_id else None,
        "creator_id": order.creator_id,
        "sub_status": order.sub_status,
        "sub_status_message": order.status_detail,
        "error_status_code": order.error_status_code,
        "error_reason": order.error_reason,
    }
    return document | {name: value for name, value in optional.items() if value is not None}


def _json(resp: falcon.Response, document: dict[str, Any]) -> None:  # Any: JSON
    resp.content_type = "application/json"
    resp.text = json.dumps(document)
