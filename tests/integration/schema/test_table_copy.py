"""MariaDB: a backfill by a copy that takes the table's place, beside writers who must not notice."""

import os
from dataclasses import replace

import pytest
import sqlalchemy as sa
from support.copy_writers import TABLE, Writers, rows_of
from support.people import QUICK, make_engine, phases, write

from bascule.errors import SchemaError
from bascule.schema import Pace, Rename, WidenKey, backfill, trigger_names
from bascule.schema.refusals import BadChange, RowsInTheWay, Stopped
from bascule.schema.table_copy import copy, swap

COPIES = replace(QUICK, copies_from=0, pace=Pace(0.01, 50, 1.0, 200))
NAME = Rename(id="m-name", table="members", old="fullname", new="display_name", type=sa.String(100))
KEY = WidenKey(id="m-key", table="members", column="id")
NICK = Rename(id="m-nick", table="members", old="nick", new="alias", type=sa.String(50))
ROUNDS = int(os.environ.get("BASCULE_ROUNDS", "1"))
TRIGGERS = (
    "SELECT trigger_name, event_object_table, event_manipulation, action_order, action_statement "
    "FROM information_schema.triggers WHERE trigger_schema = database() ORDER BY trigger_name"
)


class Killed(BaseException):
    """What stands for the end of the process."""


@pytest.fixture
def members(mariadb_db):
    """Two thousand rows of owner 0, one of them with the key 0, and the next number far beyond the last."""
    write(mariadb_db, TABLE)
    write(
        mariadb_db,
        "INSERT INTO members (owner, fullname, nick, email) "
        "SELECT 0, concat('Näme', seq), 'nick', concat(seq, '@example.org') FROM seq_1_to_2000",
    )
    write(mariadb_db, "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")
    write(mariadb_db, "UPDATE members SET id = 0, seen = '2021-03-04' WHERE id = 7")
    write(mariadb_db, "INSERT INTO members (id, owner, fullname) VALUES (5000, 0, 'gone')")
    write(mariadb_db, "DELETE FROM members WHERE id = 5000")
    return mariadb_db


def schema(db, *changes, options=COPIES):
    return make_engine(db, changes or (NAME,), options=options)


def asked(db, sql):
    with db.begin() as connection:
        return connection.exec_driver_sql(sql).all()


def renames(db, engine):
    return [
        entry for entry in engine.history() if entry.statement.startswith("RENAME TABLE members") and entry.finished
    ]


def left_over(db):
    """Return what of a copy is still there."""
    tables = [name for (name,) in asked(db, "SHOW TABLES") if name.startswith(("bsc_", "zzz_"))]
    triggers = [name for name, *_ in asked(db, TRIGGERS) if not name.startswith("bsc_")]
    return tables + triggers


def all_filled(db):
    return asked(db, "SELECT count(*) FROM members WHERE NOT (BINARY fullname <=> BINARY display_name)") == [(0,)]


def test_the_table_is_the_same_but_for_the_new_column(members):
    engine = schema(members)
    engine.expand()
    definition = asked(members, "SHOW CREATE TABLE members"), asked(members, TRIGGERS)
    rows = asked(members, "SELECT id, owner, fullname, email, visits, shout, seen FROM members ORDER BY id")
    assert phases(engine.migrate()) == {"m-name": "synced"}
    assert renames(members, engine)
    assert (asked(members, "SHOW CREATE TABLE members"), asked(members, TRIGGERS)) == definition
    assert asked(members, "SELECT id, owner, fullname, email, visits, shout, seen FROM members ORDER BY id") == rows
    assert all_filled(members)
    assert left_over(members) == []
    write(members, "INSERT INTO members (owner, fullname) VALUES (0, 'next')")
    assert asked(members, "SELECT id, display_name FROM members WHERE fullname = 'next'") == [(5001, "next")]


@pytest.mark.parametrize(("length", "in_one"), [(100, True), (120, False)])
def test_a_batch_is_one_statement_where_both_sides_have_one_type_and_two_else(members, length, in_one):
    write(members, "UPDATE members SET fullname = NULL WHERE id % 3 = 0")
    engine = schema(members, replace(NAME, type=sa.String(length)))
    engine.expand()
    write(members, "UPDATE members SET display_name = 'new' WHERE id = 1000")
    seen = []
    sa.event.listen(members, "before_cursor_execute", lambda _c, _d, sql, *_: seen.append(sql))
    engine.migrate()
    copied = [sql for sql in seen if sql.startswith("REPLACE")]
    assert copied
    assert all(
        ("CASE WHEN" in sql) == in_one and ("NOT" in sql.partition("WHERE")[2]) != in_one for sql in copied[1::2]
    )
    assert all_filled(members)
    assert asked(members, "SELECT fullname, display_name FROM members WHERE id = 1000") == [("new", "new")]


def test_writers_lose_nothing_and_are_never_refused(members):
    before = rows_of(members)
    engine = schema(members, NAME)
    engine.expand()
    url = members.url.render_as_string(hide_password=False)
    with Writers(url, count=3, new_column="display_name") as writers:
        for _ in range(ROUNDS):  # each time a copy and a swap
            write(members, "UPDATE bascule_change SET phase = 'expanded', `cursor` = NULL")
            assert set(phases(engine.migrate()).values()) == {"synced"}
    assert writers.errors == []
    assert len(renames(members, engine)) == ROUNDS
    assert rows_of(members) == before | writers.accepted
    assert all_filled(members)
    assert left_over(members) == []


def test_a_stopped_copy_goes_on_where_it_was(members):
    engine, told = schema(members), []
    engine.expand()
    with pytest.raises(Stopped):
        engine.migrate(told.append, should_stop=lambda: len(told) == 3)
    done = told[-1].done
    write(members, "UPDATE members SET fullname = 'Other' WHERE id = 1")
    write(members, "DELETE FROM members WHERE id = 2")
    told.clear()
    engine.migrate(told.append)
    assert told[0].done > done > 0
    assert renames(members, engine)
    assert asked(members, "SELECT display_name FROM members WHERE id IN (1, 2)") == [("Other",)]
    assert all_filled(members)


def test_whoever_fills_in_place_takes_a_half_made_copy_away(members):
    engine, told = schema(members), []
    engine.expand()
    with pytest.raises(Stopped):
        engine.migrate(told.append, should_stop=lambda: len(told) == 3)
    in_place = schema(members, options=replace(COPIES, copies_from=None))
    told.clear()
    assert phases(in_place.migrate(told.append)) == {"m-name": "synced"}
    assert told[0].done <= 200  # from the first row
    assert not renames(members, engine)
    assert left_over(members) == []
    assert all_filled(members)


@pytest.mark.parametrize(("prefer", "name"), [("old", "Näme5"), ("new", "Other")])
def test_whoever_says_which_side_is_right_takes_a_half_made_copy_away(members, prefer, name):
    engine, told = schema(members), []
    engine.expand()
    with pytest.raises(Stopped):
        engine.migrate(told.append, should_stop=lambda: len(told) == 3)
    with members.begin() as connection:  # past the triggers, as a replica writes
        connection.exec_driver_sql("SET @bascule_backfill = 1")
        connection.exec_driver_sql("UPDATE members SET display_name = 'Other' WHERE id = 5")
        connection.exec_driver_sql("SET @bascule_backfill = NULL")
    assert phases(engine.migrate(prefer=prefer)) == {"m-name": "synced"}
    assert left_over(members) == []
    assert asked(members, "SELECT fullname, display_name FROM members WHERE id = 5") == [(name, name)]
    assert all_filled(members)


@pytest.mark.parametrize("copies_from", [None, 0, 1_000_000])
def test_a_half_made_copy_goes_when_expand_had_to_put_triggers_back_meanwhile(members, copies_from):
    engine, told = schema(members), []
    engine.expand()
    with pytest.raises(Stopped):
        engine.migrate(told.append, should_stop=lambda: len(told) == 3)
    write(members, f"DROP TRIGGER {trigger_names(NAME)[0]}")
    engine.expand()
    later = schema(members, options=replace(COPIES, copies_from=copies_from))
    assert phases(later.migrate()) == {"m-name": "synced"}
    assert left_over(members) == []
    assert all_filled(members)


def test_whoever_fills_in_place_takes_a_copy_that_was_swapped_in_for_done(members, monkeypatch):
    engine = schema(members)
    engine.expand()

    def die(*_arguments, **_options):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(backfill, "_scan", die)
        with pytest.raises(Killed):
            engine.migrate()
    told = []
    schema(members, options=replace(COPIES, copies_from=None)).migrate(told.append)
    assert {progress.activity for progress in told} == {"verify"}
    assert all_filled(members)


def test_rolling_back_takes_a_half_made_copy_away(members):
    engine, told = schema(members), []
    engine.expand()
    with pytest.raises(Stopped):
        engine.migrate(told.append, should_stop=lambda: len(told) == 3)
    assert left_over(members)
    engine.rollback()
    assert left_over(members) == []
    assert asked(members, TRIGGERS) == []
    assert "display_name" not in asked(members, "SHOW CREATE TABLE members")[0][1]
    engine.expand()
    assert phases(engine.migrate()) == {"m-name": "synced"}
    assert all_filled(members)


def test_whoever_comes_next_ends_a_swap_that_was_not_ended(members, monkeypatch):
    engine = schema(members)
    engine.expand()
    triggers = [(*row[:3], row[4]) for row in asked(members, TRIGGERS)]

    def die(_lease):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(copy, "settle", die)
        with pytest.raises(Killed):
            engine.migrate()
    assert left_over(members)
    write(members, "INSERT INTO members (id, owner, fullname) VALUES (9000, 0, 'meanwhile')")
    schema(members, NICK).expand()  # of another change
    assert left_over(members) == []
    assert [(*row[:3], row[4]) for row in asked(members, TRIGGERS) if "m_name" in row[0]] == triggers
    assert phases(engine.migrate())["m-name"] == "synced"
    assert len(renames(members, engine)) == 1  # it was not done twice
    assert asked(members, "SELECT display_name FROM members WHERE id = 9000") == [("meanwhile",)]
    assert all_filled(members)


def test_a_table_that_was_altered_meanwhile_is_filled_in_place(members):
    engine, told = schema(members), []
    engine.expand()
    with pytest.raises(Stopped):
        engine.migrate(told.append, should_stop=lambda: len(told) == 3)
    write(members, "ALTER TABLE members ADD COLUMN later int NOT NULL DEFAULT 5, ALGORITHM=INSTANT")
    assert phases(engine.migrate()) == {"m-name": "synced"}
    assert not renames(members, engine)
    assert asked(members, "SELECT DISTINCT later FROM members") == [(5,)]
    assert all_filled(members)
    assert left_over(members) == []


def test_a_swap_does_not_happen_without_the_trigger_that_logs(members, monkeypatch):
    engine = schema(members)
    engine.expand()
    real = swap._try

    def without(lease, filling, note):
        write(members, f"DROP TRIGGER {filling.names.capture('update')}")
        return real(lease, filling, note)

    monkeypatch.setattr(swap, "_try", without)
    assert phases(engine.migrate()) == {"m-name": "synced"}
    assert not renames(members, engine)
    assert all_filled(members)


def test_a_rename_that_outlives_its_engine_does_nothing(members, monkeypatch):
    """The connection that holds the tables dies before the copy is up to date, while the RENAME stands in the queue."""
    engine = schema(members)
    engine.expand()

    def dies(self, other):
        assert real(self, other)
        write(members, f"KILL {other.scalar(sa.text('SELECT connection_id()'))}")
        return True

    real = swap._Rename.is_queued
    with monkeypatch.context() as patch:
        patch.setattr(swap._Rename, "is_queued", dies)
        with pytest.raises(SchemaError):
            schema(members, options=replace(COPIES, retry=replace(QUICK.retry, within_s=0.5))).migrate()
    assert not renames(members, engine)
    write(members, "UPDATE members SET fullname = 'Other' WHERE id = 1")
    engine.migrate()
    assert len(renames(members, engine)) == 1
    assert all_filled(members)
    assert left_over(members) == []


@pytest.mark.parametrize(
    "why",
    [
        "CREATE TABLE child (id int PRIMARY KEY, member int, FOREIGN KEY (member) REFERENCES members (id))",
        "CREATE TRIGGER of_the_service AFTER DELETE ON members FOR EACH ROW SET @gone = OLD.id",
        "ALTER TABLE members DROP KEY uq_email; ALTER TABLE members PARTITION BY HASH (id) PARTITIONS 2",
    ],
)
def test_what_cannot_be_copied_is_filled_in_place(members, why):
    for statement in why.split("; "):
        write(members, statement)
    engine = schema(members)
    engine.expand()
    assert phases(engine.migrate()) == {"m-name": "synced"}
    assert not renames(members, engine)
    assert all_filled(members)


def test_small_tables_are_filled_in_place(members):
    engine = schema(members, options=replace(COPIES, copies_from=100_000))
    engine.expand()
    engine.migrate()
    assert not renames(members, engine)
    assert all_filled(members)


def test_an_account_that_may_not_lock_tables_fills_in_place(members):
    name = members.url.database
    write(members, "CREATE USER 'modest'@'%' IDENTIFIED BY 'modest'")
    try:
        rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, TRIGGER, REFERENCES"
        write(members, f"GRANT {rights} ON `{name}`.* TO 'modest'@'%'")
        modest = sa.create_engine(members.url.set(username="modest", password="modest"))
        engine = schema(modest)
        engine.expand()
        assert phases(engine.migrate()) == {"m-name": "synced"}
        assert not renames(members, engine)
        assert left_over(members) == []
        modest.dispose()
    finally:
        write(members, "DROP USER 'modest'@'%'")
    assert all_filled(members)


def test_the_plan_says_what_a_copy_will_run(members):
    engine = schema(members)
    engine.expand()
    (planned,) = [phase for phase in engine.plan().phases if phase.phase == "migrate"]
    assert "takes the place of this one" in planned.note
    engine.migrate()
    ran = [entry.statement.partition(" COMMENT=")[0] for entry in engine.history() if entry.phase == "backfilling"]
    told = [each.sql.partition(" COMMENT=")[0] for each in planned.statements]
    triggers = [sql for sql in ran if "TRIGGER" in sql and "bsl_" not in sql]  # those that the table has by then
    assert len(triggers) == 12  # the copy's, the table's again, and the end of the copy's, of four each
    shortened = [[sql.partition("_was_")[0] for sql in each] for each in (ran, told)]
    assert [sql for sql in shortened[0] if sql not in triggers] == shortened[1]
    in_place = schema(members, options=replace(COPIES, copies_from=None)).plan()
    assert not [phase for phase in in_place.phases if phase.phase == "migrate" and phase.statements]


def column_type(db, name):
    query = sa.text(
        "SELECT column_type FROM information_schema.columns WHERE table_schema = database() "
        "AND table_name = 'members' AND column_name = :name"
    )
    with db.begin() as connection:
        return connection.scalar(query, {"name": name})


def test_a_key_is_widened_beside_writers_and_narrowed_again(members):
    before, definition = rows_of(members), asked(members, "SHOW CREATE TABLE members")
    engine = schema(members, KEY, options=replace(COPIES, copies_from=None))  # there is no other way
    engine.expand()
    assert column_type(members, "id") == "int(11)"
    with Writers(members.url.render_as_string(hide_password=False), count=2) as writers:
        assert phases(engine.migrate()) == {"m-key": "synced"}
    assert writers.errors == []
    assert rows_of(members) == before | writers.accepted
    assert column_type(members, "id") == "bigint(20)"
    write(members, "INSERT INTO members (id, owner) VALUES (5000000000, 0)")
    engine.contract()
    with pytest.raises(RowsInTheWay, match="1 rows"):
        engine.rollback()
    assert column_type(members, "id") == "bigint(20)"
    write(members, "DELETE FROM members WHERE id = 5000000000 OR owner > 0")
    engine.rollback()
    write(members, "ALTER TABLE members AUTO_INCREMENT = 5001")
    assert asked(members, "SHOW CREATE TABLE members") == definition
    assert rows_of(members) == before
    assert left_over(members) == []


def test_a_key_is_widened_also_by_whoever_says_which_side_is_right(members):
    engine = schema(members, KEY)
    engine.expand()
    assert phases(engine.migrate(prefer="old")) == {"m-key": "synced"}
    assert column_type(members, "id") == "bigint(20)"


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("CREATE TABLE child (id int PRIMARY KEY, m int, FOREIGN KEY (m) REFERENCES members (id))", "foreign keys"),
        ("CREATE TRIGGER of_the_service AFTER DELETE ON members FOR EACH ROW SET @gone = OLD.id", "of_the_service"),
        ("ALTER TABLE members MODIFY id bigint AUTO_INCREMENT", "of type bigint"),
    ],
)
def test_a_key_that_cannot_be_widened_is_refused_before_anything_is_done(members, statement, why):
    write(members, statement)
    with pytest.raises(BadChange, match=why):
        schema(members, KEY).expand()
    assert not [name for name in left_over(members) if name != "of_the_service"]


def test_a_key_is_not_widened_in_place_when_the_table_is_altered_meanwhile(members):
    engine, told = schema(members, KEY), []
    engine.expand()
    with pytest.raises(Stopped):
        engine.migrate(told.append, should_stop=lambda: len(told) == 2)
    write(members, "ALTER TABLE members ADD COLUMN later int, ALGORITHM=INSTANT")
    with pytest.raises(BadChange, match="altered while"):
        engine.migrate()
    assert left_over(members) == []
    assert phases(engine.migrate()) == {"m-key": "synced"}
    assert column_type(members, "id") == "bigint(20)"
