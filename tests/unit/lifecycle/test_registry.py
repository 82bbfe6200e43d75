"""The registry on SQLite, with every kind of engine that a service may bring."""

import itertools
import logging
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from support.waiting import eventually

from bascule.lifecycle import PinTooNew, PinTooOld, Registry
from bascule.lifecycle.tables import FLEET
from bascule.release import Release

OLD, NEW, NEXT = Release.parse("2026.2"), Release.parse("2027.1"), Release.parse("2027.2")
NEVER_S = 3600.0  # the thread beats once, then leaves the beats to the test


def plain(url):
    return sa.create_engine(url)


def autocommit(url):
    return sa.create_engine(url, isolation_level="AUTOCOMMIT")


def immediate(url):
    engine = sa.create_engine(url)

    @event.listens_for(engine, "connect")
    def _manual(dbapi_connection, _record):
        dbapi_connection.isolation_level = None
        dbapi_connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def _begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def deferred(url):
    engine = sa.create_engine(url)

    @event.listens_for(engine, "connect")
    def _manual(dbapi_connection, _record):
        dbapi_connection.isolation_level = None
        dbapi_connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def _begin(connection):
        connection.exec_driver_sql("BEGIN")

    return engine


@pytest.fixture(params=[plain, autocommit, immediate, deferred])
def engine(request, tmp_path):
    engine = request.param(f"sqlite:///{tmp_path}/service.db")
    yield engine
    engine.dispose()


@pytest.fixture
def one_engine(tmp_path):
    engine = plain(f"sqlite:///{tmp_path}/service.db")
    yield engine
    engine.dispose()


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


def registry(engine, release=NEW, *, supported_from=OLD, **options):
    it = Registry(
        engine, service="keymanager", release=release, supported_from=supported_from, **{"beat_s": NEVER_S, **options}
    )
    it.create_tables()
    return it


def processes(it):
    return {process.instance: process for process in it.status()[3]}


def test_before_its_tables_exist_a_service_has_no_pin_and_no_processes(one_engine):
    it = Registry(one_engine, service="keymanager", release=NEW, supported_from=OLD)
    assert it.status() == (None, 0, None, ())


def test_the_first_process_of_a_service_starts_at_the_lowest_supported_release_and_lifts(engine):
    it = registry(engine)
    with it.join("api-1", "api") as member:
        eventually(lambda: member.pin == NEW)
        pin, epoch, hold, (process,) = it.status()
    assert (pin, epoch, hold) == (NEW, 2, None)
    assert (process.instance, process.role, process.release, process.state) == ("api-1", "api", NEW, "live")
    eventually(lambda: processes(it)["api-1"].acknowledged_epoch == 2)


def test_the_pin_waits_for_the_last_old_process_and_every_member_acknowledges(engine):
    old, new = registry(engine, OLD), registry(engine, NEW)
    leaving = old.join("api-1", "api")
    staying = new.join("api-2", "api")
    staying.beat()
    assert staying.pin == OLD
    leaving.draining()
    leaving.beat()
    staying.beat()
    assert (staying.pin, processes(new)["api-1"].state) == (OLD, "draining")
    leaving.leave()
    staying.beat()
    assert staying.pin == NEW
    assert processes(new)["api-2"].acknowledged_epoch == staying.epoch == 2
    assert processes(new)["api-1"].state == "stopped"
    staying.leave()


def test_a_process_older_than_the_pin_is_refused_and_leaves_no_row(engine):
    it = registry(engine, NEW)
    with it.join("api-1", "api") as member:
        eventually(lambda: member.pin == NEW)
        with pytest.raises(PinTooNew):
            registry(engine, OLD).join("api-2", "api")
    assert list(processes(it)) == ["api-1"]


def test_a_hold_brings_the_pin_down_and_members_follow_and_acknowledge(engine):
    it = registry(engine, NEW)
    with it.join("api-1", "api") as member:
        eventually(lambda: member.pin == NEW)
        it.hold(OLD)
        member.beat()
        assert (member.pin, processes(it)["api-1"].acknowledged_epoch) == (OLD, 3)
        with registry(engine, OLD).join("api-2", "api") as old:  # what a rollback needs
            assert old.pin == OLD
        it.release_hold()
        member.beat()
        assert member.pin == NEW
    assert it.status()[1:3] == (4, None)


def test_a_hold_may_be_set_before_the_first_process(one_engine):
    it = registry(one_engine, NEW)
    it.hold(OLD)
    with it.join("api-1", "api") as member:
        member.beat()
        assert member.pin == OLD
    assert it.status()[:3] == (OLD, 1, OLD)


def test_a_hold_at_a_release_that_this_one_cannot_write_is_refused(one_engine):
    it = registry(one_engine, NEXT, supported_from=NEW)
    with pytest.raises(PinTooOld):
        it.hold(OLD)


def test_a_killed_process_ages_out_and_only_then_the_pin_rises(one_engine):
    clock = Clock()
    killed = registry(one_engine, OLD, clock=clock).join("api-1", "api")
    killed._left = True  # as after SIGKILL: no more beats, and no goodbye
    it = registry(one_engine, NEW, clock=clock)
    member = it.join("api-2", "api")
    for _ in range(4):
        clock.now += 1.0
        member.beat()
    assert (member.pin, processes(it)["api-1"].state) == (OLD, "live")
    for _ in range(2):
        clock.now += 1.0
        member.beat()
    assert (member.pin, processes(it)["api-1"].state) == (NEW, "dead")
    member.leave()


def test_who_was_kept_from_the_database_itself_does_not_take_others_for_dead(one_engine):
    clock = Clock()
    old = registry(one_engine, OLD, clock=clock).join("api-1", "api")
    new = registry(one_engine, NEW, clock=clock).join("api-2", "api")
    for _ in range(10):
        clock.now += 1.0
        old.beat()
        new.beat()
    clock.now += 30.0  # nobody could write; the new one is the first that can again
    new.beat()
    assert new.pin == OLD
    old.beat()
    clock.now += 1.0
    new.beat()
    assert new.pin == OLD
    old.leave()
    new.leave()


def test_refusals_are_counted_and_survive_the_goodbye(one_engine):
    it = registry(one_engine)
    with it.join("worker-1", "worker") as member:
        member.refuse()
        member.refuse()
        eventually(lambda: processes(it)["worker-1"].refused == 2)
        member.refuse()
    assert (processes(it)["worker-1"].refused, processes(it)["worker-1"].state) == (3, "stopped")


def test_an_operators_override_beats_the_pin_but_not_the_registry(one_engine, monkeypatch):
    monkeypatch.setenv("BASCULE_PIN_OVERRIDE", "2027.1")
    it = registry(one_engine, NEW)
    it.hold(OLD)
    with it.join("api-1", "api") as member:
        member.beat()
        assert (member.pin, it.status()[0]) == (NEW, OLD)
        assert processes(it)["api-1"].pin_override == NEW


def test_a_row_that_somebody_removed_is_registered_again(one_engine):
    it = registry(one_engine)
    with it.join("api-1", "api") as member:
        with one_engine.begin() as connection:
            connection.execute(sa.delete(FLEET))
        member.beat()
        assert list(processes(it)) == ["api-1"]


def test_a_heartbeat_without_database_is_logged_once_and_goes_on_when_it_is_back(one_engine, caplog):
    it = registry(one_engine, beat_s=0.01)
    with it.join("api-1", "api") as member:
        eventually(lambda: member.pin == NEW)
        with caplog.at_level(logging.WARNING):
            with one_engine.begin() as connection:
                connection.execute(sa.text("ALTER TABLE bascule_fleet RENAME TO away"))
            eventually(lambda: "heartbeat of api-1 not written, trying on: OperationalError" in caplog.messages)
            with one_engine.begin() as connection:
                connection.execute(sa.text("ALTER TABLE away RENAME TO bascule_fleet"))
            eventually(lambda: "heartbeat of api-1 written again" in caplog.messages)
        assert member.pin == NEW
    assert len([each for each in caplog.messages if "not written" in each]) == 1


def test_busy_requests_that_hold_the_whole_pool_do_not_stop_the_heart(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/service.db", pool_size=2, max_overflow=0, pool_timeout=0.01)
    it = registry(engine, beat_s=0.01)
    with it.join("api-1", "api") as member:
        eventually(lambda: member.epoch == 2)
        with engine.connect():
            seen = member._last_beat_at
            eventually(lambda: member._last_beat_at > seen)
            with pytest.raises(sa.exc.TimeoutError):
                engine.connect()
    engine.dispose()


def test_rows_of_processes_gone_for_a_day_are_forgotten(one_engine):
    clock = Clock()
    it = registry(one_engine, clock=clock)
    it.join("api-1", "api").leave()
    clock.now += 25 * 3600
    it.join("api-2", "api").leave()
    assert list(processes(it)) == ["api-2"]


def test_live_older_names_whoever_must_be_gone_before_a_contract(one_engine):
    old = registry(one_engine, OLD).join("worker-1", "worker")
    it = registry(one_engine, NEW)
    with it.join("api-1", "api"):
        (name,) = it.live_older(NEW)
        assert name.startswith("worker-1 (2026.2, pid ")
        old.leave()
        assert it.live_older(NEW) == []
        assert len(it.live_at_least(NEW)) == 1


def test_processes_that_come_in_at_once_all_get_in_and_agree(engine):
    start, joined = threading.Barrier(4), []

    def come(number):
        it = registry(engine, NEW)
        start.wait()
        joined.append(it.join(f"api-{number}", "api"))

    threads = [threading.Thread(target=come, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(joined) == 4
    for member in itertools.chain(joined, joined):
        member.beat()
    assert {(member.pin, member.epoch) for member in joined} == {(NEW, 2)}
    for member in joined:
        member.leave()
