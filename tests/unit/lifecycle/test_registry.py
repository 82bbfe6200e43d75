"""The registry on SQLite, with every kind of engine that a service may bring."""

import itertools
import logging
import threading
import time

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.schema import CreateTable
from support.waiting import eventually

from bascule.lifecycle import FleetUnsettled, NobodyToRetire, OutOfTouch, PinTooNew, PinTooOld, Registry, StillAlive
from bascule.lifecycle.rows import bury
from bascule.lifecycle.tables import FLEET, PIN
from bascule.lifecycle.transaction import dedicated_connection, locked
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
    assert (pin, epoch, hold) == (NEW, 3, None)
    assert (process.instance, process.role, process.release, process.state) == ("api-1", "api", NEW, "live")
    eventually(lambda: processes(it)["api-1"].acknowledged_epoch == 3)


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
    assert processes(new)["api-2"].acknowledged_epoch == staying.epoch == 3
    assert processes(new)["api-1"].state == "stopped"
    staying.leave()


def test_after_the_last_old_process_the_pin_rises_within_five_seconds_without_a_signal(one_engine):
    leaving = registry(one_engine, OLD, beat_s=0.5).join("api-1", "api")
    staying = [registry(one_engine, NEW, beat_s=0.5).join(f"api-{number}", "api") for number in (2, 3, 4)]
    eventually(lambda: all(process.acknowledged_epoch == 1 for process in processes(staying[0].registry).values()))
    leaving.leave()
    began = time.monotonic()
    eventually(lambda: {member.pin for member in staying} == {NEW}, within_s=5)
    assert [member.pin for member in staying] == [NEW] * 3
    print(f"every process works by the new pin after {time.monotonic() - began:.2f} s")
    for member in staying:
        member.leave()


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
        assert (member.pin, processes(it)["api-1"].acknowledged_epoch) == (OLD, 4)
        with registry(engine, OLD).join("api-2", "api") as old:  # what a rollback needs
            assert old.pin == OLD
        it.release_hold()
        member.beat()
        assert member.pin == NEW
    assert it.status()[1:3] == (6, None)


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


def asleep(member):
    """Return the member once its own heart has beaten, and rests: else that beat may come at any later time."""
    eventually(lambda: member._wake._cond._waiters)
    return member


def kill(member):
    member._left = True  # as after SIGKILL: no more beats, and no goodbye
    member._wake.set()
    member._thread.join(10)


def pass_time(clock, *members, seconds=6):
    for _ in range(seconds):
        clock.now += 1.0
        for member in members:
            member.beat()


def two_on_a_clock(engine, **options):
    clock = Clock()
    timed = {"clock": clock, "monotonic": clock, **options}
    return clock, registry(engine, OLD, **timed), registry(engine, NEW, **timed)


def test_a_killed_process_ages_out_and_only_then_the_pin_rises(one_engine):
    clock, old, it = two_on_a_clock(one_engine)
    kill(old.join("api-1", "api"))
    member = it.join("api-2", "api")
    member.beat()
    pass_time(clock, member, seconds=4)
    assert (member.pin, processes(it)["api-1"].state) == (OLD, "live")
    pass_time(clock, member, seconds=2)
    assert (member.pin, processes(it)["api-1"].state) == (NEW, "dead")
    member.leave()


def test_who_was_kept_from_the_database_itself_does_not_take_others_for_dead(one_engine):
    clock, old, new = two_on_a_clock(one_engine)
    old, new = old.join("api-1", "api"), new.join("api-2", "api")
    pass_time(clock, old, new, seconds=10)
    clock.now += 30.0  # nobody could write; the new one is the first that can again
    new.beat()
    assert new.pin == OLD
    old.beat()
    clock.now += 1.0
    new.beat()
    assert new.pin == OLD
    old.leave()
    new.leave()


@pytest.mark.parametrize("wrong_by_s", [-3600.0, 3600.0])
def test_a_host_whose_clock_is_wrong_holds_the_pin_as_long_as_it_beats(one_engine, wrong_by_s):
    clock = Clock()
    wrong = registry(one_engine, OLD, clock=lambda: clock.now + wrong_by_s, monotonic=clock)
    old, new = wrong.join("api-1", "api"), registry(one_engine, NEW, clock=clock, monotonic=clock).join("api-2", "api")
    pass_time(clock, old, new, seconds=12)
    assert new.pin == OLD
    kill(old)
    pass_time(clock, new)
    assert new.pin == NEW
    new.leave()


def test_a_process_that_does_not_beat_falls_silent_before_anyone_takes_it_for_dead(one_engine):
    clock, old, _ = two_on_a_clock(one_engine)
    member = old.join("api-1", "api")
    member.beat()
    clock.now += 3.9
    assert (member.pin, member.in_force) == (OLD, True)
    clock.now += 0.1
    with pytest.raises(OutOfTouch, match="says nothing"):
        _ = member.pin
    assert not member.in_force
    member.beat()
    assert member.pin == OLD
    member.leave()


def test_an_old_process_that_comes_back_from_the_dead_is_not_let_in_and_says_nothing(one_engine):
    clock, old, new = two_on_a_clock(one_engine)
    told = []
    zombie = asleep(old.join("worker-1", "worker", on_outside=told.append))
    member = new.join("api-1", "api")
    pass_time(clock, member, seconds=8)
    assert member.pin == NEW
    zombie._wake.set()  # it wakes up
    eventually(lambda: told)
    assert isinstance(zombie.outside, PinTooNew)
    with pytest.raises(OutOfTouch):
        _ = zombie.pin
    member.beat()
    assert (member.pin, processes(new)["worker-1"].state) == (NEW, "dead")
    zombie.leave()
    member.leave()


def test_a_process_that_comes_back_while_the_fleet_still_has_room_is_let_in_again(one_engine):
    clock, old, new = two_on_a_clock(one_engine)
    third, zombie = asleep(old.join("api-2", "api")), asleep(new.join("worker-1", "worker"))
    member = new.join("api-1", "api")
    with zombie.speaking() as speech:
        pass_time(clock, member, third, seconds=8)
        assert processes(new)["worker-1"].state == "dead"
        zombie.beat()
        assert zombie.pin == OLD
        assert processes(new)["worker-1"].state == "live"
        with pytest.raises(OutOfTouch):
            _ = speech.pin  # what it had begun before its death
    for each in (zombie, third, member):
        each.leave()


def test_a_process_whose_row_was_marked_dead_in_the_middle_of_its_beat_is_not_lost(one_engine):
    clock, _, new = two_on_a_clock(one_engine)
    member = new.join("api-1", "api")
    member.beat()
    (row,) = new.members()
    clock.now += 1.0
    member.beat()
    with dedicated_connection(one_engine) as connection, locked(connection, "keymanager"):
        assert bury(connection, [row]) == (row,), "it has beaten since it was read"
    assert processes(new)["api-1"].state == "live"
    member.leave()


def test_an_old_process_comes_in_after_a_hold_only_when_the_new_ones_have_acknowledged(one_engine):
    new = registry(one_engine, NEW)
    member = new.join("api-1", "api")
    eventually(lambda: member.pin == NEW)
    new.hold(OLD)
    came = []
    coming = threading.Thread(target=lambda: came.append(registry(one_engine, OLD).join("api-2", "api")))
    with member.speaking() as speech:
        coming.start()
        member.beat()
        assert (member.pin, speech.pin) == (OLD, NEW), "the request goes on as it began"
        coming.join(0.5)
        assert not came
    member.beat()
    coming.join(20)
    assert came[0].pin == OLD
    came[0].leave()
    member.leave()


def test_an_old_process_does_not_wait_for_one_that_stands_still(one_engine):
    new = registry(one_engine, NEW, ttl_s=0.5)
    member = new.join("api-1", "api")
    eventually(lambda: member.epoch == 3)
    kill(member)  # before the pin is held, or it may just have agreed to that
    new.hold(OLD)
    with registry(one_engine, OLD, ttl_s=0.5).join("api-2", "api") as old:
        assert old.pin == OLD
        assert processes(new)["api-1"].state == "dead"


def test_an_old_process_gives_up_when_the_new_one_never_acknowledges(one_engine):
    new = registry(one_engine, NEW, ttl_s=0.5, beat_s=0.05)
    with new.join("api-1", "api") as member:
        eventually(lambda: member.pin == NEW)
        with member.speaking():
            new.hold(OLD)
            with pytest.raises(FleetUnsettled, match="not acknowledged by api-1"):
                registry(one_engine, OLD, ttl_s=0.5).join("api-2", "api")
    assert list(processes(new)) == ["api-1"]


def test_what_is_advertised_is_read_from_the_table_while_the_pin_may_rise(one_engine):
    _, old, new = two_on_a_clock(one_engine)
    leaving = old.join("api-3", "api")
    first, second = new.join("api-1", "api"), new.join("api-2", "api")
    first.beat()
    second.beat()
    leaving.leave()
    first.beat()  # proposes and acknowledges
    assert (first.advertised(), second.advertised()) == (OLD, OLD)
    second.beat()  # acknowledges and lifts
    assert second.advertised() == NEW
    assert (first.epoch, first.pin) == (2, OLD)
    assert first.advertised() == NEW, "never the older one after another process showed the newer one"
    first.leave()
    second.leave()


def test_a_release_that_nobody_can_read_keeps_the_pin_down(one_engine):
    it = registry(one_engine, NEW)
    it.hold(OLD)
    with it.join("api-1", "api") as member, one_engine.begin() as connection:
        row = {**dict(connection.execute(sa.select(FLEET)).mappings().one()), "id": "x", "instance": "odd"}
        connection.execute(sa.insert(FLEET).values(**{**row, "release": "zed"}))
        connection.commit()
        it.release_hold()
        member.beat()
        assert member.pin == OLD
        assert processes(it)["odd"].release == Release((0,))


def test_retire_forgets_who_is_gone_and_refuses_for_who_is_alive(one_engine):
    it = registry(one_engine, NEW, ttl_s=0.4, beat_s=0.05)
    killed = registry(one_engine, OLD).join("api-1", "api")
    kill(killed)
    assert it.retire("api-1") == 1
    with pytest.raises(NobodyToRetire):
        it.retire("api-1")
    with it.join("api-2", "api"), pytest.raises(StillAlive, match="stop it first"):
        it.retire("api-2")


def test_a_process_that_only_looks_dead_still_stands_in_the_way_of_a_contract(one_engine):
    late = registry(one_engine, OLD, clock=lambda: 0.0, beat_s=0.05).join("worker-1", "worker")
    it = registry(one_engine, NEW, ttl_s=0.5)
    assert len(it.live_older(NEW)) == 1
    kill(late)
    assert it.live_older(NEW) == []


def test_the_tables_of_an_older_release_grow_while_its_processes_go_on(one_engine):
    with one_engine.begin() as connection:
        connection.execute(CreateTable(older(FLEET, "supported_from", "manifest")))
        connection.execute(CreateTable(older(PIN, "proposed", "proposed_epoch")))
        values = {"instance": "api-1", "role": "api", "host": "h", "pid": 1, "state": "live"}
        numbers = {"started_at": 1.0, "heartbeat_at": time.time(), "acknowledged_epoch": 1, "refused": 0}
        names = {"id": "x", "service": "keymanager", "release": "2026.2"}
        connection.execute(sa.insert(FLEET).values(**values, **numbers, **names))
    it = Registry(one_engine, service="keymanager", release=NEW, supported_from=OLD, beat_s=NEVER_S)
    assert len(it.live_older(NEW)) == 1
    it.create_tables()
    with it.join("api-2", "api") as member:
        member.beat()
        assert member.pin == OLD
    assert [each.supported_from for each in it.members()] == [None, OLD]


def older(table, *without):
    return sa.Table(table.name, sa.MetaData(), *[c._copy() for c in table.columns if c.name not in without])


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
        eventually(lambda: member.epoch == 3)
        with engine.connect():
            seen = member._heart.last_beat_at
            eventually(lambda: member._heart.last_beat_at > seen)
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
    assert {(member.pin, member.epoch) for member in joined} == {(NEW, 3)}
    for member in joined:
        member.leave()
