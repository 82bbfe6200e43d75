"""A worker's steps: wake-ups are taken, read or left, and no order depends on them."""

import json
import time

import pytest

from bascule.release import Release
from bascule.rpc import Client, EmbeddedTransport, Message
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.objects import Order
from bascule_keymanager.worker.api import WorkerApi
from bascule_keymanager.worker.loop import WorkerLoop

OLD = Release.parse("2026.2")
KEY = {"algorithm": "aes", "bit_length": 256}


class Worker:
    """A worker in this process; `refused` counts as the registry would."""

    def __init__(self, keymanager, processor=None):
        self.keymanager, self.refused = keymanager, 0
        self.transport = EmbeddedTransport(keymanager.database.writer, release=RELEASE)
        self.transport.create_tables()
        self.loop = WorkerLoop(
            self.transport,
            keymanager.orders,
            processor or keymanager.processor,
            keymanager.rotator,
            taker="worker-1",
            sweep_age_s=0.0,
            on_refused=self.count,
        )

    def count(self):
        self.refused += 1

    def accept(self, *, pin=RELEASE, **order):
        """Keep an order and its wake-up, as the API does at this pin; return the order's id."""
        client = Client(WorkerApi, self.transport, pin=lambda: pin)
        project = self.keymanager.projects.get_or_create("p1")

        def wake(connection, order_id, _at):
            values = {"id": order_id, "project_id": "p1", "type": "key", "mode": None, **KEY, **order}
            client.cast("process_order", connection=connection, order=Order(**values), request_id="req-7")

        return self.keymanager.orders.add(project.id, "u", "key", KEY, wake)

    def status(self, order_id):
        return self.keymanager.orders.get(order_id).status

    def send(self, version, **body):
        self.transport.send("worker", Message("m", "worker", "process_order", version, body))


@pytest.fixture
def worker(keymanager):
    return Worker(keymanager)


def test_a_wake_up_is_handled_once_and_forgotten(worker):
    order = worker.accept()
    assert worker.loop.step()
    assert worker.status(order) == "ACTIVE"
    assert worker.transport.waiting("worker") == 0
    assert not worker.loop.step()


@pytest.mark.parametrize("pin", [OLD, RELEASE], ids=str)
def test_wake_ups_of_every_release_are_understood_and_the_wait_is_logged_where_it_is_told(worker, pin, capsys):
    worker.accept(pin=pin, accepted_at=time.time() - 5)
    assert worker.loop.step()
    [line] = [line for line in capsys.readouterr().out.splitlines() if "order taken" in line]
    assert ("req-7" in line) == (pin == RELEASE)
    assert ("waited_s=None" in line.replace(" ", "")) == (pin == OLD)


def test_a_message_that_is_too_new_is_counted_left_alone_and_its_order_swept_up(worker):
    order = worker.accept()
    with worker.keymanager.database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE bascule_message SET version = '1.9'")
    assert not worker.loop.step()
    assert worker.refused == 1
    assert not worker.loop.step()
    assert worker.refused == 1  # it is not offered again
    assert worker.transport.waiting("worker") == 1
    worker.loop.sweep()
    assert worker.status(order) == "ACTIVE"


def test_a_damaged_message_is_dropped_and_its_order_swept_up(worker):
    order = worker.accept()
    with worker.keymanager.database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE bascule_message SET body = ?", (json.dumps({"order": 5}),))
    assert worker.loop.step()
    assert worker.status(order) == "PENDING"
    assert worker.transport.waiting("worker") == 0
    worker.loop.sweep()
    assert worker.status(order) == "ACTIVE"


def test_one_order_that_cannot_be_done_now_does_not_keep_the_others_waiting(keymanager):
    class Flaky:
        def __init__(self):
            self.bad = None

        def process(self, order):
            if order.id == self.bad:
                raise OSError("not now")
            return keymanager.processor.process(order)

    flaky = Flaky()
    worker = Worker(keymanager, processor=flaky)
    flaky.bad, other = worker.accept(), worker.accept()
    worker.loop.sweep()
    assert (worker.status(flaky.bad), worker.status(other)) == ("PENDING", "ACTIVE")
    first, flaky.bad = flaky.bad, None
    worker.loop.sweep()
    assert worker.status(first) == "ACTIVE"
