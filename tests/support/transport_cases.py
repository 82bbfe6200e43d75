"""What the embedded transport must do on every database; each case gets an engine."""

import threading

import pytest
import sqlalchemy as sa

from bascule.release import Release
from bascule.rpc import EmbeddedTransport, Message

OLD, NEW = Release.parse("2026.2"), Release.parse("2027.1")


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        self.now += 0.001
        return self.now


def transport(engine, release=NEW, **options):
    it = EmbeddedTransport(engine, release=release, **options)
    it.create_tables()
    return it


def message(number, version="1.0"):
    return Message(f"m-{number}", "worker", "process_order", version, {"order_id": f"o-{number}"})


def anything(_message):
    return True


def only_old(each):
    return each.version == "1.0"


def messages_come_in_order_and_only_once(engine):
    it = transport(engine, clock=Clock())
    for number in range(3):
        it.send("worker", message(number))
    assert [it.receive("worker", "w", anything) for _ in range(4)] == [message(0), message(1), message(2), None]
    assert it.receive("other", "w", anything) is None
    for number in range(3):
        it.done(message(number))
    assert it.waiting("worker") == 0


def a_message_joins_the_transaction_of_its_work(engine):
    it = transport(engine)
    with engine.connect() as connection:
        it.send("worker", message(1), connection=connection)
        connection.rollback()
    assert it.receive("worker", "w", anything) is None
    with engine.begin() as connection:
        it.send("worker", message(2), connection=connection)
    assert it.receive("worker", "w", anything) == message(2)


def a_taken_message_comes_back_after_its_lease_or_when_it_is_given_back(engine):
    clock = Clock()
    it = transport(engine, clock=clock, lease_s=30.0)
    it.send("worker", message(1))
    assert it.receive("worker", "killed", anything) == message(1)
    clock.now += 29.0
    assert it.receive("worker", "w", anything) is None
    clock.now += 1.0
    assert it.receive("worker", "w", anything) == message(1)
    assert it.receive("worker", "other", anything) is None
    it.give_back(message(1))
    assert it.receive("worker", "other", anything) == message(1)


def a_refused_message_stays_for_a_newer_process_and_is_not_offered_again(engine):
    clock = Clock()
    old, new = transport(engine, OLD, clock=clock), transport(engine, NEW, clock=clock)
    offered = []

    def only_old_and_remember(each):
        offered.append(each.id)
        return only_old(each)

    old.send("worker", message(1, version="1.1"))
    old.send("worker", message(2))
    assert old.receive("worker", "w-old", only_old_and_remember) == message(2)
    assert old.receive("worker", "w-old", only_old_and_remember) is None
    assert offered == ["m-1", "m-2"]
    assert new.receive("worker", "w-new", anything) == message(1, version="1.1")


def every_message_has_exactly_one_taker_however_many_ask(engine):
    it = transport(engine)
    for number in range(40):
        it.send("worker", message(number))
    start, taken = threading.Barrier(4), []

    def take_all(name):
        own = transport(engine)
        start.wait()
        while each := own.receive("worker", name, anything):
            taken.append(each.id)

    threads = [threading.Thread(target=take_all, args=(f"w-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert it.waiting("worker") == 40
    # A taker may miss the rows that others took under its nose, but nobody gets what is taken.
    rest = []
    while each := it.receive("worker", "last", anything):
        rest.append(each.id)
    assert sorted(taken + rest) == sorted(f"m-{number}" for number in range(40))


def the_table_is_created_once_by_many(engine):
    start, failures = threading.Barrier(4), []

    def create():
        start.wait()
        try:
            transport(engine)
        except sa.exc.SQLAlchemyError as error:
            failures.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert transport(engine).waiting("worker") == 0


CASES = [
    pytest.param(case, id=case.__name__)
    for case in (
        messages_come_in_order_and_only_once,
        a_message_joins_the_transaction_of_its_work,
        a_taken_message_comes_back_after_its_lease_or_when_it_is_given_back,
        a_refused_message_stays_for_a_newer_process_and_is_not_offered_again,
        every_message_has_exactly_one_taker_however_many_ask,
        the_table_is_created_once_by_many,
    )
]
