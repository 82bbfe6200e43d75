"""What may happen to a key manager while it works: one function each, which returns when what was taken is back."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from support.waiting import eventually

__all__ = ["FAULTS", "Fault"]

# What a client may be told while something is away; a process that is killed can answer nothing.
_SAID = frozenset({"500", "503"})
_CUT = frozenset({"502", "closed", "reset"})


@dataclass(frozen=True)
class Fault:
    """One thing that happens.

    `strike` does it and returns when all is given back. `allowed` are the statuses and errors that requests may end
    with until `recovers_within_s` after that; with `reads_go_on` only writes may.
    """

    name: str
    strike: Callable
    allowed: frozenset = frozenset()
    recovers_within_s: float = 10.0
    hsm: bool = False
    disk_mb: int | None = None
    payload_bytes: tuple | None = None


def _kill_api_child(world, chance):
    os.kill(chance.choice(world.apis).child, signal.SIGKILL)


def _kill_api_main(world, chance):
    os.kill(chance.choice(world.apis).main, signal.SIGKILL)


def _kill_api(world, chance):
    chance.choice(world.apis).kill_all()


def _kill_worker(world, chance):
    os.kill(chance.choice(world.workers).main, signal.SIGKILL)


def _kill_workers(world, _chance):
    for place in world.workers:
        place.kill_all()


def _restart_database(world, chance):
    world.database.restart(after_s=chance.uniform(1.0, 3.0))


def _restart_broker(world, _chance):
    world.broker.restart()


def _take_keystone(world, _chance):
    world.keystone.kill()
    time.sleep(30.0)
    world.keystone.start()


def _hang_keystone(world, _chance):
    os.kill(world.keystone.process.pid, signal.SIGSTOP)
    try:
        time.sleep(30.0)
    finally:
        os.kill(world.keystone.process.pid, signal.SIGCONT)


def _lose_hsm(world, chance):
    world.hsm.lose()
    time.sleep(chance.uniform(2.0, 4.0))
    world.hsm.find()


def _fill_disk(world, _chance):
    world.disk.fill()
    time.sleep(8.0)
    world.disk.empty()
    if not world.database.is_running():  # what PostgreSQL does that cannot write its log; an operator starts it again
        world.database.restart()
    eventually(world.database.is_running, within_s=60, what="the database runs")


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill-api-child", _kill_api_child, _CUT),
        Fault("kill-api-main", _kill_api_main, _CUT),
        Fault("kill-api", _kill_api, _CUT),
        Fault("kill-worker", _kill_worker),
        Fault("kill-workers", _kill_workers),
        Fault("database", _restart_database, _SAID),
        Fault("broker", _restart_broker),
        Fault("keystone", _take_keystone),
        Fault("keystone-hangs", _hang_keystone),
        Fault("hsm", _lose_hsm, _SAID, hsm=True),
        Fault("disk", _fill_disk, _SAID, disk_mb=260, payload_bytes=(4_000, 12_000)),
    )
}
