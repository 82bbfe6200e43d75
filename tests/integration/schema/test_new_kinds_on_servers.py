"""Data migrations, renamed tables, extracted tables and wider keys on PostgreSQL and MariaDB."""

import threading
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa
from support import extracted, renamed, secrets, widened
from support.killed_kind import run_killed_kind
from support.people import columns, phases, write
from support.secrets import make, wrap

from bascule.schema import Options, Retry, data_migration
from bascule.schema.refusals import BadChange, LockNotGranted, OldWritesSeen, RowsBlocked, RowsInTheWay, StaleRows


def test_data_is_migrated_while_both_releases_write_and_can_be_taken_back_in_every_phase(db):
    secrets.create(db, 40)
    before = repr(sa.inspect(db).get_columns("secrets"))
    schema = make(db)
    for number, after in enumerate(((), ("migrate",), ("migrate", "fence"), ("migrate", "contract"))):
        schema.expand()
        secrets.update_new(db, "001", b"new before")
        secrets.update_old(db, "002", b"old before")
        for phase in after:
            getattr(schema, phase)()
        expected = secrets.read_new(db)
        secrets.update_new(db, "003", b"new")
        secrets.insert_new(db, "x", b"only new")
        if "contract" not in after:
            secrets.update_old(db, "001", b"old again %d" % number)
            assert "001" not in secrets.migrated(db)
            expected["001"] = b"old again %d" % number
        assert secrets.read_new(db) == expected | {"003": b"new", "x": b"only new"}
        schema.rollback()
        assert secrets.read_old(db) == expected | {"003": b"new", "x": b"only new"}
        assert repr(sa.inspect(db).get_columns("secrets")) == before
        secrets.sql(db, "DELETE FROM secrets WHERE id = 'x'")
    schema.expand()
    schema.migrate()
    schema.contract()
    schema.purge()
    assert columns(db, "secrets") == ["id", "name", "blob2", "kek_id"]
    assert phases(schema.verify()) == {"secrets-rewrap": "purged"}


def test_a_row_written_while_the_function_works_is_taken_again(db):
    secrets.create(db, 10)
    seen = []

    def up(rows):
        for row in rows:
            seen.append(row.pk)
            if row.pk == "003" and seen.count("003") == 1:
                secrets.update_old(db, "003", b"raced")
        return [row.becomes(blob2=wrap(row.blob), kek_id="kek-2") for row in rows]

    new = {"blob2": sa.LargeBinary(), "kek_id": sa.String(64)}
    schema = make(db, data_migration("secrets-rewrap", table="secrets", old=["blob"], new=new)(up))
    schema.expand()
    schema.migrate()
    assert secrets.read_new(db)["003"] == b"raced"
    assert seen.count("003") == 2


def test_blocked_rows_stale_rows_and_old_writes_hold_contract_up(db):
    secrets.create(db, 5)
    secrets.insert_old(db, "x", b"lost")
    schema = make(db)
    schema.expand()
    with pytest.raises(RowsBlocked) as refused:
        schema.migrate()
    assert refused.value.keys == ("x",)
    assert schema.online_data_migrations(3).code == 3
    secrets.update_old(db, "x", b"found")
    assert schema.online_data_migrations(3).code in {0, 1}
    schema.migrate()
    secrets.update_old(db, "001", b"old")
    with pytest.raises(StaleRows):
        schema.contract()
    schema.migrate()
    schema.fence()
    secrets.update_old(db, "001", b"old again")
    with pytest.raises(StaleRows):
        schema.contract()
    secrets.update_new(db, "001", b"new")
    with pytest.raises(OldWritesSeen):
        schema.contract()


def test_text_is_compared_by_its_bytes_whatever_its_collation(mariadb_db):
    db = mariadb_db
    secrets.sql(
        db,
        "CREATE TABLE notes (id varchar(9) CHARACTER SET latin1 COLLATE latin1_german2_ci PRIMARY KEY, "
        "words text CHARACTER SET latin1, number decimal(9,2), at datetime(6))",
    )
    secrets.sql(
        db, "INSERT INTO notes VALUES ('é', 'abc é', 1.50, '2027-01-02 03:04:05.000006'), ('E2', NULL, NULL, NULL)"
    )
    calls = []

    def up(rows):
        calls.append(len(rows))
        if len(calls) == 1:
            secrets.sql(db, "UPDATE notes SET words = 'ABC é' WHERE id = 'é'")  # equal, by the collation
        return [row.becomes(both=f"{row.words} {row.number} {row.at}") for row in rows]

    schema = make(db, data_migration("x", table="notes", old=["words", "number", "at"], new={"both": sa.Text()})(up))
    schema.expand()
    schema.migrate()
    with db.begin() as connection:
        found = dict(connection.execute(sa.text("SELECT id, `both` FROM notes")).all())
    assert found == {"é": "ABC é 1.50 2027-01-02 03:04:05.000006", "E2": None}
    assert calls == [1, 1]


def test_a_table_has_both_names_until_purge_and_triggers_and_references_follow_it(db):
    renamed.start(db)
    write(
        db, "CREATE TABLE pets (id integer PRIMARY KEY, owner varchar(36), FOREIGN KEY (owner) REFERENCES people (id))"
    )
    follows(db)
    schema = renamed.engine(db)
    for number, phase in enumerate(("expand", "migrate", "fence", "contract")):
        getattr(schema, phase)()
        for table, other in (("people", "persons"), ("persons", "people")):
            renamed.insert(db, table, f"{number} {table}")
            renamed.update(db, other, f"{number} {table}", "Eve Moss")
            renamed.delete(db, other, "00")
        assert renamed.rows(db, "people") == renamed.rows(db, "persons")
    assert "people" in sa.inspect(db).get_view_names()
    schema.rollback()
    assert sa.inspect(db).get_view_names() == []
    assert len(renamed.rows(db, "people")) == 12
    for phase in ("expand", "migrate", "contract", "purge"):
        getattr(schema, phase)()
    assert sa.inspect(db).get_foreign_keys("pets")[0]["referred_table"] == "persons"
    renamed.insert(db, "persons", "x")
    with db.begin() as connection:
        assert connection.scalar(sa.text("SELECT age FROM persons WHERE id = 'x'")) == 7
        assert not [name for name in sa.inspect(connection).get_view_names() if name != "persons"]


def follows(db):
    """Make a trigger of the service's own."""
    if db.dialect.name == "postgresql":
        write(db, "CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.age = 7; RETURN NEW; END'")
        write(db, "CREATE TRIGGER own BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION own()")
    else:
        write(db, "CREATE TRIGGER own BEFORE INSERT ON people FOR EACH ROW SET NEW.age = 7")


def test_a_key_that_the_database_gives_out_comes_through_the_view_too(db):
    serial = "serial" if db.dialect.name == "postgresql" else "integer AUTO_INCREMENT"
    write(db, f"CREATE TABLE people (id {serial} PRIMARY KEY, age integer, nick varchar(9) DEFAULT 'none')")
    renamed.engine(db).expand()
    persons = sa.Table(
        "persons", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("age"), sa.Column("nick")
    )
    with db.begin() as connection:
        for key in (1, 2):
            found = connection.execute(sa.insert(persons).values(age=7)).inserted_primary_key
            assert tuple(found) == (key,)
        assert connection.scalars(sa.select(persons.c.nick)).all() == ["none", "none"]


def test_a_reader_that_holds_the_table_keeps_no_swap_half_done(db):
    renamed.start(db)
    schema = renamed.engine(db, options=Options(retry=Retry(within_s=0.1), watch_s=0.0))
    schema.expand()
    schema.migrate()
    with db.connect() as reader:
        reader.exec_driver_sql("SELECT * FROM people").all()
        with pytest.raises(LockNotGranted):
            schema.contract()
        renamed.insert(db, "people", "x")
        renamed.insert(db, "persons", "y")
    schema.contract()
    assert set(renamed.rows(db, "people")) == set(renamed.rows(db, "persons")) >= {"x", "y"}


def test_columns_live_in_two_tables_that_both_releases_write_until_contract(db):
    extracted.start(db)
    before = repr(sa.inspect(db).get_columns("secrets"))
    schema = extracted.engine(db)
    for number, phase in enumerate(("expand", "migrate", "fence")):
        getattr(schema, phase)()
        extracted.insert_new(db, f"n{number}", "new")
        extracted.insert_new(db, f"gone{number}", "new")
        extracted.delete_new(db, f"gone{number}")
        if phase != "fence":
            extracted.insert_old(db, f"o{number}", "old")
            extracted.update_old(db, f"n{number}", f"old {number}")
            extracted.update_new(db, f"o{number}", f"new {number}")
            extracted.delete(db, f"0{number}")
        assert extracted.old_side(db).items() >= extracted.new_side(db).items()
        assert f"gone{number}" not in extracted.old_side(db)
    assert extracted.old_side(db) == extracted.new_side(db)
    schema.contract()
    extracted.update_new(db, "03", "after")
    extracted.delete_new(db, "04")
    expected = extracted.new_side(db)
    schema.rollback(keep_synced=True)
    assert extracted.old_side(db) == extracted.new_side(db) == expected
    write(db, "DELETE FROM secrets WHERE payload IS NULL")
    schema.rollback()
    assert repr(sa.inspect(db).get_columns("secrets")) == before
    for phase in ("expand", "migrate", "contract", "purge"):
        getattr(schema, phase)()
    assert columns(db, "secrets") == ["id", "name"]
    assert extracted.new_side(db) == expected
    if db.dialect.name == "postgresql":
        with db.begin() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM pg_proc WHERE proname LIKE 'bsc%'")) == 0


def test_the_new_release_writes_both_tables_through_contract_and_back_and_purge(db):
    extracted.start(db)
    schema = extracted.engine(db)
    schema.expand()
    schema.migrate()
    stop, failures, number = threading.Event(), [], 0

    def go_on(part):
        nonlocal number
        while not stop.is_set():
            number += 1
            try:
                extracted.insert_new(db, f"{part}-{number}", "made")
                extracted.update_new(db, f"{part}-{number}", "new")
            except sa.exc.DBAPIError as failure:
                failures.append(failure)

    writers = [threading.Thread(target=go_on, args=(part,)) for part in "ab"]
    for writer in writers:
        writer.start()
    try:
        schema.contract()
        schema.rollback(keep_synced=True)
        schema.contract()
        schema.purge()
    finally:
        stop.set()
        for writer in writers:
            writer.join(30)
    # MariaDB breaks a deadlock between a transaction of two tables and DDL of one of them; the writer tries again.
    deadlocks = [failure for failure in failures if failure.orig.args[0] == 1213]
    assert failures == deadlocks
    assert len(failures) <= 10
    assert {value for key, (value, _) in extracted.new_side(db).items() if "-" in key} <= {"new", "made"}


def test_old_writes_of_extracted_columns_are_refused_and_carried_ones_are_not(db):
    extracted.start(db)
    schema = extracted.engine(db)
    schema.expand()
    schema.migrate()
    schema.fence("refuse")
    extracted.update_new(db, "01", "new")
    extracted.delete_new(db, "02")
    with pytest.raises(sa.exc.DBAPIError, match="old shape"):
        extracted.update_old(db, "01", "old")
    schema.fence()
    extracted.update_new(db, "01", "newer")
    extracted.insert_old(db, "x", "old")
    with pytest.raises(OldWritesSeen):
        schema.contract()


def test_who_may_write_the_old_table_may_write_what_stands_beside_it(postgresql_db):
    db = postgresql_db
    extracted.start(db, 1)
    renamed.start(db)
    write(db, "CREATE ROLE bascule_service")
    try:
        for table in ("secrets", "people"):
            write(db, f"GRANT SELECT, INSERT, UPDATE ON {table} TO bascule_service")
        extracted.engine(db).expand()
        renamed.engine(db).expand()
        extracted.engine(db).migrate()
        renamed.engine(db).migrate()
        with db.begin() as connection:
            connection.exec_driver_sql("SET LOCAL ROLE bascule_service")
            connection.exec_driver_sql("INSERT INTO secrets VALUES ('x', NULL, 'old', NULL)")
            connection.exec_driver_sql("UPDATE payloads SET payload = 'new'")
            connection.exec_driver_sql("UPDATE persons SET nick = 'new'")
        renamed.engine(db).contract()
        extracted.engine(db).fence()
        with db.begin() as connection:
            connection.exec_driver_sql("SET LOCAL ROLE bascule_service")
            connection.exec_driver_sql("UPDATE secrets SET payload = 'old' WHERE id <> 'x'")
            connection.exec_driver_sql("UPDATE people SET nick = 'old'")
        assert extracted.old_side(db)["x"] == ("new", None)
    finally:
        write(db, "DROP OWNED BY bascule_service")
        write(db, "DROP ROLE bascule_service")


def test_a_write_that_fails_in_the_other_table_leaves_the_session_in_step(mariadb_db):
    extracted.start(mariadb_db)
    narrow = replace(extracted.CHANGE, columns=extracted.CHANGE.columns | {"payload": sa.String(12)})
    schema = extracted.engine(mariadb_db, narrow)
    schema.expand()
    schema.migrate()
    update = "UPDATE secrets SET payload = '{}' WHERE id = '01'"
    with mariadb_db.connect() as connection:
        with pytest.raises(sa.exc.DBAPIError, match="Data too long"):
            connection.exec_driver_sql(update.format("much too long for it"))
        assert connection.exec_driver_sql("SELECT @bascule_carrying").scalar() is None
        connection.rollback()
        # A statement that is killed leaves its mark behind, since no handler runs then.
        connection.exec_driver_sql("SET @bascule_carrying = UNIX_TIMESTAMP(NOW(6))")
        connection.exec_driver_sql(update.format("short"))
        connection.exec_driver_sql("UPDATE payloads SET kind = 'k' WHERE secret_id = '01'")
        connection.commit()
    assert extracted.old_side(mariadb_db)["01"] == extracted.new_side(mariadb_db)["01"] == ("short", "k")


def test_nothing_is_lost_while_both_releases_write_during_the_backfill_of_an_extracted_table(db):
    extracted.start(db, 300)
    schema = extracted.engine(db)
    schema.expand()
    stop, wrote, failures = threading.Event(), {}, []

    def go_on(update, part):
        number = 0
        while not stop.is_set():
            number += 1
            key = f"{(number * 7 + part) % 300 // 2 * 2 + part:02}"
            try:
                update(db, key, f"{part} {number}")
                wrote[key] = f"{part} {number}"
            except sa.exc.OperationalError as failure:  # a deadlock is broken, and the writer told
                failures.append(failure)

    # The new release updates rows only where there are some: as long as the backfill runs, it may meet none.
    writers = [threading.Thread(target=go_on, args=(extracted.update_old, part)) for part in (0, 1)]
    for writer in writers:
        writer.start()
    try:
        schema.migrate()
    finally:
        stop.set()
        for writer in writers:
            writer.join(30)
    assert extracted.old_side(db) == extracted.new_side(db)
    assert {key: extracted.new_side(db)[key][0] for key in wrote} == wrote
    assert len(failures) <= 3


def test_a_key_becomes_wide_with_its_references_while_both_releases_write(postgresql_db):
    db = postgresql_db
    widened.start(db)
    before = widened.shape(db)
    schema = widened.engine(db)
    for phase in ("expand", "migrate", "fence", "contract"):
        getattr(schema, phase)()
        widened.insert(db, phase)
        with db.begin() as connection:
            key = connection.scalar(sa.text("SELECT max(id) FROM owners"))
            connection.execute(sa.text("UPDATE owners SET parent = :k WHERE id = 1"), {"k": key})
    assert len(widened.rows(db)) == 13
    for table, column in (("owners", "id"), ("pets", "owner")):
        (found,) = [one for one in sa.inspect(db).get_columns(table) if one["name"] == column]
        assert (str(found["type"]), found["nullable"]) == ("BIGINT", False)
    with pytest.raises(sa.exc.IntegrityError):
        write(db, "INSERT INTO pets (id, owner) VALUES (999, 999)")
    with pytest.raises(sa.exc.IntegrityError):
        widened.insert(db, "twice", key=1)
    schema.rollback(keep_synced=True)
    widened.insert(db, "back")
    schema.rollback()
    assert widened.shape(db) == before
    assert len(widened.rows(db)) == 14
    for phase in ("expand", "migrate", "contract"):
        getattr(schema, phase)()
    write(db, f"SELECT setval('owners_id_seq', {widened.LARGEST})")
    assert widened.insert(db, "beyond") == widened.LARGEST + 1
    with pytest.raises(RowsInTheWay, match="type cannot hold"):
        schema.rollback()
    schema.contract()
    schema.purge()
    assert phases(schema.verify()) == {"pets-owner": "purged", "owners-id": "purged"}
    after = widened.shape(db)
    assert after["owners"][1:] == before["owners"][1:]
    assert after["pets"][1:] == before["pets"][1:]
    assert [name for name, *_ in after["owners"][0]] == ["id", "name", "parent"]


def test_writers_of_several_tables_go_on_through_every_swap_of_a_key(postgresql_db):
    db = postgresql_db
    widened.start(db)
    schema = widened.engine(db)
    client = sa.create_engine(db.url, connect_args={"prepare_threshold": None})
    stop, keys, failures = threading.Event(), [], []

    def go_on():
        try:
            while not stop.is_set():
                keys.append(widened.insert(client, "busy"))
                time.sleep(0.002)  # as many rows as a walk can catch up with on a busy machine
        except sa.exc.DBAPIError as failure:
            failures.append(failure)

    writers = [threading.Thread(target=go_on) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for phase in ("expand", "migrate", "contract"):
            getattr(schema, phase)()
        schema.rollback(keep_synced=True)
        schema.contract()
        schema.purge()
    finally:
        stop.set()
        for writer in writers:
            writer.join(30)
        client.dispose()
    assert failures == []
    assert {key for key, *_ in widened.rows(db)} == {*range(1, 10), *keys}


@pytest.mark.parametrize("after", [(), ("migrate",), ("migrate", "fence")])
def test_a_key_that_was_not_swapped_yet_goes_back_as_it_was(postgresql_db, after):
    widened.start(postgresql_db)
    before = widened.shape(postgresql_db)
    schema = widened.engine(postgresql_db)
    schema.expand()
    for name in after:
        getattr(schema, name)()
    schema.rollback()
    assert widened.shape(postgresql_db) == before


@pytest.mark.parametrize(
    ("threshold", "isolation", "fails"),
    [(0, "READ COMMITTED", 1), (0, "AUTOCOMMIT", 3), (None, "READ COMMITTED", 0), (None, "AUTOCOMMIT", 0)],
)
def test_only_clients_that_prepare_statements_notice_the_swap_once_or_without_transactions_for_good(
    postgresql_db, threshold, isolation, fails
):
    widened.start(postgresql_db)
    schema = widened.engine(postgresql_db)
    schema.expand()
    schema.migrate()
    client = sa.create_engine(
        postgresql_db.url, isolation_level=isolation, connect_args={"prepare_threshold": threshold}
    )
    seen = []

    def select(connection):
        try:
            with connection.begin():
                connection.exec_driver_sql("SELECT id FROM owners").all()
        except sa.exc.DBAPIError as error:
            seen.append(str(error.orig))

    with client.connect() as connection:
        select(connection)
        schema.contract()
        for _ in range(3):
            select(connection)
    client.dispose()
    assert seen == ["cached plan must not change result type"] * fails


@pytest.mark.parametrize(
    ("ddl", "why"),
    [
        ("CREATE TABLE owners (id bigint PRIMARY KEY)", "type bigint"),
        ("CREATE TABLE owners (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY)", "an identity"),
        ("CREATE TABLE owners (id serial PRIMARY KEY CHECK (id > 0))", "check constraint"),
        ("CREATE TABLE owners (id serial PRIMARY KEY); CREATE VIEW v AS SELECT id FROM owners", "a view"),
        ("CREATE TABLE owners (id serial PRIMARY KEY, n integer, UNIQUE (n, id))", "unique constraint"),
    ],
)
def test_what_a_swap_would_not_take_along_is_refused(postgresql_db, ddl, why):
    with postgresql_db.begin() as connection:
        connection.exec_driver_sql(ddl)
    with pytest.raises(BadChange, match=why):
        widened.engine(postgresql_db, [widened.KEY]).expand()


@pytest.mark.parametrize(
    ("server", "world", "phase", "every"),
    [
        ("mariadb", "renamed", "contract", 71),
        ("mariadb", "extracted", "rollback", 301),
        ("postgresql", "widened", "contract", 401),
    ],
)
def test_a_phase_killed_and_run_again_ends_as_if_never_killed(request, server, world, phase, every):
    result = run_killed_kind(request.getfixturevalue(f"{server}_url"), world, phase, every=every)
    assert result["kills"][phase] >= 1
    assert result["different"] == []
