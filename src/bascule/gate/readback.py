"""Before and after the load: filling the store, and reading back everything that was ever acknowledged."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from bascule.errors import GateError
from bascule.gate.client import Client
from bascule.gate.history import Operation
from bascule.gate.keyring import Key, Order
from bascule.gate.traffic import Slot, Traffic
from bascule.gate.workload import Request

__all__ = ["PreloadFailed", "preload", "read_back"]

T = TypeVar("T")
FIXED = 50
ATTEMPTS = 3
ORDER_ROUND_S = 0.5


class PreloadFailed(GateError):
    """The store could not be filled before the load."""

    def __init__(self, client: Client, done: int, wanted: int) -> None:
        self.done, self.wanted = done, wanted
        super().__init__(
            f"only {done} of {wanted} keys could be created at {client.target} before the load; "
            f"look at the first lines of the history for the answers",
            next_command="bascule fleet status",
        )


async def preload(traffic: Traffic, number: int, *, concurrency: int) -> tuple[Key, ...]:
    """Create `number` keys; return those that no one will delete, for the data probe. Raises PreloadFailed."""
    create = next(each for each in traffic.workload.of_kind("create"))
    count = traffic.workload.one("count")
    if count is not None:
        await traffic.count(count, Slot("preload"))
    created: list[Key] = []

    async def one(position: int) -> None:
        key = await traffic.create(create, Slot("preload"), fixed=position < FIXED)
        if key is not None:
            created.append(key)
        elif position - len(created) > concurrency + FIXED:
            raise PreloadFailed(traffic.client, len(created), number)

    await _each(range(number), one, concurrency)
    if len(created) < number:
        raise PreloadFailed(traffic.client, len(created), number)
    return tuple(key for key in created if key.fixed)


async def read_back(traffic: Traffic, *, concurrency: int, orders_s: float = 60.0) -> None:
    """Read every live key and its metadata, every deleted key, and every order until it is over or time is up."""
    workload, keyring = traffic.workload, traffic.keyring
    await _finish_orders(traffic, concurrency=concurrency, deadline=time.monotonic() + orders_s)
    readers = [request for kind in ("read", "describe") if (request := workload.one(kind)) is not None]

    async def one(pair: tuple[Request, Key]) -> None:
        request, key = pair
        await _until_answered(lambda: traffic.read(request, key, Slot("final")))

    keys: Sequence[Key] = (*keyring.live, *keyring.deleted)
    await _each([(request, key) for key in keys for request in readers], one, concurrency)
    if (count := workload.one("count")) is not None:
        await traffic.count(count, Slot("final"))


async def _finish_orders(traffic: Traffic, *, concurrency: int, deadline: float) -> None:
    """Poll all orders at least once more, those unfinished until the deadline; read what they made."""
    poll = traffic.workload.one("poll")
    if poll is None:
        return

    async def look(order: Order) -> None:
        await _until_answered(lambda: traffic.poll(poll, order, Slot("final")))

    async def fetch(order: Order) -> None:
        if order.made is not None:
            await _until_answered(lambda: traffic.fetch(poll, order, Slot("final")))

    waiting: Sequence[Order] = tuple(traffic.keyring.orders)
    while waiting:
        await _each(waiting, look, concurrency)
        waiting = [order for order in waiting if not order.over]
        if waiting and time.monotonic() > deadline:
            break
        if waiting:
            await asyncio.sleep(ORDER_ROUND_S)
    await _each(traffic.keyring.orders, fetch, concurrency)


async def _until_answered(send: Callable[[], Awaitable[Operation | None]]) -> None:
    """Send up to three times: each failure stands in the history, but a key must not stay unread for one of them."""
    for _ in range(ATTEMPTS):
        operation = await send()
        if operation is None or operation.state is not None:
            return


async def _each(items: Iterable[T], do: Callable[[T], Awaitable[None]], concurrency: int) -> None:
    """Do something with every item, a few at a time; the first exception ends it all."""
    rest = iter(items)

    async def worker() -> None:
        for item in rest:
            await do(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
