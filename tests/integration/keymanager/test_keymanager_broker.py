"""Orders and rotations over RabbitMQ: ours, Barbican's, and what happens while the broker is away."""

import contextlib
import dataclasses
import re
import threading
import time

import falcon.testing
import pytest
from oslo_config import cfg
from structlog.testing import capture_logs

from bascule.release import Release
from bascule.rpc import Client
from bascule.rpc.rabbitmq import RabbitTransport
from bascule.rpc.rabbitmq.oslo_parts import oslo, rpc_transport
from bascule.schema.state import Phase
from bascule.testing.servers import RabbitMQ
from bascule.testing.servers.skipping import or_skip
from bascule_keymanager.api.context import Caller
from bascule_keymanager.api.process import ApiProcess, OrderDesk
from bascule_keymanager.broker_look import count_listeners
from bascule_keymanager.config_messaging import BarbicanQueue, Messaging
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.objects import Rotation
from bascule_keymanager.service import Parts
from bascule_keymanager.sharing import StillShared
from bascule_keymanager.worker.api import WorkerApi
from bascule_keymanager.worker.process import WorkerProcess

DEADLINE_S = 60.0
KEY = {"algorithm": "aes", "bit_length": 256, "name": "k", "expiration": None}
CALLER = Caller("p1", "u1")


def wait_for(fact, what):
    deadline = time.monotonic() + DEADLINE_S
    while not fact():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        threading.Event().wait(0.02)


@pytest.fixture(scope="module")
def rabbitmq(no_stale_servers):
    """A broker of this file's own: its exchange is as Barbican makes it, and a broker has one of a name."""
    with or_skip(RabbitMQ) as server:
        yield server


class Speaking:
    """A member of a fleet whose pin is this."""

    def __init__(self, pin):
        self.pin = Release.parse(str(pin))

    @contextlib.contextmanager
    def speaking(self):
        yield self


@pytest.fixture
def queue(request):
    """The queue of Barbican's workers, of this test's own."""
    return BarbicanQueue(f"barbican.{request.node.name}"[:60], "barbican", "1.1", "barbican.queue")


@pytest.fixture
def keymanager(make_keymanager, tmp_path, monkeypatch):
    monkeypatch.setenv("BASCULE_INSTANCE", "worker-1")
    return make_keymanager(f"sqlite:///{tmp_path}/keymanager.db")


@pytest.fixture
def over(keymanager, rabbitmq):
    """Build parts, desks and workers that share a broker; all of them are stopped at the end."""
    with contextlib.ExitStack() as stack:

        class Over:
            def settings(self, **messaging):
                told = Messaging(**{"url": rabbitmq.transport_url, **messaging})
                # Long enough that no test passes by the sweep.
                return dataclasses.replace(keymanager.settings, messaging=told, sweep_age_s=3_600.0)

            def desk(self, pin=RELEASE, **messaging):
                parts = Parts(self.settings(**messaging))
                parts.transport.create_tables()
                stack.callback(parts.database.dispose)
                desk = OrderDesk(parts, Speaking(pin))
                stack.callback(desk.close)
                return desk

            def client(self, **messaging):
                """A client of an API process."""
                process = ApiProcess(self.settings(**messaging))
                stack.callback(process.stop)
                process.start()
                return falcon.testing.TestClient(
                    process.make_app(), headers={"X-Project-Id": CALLER.project, "X-User-Id": CALLER.user}
                )

            def worker(self, **messaging):
                worker = WorkerProcess(self.settings(**messaging))
                stack.callback(worker.stop)
                stack.callback(worker.drain)
                worker.start()
                return worker

        yield Over()


def status(keymanager, order):
    return keymanager.orders.get(order).status


def test_an_order_is_done_by_a_worker_that_only_the_broker_woke(keymanager, over):
    over.worker()  # its loop and its sweep are not run
    desk = over.desk()
    orders = [desk.accept(CALLER, "key", dict(KEY), "req-1") for _ in range(10)]
    wait_for(lambda: {status(keymanager, order) for order in orders} == {"ACTIVE"}, "all orders are done")
    assert keymanager.client().simulate_get("/v1/secrets").json["total"] == 10


def test_older_workers_are_woken_by_the_database_until_the_pin_is_lifted(keymanager, over):
    old, new = over.desk("2027.1"), over.desk(RELEASE)
    waiting = old.accept(CALLER, "key", dict(KEY), "req-1")
    assert keymanager.parts.transport.waiting("worker") == 1
    new.accept(CALLER, "key", dict(KEY), "req-2")
    assert keymanager.parts.transport.waiting("worker") == 1
    worker = over.worker()
    assert worker.step()  # the new worker takes those, too
    assert status(keymanager, waiting) == "ACTIVE"


class BarbicanTasks:
    """What Barbican's worker answers, with its own target."""

    def __init__(self, queue):
        self.target = oslo.Target(
            topic=queue.topic, namespace=queue.namespace, version=queue.version, server=queue.server
        )
        self.taken = []

    def process_type_order(self, context, order_id, project_id, request_id):
        self.taken.append((context, order_id, project_id, request_id))


def oslo_transport(rabbitmq):
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    return rpc_transport(rabbitmq.transport_url, conf, prefetch=1)


def test_barbicans_worker_is_woken_as_by_its_own_api(keymanager, over, queue, rabbitmq):
    tasks, transport = BarbicanTasks(queue), oslo_transport(rabbitmq)
    server = oslo.get_rpc_server(transport, tasks.target, [tasks])
    server.start()
    try:
        order = over.desk(barbican=queue).accept(CALLER, "key", dict(KEY), "req-7")
        wait_for(lambda: tasks.taken, "Barbican's worker has it")
        [(_context, *arguments)] = tasks.taken
        assert arguments == [order, "p1", "req-7"]
        assert status(keymanager, order) == "PENDING"  # it is Barbican's to do
    finally:
        server.stop()
        server.wait()
        transport.cleanup()


def test_our_own_worker_is_told_where_one_lives_beside_barbicans(keymanager, over, queue, rabbitmq):
    tasks, transport = BarbicanTasks(queue), oslo_transport(rabbitmq)
    server = oslo.get_rpc_server(transport, tasks.target, [tasks])
    server.start()
    try:
        over.worker(barbican=queue)
        desk = over.desk(barbican=queue)
        orders = [desk.accept(CALLER, "key", dict(KEY), "req-7") for _ in range(6)]
        wait_for(lambda: {status(keymanager, order) for order in orders} == {"ACTIVE"}, "all orders are done")
        assert tasks.taken == []
    finally:
        server.stop()
        server.wait()
        transport.cleanup()


def test_an_order_that_no_worker_of_barbicans_queue_could_be_told_of_waits_for_one_of_ours(keymanager, over, queue):
    desk = over.desk(barbican=queue)
    order = desk.accept(CALLER, "key", dict(KEY), "req-8")  # nobody has made that queue yet
    desk.close()
    assert status(keymanager, order) == "PENDING"
    over.worker(barbican=queue)
    wait_for(lambda: status(keymanager, order) == "ACTIVE", "the order is done")


def test_our_worker_does_what_barbicans_api_casts_once(keymanager, over, queue, rabbitmq):
    over.worker(barbican=queue)
    project = keymanager.projects.get_or_create("p1")
    order = keymanager.orders.add(project.id, "u1", "key", dict(KEY), lambda *_: None)
    transport = oslo_transport(rabbitmq)
    target = BarbicanTasks(queue).target
    client = oslo.get_rpc_client(transport, target)
    for _ in range(3):
        client.cast({}, "process_type_order", order_id=order, project_id="p1", request_id="req-9")
    wait_for(lambda: status(keymanager, order) == "ACTIVE", "the order is done")
    client.cast({}, "process_type_order", order_id="nobody", project_id="p1", request_id=None)
    last = keymanager.orders.add(project.id, "u1", "key", dict(KEY), lambda *_: None)
    client.cast({}, "process_type_order", order_id=last, project_id="p1", request_id=None)
    wait_for(lambda: status(keymanager, last) == "ACTIVE", "the last order is done")
    assert keymanager.client().simulate_get("/v1/secrets").json["total"] == 2
    transport.cleanup()


def test_shared_orders_are_left_to_barbican_long_enough_before_they_are_swept(keymanager, over, queue):
    settings = dataclasses.replace(over.settings(barbican=queue), sweep_age_s=0.0)
    worker = WorkerProcess(settings)
    worker.start()
    try:
        project = keymanager.projects.get_or_create("p1")
        order = keymanager.orders.add(project.id, "u1", "key", dict(KEY), lambda *_: None)
        worker.sweep()
        assert status(keymanager, order) == "PENDING"
        with keymanager.database.writer.begin() as connection:
            connection.exec_driver_sql("UPDATE orders SET created_at = datetime('now', '-3 minutes')")
        worker.sweep()
        assert status(keymanager, order) == "ACTIVE"
    finally:
        worker.drain()
        worker.stop()


def test_while_the_broker_is_away_orders_are_accepted_at_once_and_swept_up(keymanager, over):
    nowhere = "rabbit://guest:guest@127.0.0.1:1/"
    settings = dataclasses.replace(over.settings(url=nowhere), sweep_age_s=0.0)
    worker = WorkerProcess(settings)
    worker.start()
    try:
        began = time.monotonic()
        order = over.desk(url=nowhere).accept(CALLER, "key", dict(KEY), "req-1")
        assert time.monotonic() - began < 5
        worker.sweep()
        assert status(keymanager, order) == "ACTIVE"
    finally:
        worker.drain()
        worker.stop()


def rotating_key(keymanager, client):
    """Where the versions of a new key are, which is made anew once an hour, the first time in an hour."""
    order = keymanager.accept(CALLER, "key", dict(KEY), "req-1")
    keymanager.processor.process_id(order)
    path = f"/v1/bascule/secrets/{keymanager.orders.get(order).secret_id}"
    assert client.simulate_put(path + "/rotation", json={"interval_s": 3600}).status_code == 200
    return path


def numbers(client, path):
    return [each["version"] for each in client.simulate_get(path + "/versions").json["versions"]]


def test_a_rotation_that_was_asked_for_is_done_by_a_worker_that_only_the_broker_woke(keymanager, over):
    for _ in range(2):
        over.worker()  # its loop and its sweep are not run
    client = over.client()
    paths = [rotating_key(keymanager, client) for _ in range(5)]
    began = time.monotonic()
    for path in paths:
        assert client.simulate_post(path + "/rotation").status_code == 202
    wait_for(lambda: all(numbers(client, path) == [2, 1] for path in paths), "all keys are made anew")
    assert time.monotonic() - began < 5
    assert keymanager.parts.transport.waiting("worker") == 0
    for path in paths:
        rotation = client.simulate_get(path + "/rotation").json["rotation"]
        assert (rotation["last"] is None, rotation["failures"]) == (False, 0)


def test_a_rotation_that_several_workers_are_told_of_is_done_once(keymanager, over, rabbitmq):
    for _ in range(2):
        over.worker()
    client = over.client()
    path = rotating_key(keymanager, client)
    told = Rotation(secret_id=path.rpartition("/")[2], due_at=time.time())
    transport = RabbitTransport(rabbitmq.transport_url)
    again = Client(WorkerApi, transport, pin=lambda: RELEASE)
    with capture_logs() as events:
        assert client.simulate_post(path + "/rotation").status_code == 202
        for _ in range(5):
            again.cast("rotate_secret", rotation=told, request_id="req-2")

        def outcomes():
            return sorted(event["outcome"] for event in events if event["event"] == "rotation taken")

        wait_for(lambda: len(outcomes()) == 6, "all of them are taken")
    transport.close()
    assert outcomes() == ["not due"] * 5 + ["rotated"]
    assert numbers(client, path) == [2, 1]


def test_while_the_broker_is_away_a_rotation_is_accepted_at_once_and_swept_up(keymanager, over):
    client = over.client(url="rabbit://guest:guest@127.0.0.1:1/")
    path = rotating_key(keymanager, client)
    began = time.monotonic()
    assert client.simulate_post(path + "/rotation").status_code == 202
    assert time.monotonic() - began < 5
    assert numbers(client, path) == [1]
    keymanager.rotator.sweep()
    assert numbers(client, path) == [2, 1]


def test_a_rotation_beside_barbican_is_told_to_our_workers_alone(keymanager, over, queue, rabbitmq):
    tasks, transport = BarbicanTasks(queue), oslo_transport(rabbitmq)
    server = oslo.get_rpc_server(transport, tasks.target, [tasks])
    server.start()
    try:
        client = over.client(barbican=queue)
        path = rotating_key(keymanager, client)
        assert client.simulate_post(path + "/rotation").status_code == 202
        over.worker(barbican=queue)  # there was none of ours that could have been told
        wait_for(lambda: numbers(client, path) == [2, 1], "the key is made anew")
        assert tasks.taken == []
    finally:
        server.stop()
        server.wait()
        transport.cleanup()


def test_the_schema_is_not_contracted_while_a_worker_listens_to_barbicans_queue(keymanager, over, queue, rabbitmq):
    alone = Parts(over.settings(barbican_queue=queue))
    transport = oslo_transport(rabbitmq)
    server = oslo.get_rpc_server(transport, BarbicanTasks(queue).target, [BarbicanTasks(queue)])
    try:
        server.start()
        wait_for(lambda: count_listeners(alone.settings, queue.name) == 1, "Barbican's worker listens")
        for phase in (alone.schema.contract, alone.schema.purge):
            with pytest.raises(StillShared, match=rf"1 worker\(s\) listen to the queue {re.escape(queue.name)}: "):
                phase()
        server.stop()
        server.wait()
        wait_for(lambda: count_listeners(alone.settings, queue.name) == 0, "it has left")
        assert {change.phase for change in alone.schema.contract()} == {Phase.CONTRACTED}
        over.worker()
        assert {change.phase for change in alone.schema.purge()} == {Phase.PURGED}
    finally:
        server.stop()
        server.wait()
        transport.cleanup()
        alone.database.dispose()


def test_a_fleet_that_was_never_barbicans_is_contracted(keymanager, over):
    alone = Parts(over.settings(barbican_queue=BarbicanQueue("barbican.of-nobody")))
    assert {change.phase for change in alone.schema.contract()} == {Phase.CONTRACTED}
    alone.database.dispose()
