"""Data migrations, renamed tables, extracted tables and wider keys on PostgreSQL and MariaDB."""

import pytest
import sqlalchemy as sa
from support import secrets
from support.killed_kind import run_killed_kind
from support.people import columns, phases
from support.secrets import make, wrap

from bascule.schema import data_migration
from bascule.schema.refusals import OldWritesSeen, RowsBlocked, StaleRows


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


@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
@pytest.mark.parametrize("world", ["secrets"])
def test_a_phase_killed_and_run_again_ends_as_if_never_killed(request, server, world):
    result = run_killed_kind(request.getfixturevalue(f"{server}_url"), world, every=211)
    assert sum(result["kills"].values()) >= 3
    assert result["different"] == []
