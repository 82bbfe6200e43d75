"""Ten probes a second beside the load: whether control is there (P1) and the data is (P2).

P1 lists, creates and deletes over a new connection each time; P2 reads a fixed set of keys from before the upgrade
over a kept one, and the checker compares what it read. P1 and P2 take turns, so the whole costs ten requests a second.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bascule.gate.keyring import Key
from bascule.gate.traffic import Slot, Traffic

__all__ = ["CONTROL", "DATA", "Prober"]

CONTROL, DATA = "probe-control ", "probe-data "
INTERVAL_S = 0.1


@dataclass(slots=True)
class Prober:
    """Sends probes on a fixed beat, whether or not earlier ones have been answered."""

    traffic: Traffic
    fixed: Sequence[Key]
    interval_s: float = INTERVAL_S
    _tasks: set[asyncio.Task[object]] = field(default_factory=set)
    _created: list[Key] = field(default_factory=list)  # not deleted yet: more than one when creating was slow

    async def run(self, stopped: asyncio.Event) -> None:
        """Probe until stopped; then wait for the answers, and delete what is left of what was created."""
        begun = time.monotonic()
        for tick, key in enumerate(itertools.cycle(self.fixed or [None])):
            at = begun + tick * self.interval_s
            await _until(at - self.traffic.client.lead_s, stopped)
            if stopped.is_set():
                break
            self._start(self._data(key, at) if tick % 2 == 0 else self._control(tick // 2 % 3, at))
        if self._tasks:
            await asyncio.wait(self._tasks)
        while self._created:
            await self._delete(time.monotonic())

    def _start(self, probe: Awaitable[object] | None) -> None:
        if probe is not None:
            task = asyncio.ensure_future(probe)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _data(self, key: Key | None, at: float) -> Awaitable[object] | None:
        read = self.traffic.workload.one("read")
        if key is None or read is None:
            return None
        return self.traffic.read(read, key, Slot("probe", "kept", at, DATA))

    def _control(self, turn: int, at: float) -> Awaitable[object] | None:
        turns: tuple[Callable[[float], Awaitable[object]], ...] = (self._list, self._create, self._delete)
        return turns[turn](at)

    async def _list(self, at: float) -> None:
        request = self.traffic.workload.one("list")
        if request is not None:
            await self.traffic.list(request, Slot("probe", "new", at, CONTROL))

    async def _create(self, at: float) -> None:
        request = next((each for each in self.traffic.workload.of_kind("create") if not each.upload_s), None)
        if request is not None and self.traffic.workload.one("delete") is not None:
            key = await self.traffic.create(request, Slot("probe", "new", at, CONTROL), keep=False)
            if key is not None:
                self._created.append(key)

    async def _delete(self, at: float) -> None:
        request = self.traffic.workload.one("delete")
        if request is not None and self._created:
            await self.traffic.delete(request, self._created.pop(0), Slot("probe", "new", at, CONTROL))


async def _until(at: float, stopped: asyncio.Event) -> None:
    """Return at the monotonic time `at`, or as soon as `stopped` is set."""
    wait = at - time.monotonic()
    if wait > 0:
        try:
            await asyncio.wait_for(stopped.wait(), wait)
        except TimeoutError:
            return
