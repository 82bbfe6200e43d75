"""The backfill's walks on all three databases: every kind of key, every cursor, and rows that move meanwhile."""

import datetime as dt
import json
import uuid

import pytest
import sqlalchemy as sa
from support.people import ALIAS, NAMES, create_people, make_engine, people, write

from bascule.schema import Options, Pace, Retry
from bascule.schema.databases import database_of
from bascule.schema.keyset import Keyset
from bascule.schema.routes import Keys, Pages, RowIds
from bascule.schema.session import Session
from bascule.schema.state import CHANGES
from bascule.schema.throttle import ReplicaLag, ThrottleUnusable

SMALL = Options(lease_wait_s=0.0, pace=Pace(5.0, 40, 1.0, 40))
ROWS = [{"id": f"{number:04}", "fullname": f"First{number} Last{number}"} for number in range(400)]


@pytest.fixture
def crowd(any_db):
    """The table of people with 400 of them, expanded."""
    return expanded(any_db)


def expanded(db):
    create_people(db)
    write(db, "INSERT INTO people (id, fullname) VALUES (:id, :fullname)", *ROWS)
    make_engine(db, [NAMES]).expand()
    return db


def unfilled(db):
    return [key for key, row in people(db).items() if row["first"] is None]


def all_filled(db):
    found = {key: (row["first"], row["last"]) for key, row in people(db).items()}
    return found == {row["id"]: tuple(row["fullname"].split(" ")) for row in ROWS}


def cursor_of(db):
    with db.begin() as connection:
        return connection.scalar(sa.select(CHANGES.c.cursor).where(CHANGES.c.id == "people-names"))


class Killed(BaseException):
    """What stands for the end of the process, right after a batch's commit."""


def kill_after(batches):
    seen = []

    def look(progress):
        seen.append(progress)
        if len(seen) == batches:
            raise Killed

    return look


def test_a_backfill_cut_off_goes_on_at_its_cursor(crowd):
    schema = make_engine(crowd, [NAMES], options=SMALL)
    with pytest.raises(Killed):
        schema.migrate(kill_after(2))
    left, told = len(unfilled(crowd)), []
    assert 0 < left < 400
    schema.migrate(told.append)
    assert told[0].done > 80  # it did not start over
    assert all_filled(crowd)


def test_a_cursor_of_an_earlier_release_is_gone_on_with(crowd):
    with crowd.begin() as connection:
        as_it_was = {"phase": "backfilling", "cursor": '["0100"]', "rows_done": 101}
        connection.execute(sa.update(CHANGES).where(CHANGES.c.id == "people-names").values(as_it_was))
    cursors, told = [], []

    def look(progress):
        cursors.append(cursor_of(crowd))
        told.append(progress)

    make_engine(crowd, [NAMES], options=SMALL).migrate(look)
    assert cursors[0] == '["0140"]'
    assert told[0].done == 141
    assert all_filled(crowd)  # those before the cursor, too: the scan trusts no cursor


def test_the_walk_over_a_table_is_the_one_that_its_database_does_best(crowd):
    make_engine(crowd, [NAMES], options=SMALL).migrate(lambda _: None)
    expected = {"postgresql": "pages", "sqlite": "rowid"}.get(crowd.dialect.name)
    cursor = json.loads(cursor_of(crowd))
    assert (expected in cursor) if expected else cursor == ["0399"]


def test_rows_that_other_columns_writes_move_behind_the_walk_are_found_and_filled(postgresql_db):
    db = expanded(postgresql_db)
    moved, missed = [], []

    def look(progress):
        if not moved:  # the walk has read the first pages: now everybody who was not reached moves
            moved.extend(unfilled(db))
            write(db, "UPDATE people SET age = 1 WHERE first IS NULL")
            write(db, "UPDATE people SET age = 2 WHERE first IS NULL AND id > '0200'")
        if progress.activity == "verify" and not missed:
            missed.extend(unfilled(db))

    (status,) = make_engine(db, [NAMES], options=SMALL).migrate(look)
    assert moved
    assert missed  # else this test would not have shown it
    assert (status.phase, status.rows_stale) == ("synced", 0)
    assert all_filled(db)


def test_a_table_rewritten_while_the_walk_stands_still_is_filled_all_the_same(postgresql_db):
    db = expanded(postgresql_db)
    schema = make_engine(db, [NAMES], options=SMALL)
    with pytest.raises(Killed):
        schema.migrate(kill_after(2))
    write(db, "DELETE FROM people WHERE id < '0100'")
    with db.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM FULL people")
    schema.migrate()
    assert unfilled(db) == []


MIDNIGHT = dt.datetime(2026, 1, 1)  # noqa: DTZ001 # as these columns keep it
KEYS = {
    "composite": ("a integer NOT NULL, b varchar(40) NOT NULL, PRIMARY KEY (a, b)", lambda n: (n % 3, f"k{n:03}")),
    "text": ("a varchar(40) NOT NULL PRIMARY KEY", lambda n: (f"{'aAbB'[n % 4]} é{n}",)),
    "binary": ("a {binary} NOT NULL PRIMARY KEY", lambda n: (bytes([n % 256, 255 - n % 256, n // 256]),)),
    "uuid": ("a {uuid} NOT NULL PRIMARY KEY", lambda n: (str(uuid.uuid5(uuid.NAMESPACE_DNS, str(n))),)),
    "moment": ("a {moment} NOT NULL PRIMARY KEY", lambda n: (f"{MIDNIGHT + dt.timedelta(hours=n)}",)),
}
TYPES = {
    "postgresql": {"binary": "bytea", "uuid": "uuid", "moment": "timestamp"},
    "mysql": {"binary": "varbinary(8)", "uuid": "uuid", "moment": "datetime"},
    "sqlite": {"binary": "blob", "uuid": "char(36)", "moment": "text"},
}


@pytest.mark.parametrize("along_key", [False, True])
def test_every_kind_of_key_is_walked_and_resumed(any_db, along_key):
    for kind, (columns, key) in KEYS.items():
        walk_a_table_with(any_db, columns.format(**TYPES[any_db.dialect.name]), key, along_key, f"things-{kind}")


def walk_a_table_with(db, columns, key, along_key, name):
    rows = [dict(zip("ab", key(number), strict=False)) | {"nick": f"n{number}"} for number in range(90)]
    tail = " WITHOUT ROWID" if along_key and db.dialect.name == "sqlite" else ""
    write(
        db,
        f"CREATE TABLE people ({columns}, nick varchar(50)){tail}".replace(
            ", PRIMARY KEY (a, b), nick varchar(50)", ", nick varchar(50), PRIMARY KEY (a, b)"
        ),
    )
    cast = "CAST(:a AS uuid)" if "uuid" in columns else "CAST(:a AS timestamp)" if "timestamp" in columns else ":a"
    names = [*rows[0]]
    write(
        db,
        f"INSERT INTO people ({', '.join(names)}) VALUES ({', '.join([cast, *(f':{n}' for n in names[1:])])})",
        *rows,
    )
    change = type(ALIAS)(id=name, table="people", old="nick", new="alias", type=sa.String(50))
    schema = make_engine(db, [change], options=Options(lease_wait_s=0.0, pace=Pace(5.0, 7, 1.0, 7)))
    schema.expand()
    if along_key and db.dialect.name == "postgresql":
        write(db, "CREATE TABLE heirs () INHERITS (people)")  # a table with heirs is not one heap
    for _ in range(3):
        with pytest.raises(Killed):
            schema.migrate(kill_after(2))
    status = {status.id: status for status in schema.migrate()}[name]
    assert (status.phase, status.rows_stale) == ("synced", 0)
    with db.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM people WHERE alias = nick").scalar() == 90
    write(db, "DROP TABLE people CASCADE" if db.dialect.name == "postgresql" else "DROP TABLE people")


def route_of(db, table, key):
    with Session.open(db, Retry()) as session:
        database = database_of(db.dialect)
        return session.read("look", lambda connection: database.route(connection, Keyset(table, key)))


def test_tables_that_are_not_one_heap_are_walked_along_their_key(postgresql_db):
    write(postgresql_db, "CREATE TABLE plain (id integer PRIMARY KEY)")
    write(postgresql_db, "CREATE TABLE parts (id integer PRIMARY KEY) PARTITION BY RANGE (id)")
    assert isinstance(route_of(postgresql_db, "plain", ("id",)), Pages)
    assert isinstance(route_of(postgresql_db, "parts", ("id",)), Keys)
    assert isinstance(route_of(postgresql_db, "missing", ("id",)), Keys)


def test_row_ids_are_walked_only_where_they_are_not_the_key_and_have_a_name(tmp_path):
    db = sa.create_engine(f"sqlite:///{tmp_path / 'service.db'}")
    write(db, "CREATE TABLE ids (id INTEGER PRIMARY KEY)")
    write(db, "CREATE TABLE texts (id text PRIMARY KEY)")
    write(db, "CREATE TABLE hidden (id text PRIMARY KEY, rowid text, _rowid_ text, oid text)")
    write(db, "CREATE TABLE without (id text PRIMARY KEY) WITHOUT ROWID")
    kinds = {name: type(route_of(db, name, ("id",))) for name in ("ids", "texts", "hidden", "without")}
    assert kinds == {"ids": Keys, "texts": RowIds, "hidden": Keys, "without": Keys}
    db.dispose()


def test_nothing_is_set_for_longer_than_a_transaction_since_a_pooler_would_hand_it_on(postgresql_db):
    db, seen = expanded(postgresql_db), []
    sa.event.listen(db, "before_cursor_execute", lambda _c, _cursor, statement, *_: seen.append(statement))
    make_engine(db, [NAMES], options=SMALL).migrate()
    settings = [statement for statement in seen if statement.upper().startswith("SET ")]
    assert "SET LOCAL synchronous_commit = off" in settings
    assert [statement for statement in settings if not statement.startswith("SET LOCAL ")] == []


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("'b', 'streaming', interval '0.2 s', pg_current_wal_lsn()", None),
        ("'b', 'streaming', NULL::interval, pg_current_wal_lsn()", None),
        ("'receiver', 'streaming', NULL::interval, NULL::pg_lsn", None),  # it replays nothing
        ("'b', 'streaming', interval '7 s', pg_current_wal_lsn()", "replica b, 7.0 s late"),
        ("'b', 'streaming', NULL::interval, '0/0'::pg_lsn", "MiB behind"),  # its replay stands still
    ],
)
def test_a_late_replica_holds_the_backfill_back(postgresql_db, row, says):
    db = with_replicas(postgresql_db, row)
    with Session.open(db, Retry()) as session:
        why = ReplicaLag(1.0, most_mib=1).why_wait(session, lambda: False)
    db.dispose()
    assert why is None if says is None else says in why


def test_a_lag_that_this_account_may_not_see_is_refused(postgresql_db):
    db = with_replicas(postgresql_db, "NULL, NULL, NULL::interval, NULL::pg_lsn")
    with Session.open(db, Retry()) as session, pytest.raises(ThrottleUnusable, match="grant it pg_read_all_stats"):
        ReplicaLag(1.0).why_wait(session, lambda: False)
    db.dispose()


def with_replicas(db, row):
    """Put a view before the server's own, with this one replica."""
    write(db, "CREATE SCHEMA fake")
    write(
        db,
        "CREATE VIEW fake.pg_stat_replication AS SELECT application_name, NULL::inet AS client_addr, state, "
        f"replay_lag, replay_lsn FROM (VALUES ({row})) AS replica (application_name, state, replay_lag, replay_lsn)",
    )
    return sa.create_engine(db.url, connect_args={"options": "-c search_path=fake,pg_catalog,public"})
