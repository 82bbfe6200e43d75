"""Casts that are not lost, on every database; each case gets an engine."""

import threading

import pytest
import sqlalchemy as sa

from bascule.errors import RpcError
from bascule.release import Release
from bascule.rpc import (
    Client,
    EmbeddedTransport,
    Inbox,
    Interface,
    Message,
    Outbox,
    Receiver,
    Relay,
    Server,
    method,
)

NEW = Release.parse("2027.1")
EFFECT = sa.Table("effect", sa.MetaData(), sa.Column("number", sa.Integer), sa.Column("by", sa.String(20)))


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


class Effects(Interface, topic="effects"):
    @method(since="2026.2")
    def happen(self, number: int) -> None:
        raise NotImplementedError


class Worker(Effects):
    def __init__(self, box, fails=0):
        self.box, self.fails = box, fails

    def happen(self, number):
        with self.box.once() as connection:
            if connection is not None:
                connection.execute(sa.insert(EFFECT).values(number=number, by="worker"))
            if self.fails:
                self.fails -= 1
                raise OSError


class Wire:
    """A transport that keeps what it is given, unless it is away."""

    def __init__(self, away=()):
        self.sent, self.away = [], set(away)

    def send(self, topic, message, *, connection=None):
        if message.body["number"] in self.away:
            raise RpcError("away")
        self.sent.append(message)


def outbox_of(engine, **options):
    outbox = Outbox(engine, **options)
    outbox.create_tables()
    EFFECT.create(engine, checkfirst=True)
    return outbox


def client_of(outbox):
    return Client(Effects, outbox, pin=lambda: NEW)


def effects(engine):
    with engine.connect() as connection:
        return sorted(connection.execute(sa.select(EFFECT.c.number)).scalars())


def numbers(wire):
    return [message.body["number"] for message in wire.sent]


def a_cast_is_part_of_the_callers_transaction(engine):
    outbox = outbox_of(engine)
    with engine.connect() as connection:
        client_of(outbox).cast("happen", number=1, connection=connection)
        connection.rollback()
    with engine.begin() as connection:
        client_of(outbox).cast("happen", number=2, connection=connection)
    wire = Wire()
    assert Relay(outbox, wire).step()
    assert numbers(wire) == [2]
    assert wire.sent[0].version == "1.0"


def the_effect_happens_once_however_often_the_message_comes(engine):
    outbox = outbox_of(engine)
    message = client_of(outbox).cast("happen", number=1)
    server = Server(Worker(outbox))
    assert (outbox.waiting(), effects(engine)) == (1, [])
    for _ in range(3):
        server.handle(message)
    assert (outbox.waiting(), effects(engine)) == (0, [1])


def two_that_have_the_same_message_take_turns(engine):
    outbox = outbox_of(engine)
    message = client_of(outbox).cast("happen", number=1)
    start, seen = threading.Barrier(4), []

    def handle():
        start.wait()
        with outbox.once(message) as connection:
            seen.append(connection is not None)
            if connection is not None:
                threading.Event().wait(0.1)
                connection.execute(sa.insert(EFFECT).values(number=1, by="worker"))

    threads = [threading.Thread(target=handle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (sorted(seen), effects(engine)) == ([False, False, False, True], [1])


def an_effect_that_fails_leaves_nothing_but_the_message(engine):
    clock = Clock()
    outbox = outbox_of(engine)
    transport = EmbeddedTransport(engine, clock=clock, lease_s=30)
    transport.create_tables()
    client_of(outbox).cast("happen", number=1)
    assert Relay(outbox, transport).step()
    receiver = Receiver(transport, Server(Worker(outbox, fails=1)), taker="w")
    assert receiver.step()
    assert (outbox.waiting(), effects(engine), receiver.step()) == (1, [], False)
    clock.now += 31
    assert receiver.step()
    assert (outbox.waiting(), effects(engine), transport.waiting("effects")) == (0, [1], 0)


def a_message_is_sent_again_ever_less_often_until_it_is_done(engine):
    clock, wire = Clock(), Wire()
    outbox = outbox_of(engine, clock=clock)
    relay = Relay(outbox, wire, retry_s=10)
    message = client_of(outbox).cast("happen", number=1)
    for wait_s in (10, 20, 40):
        assert relay.step()
        assert not relay.step()
        clock.now += wait_s - 1
        assert not relay.step()
        clock.now += 1
    assert numbers(wire) == [1, 1, 1]
    assert outbox.oldest_s() == 70
    Server(Worker(outbox)).handle(message)
    assert not relay.step()
    assert outbox.oldest_s() == 0


def while_the_transport_is_away_everything_is_kept_in_order(engine):
    clock, wire = Clock(), Wire(away={2})
    outbox = outbox_of(engine, clock=clock)
    for number in (1, 2, 3):
        client_of(outbox).cast("happen", number=number)
        clock.now += 0.001
    relay = Relay(outbox, wire)
    assert relay.step()
    wire.away = set()
    assert not relay.step()
    clock.now += 1
    assert relay.step()
    assert (numbers(wire), outbox.waiting()) == ([1, 2, 3], 3)


def relays_share_the_work(engine):
    outbox, wire = outbox_of(engine), Wire()
    for number in range(150):
        client_of(outbox).cast("happen", number=number)
    start = threading.Barrier(3)

    def relay():
        start.wait()
        own = Relay(outbox, wire)
        while own.step():
            pass

    threads = [threading.Thread(target=relay) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    while Relay(outbox, wire).step():
        pass
    assert sorted(numbers(wire)) == list(range(150))


def a_relay_does_not_wait_for_a_worker_that_is_about_to_end_a_message(engine):
    if engine.dialect.name == "sqlite":
        return  # it has one lock for everything
    outbox, wire = outbox_of(engine), Wire()
    message = client_of(outbox).cast("happen", number=1)
    client_of(outbox).cast("happen", number=2)
    with outbox.once(message):
        assert Relay(outbox, wire).step()
    assert numbers(wire) == [2]


def casts_with_the_same_key_have_one_effect_while_they_wait(engine):
    outbox, wire = outbox_of(engine), Wire()
    for key in ("a", "a", "b"):
        client_of(outbox).cast("happen", number=1, dedup=key)
    Relay(outbox, wire).step()
    assert len(wire.sent) == outbox.waiting() == 2


def a_receiver_with_another_database_remembers_what_it_has_done(engine):
    outbox, wire, clock = outbox_of(engine), Wire(), Clock()
    inbox = Inbox(engine, clock=clock)
    inbox.create_tables()
    client_of(outbox).cast("happen", number=1)
    relay = Relay(outbox, wire, trusts_broker=True)
    assert relay.step()
    assert outbox.waiting() == 0
    for fails in (1, 0, 0):
        server = Server(Worker(inbox, fails=fails))
        if fails:
            with pytest.raises(OSError):
                server.handle(wire.sent[0])
        else:
            server.handle(wire.sent[0])
    assert effects(engine) == [1]
    clock.now += 100
    assert inbox.forget(older_than_s=100.5) == 0
    assert inbox.forget(older_than_s=99) == 1


def a_message_outside_of_the_outbox_has_no_effect(engine):
    outbox = outbox_of(engine)
    Server(Worker(outbox)).handle(Message("unknown", "effects", "happen", "1.0", {"number": 1}))
    assert effects(engine) == []


CASES = [
    pytest.param(case, id=case.__name__)
    for case in (
        a_cast_is_part_of_the_callers_transaction,
        the_effect_happens_once_however_often_the_message_comes,
        two_that_have_the_same_message_take_turns,
        an_effect_that_fails_leaves_nothing_but_the_message,
        a_message_is_sent_again_ever_less_often_until_it_is_done,
        while_the_transport_is_away_everything_is_kept_in_order,
        relays_share_the_work,
        a_relay_does_not_wait_for_a_worker_that_is_about_to_end_a_message,
        casts_with_the_same_key_have_one_effect_while_they_wait,
        a_receiver_with_another_database_remembers_what_it_has_done,
        a_message_outside_of_the_outbox_has_no_effect,
    )
]
