"""What holds a backfill back, how that is told, and how one gets out of it."""

import sys
import threading
import time

import pytest
import sqlalchemy as sa

from bascule.schema import state
from bascule.schema.backfill import backfill
from bascule.schema.keyset import Keyset
from bascule.schema.lease import hold
from bascule.schema.march import Walk
from bascule.schema.pace import Pace
from bascule.schema.refusals import Stopped
from bascule.schema.rows import FillRows
from bascule.schema.session import Retry, Session
from bascule.schema.throttle import Probe, ReplicaLag, ThrottleUnusable

FILL = FillRows("fill", "things", "b IS NULL", {"b": "a"})


@pytest.fixture
def things(db):
    """A table of fifty rows whose second column is to be filled."""
    with db.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE things (id integer PRIMARY KEY, a integer, b integer)")
        connection.execute(sa.text("INSERT INTO things (a) VALUES (:a)"), [{"a": number} for number in range(50)])
    return db


def fill(db, throttles, *, tell=lambda _: None, should_stop=lambda: False, lease_s=5.0, retry=None):
    with Session.open(db, retry or Retry(), Pace(0.02, 10, 1.0, 10)) as session:
        state.create_tables(session)
        state.ensure_row(session, "fill", release="2027.1", table="things", spec={})
        with hold(session, "fill", lease_s=lease_s, wait_s=0) as lease:
            return backfill(lease, FILL, Walk(Keyset("things", ("id",)), tell, should_stop, tuple(throttles)))


def unfilled(db):
    with db.begin() as connection:
        return connection.scalar(sa.text("SELECT count(*) FROM things WHERE b IS NULL"))


class Says:
    """A throttle that gives these answers, and then none."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    def why_wait(self, session, should_stop):
        self.asked += 1
        return self.answers.pop(0) if self.answers else None


class FakeTime:
    """A clock that sleeping moves on."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def retry(self):
        return Retry(clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def test_a_walk_that_is_held_back_says_why_and_goes_on_when_it_may(things):
    told, fake = [], FakeTime()
    says = Says("replica b", "replica b", None)
    proved = fill(things, [says], tell=told.append, retry=fake.retry())
    assert (proved.rows, proved.stale, unfilled(things)) == (50, 0, 0)
    assert [progress.waiting_for for progress in told[:3]] == ["replica b", "replica b", ""]
    assert all(progress.eta_s is None for progress in told if progress.waiting_for)
    assert 1.9 < sum(fake.slept) < 3
    assert says.asked >= 3


def test_a_throttle_is_asked_once_a_second_and_not_before_every_batch(things):
    says = Says()
    fill(things, [says], retry=FakeTime().retry())
    assert says.asked == 2  # five batches and five reads, each walk asks at its start


def test_the_lease_is_renewed_while_the_walk_waits(things):
    fake, renewed = FakeTime(), []

    @sa.event.listens_for(things, "before_cursor_execute")
    def see(_connection, _cursor, statement, *_):
        if statement.startswith("UPDATE bascule_change SET lease_until"):
            renewed.append(fake.now)

    fill(things, [Says(*["wait"] * 20)], lease_s=6.0, retry=fake.retry())
    waits = [now for now in renewed if 0 < now < 20]
    assert len(waits) >= 6  # within a third of the lease, all along


@pytest.mark.parametrize("held", [True, False])
def test_a_wish_to_stop_is_heard_at_once(things, held):
    asked, begun = threading.Event(), threading.Event()
    slow = Probe((sys.executable, "-c", "import time; time.sleep(60)"), timeout_s=60)

    class No:
        def why_wait(self, session, should_stop):
            begun.set()
            return slow.why_wait(session, should_stop) if held else "a wait without end"

    def stop_soon():
        begun.wait(10)
        asked.set()
        stopped_at.append(time.monotonic())

    stopped_at = []
    helper = threading.Thread(target=stop_soon)
    helper.start()
    with pytest.raises(Stopped) as stopped:
        fill(things, [No()], should_stop=asked.is_set)
    assert time.monotonic() - stopped_at[0] < 1.0
    helper.join(10)
    assert stopped.value.rows_done == 0
    assert fill(things, []).stale == 0  # and the next run goes on


def ask(db, throttle, should_stop=lambda: False):
    with Session.open(db, Retry()) as session:
        return throttle.why_wait(session, should_stop)


def printing(text, code=0):
    return (sys.executable, "-c", f"print({text!r}); raise SystemExit({code})")


@pytest.mark.parametrize(
    ("command", "limit", "says"),
    [
        (printing("", 0), None, None),
        (printing("", 3), None, "ended with 3"),
        (printing("lag is 4.5"), 5, None),
        (printing("lag is 5.5"), 5, "5.5 above 5"),
        (printing("12"), 5, "12 above 5"),
        (printing("4", 1), 5, "ended with 1"),
        (printing("all is well"), 5, "printed no number"),
        (printing("5 of them"), 5, "printed no number"),
    ],
)
def test_a_probe_holds_back_by_its_exit_code_or_its_number(db, command, limit, says):
    why = ask(db, Probe(command, limit))
    assert why is None if says is None else says in why


def test_a_probe_that_takes_too_long_is_killed_with_its_children_and_says_so(db, tmp_path):
    mark = tmp_path / "mark"
    script = f"(sleep 1; touch {mark}) & sleep 60"
    why = ask(db, Probe(("sh", "-c", script), timeout_s=0.2))
    assert "did not answer within 0.2 s" in why
    deadline = time.monotonic() + 1.3
    while time.monotonic() < deadline:
        assert not mark.exists()
        time.sleep(0.1)


def test_a_probe_that_cannot_be_run_ends_the_walk_and_is_named(things):
    with pytest.raises(
        ThrottleUnusable, match=r"probe no-such-program --lag cannot be used: it cannot be run \(No such"
    ):
        fill(things, [Probe.parse("no-such-program --lag")])
    assert unfilled(things) == 50


@pytest.mark.parametrize("line", ["", "  ", "say 'half"])
def test_a_probe_that_cannot_be_read_is_refused(line):
    with pytest.raises(ThrottleUnusable):
        Probe.parse(line)


def test_replica_lag_is_refused_where_the_primary_does_not_know_it(db):
    with pytest.raises(ThrottleUnusable, match="sqlite does not tell it"):
        ask(db, ReplicaLag(1.0))
