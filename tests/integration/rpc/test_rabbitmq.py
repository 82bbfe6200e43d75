"""The transport over a real RabbitMQ: what the embedded one promises, and what only a broker can do."""

import subprocess
import sys
import threading
import time

import pytest
from oslo_config import cfg
from support.broker_world import BrokerWorld
from support.call_cases import CASES
from support.waiting import eventually

from bascule.release import Release
from bascule.rpc import Client, Interface, Message, Receiver, Server, arg, method
from bascule.rpc.rabbitmq import BrokerUnreachable, RabbitTransport

OLD, NEW = Release.parse("2026.2"), Release.parse("2027.1")


class Worker(Interface, topic="worker"):
    @method(since="2026.2")
    def process(self, number: int, hurry: bool = arg(since="2027.1", default=False)) -> None:
        raise NotImplementedError


class Handlers(Worker):
    def __init__(self):
        self.numbers = []

    def process(self, number, hurry):
        self.numbers.append((number, hurry))


@pytest.fixture
def world(rabbitmq):
    made = BrokerWorld(rabbitmq.transport_url)
    yield made
    made.close()


def message(number, version="1.0"):
    return Message(f"m-{number}", "worker", "process", version, {"number": number})


def anything(_message):
    return True


def only_old(each):
    return each.version == "1.0"


def receive(transport, can_handle=anything):
    found = []
    eventually(lambda: found.append(transport.receive("worker", "w", can_handle)) or found[-1])
    return found[-1]


def nothing_comes(transport, can_handle=anything, for_s=0.2):
    pause, looks = threading.Event(), int(for_s / 0.02)
    return not any(pause.wait(0.02) or transport.receive("worker", "w", can_handle) for _ in range(looks))


@pytest.mark.parametrize("case", CASES)
def test_calls_over_the_broker(case, world):
    case(world)


def test_messages_come_in_order_and_only_once_and_wait_for_the_first_receiver(world):
    sender, receiver = world.transport(), world.transport()
    for number in range(3):
        sender.send("worker", message(number))
    assert [receive(receiver) for _ in range(3)] == [message(number) for number in range(3)]
    assert nothing_comes(receiver)
    for number in range(3):
        receiver.done(message(number))
    eventually(lambda: not any(world.waiting()))
    receiver.close()
    assert nothing_comes(world.transport())


def test_what_was_given_back_or_was_in_the_hand_of_one_that_hung_up_comes_to_another(world):
    sender, first, second = (world.transport() for _ in range(3))
    sender.send("worker", message(1))
    first.give_back(receive(first))
    assert receive(first) == message(1)
    first.close()
    assert receive(second) == message(1)


def test_a_drained_process_finishes_what_it_has_and_leaves_the_rest_to_others(world):
    sender, first, second = world.transport(), world.transport(prefetch=5), world.transport()
    for number in range(5):
        sender.send("worker", message(number))
    in_hand = receive(first)
    assert first.drain()
    assert first.receive("worker", "w", anything) is None
    assert [receive(second).id for _ in range(4)] == [f"m-{number}" for number in range(1, 5)]
    first.done(in_hand)
    for number in range(1, 5):
        second.done(message(number))
    eventually(lambda: not any(world.waiting()))
    first.close()
    assert nothing_comes(second)


def test_what_is_too_new_waits_for_a_newer_process_and_counts_once(world):
    sender, old, offered = world.transport(), world.transport(OLD), []

    def only_old_and_remember(each):
        offered.append(each.id)
        return only_old(each)

    sender.send("worker", message(1, version="1.1"))
    sender.send("worker", message(2))
    assert receive(old, only_old_and_remember) == message(2)
    assert nothing_comes(old, only_old_and_remember, for_s=1.0)
    assert offered == ["m-1", "m-2"]
    old.done(message(2))
    old.close()
    assert receive(world.transport(NEW)) == message(1, version="1.1")


def test_a_message_that_failed_comes_again_after_a_while(world):
    sender, receiver = world.transport(), world.transport()
    sender.send("worker", message(1))
    for _ in range(2):
        again = receive(receiver)
        receiver.retry_later(again)
        assert nothing_comes(receiver, for_s=0.1)
    assert receive(receiver) == message(1)


def test_the_pin_caps_what_is_sent_at_every_cast_without_a_restart(world):
    pins, handlers = [OLD], Handlers()
    client = Client(Worker, world.transport(), pin=lambda: pins[-1])
    receiver = Receiver(world.transport(), Server(handlers), taker="w")
    for pin in (OLD, NEW):
        pins.append(pin)
        assert client.cast("process", number=1, hurry=True).version == ("1.0" if pin == OLD else "1.1")
    eventually(lambda: receiver.step() and len(handlers.numbers) == 2)
    assert handlers.numbers == [(1, False), (1, True)]


def test_a_stock_client_of_oslo_messaging_can_cast_to_us(world):
    from bascule.rpc.rabbitmq.oslo_parts import oslo, rpc_transport

    transport = rpc_transport(world.url, None, prefetch=1)
    receiver, handlers = world.transport(), Handlers()
    nothing_comes(receiver)  # the queue is there now
    oslo.get_rpc_client(transport, oslo.Target(topic="worker", version="1.0")).cast({}, "process", number=9)
    step = Receiver(receiver, Server(handlers), taker="w").step
    eventually(step)
    assert handlers.numbers == [(9, False)]
    transport.cleanup()


def test_what_is_no_message_is_dropped(world):
    from bascule.rpc.rabbitmq.oslo_parts import oslo, rpc_transport

    transport = rpc_transport(world.url, None, prefetch=1)
    receiver = world.transport()
    nothing_comes(receiver)
    client = oslo.get_rpc_client(transport, oslo.Target(topic="worker"))
    client.cast({"bascule": {"id": "x", "release": "not one", "deadline": 5}}, "process", number=9)
    assert nothing_comes(receiver)
    eventually(lambda: not any(world.waiting()))
    transport.cleanup()


def test_a_transaction_is_refused_and_the_way_to_have_one_named(world):
    with pytest.raises(TypeError, match="cast through an Outbox"):
        world.transport().send("worker", message(1), connection=object())


def test_a_broker_that_is_away_is_told_to_whoever_sends():
    transport = RabbitTransport("rabbit://a:b@127.0.0.1:1/", send_retries=0)
    with pytest.raises(BrokerUnreachable, match="the broker took no message for worker"):
        transport.send("worker", message(1))


def test_a_broker_that_is_away_is_waited_for_once_by_whoever_stops():
    transport = RabbitTransport("rabbit://a:b@127.0.0.1:1/")
    assert transport.receive("worker", "me", lambda _message: True) is None
    assert not transport.drain(0.5)
    began = time.monotonic()
    transport.close()
    assert time.monotonic() - began < 5  # of the ten seconds that it may take


def test_the_services_own_options_are_used_and_not_changed(world):
    conf = cfg.ConfigOpts()
    conf([], project="service", default_config_files=[], default_config_dirs=[])
    transport = world.transport(conf=conf, prefetch=3)
    assert transport.driver.prefetch_size == 3
    assert conf.oslo_messaging_rabbit.rabbit_qos_prefetch_count == 0


def test_the_process_is_without_eventlet():
    code = (
        "import sys; from bascule.rpc.rabbitmq import RabbitTransport; RabbitTransport('rabbit://a:b@127.0.0.1:1/');"
        "print([name for name in sys.modules if name.partition('.')[0] in ('eventlet', 'greenlet')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
