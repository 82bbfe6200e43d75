"""The whole engine on PostgreSQL and MariaDB."""

import threading
import uuid

import pytest
import sqlalchemy as sa
from support.killing import KILLS, PHASES, run_killed
from support.people import (
    ALIAS,
    NAMES,
    QUICK,
    columns,
    create_people,
    make_engine,
    people,
    phases,
    split_name,
    write,
)
from support.sync_cases import CASES, check, check_upsert_and_rename

from bascule.schema import Options, Rename, Retry, state, trigger_names
from bascule.schema.databases import Step
from bascule.schema.ddl import run_steps
from bascule.schema.lease import hold
from bascule.schema.refusals import (
    BadChange,
    LockNotGranted,
    OlderProcessesAlive,
    PastPointOfNoReturn,
    StatementFailed,
    TriggersMissing,
)
from bascule.schema.session import Session

ROWS = [(f"{number:04}", f"First{number} Last é{number}", f"nick{number}") for number in range(200)]


def test_every_cell_of_the_rule(db):
    for case in CASES:
        check(db, case)
        start_over(db)


def test_a_rename_keeps_case_blanks_and_null_both_ways(db):
    check_upsert_and_rename(db)


def start_over(db):
    make_engine(db, [NAMES]).rollback()
    write(db, "DROP TABLE people")


def test_expand_migrate_and_contract_move_every_value_and_leave_nothing_behind(db):
    create_people(db, ROWS)
    write(db, "CREATE INDEX ix_age_nick ON people (age, nick)")
    older = ["api-1"]
    schema = make_engine(db, older=lambda _: older)
    schema.expand()
    assert phases(schema.migrate()) == {"people-names": "synced", "people-alias": "synced"}
    with pytest.raises(OlderProcessesAlive):
        schema.contract()
    older.clear()
    schema.contract()
    schema.contract()
    assert columns(db) == ["id", "fullname", "nick", "age", "first", "last", "alias"]
    write(db, "INSERT INTO people (id, first, last) VALUES ('y', 'Eve', 'Moss')")
    schema.purge()
    schema.purge()
    assert columns(db) == ["id", "age", "first", "last", "alias"]
    assert people(db)["0007"] == {"age": None, "first": "First7", "last": "Last é7", "alias": "nick7"}
    assert [index["column_names"] for index in sa.inspect(db).get_indexes("people")] == [["age", "alias"]]
    write(db, "INSERT INTO people (id, first, last) VALUES ('x', 'Ada', 'King')")
    assert phases(schema.verify()) == {"people-names": "purged", "people-alias": "purged"}
    with pytest.raises(PastPointOfNoReturn):
        schema.rollback()
    if db.dialect.name == "postgresql":
        with db.begin() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM pg_proc WHERE proname LIKE 'bsc%'")) == 0


def test_rollback_restores_the_columns_and_keeps_what_the_new_release_wrote(db):
    create_people(db, ROWS)
    write(db, "CREATE INDEX ix_age_nick ON people (age, nick)")
    before = sa.inspect(db).get_columns("people")
    schema = make_engine(db)
    schema.expand()
    write(db, "UPDATE people SET last = 'King' WHERE id = '0003'")
    schema.migrate()
    write(db, "INSERT INTO people (id, first, last, alias) VALUES ('x', 'Ada', 'King', 'ada')")
    schema.rollback()
    assert repr(sa.inspect(db).get_columns("people")) == repr(before)
    assert [index["name"] for index in sa.inspect(db).get_indexes("people")] == ["ix_age_nick"]
    assert people(db)["0003"]["fullname"] == "First3 King"
    assert people(db)["x"] == {"fullname": "Ada King", "nick": "ada", "age": None}
    schema.expand()
    assert phases(schema.migrate()) == {"people-names": "synced", "people-alias": "synced"}


def test_rollback_after_contract_keeps_null_that_the_new_release_wrote(any_db):
    db = any_db
    create_people(db, ROWS[:3])
    schema = make_engine(db)
    schema.expand()
    schema.migrate()
    schema.contract()
    write(db, "UPDATE people SET first = NULL, last = NULL, alias = NULL WHERE id = '0001'")
    write(db, "UPDATE people SET first = NULL WHERE id = '0002'")
    schema.rollback()
    assert people(db) == {
        "0000": {"fullname": "First0 Last é0", "nick": "nick0", "age": None},
        "0001": {"fullname": None, "nick": None, "age": None},
        "0002": {"fullname": None, "nick": "nick2", "age": None},
    }


def test_rollback_after_contract_keeps_the_old_value_where_null_is_forbidden(any_db):
    db = any_db
    write(db, "CREATE TABLE people (id integer PRIMARY KEY, nick varchar(50) NOT NULL)")
    write(db, "INSERT INTO people VALUES (1, 'ada'), (2, 'eve')")
    schema = make_engine(db, [ALIAS])
    schema.expand()
    schema.migrate()
    schema.contract()
    write(db, "UPDATE people SET alias = NULL WHERE id = 1")
    schema.rollback()
    assert people(db) == {1: {"nick": "ada"}, 2: {"nick": "eve"}}
    assert not sa.inspect(db).get_columns("people")[1]["nullable"]


def test_a_not_null_column_without_default_may_be_left_out_by_new_writers(db):
    write(db, "CREATE TABLE people (id integer PRIMARY KEY, nick varchar(50) NOT NULL)")
    write(db, "INSERT INTO people VALUES (1, 'ada')")
    schema = make_engine(db, [ALIAS])
    schema.expand()
    write(db, "INSERT INTO people (id, alias) VALUES (2, 'eve')")
    assert people(db)[2] == {"nick": "eve", "alias": "eve"}
    schema.migrate()
    schema.contract()
    write(db, "INSERT INTO people (id, alias) VALUES (3, 'bob')")
    assert {key: row["alias"] for key, row in people(db).items()} == {1: "ada", 2: "eve", 3: "bob"}


@pytest.mark.parametrize("kind", ["uuid", "char(36)"])
def test_keys_of_uuid_and_text_are_walked(db, kind):
    write(db, f"CREATE TABLE people (id {kind} PRIMARY KEY, nick varchar(50))")
    keys = [{"id": str(uuid.uuid4()), "nick": f"n{number}"} for number in range(60)]
    write(db, f"INSERT INTO people VALUES (CAST(:id AS {kind}), :nick)", *keys)
    schema = make_engine(db, [ALIAS])
    schema.expand()
    (status,) = schema.migrate()
    assert (status.phase, status.rows_done, status.rows_stale) == ("synced", 60, 0)
    assert all(row["alias"] == row["nick"] for row in people(db).values())


def test_a_dropped_trigger_is_noticed_and_put_back(db):
    create_people(db, ROWS[:3])
    schema = make_engine(db, [ALIAS])
    schema.expand()
    schema.migrate()
    for name in trigger_names(ALIAS):
        write(db, f"DROP TRIGGER {name}" + (" ON people" if db.dialect.name == "postgresql" else ""))
        for phase in (schema.verify, schema.contract):
            with pytest.raises(TriggersMissing, match=name):
                phase()
        schema.expand()
        schema.migrate()
    schema.contract()
    schema.purge()
    assert "nick" not in columns(db)


def test_a_disabled_trigger_counts_as_missing(postgresql_db):
    create_people(postgresql_db, ROWS[:3])
    schema = make_engine(postgresql_db, [ALIAS])
    schema.expand()
    schema.migrate()
    write(postgresql_db, "ALTER TABLE people DISABLE TRIGGER bsc_g9_people_alias_upd_new")
    with pytest.raises(TriggersMissing, match="upd_new"):
        schema.contract()
    schema.expand()
    schema.migrate()
    schema.contract()


def test_a_text_column_of_another_character_set_keeps_it(mariadb_db):
    write(
        mariadb_db,
        "CREATE TABLE people (id integer PRIMARY KEY, nick varchar(50) CHARACTER SET latin1 COLLATE latin1_german2_ci)",
    )
    write(mariadb_db, "INSERT INTO people VALUES (1, 'é'), (2, 'E')")
    schema = make_engine(mariadb_db, [ALIAS])
    schema.expand()
    schema.migrate()
    write(mariadb_db, "UPDATE people SET nick = 'É' WHERE id = 1")
    assert people(mariadb_db)[1]["alias"] == "É"
    (column,) = [column for column in sa.inspect(mariadb_db).get_columns("people") if column["name"] == "alias"]
    assert column["type"].collation == "latin1_german2_ci"


def test_a_not_null_column_whose_default_cannot_be_chosen_is_refused(mariadb_db):
    write(mariadb_db, "CREATE TABLE people (id integer PRIMARY KEY, nick enum('a', 'b') NOT NULL)")
    with pytest.raises(BadChange, match="of type enum"):
        make_engine(mariadb_db, [ALIAS]).expand()
    assert columns(mariadb_db) == ["id", "nick"]


def test_expand_gives_up_its_place_in_the_queue_and_works_once_the_blocker_ends(db):
    create_people(db, ROWS[:3])
    make_engine(db, []).expand()
    hasty = make_engine(db, [ALIAS], options=Options(retry=Retry(within_s=0.6)))
    with db.connect() as reader:
        reader.exec_driver_sql("SELECT * FROM people").all()
        with pytest.raises(LockNotGranted, match=r"stays open \((process|connection) \d+.*, open for \d+ s\)"):
            hasty.expand()
        with db.connect() as other:  # the table can be read and written meanwhile
            other.execute(sa.text("UPDATE people SET nick = 'x' WHERE id = '0001'"))
            other.rollback()
    assert phases(hasty.expand()) == {"people-alias": "expanded"}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
def test_a_phase_killed_and_run_again_ends_as_if_never_killed(request, server, phase):
    url = request.getfixturevalue(f"{server}_url")
    result = run_killed(url, phase)
    assert result["kills"] >= (KILLS or result["statements"]) - 2
    assert result["different"] == []


def test_a_copy_killed_and_made_again_ends_as_if_never_killed(mariadb_url):
    result = run_killed(mariadb_url, "migrate", BASCULE_TEST_COPIES="1", BASCULE_TEST_KILL_CHANGES="2")
    assert result["kills"] >= (KILLS or result["statements"]) - 2
    assert result["different"] == []


class Writer(threading.Thread):
    """Writes its own rows in one release's shape until told to stop, and remembers the last value of each."""

    def __init__(self, db, rows, *, is_new):
        super().__init__()
        self.db, self.rows, self.is_new = db, rows, is_new
        self.stop, self.wrote, self.failure = threading.Event(), {}, None

    def run(self):
        number = 0
        try:
            while not self.stop.is_set():
                number += 1
                key = self.rows[number % len(self.rows)]
                if self.is_new:
                    self.put("UPDATE people SET last = :v WHERE id = :k", key, f"new {number}")
                else:
                    self.put("UPDATE people SET fullname = :v WHERE id = :k", key, f"Old {number}")
        except Exception as failure:  # noqa: BLE001 # told to the test
            self.failure = failure

    def put(self, sql, key, value):
        write(self.db, sql, {"k": key, "v": value})
        self.wrote[key] = value


def test_nothing_is_lost_while_both_releases_write_during_the_backfill(any_db):
    db = any_db
    rows = [(f"{number:04}", f"First{number} Last{number}", None) for number in range(600)]
    create_people(db)
    write(
        db,
        "INSERT INTO people (id, fullname, nick) VALUES (:id, :fullname, :nick)",
        *(dict(zip(("id", "fullname", "nick"), row, strict=True)) for row in rows),
    )
    schema = make_engine(db, [NAMES], options=QUICK)
    schema.expand()
    keys = [key for key, *_ in rows]
    writers = [Writer(db, keys[part::4], is_new=part % 2 == 1) for part in range(4)]
    for writer in writers:
        writer.start()
    try:
        schema.migrate()
    finally:
        for writer in writers:
            writer.stop.set()
            writer.join(30)
    assert [writer.failure for writer in writers] == [None] * 4
    assert all(status.rows_stale == 0 for status in schema.verify())
    found = people(db)
    for key, fullname, _ in rows:
        row = found[key]
        writer = writers[keys.index(key) % 4]
        first, last = split_name(fullname)
        if key not in writer.wrote:
            assert (row["fullname"], row["first"], row["last"]) == (fullname, first, last)
        elif writer.is_new:
            assert (row["first"], row["last"]) == (first, writer.wrote[key])
            assert row["fullname"] == f"{first} {writer.wrote[key]}"
        else:
            assert row["fullname"] == writer.wrote[key]
            assert (row["first"], row["last"]) == split_name(writer.wrote[key])


def test_a_column_that_a_killed_engine_added_after_we_looked_is_taken_as_ours(mariadb_db):
    create_people(mariadb_db)
    schema, late = make_engine(mariadb_db, []), iter([True, False, True, True])
    schema.expand()
    sql = "ALTER TABLE people ADD COLUMN age integer"
    with Session.open(mariadb_db, Retry()) as session:
        state.ensure_row(session, "late", release="2027.1", table="people", spec={})
        with hold(session, "late", lease_s=5, wait_s=0) as lease:
            step = Step("add column people.age", (sql,), lambda _: next(late))
            run_steps(lease, "people", [step], first=lease.renew, last=lease.renew)
            with pytest.raises(StatementFailed, match="1060"):
                run_steps(lease, "people", [step], first=lease.renew, last=lease.renew)


def test_percent_signs_and_colons_in_expressions_reach_the_database_as_written(db):
    create_people(db, [("1", "10:30 50%", None)])
    equal = "nullif({o.fullname}, ':nothing %s %(x)s 100%')"
    change = Rename(id="plain", table="people", old="nick", new="alias", type=sa.String(50))
    odd = type(NAMES)(
        id="odd",
        table="people",
        old={"fullname": sa.String(100)},
        new={"label": sa.String(100)},
        up={"label": equal},
        down={"fullname": "{n.label}"},
    )
    schema = make_engine(db, [odd, change])
    schema.expand()
    schema.migrate()
    assert people(db)["1"]["label"] == "10:30 50%"
    schema.contract()
    assert people(db)["1"]["label"] == "10:30 50%"


@pytest.mark.parametrize("kind", ["citext", "text COLLATE ci"])
def test_a_change_of_case_is_seen_where_the_column_takes_both_for_equal(postgresql_db, kind):
    write(postgresql_db, "CREATE EXTENSION IF NOT EXISTS citext")
    write(
        postgresql_db,
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    )
    write(postgresql_db, f"CREATE TABLE people (id varchar(36) PRIMARY KEY, nick {kind})")
    write(postgresql_db, "INSERT INTO people VALUES ('1', 'ada')")
    schema = make_engine(postgresql_db, [ALIAS])
    schema.expand()
    schema.migrate()
    write(postgresql_db, "UPDATE people SET nick = 'ADA'")
    assert people(postgresql_db)["1"] == {"nick": "ADA", "alias": "ADA"}
    write(postgresql_db, "UPDATE people SET alias = 'Ada'")
    assert people(postgresql_db)["1"] == {"nick": "Ada", "alias": "Ada"}
    assert all(status.rows_stale == 0 for status in schema.verify())
