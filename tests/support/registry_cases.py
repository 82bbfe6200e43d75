"""What the registry must do on every database; each case gets an engine."""

import threading
import time
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable
from support.waiting import eventually

from bascule.lifecycle import PinTooNew, Registry
from bascule.lifecycle.pin import MemberRow
from bascule.lifecycle.rows import read_pin, write_member, write_pin
from bascule.lifecycle.tables import FLEET, PIN
from bascule.lifecycle.transaction import dedicated_connection, locked
from bascule.release import Release

OLD, NEW = Release.parse("2026.2"), Release.parse("2027.1")
ROUNDS = 10


def registry(engine, release, *, service="keymanager", beat_s=3600.0):
    return Registry(engine, service=service, release=release, supported_from=OLD, beat_s=beat_s)


def in_parallel(*actions):
    start, failures = threading.Barrier(len(actions)), []

    def run(action):
        start.wait()
        try:
            action()
        except Exception as error:  # noqa: BLE001  # any failure is the case's
            failures.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def the_tables_are_created_once_by_many(engine):
    in_parallel(*[registry(engine, NEW).create_tables] * 4)
    assert registry(engine, NEW).status() == (None, 0, None, ())


def without(table, *names):
    return sa.Table(table.name, sa.MetaData(), *[c._copy() for c in table.columns if c.name not in names])


def the_tables_of_an_older_release_grow_once_by_many(engine):
    with engine.begin() as connection:
        connection.execute(CreateTable(without(FLEET, "supported_from", "manifest")))
        connection.execute(CreateTable(without(PIN, "proposed", "proposed_epoch")))
    assert registry(engine, NEW).status() == (None, 0, None, ()), "one may look before they have grown"
    assert registry(engine, NEW).live_older(NEW) == []
    in_parallel(*[registry(engine, NEW).create_tables] * 4)
    with registry(engine, NEW, beat_s=0.05).join("api-1", "api") as member:
        eventually(lambda: member.pin == NEW)


def a_fleet_moves_to_the_new_release_and_back(engine):
    old, new = registry(engine, OLD, beat_s=0.05), registry(engine, NEW, beat_s=0.05)
    new.create_tables()
    new.hold(OLD)
    with new.join("api-1", "api") as staying:
        with old.join("api-2", "api"):
            new.release_hold()
            staying.beat()
            assert staying.pin == OLD
        eventually(lambda: staying.pin == NEW)
        with pytest.raises(PinTooNew):
            old.join("api-2", "api")
        new.hold(OLD)
        eventually(lambda: staying.pin == OLD)
        eventually(lambda: {each.acknowledged_epoch for each in new.status()[3] if each.state == "live"} == {4})
        with old.join("api-2", "api") as back:
            assert back.pin == OLD
    assert {each.state for each in new.status()[3]} == {"stopped"}


def processes_that_come_in_at_once_agree(engine):
    registry(engine, NEW).create_tables()
    joined = []
    in_parallel(*[lambda: joined.append(registry(engine, NEW).join("api", "api"))] * 4)
    for member in joined + joined:
        member.beat()
    assert {(member.pin, member.epoch) for member in joined} == {(NEW, 3)}
    for member in joined:
        member.leave()


def an_old_process_never_slips_in_while_the_pin_is_lifted(engine):
    registry(engine, NEW).create_tables()
    for number in range(ROUNDS):
        service = f"service-{number}"
        new, old = registry(engine, NEW, service=service), registry(engine, OLD, service=service)
        new.hold(OLD)
        lifting = new.join("api-1", "api")
        lifting.beat()
        new.release_hold()
        late = []

        def slip_in(late=late, old=old):
            try:
                late.append(old.join("api-2", "api"))
            except PinTooNew:
                late.append(None)

        in_parallel(lifting.beat, slip_in)
        lifting.beat()
        (member,) = late
        # Either the old process was in time and holds the pin down, or the pin was lifted and it stays out.
        assert lifting.pin == (NEW if member is None else OLD)
        assert new.status()[0] == lifting.pin
        if member is not None:
            member.leave()
        lifting.leave()


@contextmanager
def a_locked_registry(engine):
    """A fleet of the new release that is about to be lifted, and somebody who holds the lock right now."""
    new = registry(engine, NEW)
    new.create_tables()
    new.hold(OLD)
    with new.join("api-1", "api") as lifting:
        lifting.beat()
        new.release_hold()
        with dedicated_connection(engine) as connection:
            yield lifting, connection


def an_old_process_waits_for_a_lift_in_progress_and_is_refused(engine):
    refusals = []

    def slip_in():
        try:
            registry(engine, OLD).join("api-2", "api")
        except PinTooNew as refusal:
            refusals.append(refusal)

    coming = threading.Thread(target=slip_in)
    with a_locked_registry(engine) as (_, connection):
        with locked(connection, "keymanager"):
            row = read_pin(connection, "keymanager")
            coming.start()
            coming.join(0.5)
            assert coming.is_alive(), "it must wait for the lock"
            write_pin(connection, "keymanager", row.moved_to(NEW))
        coming.join(60)
    assert len(refusals) == 1
    assert [each.instance for each in registry(engine, NEW).status()[3]] == ["api-1"]


def a_lift_waits_for_a_registration_in_progress_and_does_not_happen(engine):
    with a_locked_registry(engine) as (lifting, connection):
        lift = threading.Thread(target=lifting.beat)
        with locked(connection, "keymanager"):
            lift.start()
            lift.join(0.5)
            assert lift.is_alive(), "it must wait for the lock"
            now = time.time()
            write_member(
                connection, "keymanager", MemberRow("id", "api-2", "api", OLD, "host", 1, now, now, state="live")
            )
        lift.join(60)
        assert lifting.pin == OLD
    assert registry(engine, NEW).status()[0] == OLD


CASES = [
    pytest.param(case, id=case.__name__)
    for case in (
        the_tables_are_created_once_by_many,
        the_tables_of_an_older_release_grow_once_by_many,
        a_fleet_moves_to_the_new_release_and_back,
        processes_that_come_in_at_once_agree,
        an_old_process_never_slips_in_while_the_pin_is_lifted,
        an_old_process_waits_for_a_lift_in_progress_and_is_refused,
        a_lift_waits_for_a_registration_in_progress_and_does_not_happen,
    )
]
