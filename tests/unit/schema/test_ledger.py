"""The ledger of examples/ from release to release on SQLite: both releases write while it happens."""

import shutil

import pytest
import sqlalchemy as sa
from alembic import command
from support.ledger import QUICK, RELEASES, close, dump, parts, seen, start, step, take_over
from support.quick_sqlite import without_disk

from bascule.schema.refusals import OlderProcessesAlive, SameReleaseAlive


@pytest.fixture(autouse=True, scope="module")
def quick():
    with without_disk():
        yield
        close()


@pytest.fixture(scope="module")
def ledgers(quick, tmp_path_factory):
    """A database at each release, made from the one before."""
    path = tmp_path_factory.mktemp("ledgers") / "r1.db"
    start(f"sqlite:///{path}")
    made = {"1": path}
    for release in RELEASES[1:]:
        made[release] = path.with_name(f"r{release}.db")
        shutil.copy(made[str(int(release) - 1)], made[release])
        step(f"sqlite:///{made[release]}", release)
    return made


@pytest.fixture
def at(ledgers, tmp_path):
    """The address of a database of this test's own, at a release."""

    def copy(release):
        return f"sqlite:///{shutil.copy(ledgers[release], tmp_path / 'ledger.db')}"

    return copy


@pytest.mark.parametrize(("old", "new"), [("1", "2"), ("2", "3"), ("3", "4")])
def test_each_release_is_followed_by_the_next_while_both_write(at, old, new):
    url = at(old)
    _, after, schema, expected = take_over(url, old, new)
    command.check(after.alembic)
    schema.fence("refuse")
    schema.contract()
    assert seen(after.book) == expected
    schema.purge()
    account = after.book.open("Only New")
    after.book.post(account, 1)
    assert seen(after.book) == expected | {account: ("Only New", ((1, ""),))}
    command.check(after.alembic)
    assert {status.phase for status in schema.verify()} == {"purged"}


@pytest.mark.parametrize(("old", "new"), [("1", "2"), ("2", "3"), ("3", "4")])
def test_each_release_may_give_way_to_the_one_before_after_contract_with_all_that_was_written(at, old, new):
    url = at(old)
    untouched = dump(url)
    before, after, schema, expected = take_over(url, old, new)
    schema.contract()
    account = after.book.open("Only New")
    after.book.correct(after.book.post(account, 5), 6, "late")
    schema.rollback(to=before.release)
    assert seen(before.book) == expected | {account: ("Only New", ((6, "late"),))}
    back = dump(url)
    assert all(back[name][what] == untouched[name][what] for name in back for what in back[name] if what != "rows")


def test_three_releases_at_once_lead_to_the_same_as_one_after_the_other(at, ledgers):
    url = at("1")
    step(url, "4")
    stepwise = dump(f"sqlite:///{ledgers['4']}")
    assert dump(url) == stepwise
    assert [name for name, *_ in stepwise["accounts"]["columns"]] == ["currency", "first_name", "id", "last_name"]


def test_the_first_release_and_the_last_write_side_by_side(at):
    url = at("1")
    _, after, schema, expected = take_over(url, "1", "4")
    schema.contract()
    schema.purge()
    assert seen(after.book) == expected


def test_processes_that_live_are_waited_for(at):
    url = at("1")
    old, new = parts("1", url), parts("2", url)
    old.registry.create_tables()
    schema = new.schema(QUICK)
    schema.expand()
    schema.migrate()
    with old.registry.join("ledger-1", "api"), pytest.raises(OlderProcessesAlive, match=r"ledger-1 \(1, pid"):
        schema.contract()
    with new.registry.join("ledger-2", "api"), pytest.raises(SameReleaseAlive, match=r"ledger-2 \(2, pid"):
        schema.rollback()
    schema.contract()


def test_a_fresh_database_goes_through_all_releases_and_fits_the_last_ones_models(db):
    url = str(db.url)
    last = parts(RELEASES[-1], url)
    command.upgrade(last.alembic, "head")
    step(url, "4")
    command.check(last.alembic)
    assert sa.inspect(last.engine).get_columns("postings")[-1]["nullable"] is False
