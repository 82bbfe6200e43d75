"""Durable casts while workers, relays and the broker are killed: each must have its effect exactly once."""

import itertools
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa
from support.rpc_processes import EFFECT, NEW, EffectOnce, Effects, Notes, engine_of, forking, relay, work
from support.waiting import eventually

from bascule.rpc import Client, EmbeddedTransport, Outbox

_WORKERS, _RELAYS, _CASTERS = 3, 2, 3


@dataclass(frozen=True)
class Killed:
    """What came of a run; `begun_again` is how often a cast was begun that had been begun before."""

    cast: int
    rate: float
    without_effect: int
    with_two: int
    begun_again: int
    kills: int
    broker_restarts: int
    settled_s: float


def kill_under_load(
    database_url, folder, *, broker=None, seconds, seed, wipes=(), rate=95, every_s=0.5, handlers=EffectOnce
):
    """Cast for so many seconds while a process is killed every `every_s` or so, then wait until all is done.

    `broker` is a RabbitMQ, or None for the embedded transport; `wipes` has one entry for each restart of it in the
    middle, whether its disk is lost, too. Rolled-back casts are among the load, and must have no effect.
    """
    chance, engine = random.Random(seed), engine_of(database_url)
    outbox = Outbox(engine)
    outbox.create_tables()
    EmbeddedTransport(engine).create_tables()
    EFFECT.create(engine)
    begun = Notes(folder / "begun")
    with forking() as context:
        fleet = _Fleet(context, broker and broker.transport_url, database_url, begun, chance, handlers)
        try:
            load = _Load(engine, outbox, rate)
            load.cast(-1)
            eventually(lambda: outbox.waiting() == 0, within_s=120, what="the first effect")
            load.start()
            restarts = [seconds * (number + 1) / (len(wipes) + 1) for number in range(len(wipes))]
            begin, left = time.monotonic(), list(wipes)
            while (passed := time.monotonic() - begin) < seconds:
                if left and passed >= restarts[len(wipes) - len(left)]:
                    broker.restart(wipe=left.pop(0))
                fleet.kill_one()
                time.sleep(chance.uniform(0.5, 1.5) * every_s)
            load.stop()
            ended = time.monotonic()
            eventually(lambda: outbox.waiting() == 0, within_s=600, what="the end of all casts")
            settled_s = time.monotonic() - ended
        finally:
            fleet.clean_up()
    with engine.connect() as connection:
        effects = Counter(connection.execute(sa.select(EFFECT.c.number)).scalars())
    engine.dispose()
    assert effects.keys() <= load.committed, "a cast that was rolled back had an effect"
    noted = begun.numbers()
    return Killed(
        cast=len(load.committed),
        rate=round(len(load.committed) / load.seconds, 1),
        without_effect=len(load.committed - effects.keys()),
        with_two=sum(count > 1 for count in effects.values()),
        begun_again=len(noted) - len(set(noted)),
        kills=fleet.kills,
        broker_restarts=len(wipes),
        settled_s=round(settled_s, 1),
    )


class _Fleet:
    """Workers and relays, each replaced as soon as it is killed."""

    def __init__(self, context, broker_url, database_url, begun, chance, handlers):
        self.context, self.chance, self.kills = context, chance, 0
        self.targets = [(work, (broker_url, database_url, str(begun.path), handlers))] * _WORKERS
        self.targets += [(relay, (broker_url, database_url))] * _RELAYS
        self.running = [self._start(number) for number in range(len(self.targets))]

    def _start(self, number):
        target, arguments = self.targets[number]
        process = self.context.Process(target=target, args=arguments, daemon=True)
        process.start()
        return process

    def kill_one(self):
        number = self.chance.randrange(len(self.running))
        self.running[number].kill()
        self.running[number].join(10)
        self.running[number] = self._start(number)
        self.kills += 1

    def clean_up(self):
        for process in self.running:
            process.kill()
            process.join(10)


class _Load:
    """Casts at a rate, each in a transaction, of which some roll back."""

    def __init__(self, engine, outbox, rate):
        self.engine, self.rate = engine, rate
        self.client = Client(Effects, outbox, pin=lambda: NEW)
        self.committed, self.ends, self.seconds = set(), threading.Event(), 0.0
        self.threads = [threading.Thread(target=self._run, args=(share,)) for share in range(_CASTERS)]

    def start(self):
        self.begin = time.monotonic()
        for thread in self.threads:
            thread.start()

    def _run(self, share):
        for number in itertools.count(share, _CASTERS):
            if self.ends.wait(max(0.0, self.begin + number / self.rate - time.monotonic())):
                return
            self.cast(number)

    def cast(self, number):
        with self.engine.connect() as connection:
            self.client.cast("happen", number=number, connection=connection)
            if number % 20 == 0:
                connection.rollback()
            else:
                connection.commit()
                self.committed.add(number)

    def stop(self):
        self.ends.set()
        for thread in self.threads:
            thread.join(60)
        self.seconds = time.monotonic() - self.begin
