"""The API process: what it opens when it starts, what it does for an order, and how it says goodbye."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from bascule.errors import LifecycleError
from bascule.lifecycle import Member
from bascule.rpc import Client
from bascule_keymanager.api.app import make_app
from bascule_keymanager.api.context import Caller
from bascule_keymanager.api.errors import BodyRefused
from bascule_keymanager.api.health import Condition
from bascule_keymanager.api.metrics import Metrics, MetricsServer
from bascule_keymanager.api.microversions import OLDEST, latest_at
from bascule_keymanager.api.pipeline import Frame
from bascule_keymanager.config import Settings
from bascule_keymanager.log import gather_lines, get_log
from bascule_keymanager.objects import Order, Rotation
from bascule_keymanager.policy.policies import Policies
from bascule_keymanager.service import Parts
from bascule_keymanager.storage.database import Database
from bascule_keymanager.waker import OwnWorkers, Waker
from bascule_keymanager.whole_api import has_whole_api
from bascule_keymanager.worker.api import WorkerApi

__all__ = ["ApiProcess"]

log = get_log()


def _nothing() -> None:
    """Do nothing: before the start."""


class ApiProcess:
    """One API process, from `start` to `stop`."""

    def __init__(self, settings: Settings) -> None:
        self._parts = Parts(settings)
        self._member: Member | None = None
        self._condition: Condition | None = None
        self._metrics_server: MetricsServer | None = None
        self._desk: OrderDesk | None = None
        self._end_log: Callable[[], None] = _nothing

    def start(self) -> None:
        """Open the database and register; raises what Parts.join raises."""
        self._end_log = gather_lines()
        self._member = self._parts.join("api")
        self._parts.holdings.secret_stores.sync(self._parts.settings.secret_stores)
        self._condition = Condition(self._parts.database, self._parts.settings.disable_by_file_path)
        if not self._parts.settings.queue_enabled:
            log.warning("orders need a worker", hint="[queue] enable = False has no effect; run keymanager-worker")

    def make_app(self) -> Any:  # Any: a WSGI application
        """Return the application; `start` comes first."""
        parts, settings = self._parts, self._parts.settings
        metrics = Metrics() if settings.metrics_path or settings.metrics_listen else None
        if metrics is not None:
            metrics.watch(_pool_figures(parts.database))
            if settings.metrics_listen:
                self._metrics_server = metrics.serve(settings.metrics_listen)
        self._desk = OrderDesk(parts, self._joined())
        maximum = _Advertised(self._joined()).maximum
        frame = Frame(Policies(settings.options), self._ready(), maximum, metrics, parts.speaking)
        return make_app(
            settings,
            secrets=parts.secrets,
            versions=parts.versions,
            projects=parts.projects,
            orders=parts.orders,
            holdings=parts.holdings,
            accept_order=self._desk.accept,
            rotations=parts.rotations,
            rotate_now=self._desk.rotate_now,
            frame=frame,
        )

    def drain(self) -> None:
        """Tell balancers and the others that this process takes no new work."""
        self._ready().drain()
        self._joined().draining()

    def stop(self) -> None:
        """Say goodbye and close the database; safe to call again, and after a start that failed."""
        if self._metrics_server is not None:
            self._metrics_server.stop()
        if self._desk is not None:
            self._desk.close()
        if self._member is not None:
            self._member.leave()
        self._parts.database.dispose()
        self._end_log()

    def _joined(self) -> Member:
        if self._member is None:
            raise AssertionError("start comes first")
        return self._member

    def _ready(self) -> Condition:
        if self._condition is None:
            raise AssertionError("start comes first")
        return self._condition


class _Advertised:
    """The newest version of the API that this fleet shows: the one that its oldest process serves."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._last = OLDEST

    def maximum(self) -> tuple[int, int]:
        """Return it; while the fleet cannot be asked, the one from before."""
        try:
            self._last = latest_at(self._member.advertised())
        except (LifecycleError, SQLAlchemyError) as trouble:
            log.warning("newest version not known", error=type(trouble).__name__)
        return self._last


def _pool_figures(database: Database) -> dict[str, tuple[str, Callable[[], float]]]:
    def in_use(name: str) -> Callable[[], float]:
        return lambda: database.connections_in_use()[name]

    return {
        f"database_connections_{name}": (f"Connections at work, for {name}.", in_use(name))
        for name in database.connections_in_use()
    }


class OrderDesk:
    """Accepts orders. The row and the wake-up of a worker are one transaction, or the broker is told just after it."""

    def __init__(self, parts: Parts, member: Member) -> None:
        self._parts, self._member = parts, member
        self._worker = Client(WorkerApi, parts.transport, pin=lambda: member.pin)
        self._broker = parts.broker
        self._waker = Waker() if self._broker is not None else None
        self._ours = OwnWorkers(lambda: parts.registry.status()[3])
        if self._broker is not None:
            self._over_broker = Client(WorkerApi, self._broker.transport, pin=lambda: member.pin)

    def close(self) -> None:
        """Send the wake-ups that wait, and hang up."""
        if self._waker is not None:
            self._waker.stop()
        if self._broker is not None:
            self._broker.close()

    def accept(self, caller: Caller, kind: str, meta: dict[str, Any], request_id: str) -> str:  # Any: JSON
        """Keep the order and return its id. Raises BodyRefused while an older worker may take it that cannot do it."""
        with self._member.speaking() as speech:
            # Workers of releases without it end an order for a pair of keys with an error, and know of no broker.
            whole = has_whole_api(speech.pin)
            if kind == "asymmetric" and not whole:
                raise BodyRefused("Order", f"{kind!r} is not one of ['key']", "type")
            over_broker, sealed = whole and self._broker is not None, self._parts.seals_orders(speech.pin)
            return self._keep(caller, kind, meta, request_id, over_broker=over_broker, sealed=sealed)

    def _keep(
        self,
        caller: Caller,
        kind: str,
        meta: dict[str, Any],  # Any: JSON
        request_id: str,
        *,
        over_broker: bool,
        sealed: bool,
    ) -> str:
        project = self._parts.projects.get_or_create(caller.project)
        orders: list[Order] = []

        def wake(connection: Connection, order_id: str, at: dt.datetime) -> None:
            order = Order(
                id=order_id,
                project_id=caller.project,
                type=kind,
                algorithm=meta["algorithm"],
                bit_length=int(meta["bit_length"]),
                mode=meta.get("mode"),
                accepted_at=at.replace(tzinfo=dt.UTC).timestamp(),
            )
            if over_broker:
                orders[:] = [order]
            else:
                # What the pin does not allow yet is left out of the message.
                self._worker.cast("process_order", connection=connection, order=order, request_id=request_id)

        seal_for = caller.project if sealed else None
        order_id = self._parts.orders.add(project.id, caller.user, kind, meta, wake, seal_for=seal_for)
        for order in orders:
            self._wake_over_broker(order, request_id)
        log.info("order accepted", order=order_id, request=request_id)
        return order_id

    def rotate_now(self, secret_id: str, request_id: str) -> bool:
        """Make a rotation due and wake a worker for it; return False where there is none."""
        over_broker = self._waker is not None
        made: list[Rotation] = []

        def wake(connection: Connection, at: dt.datetime) -> None:
            rotation = Rotation(secret_id=secret_id, due_at=at.replace(tzinfo=dt.UTC).timestamp())
            made[:] = [rotation]
            if not over_broker:
                self._worker.cast("rotate_secret", connection=connection, rotation=rotation, request_id=request_id)

        if not self._parts.rotations.hasten(secret_id, wake):
            return False
        if self._waker is not None:
            self._waker.send(lambda: self._over_broker.cast("rotate_secret", rotation=made[0], request_id=request_id))
        return True

    def _wake_over_broker(self, order: Order, request_id: str) -> None:
        broker, waker = self._broker, self._waker
        if broker is None or waker is None:
            raise AssertionError("there is a broker wherever one is to be told")
        shared = self._parts.settings.messaging.barbican is not None

        def wake() -> None:
            # Imported where there is a broker: its library is an extra.
            from bascule_keymanager.broker import NobodyListens  # noqa: PLC0415

            if shared and not self._ours.are_there():
                try:
                    broker.cast_as_barbican(order.id, order.project_id, request_id)
                except NobodyListens as nobody:
                    log.info("told our own workers alone", order=order.id, reason=nobody.sentence)
                else:
                    return
            self._over_broker.cast("process_order", order=order, request_id=request_id)

        waker.send(wake)
