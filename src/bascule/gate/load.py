"""The load process: Poisson arrivals at a fixed rate, whatever the service does, until SIGTERM; then the read-back.

    python -m bascule.gate.load --workload F --target http://127.0.0.1:P --rate 60 --seed 7 --history H.jsonl

An open loop: an arrival never waits for an earlier answer, and latency counts from the time at which the request was
due. After SIGTERM (or --max-seconds) arrivals stop, what is in flight is finished, everything that was acknowledged
is read back, and the process exits 0.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bascule.errors import BasculeError
from bascule.gate.client import Client, Target
from bascule.gate.history import HistoryWriter
from bascule.gate.keyring import Key, Keyring, Order
from bascule.gate.probes import Prober
from bascule.gate.readback import preload, read_back
from bascule.gate.traffic import Slot, Traffic
from bascule.gate.workload import Request, Workload, read_workload

__all__ = ["Load", "LoadOptions", "main"]

FLUSH_S = 0.2
POLL_AFTER_S = (0.5, 1.0, 2.0, 4.0)  # the last one again and again
DELETED_SHARE = 0.03  # of the reads ask for a key that must be gone


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What one load process is told."""

    workload: Path
    target: Target
    history: Path
    rate: float = 60.0
    seed: int = 1
    preload: int = 0
    concurrency: int = 8
    ready_file: Path | None = None
    max_seconds: float = 3600.0
    idle_max_s: float = 4.0
    orders_s: float = 60.0
    probes: bool = True
    parent: int | None = None


class Load:
    """One run of the load: preload, arrivals and probes, read-back."""

    def __init__(self, options: LoadOptions, workload: Workload) -> None:
        self.options, self.workload = options, workload
        self._rng = random.Random(options.seed)  # noqa: S311  # a reproducible load, no secret
        self._writer = HistoryWriter(options.history)
        self._keyring = Keyring(random.Random(options.seed + 1))  # noqa: S311  # as above
        self._client = Client(options.target, random.Random(options.seed + 2), idle_max_s=options.idle_max_s)  # noqa: S311  # as above
        # Names and payloads come from the system: a second run with the same seed must not meet the first one's keys.
        fresh = random.SystemRandom()
        self._traffic = Traffic(workload, self._client, self._keyring, self._writer.add, fresh, label="gate")
        self._drawn = workload.drawn()
        self._weights = [request.weight for request in self._drawn]
        self._stopped = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Let arrivals end; what is in flight is finished and everything is read back."""
        self._stopped.set()

    async def run(self) -> None:
        """Do it all. Raises PreloadFailed when the store cannot be filled."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        flusher = asyncio.create_task(self._flush())
        try:
            fixed = await preload(self._traffic, self.options.preload, concurrency=self.options.concurrency)
            self._say_ready()
            await self._offer_load(fixed)
            await read_back(self._traffic, concurrency=self.options.concurrency, orders_s=self.options.orders_s)
        finally:
            flusher.cancel()
            self._client.close()
            self._writer.close()

    async def _offer_load(self, fixed: Sequence[Key]) -> None:
        prober = Prober(self._traffic, fixed)
        probing = asyncio.create_task(prober.run(self._stopped)) if self.options.probes else None
        await self._arrivals()
        self._stopped.set()
        while self._tasks:  # a finished order asks for one more request
            await asyncio.wait(self._tasks)
        if probing is not None:
            await probing

    async def _arrivals(self) -> None:
        at = begun = time.monotonic() + self._client.lead_s
        while not self._stopped.is_set():
            at += self._rng.expovariate(self.options.rate)
            if at - begun > self.options.max_seconds or self._is_orphan():
                return
            # Wake a little before the request is due: the look at its connection comes before the sending.
            wait = at - self._client.lead_s - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            if self._stopped.is_set():
                return
            # All that the seed decides is drawn here, in the order of the arrivals, whatever answers come meanwhile.
            [request] = self._rng.choices(self._drawn, self._weights)
            wants_deleted = self._rng.random() < DELETED_SHARE
            self._start(self._perform(request, at, wants_deleted=wants_deleted))

    async def _perform(self, request: Request, at: float, *, wants_deleted: bool) -> None:
        slot = Slot("load", self._client.draw_class(), at)
        match request.kind:
            case "create":
                await self._traffic.create(request, slot)
            case "read" | "describe":
                gone = self._keyring.draw_deleted() if wants_deleted else None
                key = gone or self._keyring.draw()
                if key is not None:
                    await self._traffic.read(request, key, slot)
            case "delete":
                key = self._keyring.doom()
                if key is not None:
                    await self._traffic.delete(request, key, slot)
            case "list":
                await self._traffic.list(request, slot)
            case _:
                await self._order(request, slot)

    async def _order(self, request: Request, slot: Slot) -> None:
        order = await self._traffic.order(request, slot)
        poll = self.workload.one("poll")
        if order is not None and poll is not None:
            self._start(self._follow(poll, order))

    async def _follow(self, poll: Request, order: Order) -> None:
        """Poll an order until it is over, then read what it made, once."""
        while not order.over and not self._stopped.is_set():
            wait = POLL_AFTER_S[min(order.polls, len(POLL_AFTER_S) - 1)]
            try:
                await asyncio.wait_for(self._stopped.wait(), wait)
            except TimeoutError:
                at = time.monotonic() + self._client.lead_s
                await self._traffic.poll(poll, order, Slot("load", self._client.draw_class(), at))
        if order.made is not None:
            at = time.monotonic() + self._client.lead_s
            await self._traffic.fetch(poll, order, Slot("load", self._client.draw_class(), at))

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _is_orphan(self) -> bool:
        """Whether the process that started this load has died: nobody would ever stop it."""
        return self.options.parent is not None and os.getppid() != self.options.parent

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self._writer.flush()

    def _say_ready(self) -> None:
        if self.options.ready_file is not None:
            self._writer.flush()
            fresh = self.options.ready_file.with_suffix(".new")
            fresh.write_text(f"{os.getpid()}\n")
            fresh.replace(self.options.ready_file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one load process; return its exit code: 0, or 1 with one sentence on stderr."""
    try:
        options, variables = _parse(arguments)
        workload = read_workload(options.workload, variables)
        asyncio.run(_run(options, workload))
    except BasculeError as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    return 0


async def _run(options: LoadOptions, workload: Workload) -> None:
    await Load(options, workload).run()


def _parse(arguments: Sequence[str] | None) -> tuple[LoadOptions, dict[str, str]]:
    parser = argparse.ArgumentParser(prog="bascule.gate.load", description="Offer one open-loop load.")
    parser.add_argument("--workload", type=Path, required=True, help="TOML file of the operations")
    parser.add_argument("--target", required=True, help="http://127.0.0.1:PORT")
    parser.add_argument("--history", type=Path, required=True, help="file for one JSON line per operation")
    parser.add_argument("--rate", type=float, default=60.0, help="arrivals per second, on average")
    parser.add_argument("--seed", type=int, default=1, help="of the arrivals and the mix")
    parser.add_argument("--preload", type=int, default=0, help="keys to create before the load")
    parser.add_argument("--concurrency", type=int, default=8, help="of preload and read-back")
    parser.add_argument("--ready-file", type=Path, help="written with the pid when the load begins")
    parser.add_argument("--max-seconds", type=float, default=3600.0, help="of load")
    parser.add_argument("--idle-max", type=float, default=4.0, help="longest idle gap of a kept connection, seconds")
    parser.add_argument("--orders-seconds", type=float, default=60.0, help="to wait for orders at the end")
    parser.add_argument("--no-probes", action="store_true", help="send only the load")
    parser.add_argument("--parent", type=int, help="stop when this process is no longer the parent")
    parser.add_argument("--variable", action="append", default=[], metavar="NAME=VALUE", help="override a variable")
    said = parser.parse_args(arguments)
    variables = dict(each.split("=", 1) for each in said.variable if "=" in each)
    options = LoadOptions(
        workload=said.workload,
        target=Target.parse(said.target),
        history=said.history,
        rate=said.rate,
        seed=said.seed,
        preload=said.preload,
        concurrency=said.concurrency,
        ready_file=said.ready_file,
        max_seconds=said.max_seconds,
        idle_max_s=said.idle_max,
        orders_s=said.orders_seconds,
        probes=not said.no_probes,
        parent=said.parent,
    )
    return options, variables


if __name__ == "__main__":
    sys.exit(main())
