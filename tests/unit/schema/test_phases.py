import itertools

import pytest
import sqlalchemy as sa
from support.people import ALIAS, NAMES, columns, create_people, make_engine, people, phases, write

from bascule.schema import Rename, trigger_names
from bascule.schema.refusals import (
    BadChange,
    DatabaseUnreachable,
    NewColumnsWritten,
    NotExpanded,
    NotSynced,
    OlderProcessesAlive,
    PastPointOfNoReturn,
    RollbackUnfinished,
    SameReleaseAlive,
    SpecChanged,
    StaleRows,
    StatementFailed,
    Stopped,
    TriggersMissing,
    UnsupportedDatabase,
)

ROWS = [(f"{number:02}", f"First{number} Last{number}", f"nick{number}") for number in range(20)]
OLD, NEW = ["id", "fullname", "nick", "age"], ["id", "age", "first", "last", "alias"]
BOTH = [*OLD, "first", "last", "alias"]


@pytest.fixture
def table(db):
    create_people(db, ROWS)
    return db


def drop_trigger(db, name):
    write(db, f"DROP TRIGGER {name}")


def test_expand_migrate_and_contract_move_every_value_and_leave_no_trigger(table):
    schema = make_engine(table)
    assert phases(schema.status()) == {"people-names": "planned", "people-alias": "planned"}
    assert phases(schema.expand()) == {"people-names": "expanded", "people-alias": "expanded"}
    assert phases(schema.migrate()) == {"people-names": "synced", "people-alias": "synced"}
    (status, _) = schema.contract()
    assert (status.phase, status.rows_total, status.rows_done, status.rows_stale) == ("contracted", 20, 20, 0)
    assert columns(table) == BOTH
    assert phases(schema.purge()) == {"people-names": "purged", "people-alias": "purged"}
    assert columns(table) == NEW
    assert people(table)["07"] == {"age": None, "first": "First7", "last": "Last7", "alias": "nick7"}
    with table.begin() as connection:
        left = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all()
    assert left == []
    assert phases(schema.verify()) == {"people-names": "purged", "people-alias": "purged"}


def test_every_phase_may_be_run_again(table):
    schema = make_engine(table)
    forth = ("expand", "expand", "migrate", "migrate", "expand", "fence", "fence", "contract", "contract", "fence")
    for phase in (*forth, "expand", "migrate", "purge", "purge", "expand", "migrate", "fence", "contract", "verify"):
        getattr(schema, phase)()
    assert columns(table) == NEW


def test_rollback_keeps_what_the_new_release_wrote_and_may_be_followed_by_expand(table):
    schema = make_engine(table)
    schema.expand()
    write(table, "UPDATE people SET first = 'New', alias = 'alias' WHERE id = '03'")
    write(table, "INSERT INTO people (id, first, last) VALUES ('x', 'Ada', 'King')")
    assert phases(schema.rollback()) == {"people-names": "rolled_back", "people-alias": "rolled_back"}
    assert columns(table) == OLD
    assert people(table)["03"] == {"fullname": "New Last3", "nick": "alias", "age": None}
    assert people(table)["x"]["fullname"] == "Ada King"
    schema.rollback()
    schema.expand()
    assert phases(schema.migrate()) == {"people-names": "synced", "people-alias": "synced"}


def test_an_engine_with_event_hooks_of_its_owner_works_and_keeps_them(table):
    sa.event.listen(table, "connect", lambda driver, _: setattr(driver, "isolation_level", None))
    sa.event.listen(table, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    table.dispose()
    schema = make_engine(table)
    schema.expand()
    schema.migrate()
    schema.contract()
    with table.begin() as connection:
        assert connection.connection.dbapi_connection.in_transaction
    assert columns(table) == BOTH


def test_the_base_is_created_once_and_a_database_that_has_it_is_accepted(db):
    created = []

    def base(connection):
        created.append(1)
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS people (id varchar(36) PRIMARY KEY, nick varchar(50))")

    schema = make_engine(db, [ALIAS], base=base)
    schema.expand()
    schema.expand()
    assert created == [1]
    assert columns(db) == ["id", "nick", "alias"]
    assert [status.id for status in schema.status()] == ["people-alias"]


def test_a_base_that_fails_leaves_nothing_and_is_run_again(db):
    def half(connection):
        connection.exec_driver_sql("CREATE TABLE people (id varchar(36) PRIMARY KEY)")
        connection.exec_driver_sql("CREATE NONSENSE")

    with pytest.raises(StatementFailed, match="refused to create the base tables"):
        make_engine(db, [], base=half).expand()
    assert not sa.inspect(db).has_table("people")
    make_engine(
        db,
        [ALIAS],
        base=lambda connection: connection.exec_driver_sql(
            "CREATE TABLE people (id varchar(36) PRIMARY KEY, nick varchar(50))"
        ),
    ).expand()
    assert "alias" in columns(db)


def test_a_plain_index_moves_along_with_a_renamed_column(table):
    write(table, "CREATE INDEX ix_age_nick ON people (age, nick)")
    schema = make_engine(table, [ALIAS])
    schema.expand()
    schema.migrate()
    schema.contract()
    schema.purge()
    assert [index["column_names"] for index in sa.inspect(table).get_indexes("people")] == [["age", "alias"]]


def test_migrate_stops_at_the_edge_of_a_batch_and_goes_on_from_there(table):
    schema, seen = make_engine(table, [NAMES]), []
    schema.expand()
    calls = itertools.count()
    with pytest.raises(Stopped) as stopped:
        schema.migrate(should_stop=lambda: next(calls) == 2)
    done = stopped.value.rows_done
    assert 3 < done < 20  # two batches, the second as long as the first was quick
    assert stopped.value.rows_total == 20
    filled = [key for key, row in people(table).items() if row["first"] is not None]
    assert sorted(filled) == [key for key, *_ in ROWS[:done]]
    schema.migrate(seen.append)
    assert next(one.done for one in seen if one.activity == "backfill") > done
    assert seen[-1].activity == "verify"
    assert (seen[-1].done, seen[-1].total, seen[-1].stale) == (20, 20, 0)


def test_phases_out_of_order_are_refused(table):
    schema = make_engine(table, [NAMES])
    with pytest.raises(NotExpanded) as refused:
        schema.migrate()
    assert refused.value.next_command == "expand"
    with pytest.raises(NotExpanded):
        schema.contract()
    schema.expand()
    with pytest.raises(NotSynced) as refused:
        schema.contract()
    assert refused.value.next_command == "migrate"
    assert columns(table) == [*OLD, "first", "last"]


def test_contract_names_the_older_processes_that_it_waits_for(table):
    older = ["api-1", "worker-2"]
    schema = make_engine(table, older=lambda release: older if str(release) == "2027.1" else [])
    schema.expand()
    schema.migrate()
    with pytest.raises(OlderProcessesAlive, match="api-1, worker-2"):
        schema.contract()
    assert "fullname" in columns(table)
    older.clear()
    schema.contract()
    older.append("api-1")
    with pytest.raises(OlderProcessesAlive, match="api-1"):
        schema.purge()
    older.clear()
    schema.purge()
    assert columns(table) == NEW


def test_contract_refuses_when_an_older_process_appears_during_its_scan(table):
    schema = make_engine(table, [NAMES])
    schema.expand()
    schema.migrate()
    schema.fence()
    answers = iter([[], ["api-9"]])
    schema = make_engine(table, [NAMES], older=lambda _: next(answers))
    with pytest.raises(OlderProcessesAlive, match="api-9"):
        schema.contract()
    assert phases(schema.status()) == {"people-names": "fenced"}


def test_rollback_refuses_while_a_process_of_this_release_lives_and_after_purge(table):
    same = ["api-1"]
    schema = make_engine(table, same=lambda _: same)
    schema.expand()
    schema.migrate()
    with pytest.raises(SameReleaseAlive, match="api-1"):
        schema.rollback()
    same.clear()
    schema.contract()
    schema.purge()
    with pytest.raises(PastPointOfNoReturn, match="nick"):
        schema.rollback()
    assert columns(table) == NEW


@pytest.mark.parametrize("name", trigger_names(NAMES))
def test_a_dropped_trigger_is_noticed_by_verify_migrate_and_contract_and_put_back_by_expand(table, name):
    schema = make_engine(table)
    schema.expand()
    schema.migrate()
    drop_trigger(table, name)
    for phase in (schema.verify, schema.migrate, schema.contract):
        with pytest.raises(TriggersMissing, match=name) as refused:
            phase()
        assert refused.value.next_command == "expand"
    assert phases(schema.expand())["people-names"] == "expanded"
    with pytest.raises(NotSynced):
        schema.contract()
    schema.migrate()
    schema.contract()
    assert columns(table) == BOTH


def test_a_write_that_a_missing_trigger_let_pass_is_stale_until_a_person_decides(table):
    schema = make_engine(table, [NAMES])
    schema.expand()
    schema.migrate()
    drop_trigger(table, "bsc_g9_people_names_upd_new")
    write(table, "UPDATE people SET last = 'Unheard' WHERE id = '05'")
    schema.expand()
    with pytest.raises(NewColumnsWritten) as refused:
        schema.migrate()
    assert refused.value.rows == 1
    assert schema.status()[0].rows_stale == 1
    with pytest.raises(StaleRows) as refused:
        schema.rollback()
    assert refused.value.next_command == "rollback --accept-loss"
    schema.migrate(prefer="new")
    assert people(table)["05"]["fullname"] == "First5 Unheard"
    schema.contract()


def test_the_old_side_may_be_preferred_too(table):
    schema = make_engine(table, [NAMES])
    schema.expand()
    schema.migrate()
    drop_trigger(table, "bsc_f0_people_names_upd_old")
    write(table, "UPDATE people SET fullname = 'Ada King' WHERE id = '05'")
    schema.expand()
    schema.migrate(prefer="old")
    row = people(table)["05"]
    assert (row["fullname"], row["first"], row["last"]) == ("Ada King", "Ada", "King")


def test_rollback_with_loss_accepted_goes_through(table):
    schema = make_engine(table, [NAMES])
    schema.expand()
    drop_trigger(table, "bsc_g9_people_names_upd_new")
    write(table, "UPDATE people SET first = 'Lost', last = 'Name' WHERE id = '05'")
    schema.rollback(accept_loss=True)
    assert people(table)["05"]["fullname"] == "First5 Last5"


def test_contract_and_verify_find_a_row_that_went_stale_after_migrate(table):
    schema = make_engine(table, [NAMES])
    schema.expand()
    schema.migrate()
    with table.begin() as connection:
        sql = connection.scalar(sa.text("SELECT sql FROM sqlite_master WHERE name = 'bsc_f0_people_names_upd_old'"))
        connection.exec_driver_sql("DROP TRIGGER bsc_f0_people_names_upd_old")
        connection.exec_driver_sql("UPDATE people SET fullname = 'Silent Write' WHERE id = '05'")
        connection.exec_driver_sql(sql)
    for phase in (schema.contract, schema.verify):
        with pytest.raises(StaleRows) as refused:
            phase()
        assert refused.value.rows == 1
    assert "fullname" in columns(table)
    with pytest.raises(NewColumnsWritten):
        schema.migrate()


def test_an_edited_change_is_refused_until_it_was_rolled_back(table):
    make_engine(table, [ALIAS]).expand()
    edited = make_engine(table, [Rename(id="people-alias", table="people", old="nick", new="alias", type=sa.Text())])
    with pytest.raises(SpecChanged):
        edited.expand()
    make_engine(table, [ALIAS]).rollback()
    edited.expand()
    assert phases(edited.migrate()) == {"people-alias": "synced"}


def test_an_interrupted_rollback_must_be_finished_first(table):
    schema = make_engine(table, [ALIAS])
    schema.expand()
    write(table, "UPDATE bascule_change SET phase = 'rolling_back'")
    for phase in (schema.expand, schema.migrate, schema.contract):
        with pytest.raises(RollbackUnfinished):
            phase()
    schema.rollback()
    assert columns(table) == OLD


@pytest.mark.parametrize(
    ("ddl", "why"),
    [
        ("CREATE TABLE people (id integer PRIMARY KEY, age integer)", "has no column nick"),
        ("CREATE TABLE people (id integer PRIMARY KEY, nick text, alias text)", "already has a column alias"),
        ("CREATE TABLE people (id integer, nick text)", "has no primary key"),
        ("CREATE TABLE people (nick text PRIMARY KEY)", "part of the primary key"),
        ("CREATE TABLE people (id integer PRIMARY KEY, nick text UNIQUE)", "unique constraint"),
        ("CREATE TABLE people (id integer PRIMARY KEY, nick text CHECK (length(nick) < 9))", "check constraint"),
        ("CREATE TABLE people (id integer PRIMARY KEY, nick integer REFERENCES people (id))", "foreign key"),
        ("CREATE TABLE others (id integer PRIMARY KEY)", "there is no table people"),
    ],
)
def test_expand_refuses_what_it_could_not_keep_in_sync_and_changes_nothing(db, ddl, why):
    write(db, ddl)
    before = sa.inspect(db).get_table_names()
    with pytest.raises(BadChange, match=why):
        make_engine(db, [ALIAS]).expand()
    assert [name for name in sa.inspect(db).get_table_names() if not name.startswith("bascule_")] == before
    with db.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM bascule_schema_journal").scalar() == 0


@pytest.mark.parametrize("index", ["UNIQUE INDEX ix ON people (nick)", "INDEX ix ON people (nick) WHERE age > 3"])
def test_expand_refuses_an_index_that_is_more_than_plain(table, index):
    write(table, f"CREATE {index}")
    with pytest.raises(BadChange, match="more than a plain index"):
        make_engine(table, [ALIAS]).expand()


def test_expand_refuses_an_index_on_a_split_column(table):
    write(table, "CREATE INDEX ix_fullname ON people (fullname)")
    with pytest.raises(BadChange, match="only a rename takes indexes along"):
        make_engine(table, [NAMES]).expand()


def test_a_failure_is_kept_with_the_change_and_tells_no_value(table):
    schema = make_engine(table, [NAMES])
    schema.expand()
    with pytest.raises(NotSynced):
        schema.contract()
    drop_trigger(table, "bsc_f0_people_names_ins_old")
    with pytest.raises(TriggersMissing):
        schema.migrate()
    with table.begin() as connection:
        kept = connection.exec_driver_sql("SELECT last_error, lease_owner FROM bascule_change").one()
    assert "bsc_f0_people_names_ins_old" in kept.last_error
    assert kept.lease_owner is None


def test_the_journal_tells_every_statement_with_its_times(table):
    schema = make_engine(table, [ALIAS])
    schema.expand()
    with table.begin() as connection:
        journal = connection.exec_driver_sql(
            "SELECT change, phase, statement, finished >= started AS done FROM bascule_schema_journal ORDER BY seq"
        ).all()
    assert journal[0] == ("people-alias", "expanding", "ALTER TABLE people ADD COLUMN alias VARCHAR(50)", 1)
    assert all(row.done for row in journal)
    assert sum("CREATE TRIGGER" in row.statement for row in journal) == 4


def test_changes_of_other_releases_are_told_too(table):
    make_engine(table, [ALIAS], release="2026.2").expand()
    told = make_engine(table, [NAMES]).status()
    assert [(status.id, str(status.release), status.phase) for status in told] == [
        ("people-alias", "2026.2", "expanded"),
        ("people-names", "2027.1", "planned"),
    ]


def test_a_database_that_is_not_there_is_named_without_its_password():
    db = sa.create_engine("postgresql+psycopg://someone:hidden@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnreachable) as refused:
        make_engine(db).status()
    assert "127.0.0.1:1" in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_an_unknown_database_is_refused():
    class Unknown:
        name, driver = "oracle", "cx"

    from bascule.schema.databases import database_of

    with pytest.raises(UnsupportedDatabase, match="oracle"):
        database_of(Unknown())


def test_rows_without_a_key_are_counted_as_stale(db):
    write(db, "CREATE TABLE people (id text PRIMARY KEY, nick text)")
    write(db, "INSERT INTO people VALUES (NULL, 'nobody'), ('1', 'somebody')")
    schema = make_engine(db, [ALIAS])
    schema.expand()
    with pytest.raises(StaleRows) as refused:
        schema.migrate()
    assert refused.value.rows == 1
