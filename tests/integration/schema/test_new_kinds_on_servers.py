"""Data migrations, renamed tables, extracted tables and wider keys on PostgreSQL and MariaDB."""

import pytest
import sqlalchemy as sa
from support import renamed, secrets
from support.killed_kind import run_killed_kind
from support.people import columns, phases, write
from support.secrets import make, wrap

from bascule.schema import Options, Retry, data_migration
from bascule.schema.refusals import LockNotGranted, OldWritesSeen, RowsBlocked, StaleRows


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
    write(db, f"CREATE TABLE people (id {serial} PRIMARY KEY, nick varchar(9) DEFAULT 'none')")
    renamed.engine(db).expand()
    people = sa.Table("persons", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("nick"))
    with db.begin() as connection:
        keys = [connection.execute(sa.insert(people)).inserted_primary_key for _ in "ab"]
        assert [tuple(key) for key in keys] == [(1,), (2,)]
        assert connection.scalars(sa.select(people.c.nick)).all() == ["none", "none"]


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


@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
@pytest.mark.parametrize(("world", "phase", "every"), [("secrets", "rollback", 131), ("renamed", "contract", 61)])
def test_a_phase_killed_and_run_again_ends_as_if_never_killed(request, server, world, phase, every):
    result = run_killed_kind(request.getfixturevalue(f"{server}_url"), world, phase, every=every)
    assert result["kills"][phase] >= 1
    assert result["different"] == []
