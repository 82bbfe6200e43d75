"""What a lost connection does to a drain, and to a receiver that goes on."""

import logging
import socket
import threading
from types import SimpleNamespace

import kombu
import pytest
from support.broker_world import BrokerWorld
from support.rpc_processes import NotingEndpoint
from support.waiting import eventually

from bascule.rpc import Message
from bascule.rpc.rabbitmq import DrainTimedOut, drain
from bascule.rpc.rabbitmq.drain import _Cancellation
from bascule.rpc.rabbitmq.oslo_parts import oslo, rpc_transport


@pytest.fixture
def world(rabbitmq):
    made = BrokerWorld(rabbitmq.transport_url)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quiet():
    # The driver reports a lost connection as an error, which it is not here.
    for name in ("oslo.messaging", "oslo_messaging", "amqp"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def message(number):
    return Message(f"m-{number}", "worker", "process", "1.0", {"number": number})


def cut(connection):
    """Cut the line of one of the driver's connections."""
    connection.channel.connection.sock.shutdown(socket.SHUT_RDWR)


def consumers_of(world, topic):
    with kombu.Connection(world.amqp) as connection:
        return connection.channel().queue_declare(topic, passive=True).consumer_count


def never_subscribes(world, topic):
    pause = threading.Event()
    return not any(pause.wait(0.1) or consumers_of(world, topic) for _ in range(10))


def take(transport):
    came = []
    eventually(lambda: came.append(transport.receive("worker", "w", lambda _: True)) or came[-1])
    return came[-1]


def test_a_receiver_goes_on_after_its_connection_was_lost_and_what_it_had_comes_again(world):
    sender, receiver = world.transport(), world.transport()
    sender.send("worker", message(1))
    first = take(receiver)
    cut(receiver._intakes["worker"]._conn)
    assert take(receiver) == message(1)
    receiver.done(first)  # of the old connection or of the new one: it ends either way
    receiver.done(first)
    eventually(lambda: consumers_of(world, "worker") == 1 and not any(world.waiting()))


def test_a_drained_receiver_that_reconnects_does_not_subscribe_again(world):
    sender, receiver = world.transport(), world.transport()
    sender.send("worker", message(1))
    in_hand = take(receiver)
    assert receiver.drain()
    connection = receiver._intakes["worker"]._conn
    channel = connection.channel
    cut(connection)
    eventually(lambda: connection.channel not in (None, channel), what="a new channel")
    assert never_subscribes(world, "worker")
    receiver.done(in_hand)  # too late for this connection: the broker has it again
    assert take(world.transport()) == message(1)


def test_a_stock_server_whose_consumers_are_cancelled_does_not_subscribe_again(world):
    ran = threading.Event()
    transport = rpc_transport(world.url, None, prefetch=0)
    endpoint = NotingEndpoint(SimpleNamespace(add=lambda _: ran.set()))
    server = oslo.get_rpc_server(transport, oslo.Target(topic="worker", server="one"), [endpoint])
    server.start()
    oslo.get_rpc_client(transport, oslo.Target(topic="worker")).cast({}, "happen", number=1)
    assert ran.wait(20)
    assert consumers_of(world, "worker") == 1
    context = server.listener._poll_style_listener.conn
    cancelled = _Cancellation(context)
    assert cancelled.done.wait(20)
    channel = context.connection.channel
    cut(context.connection)
    eventually(lambda: context.connection.channel not in (None, channel), what="a new channel")
    assert never_subscribes(world, "worker")
    drain(server)
    transport.cleanup()


def test_a_drain_without_an_answer_is_given_up_and_leaves_the_server_as_it_was():
    def consume(timeout=None):
        return timeout

    context = SimpleNamespace(consume=consume)
    server = SimpleNamespace(listener=SimpleNamespace(_poll_style_listener=SimpleNamespace(conn=context)))
    with pytest.raises(DrainTimedOut, match=r"did not confirm the cancellation within 0\.05 s"):
        drain(server, timeout_s=0.05)
    assert context.consume is consume
