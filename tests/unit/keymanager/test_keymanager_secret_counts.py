"""A list tells how many secrets there are without counting them: when that is right, and when it is counted again."""

import datetime as dt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.count_cases import Counting, Epoch

from bascule_keymanager.clock import utc_now
from bascule_keymanager.storage import page_ends, secret_counts, secrets
from bascule_keymanager.storage.secret_lists import SecretFilter

FAR = dt.datetime(2990, 1, 1)  # noqa: DTZ001 - as the database has it


@pytest.fixture
def epoch():
    return Epoch()


@pytest.fixture
def process(keymanager, epoch):
    return Counting(keymanager.parts, epoch)


def unnoted(keymanager, text):
    """Change secrets as a release does that notes nothing."""
    with keymanager.database.writer.begin() as connection:
        return connection.exec_driver_sql(text).rowcount


def hide_one(keymanager):
    hidden = "UPDATE secrets SET deleted = 1 WHERE id = (SELECT id FROM secrets WHERE deleted = 0 LIMIT 1)"
    assert unnoted(keymanager, hidden) == 1


def test_only_the_first_list_counts(keymanager, process):
    ids = [process.add() for _ in range(5)]
    assert process.total() == 5
    seen = keymanager.count_statements()
    process.secrets.delete(ids[0])
    process.add()
    process.add()
    seen.clear()
    assert process.total() == 6
    assert len(seen) == 1, "the page brings along what it is counted by"
    assert not [text for text in seen if "count(" in text.lower()]


def test_a_page_beyond_the_last_secret_tells_how_many_there_are(process):
    process.add()
    process.add()
    for offset in (0, 2, 50):
        found, total = process.secrets.page("p1", SecretFilter(), limit=1, offset=offset)
        assert (len(found), total) == (int(offset == 0), 2)


def test_a_page_is_read_from_where_another_one_ended(keymanager, process):
    for _ in range(9):
        process.add()
    all_of_them = process.ordered()
    assert process.ids(0, 3) + process.ids(3, 3) + process.ids(6, 3) == all_of_them
    seen = keymanager.count_statements()
    assert process.ids(7, 2) == all_of_them[7:]
    assert len(seen) == 1
    assert "secrets.created_at >" in seen[0]
    process.secrets.delete(all_of_them[0])
    seen.clear()
    assert process.ids(7, 2) == all_of_them[8:]
    assert ["secrets.created_at >" in text for text in seen] == [True, False], "something was deleted since"


def test_secrets_that_were_made_at_once_are_paged_by_their_ids(keymanager, process):
    for _ in range(8):
        process.add()
    unnoted(keymanager, "UPDATE secrets SET created_at = '2026-01-01 00:00:00.000000'")
    pages = [process.ids(offset, 2) for offset in (0, 0, 2, 4, 6)][1:]
    assert [each for page in pages for each in page] == sorted(process.ordered())


def test_of_a_sorted_list_no_end_is_kept(process):
    names = [process.add() for _ in range(6)]
    wanted = SecretFilter(sort=(("created", True),))
    process.ids(0, 2)
    pages = [process.secrets.page("p1", wanted, limit=2, offset=offset)[0] for offset in (0, 2, 4)]
    assert {each.id for page in pages for each in page} == set(names)


def test_ends_are_few_and_never_beyond_what_is_asked_for():
    ends, moment = page_ends.PageEnds(), utc_now()
    assert ends.before(10) is None
    for offset in (120, 110, 130, 30, 10**9):
        ends.keep(page_ends.PageEnd(1, offset, moment, str(offset)))
    assert [end.offset if (end := ends.before(offset)) else None for offset in (29, 30, 109, 110, 10**9)] == [
        *(None, 30, 30, 110, 110)
    ]
    ends.keep(page_ends.PageEnd(2, 140, moment, "a later one"))
    assert ends.before(139).offset == 30
    ends.forget()
    assert ends.before(10**9) is None


def test_each_process_sees_what_the_others_note(keymanager, epoch):
    one, other = Counting(keymanager.parts, epoch), Counting(keymanager.parts, epoch)
    one.add()
    assert (one.total(), other.total()) == (1, 1)
    last = [one.add(), other.add(), one.add()][-1]
    assert (one.total(), other.total()) == (4, 4)
    other.secrets.delete(last)
    assert (one.total(), other.total(), one.counted()) == (3, 3, 3)


def test_a_secret_that_was_deleted_already_is_noted_once(process):
    first, _second = process.add(), process.add()
    assert process.total() == 2
    assert process.secrets.delete(first)
    assert not process.secrets.delete(first)
    assert process.total() == 1


def test_a_failed_transaction_notes_nothing(process, monkeypatch):
    kept = process.add()
    assert process.total() == 1

    def fail(_connection, _secret_id):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(secrets, "note_deleted", fail)
        with pytest.raises(RuntimeError):
            process.secrets.delete(kept)
    assert process.total() == 1


@pytest.mark.parametrize("who", ["nobody notes", "another epoch", "a minute later"])
def test_it_counts_again_when_others_may_have_written(keymanager, process, epoch, who):
    for _ in range(3):
        process.add()
    assert process.total() == 3
    hide_one(keymanager)
    assert process.total() == 3  # nobody said so
    if who == "nobody notes":
        epoch.number = None
    elif who == "another epoch":
        epoch.number = 2
    else:
        process.now_s = 59.9
        assert process.total() == 3
        process.now_s = 60.1
    assert process.total() == 2


def test_what_was_counted_in_an_epoch_is_no_good_after_one_in_which_others_wrote(keymanager, process, epoch):
    process.add()
    process.add()
    assert process.total() == 2
    epoch.number = None
    hide_one(keymanager)
    assert process.total() == 1
    epoch.number = 3
    process.add()
    assert process.total() == 2


def test_secrets_that_expire_are_gone_when_they_do(process, monkeypatch):
    soon = utc_now() + dt.timedelta(seconds=30)
    process.add()
    process.add(expiration=soon)
    later = process.add(expiration=FAR)
    assert process.total() == 3
    monkeypatch.setattr(secrets, "utc_now", lambda: soon - dt.timedelta(seconds=1))
    assert process.total() == 3
    monkeypatch.setattr(secrets, "utc_now", lambda: soon)
    assert process.total() == 2
    assert process.secrets.delete(later)
    assert process.total() == 1


def test_projects_have_counts_of_their_own(process):
    for project, secrets_in_it in (("p1", 2), ("p2", 3)):
        for _ in range(secrets_in_it):
            process.add(project)
    assert [process.total(name) for name in ("p1", "p2", "p3")] == [2, 3, 0]
    process.add("p2")
    assert [process.total(name) for name in ("p1", "p2", "p3")] == [2, 4, 0]


def test_a_list_with_a_condition_counts_what_fits(process):
    for _ in range(2):
        process.add()
    assert process.total() == 2
    assert process.secrets.page("p1", SecretFilter(name="no such%"), limit=1, offset=0)[1] == 0


def test_few_projects_are_remembered_at_once(keymanager, process, monkeypatch):
    monkeypatch.setattr(secret_counts, "_MOST", 2)
    for name in "abc":
        process.add(name)
    assert [process.total(name) for name in "abcabc"] == [1] * 6
    seen = keymanager.count_statements()
    assert process.total("c") == 1
    assert not [text for text in seen if "count(" in text.lower()]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([None, "soon", "far"]), st.integers(0, 1)),
        st.tuples(st.just("delete"), st.integers(0, 20), st.integers(0, 1)),
        st.tuples(st.just("others delete"), st.just(0), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([1, 40]), st.just(0)),
        st.tuples(st.just("list"), st.just(0), st.integers(0, 1)),
        st.tuples(st.just("page"), st.integers(0, 12), st.integers(0, 1)),
    ),
    max_size=25,
)


@given(steps=STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_number_and_the_pages_are_those_of_the_database(keymanager, steps):
    """Others, who note nothing, write only between one epoch and the next."""
    epoch, began, passed_s = Epoch(), utc_now(), 0

    def now():
        return began + dt.timedelta(seconds=passed_s)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "utc_now", now)
        patch.setattr(page_ends, "_STRIDE", 2)
        patch.setattr("support.count_cases.utc_now", now)
        unnoted(keymanager, "DELETE FROM secrets")
        processes = [Counting(keymanager.parts, epoch) for _ in range(2)]
        ids = []
        for verb, what, by in steps:
            if verb == "add":
                end = {None: None, "soon": now() + dt.timedelta(seconds=30), "far": FAR}[what]
                ids.append(processes[by].add(expiration=end))
            elif verb == "delete" and ids:
                processes[by].secrets.delete(ids[what % len(ids)])
            elif verb == "others delete":
                before, epoch.number = epoch.number, None
                unnoted(keymanager, "UPDATE secrets SET deleted = 1 WHERE id = (SELECT min(id) FROM secrets)")
                epoch.number = before + 1
            elif verb == "wait":
                passed_s += what
                for process in processes:
                    process.now_s += what
            elif verb == "page":
                assert processes[by].ids(what, 3) == processes[by].ordered()[what : what + 3]
            else:
                assert processes[by].total() == processes[by].counted()
        assert [each.total() for each in processes] == [processes[0].counted()] * 2
