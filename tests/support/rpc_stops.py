"""Stops of a server under load: how many of the casts sent were run, for a stock server and for ours."""

import itertools
import signal
import threading
import time
from dataclasses import dataclass

from support.rpc_processes import Effects, Notes, forking, serve
from support.waiting import eventually

from bascule.release import Release
from bascule.rpc import Client
from bascule.rpc.rabbitmq import RabbitTransport

KINDS = ("stock", "drained", "ours")
NEW = Release.parse("2027.1")
_BEFORE_S, _AFTER_S = 1.0, 1.0
_SENDERS = 4


@dataclass(frozen=True)
class Stopped:
    """What came of one kind; `rate` is casts per second while they were sent."""

    kind: str
    stops: int
    sent: int
    lost: int
    twice: int
    rate: float


def stop_under_load(url, folder, *, stops, rate=100, tell=lambda _: None):
    """Stop each kind of server so often, in turns, while casts are sent; each is followed by another of its kind."""
    sides = {}
    with forking() as context:
        try:
            for kind in KINDS:
                sides[kind] = _Side(kind, url, folder, context)
            for number in range(1, stops + 1):
                for side in sides.values():
                    side.stop_once(rate)
                tell(
                    f"{number}/{stops} stops: " + ", ".join(f"{side.kind} {side.figures()}" for side in sides.values())
                )
            return [side.result(stops) for side in sides.values()]
        finally:
            for side in sides.values():
                side.clean_up()


class _Side:
    """One kind of server on a topic of its own, with its client."""

    def __init__(self, kind, url, folder, context):
        self.kind, self.url, self.context = kind, url, context
        self.topic, self.notes = f"stops-{kind}", Notes(folder / kind)
        self.numbers, self.sent, self.sending_s = itertools.count(), 0, 0.0

        class Topic(Effects, topic=self.topic):
            pass

        self.transport = RabbitTransport(url, release=NEW)
        self.client = Client(Topic, self.transport, pin=lambda: NEW)
        self.process = None
        self.start()
        self.settle()

    def start(self):
        self.process = self.context.Process(target=serve, args=(self.kind, self.url, self.topic, str(self.notes.path)))
        self.process.start()

    def send(self):
        number = next(self.numbers)
        self.client.cast("happen", number=number)
        return number

    def send_for(self, seconds, rate):
        """Send with several threads, since each waits for the broker's confirmation."""
        begin, counts = time.monotonic(), [0] * _SENDERS

        def send_share(share):
            while time.monotonic() - begin < seconds:
                self.send()
                counts[share] += 1
                time.sleep(max(0.0, begin + counts[share] * _SENDERS / rate - time.monotonic()))

        threads = [threading.Thread(target=send_share, args=(share,)) for share in range(_SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.sending_s += time.monotonic() - begin
        self.sent += sum(counts)

    def stop_once(self, rate):
        self.send_for(_BEFORE_S, rate)
        old = self.process
        old.terminate()
        self.send_for(_AFTER_S, rate)
        old.join(60)
        assert old.exitcode == 0, f"{self.kind} ended with {old.exitcode} after {signal.SIGTERM.name}"
        self.start()
        self.settle()

    def settle(self):
        """Wait until one more cast has run and nothing follows: what has not run by then is lost."""
        last = self.send()
        self.sent += 1
        eventually(lambda: last in set(self.notes.numbers()), what=f"the last cast to {self.kind}", within_s=60)
        seen = -1
        while seen != (seen := len(self.notes.numbers())):
            time.sleep(0.5)

    def figures(self):
        ran = self.notes.numbers()
        return f"{self.sent - len(set(ran))}/{self.sent} lost"

    def result(self, stops):
        ran = self.notes.numbers()
        lost, twice = self.sent - len(set(ran)), len(ran) - len(set(ran))
        casts = self.sent - 1 - stops
        return Stopped(self.kind, stops, self.sent, lost, twice, round(casts / self.sending_s, 1))

    def clean_up(self):
        if self.process is not None:
            self.process.kill()
            self.process.join(10)
        self.transport.close()
