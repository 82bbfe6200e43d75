import os
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa
from support.people import ALIAS, NAMES, columns, create_people, make_engine, people, phases, write

from bascule.schema import Options, Retry
from bascule.schema.refusals import LeaseHeld, LeaseLost, LockNotGranted, StatementFailed
from bascule.schema.state import CHANGES

ROWS = [(f"{number:02}", f"First{number} Last{number}", f"nick{number}") for number in range(30)]


@pytest.fixture
def table(db):
    create_people(db, ROWS)
    return db


def hold_lease(db, owner, *, left_s):
    """Write another holder into every change."""
    now = sa.literal_column("(julianday('now') - 2440587.5) * 86400.0")
    with db.begin() as connection:
        connection.execute(
            sa.update(CHANGES).values(
                lease_owner=owner, lease_until=now + left_s, lease_token=CHANGES.c.lease_token + 1
            )
        )


def my_machine(db):
    """Return the owner's name as this machine writes it, without the process."""
    owners = []
    schema = make_engine(db, [ALIAS])

    def look(_):
        with db.begin() as connection:
            owners.append(connection.scalar(sa.select(CHANGES.c.lease_owner).where(CHANGES.c.id == ALIAS.id)))

    schema.migrate(look)
    return owners[0].rsplit("/", 2)[0]


def test_a_second_engine_is_told_who_works_and_for_how_long(table):
    schema = make_engine(table, [ALIAS])
    schema.expand()
    hold_lease(table, "other-host/pid/1/abc", left_s=60)
    with pytest.raises(LeaseHeld, match="other-host/pid/1/abc") as refused:
        schema.migrate()
    assert 50 < refused.value.left_s <= 60


def test_a_lease_that_ran_out_is_taken_over(table):
    schema = make_engine(table, [ALIAS])
    schema.expand()
    hold_lease(table, "other-host/pid/1/abc", left_s=-1)
    assert phases(schema.migrate()) == {"people-alias": "synced"}


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_over_at_once(table):
    schema = make_engine(table, [ALIAS])
    schema.expand()
    machine = my_machine(table)
    schema.rollback()
    schema.expand()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    hold_lease(table, f"{machine}/{dead.pid}/abc", left_s=600)
    assert phases(schema.migrate()) == {"people-alias": "synced"}


def test_the_lease_of_a_live_process_of_this_machine_is_kept(table):
    schema = make_engine(table, [ALIAS])
    schema.expand()
    machine = my_machine(table)
    schema.rollback()
    schema.expand()
    hold_lease(table, f"{machine}/{os.getpid()}/abc", left_s=600)
    with pytest.raises(LeaseHeld):
        schema.migrate()


def test_an_engine_that_lost_its_lease_is_fenced_off_and_its_batch_is_rolled_back(table):
    schema, filled = make_engine(table, [NAMES]), []
    schema.expand()

    def stall(progress):
        filled.append(progress.done)
        if len(filled) == 1:
            hold_lease(table, "other-host/pid/1/abc", left_s=60)

    with pytest.raises(LeaseLost):
        schema.migrate(stall)
    assert filled == [3]
    assert sum(row["first"] is not None for row in people(table).values()) == 3


def test_an_engine_that_finds_its_table_gone_because_another_took_over_says_so(table):
    schema, told = make_engine(table, [NAMES]), []
    schema.expand()

    def stall(progress):
        if progress.activity == "verify" and not told:
            told.append(progress)
            hold_lease(table, "other-host/pid/1/abc", left_s=60)
            write(table, "ALTER TABLE people RENAME TO elsewhere")

    with pytest.raises(LeaseLost) as caught:
        schema.migrate(stall)
    assert isinstance(caught.value.__cause__, StatementFailed)


def test_two_engines_at_once_share_the_work_and_no_row_is_walked_twice(table):
    patient = Options(lease_s=5, lease_wait_s=30, retry=Retry(within_s=30))
    first, second = make_engine(table, [NAMES]), make_engine(table, [NAMES], options=patient)
    first.expand()
    began, told = threading.Event(), {"first": [], "second": []}

    def note_first(progress):
        told["first"].append(progress)
        began.set()

    other = threading.Thread(target=lambda: began.wait(20) and second.migrate(told["second"].append))
    other.start()
    statuses = first.migrate(note_first)
    other.join(30)
    assert phases(statuses) == {"people-names": "synced"}
    assert [one.activity for one in told["second"]] == []
    assert max(one.done for one in told["first"]) == 30


def test_several_engines_may_expand_a_fresh_database_at_once(db):
    def base(connection):
        connection.exec_driver_sql("CREATE TABLE people (id varchar(36) PRIMARY KEY, fullname text, nick text)")

    patient = Options(lease_s=5, lease_wait_s=60, retry=Retry(within_s=60))
    failures = []

    def expand():
        try:
            make_engine(db, base=base, options=patient).expand()
        except Exception as error:  # noqa: BLE001 # told to the test below
            failures.append(error)

    threads = [threading.Thread(target=expand) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert columns(db) == ["id", "fullname", "nick", "first", "last", "alias"]


def test_a_lock_that_is_never_granted_is_told_and_nothing_is_changed(table):
    schema = make_engine(table, [ALIAS])
    schema.expand()
    ticks = iter(range(1000))
    retry = Retry(within_s=2, sleep=lambda _: None, clock=lambda: float(next(ticks)))
    blocked = make_engine(table, [ALIAS], options=Options(retry=retry))
    with table.connect() as writer:
        writer.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(LockNotGranted, match="got no lock in 2 short tries"):
            blocked.migrate()
        writer.rollback()
    assert phases(schema.migrate()) == {"people-alias": "synced"}
