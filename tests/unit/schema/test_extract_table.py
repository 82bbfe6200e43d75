import pytest
import sqlalchemy as sa
from support import extracted
from support.extracted import CHANGE, engine, new_side, old_side
from support.killed_kind import run_killed_kind
from support.people import columns, phases, write

from bascule.schema import ExtractTable
from bascule.schema.refusals import (
    BadChange,
    NewColumnsWritten,
    OldWritesSeen,
    PastPointOfNoReturn,
    RowsInTheWay,
    StaleRows,
    TriggersMissing,
)


@pytest.fixture
def table(db):
    extracted.start(db)
    return db


def both_write(db, mark, *, old=True):
    """Let each release insert, update and delete, and look that both sides say the same after every write."""

    def agrees():
        assert old_side(db).items() >= new_side(db).items()
        return new_side(db)

    if old:
        extracted.insert_old(db, f"o{mark}", "made old")
        assert agrees()[f"o{mark}"] == ("made old", "raw")
        extracted.update_old(db, f"o{mark}", f"old {mark}")
        assert agrees()[f"o{mark}"] == (f"old {mark}", "raw")
    extracted.insert_new(db, f"n{mark}", "made new")
    assert old_side(db)[f"n{mark}"] == ("made new", "raw")
    extracted.update_new(db, f"n{mark}", f"new {mark}")
    assert old_side(db)[f"n{mark}"] == (f"new {mark}", "raw")
    if old:
        extracted.update_old(db, f"n{mark}", "old again")
        assert agrees()[f"n{mark}"] == ("old again", "raw")
        extracted.update_new(db, f"o{mark}", "new again")
        assert agrees()[f"o{mark}"] == ("new again", "raw")
        extracted.delete(db, f"o{mark}")
    extracted.delete_new(db, f"n{mark}")
    assert f"n{mark}" not in old_side(db)
    assert f"o{mark}" not in agrees()
    extracted.delete(db, f"n{mark}")


def test_both_releases_write_in_every_phase_and_each_reads_what_the_other_wrote(table):
    schema = engine(table)
    for number, phase in enumerate(("expand", "expand", "migrate", "migrate", "fence")):
        getattr(schema, phase)()
        both_write(table, number, old=phase != "fence")
    assert new_side(table) == old_side(table)
    schema.contract()
    extracted.update_new(table, "01", "after")
    extracted.delete_new(table, "02")
    extracted.insert_new(table, "x", "after too")
    expected = new_side(table)
    assert phases(schema.rollback(keep_synced=True)) == {"secrets-payloads": "synced"}
    assert old_side(table) == new_side(table) == expected
    both_write(table, "back")
    schema.contract()
    schema.purge()
    assert columns(table, "secrets") == ["id", "name"]
    assert new_side(table) == expected
    extracted.insert_new(table, "y", "last")
    assert phases(schema.verify()) == {"secrets-payloads": "purged"}
    with pytest.raises(PastPointOfNoReturn):
        schema.rollback()


@pytest.mark.parametrize("after", [(), ("migrate",), ("migrate", "fence"), ("migrate", "contract")])
def test_rollback_keeps_what_the_new_release_wrote_and_restores_the_table(table, after):
    before = repr(sa.inspect(table).get_columns("secrets"))
    schema = engine(table)
    schema.expand()
    for phase in after:
        getattr(schema, phase)()
    extracted.insert_new(table, "x", "new")
    if after:
        extracted.update_new(table, "01", "new 1")
    schema.rollback()
    assert not sa.inspect(table).has_table("payloads")
    assert repr(sa.inspect(table).get_columns("secrets")) == before
    assert old_side(table)["x"] == ("new", "raw")
    assert old_side(table)["01"][0] == ("new 1" if after else "payload 1")
    schema.expand()
    assert phases(schema.migrate()) == {"secrets-payloads": "synced"}


def test_rollback_never_leaves_null_where_it_was_forbidden(table):
    schema = engine(table)
    schema.expand()
    schema.migrate()
    extracted.delete_new(table, "02")
    with pytest.raises(RowsInTheWay, match="1 rows of secrets have NULL in payload"):
        schema.rollback()
    extracted.delete(table, "02")
    schema.rollback()


def test_a_row_that_moves_to_another_secret_takes_its_values_along(table):
    schema = engine(table)
    schema.expand()
    schema.migrate()
    extracted.delete_new(table, "02")
    write(table, "UPDATE payloads SET secret_id = '02' WHERE secret_id = '01'")
    assert "01" not in old_side(table)
    assert old_side(table)["02"] == ("payload 1", "raw")
    write(table, "UPDATE secrets SET payload = 'refilled' WHERE id = '01'")
    assert new_side(table)["01"] == ("refilled", None)


def test_rows_that_differ_are_left_to_a_person_who_says_which_side_is_right(table):
    schema = engine(table)
    schema.expand()
    schema.migrate()
    for prefer, expected in (("new", "silent"), ("old", "silent")):
        write(table, "DROP TRIGGER bsc_m_secrets_payloads_new_upd")
        with pytest.raises(TriggersMissing, match="new_upd"):
            schema.contract()
        extracted.update_new(table, "03", expected)
        extracted.update_old(table, "04", "of the old side")
        schema.expand()
        if prefer == "new":
            with pytest.raises(NewColumnsWritten):
                schema.migrate()
            with pytest.raises(StaleRows):
                schema.rollback()
        schema.migrate(prefer=prefer)
        assert old_side(table) == new_side(table)
        assert old_side(table)["03"][0] == expected


def test_writes_in_the_old_shape_are_counted_or_refused_once_fenced_and_new_ones_are_not(table):
    schema = engine(table)
    schema.expand()
    schema.migrate()
    schema.fence("refuse")
    extracted.update_new(table, "01", "new")
    extracted.insert_new(table, "x", "new")
    extracted.delete_new(table, "02")
    for write_old in (extracted.insert_old, extracted.update_old):
        with pytest.raises(sa.exc.DBAPIError, match="old shape"):
            write_old(table, "y" if write_old is extracted.insert_old else "01", "old")
    schema.fence()
    extracted.update_new(table, "01", "newer")
    schema.contract()
    schema.rollback(keep_synced=True)
    schema.fence()
    extracted.update_old(table, "01", "old")
    with pytest.raises(OldWritesSeen):
        schema.contract()


@pytest.mark.parametrize(
    ("ddl", "why"),
    [
        ("CREATE TABLE secrets (id integer PRIMARY KEY, kind text)", "has no column payload"),
        ("CREATE TABLE secrets (payload text PRIMARY KEY, kind text)", "part of the primary key"),
        ("CREATE TABLE secrets (a text, b text, payload text, kind text, PRIMARY KEY (a, b))", "`key` has others"),
        ("CREATE TABLE secrets (id text PRIMARY KEY, payload text, kind text DEFAULT 'x')", "has a default"),
        ("CREATE TABLE secrets (id text PRIMARY KEY, payload text REFERENCES secrets, kind text)", "foreign key"),
    ],
)
def test_expand_refuses_what_it_could_not_keep_in_step(db, ddl, why):
    write(db, ddl)
    with pytest.raises(BadChange, match=why):
        engine(db).expand()
    assert not sa.inspect(db).has_table("payloads")


def test_expand_refuses_an_index_on_a_column_that_moves_and_a_table_that_is_there(table):
    write(table, "CREATE INDEX ix_kind ON secrets (kind)")
    with pytest.raises(BadChange, match="index ix_kind"):
        engine(table).expand()
    write(table, "DROP INDEX ix_kind")
    write(table, "CREATE TABLE payloads (x integer)")
    with pytest.raises(BadChange, match="payloads already"):
        engine(table).expand()


def test_names_must_differ():
    given = {"id": "x", "table": "secrets", "key": CHANGE.key, "columns": CHANGE.columns}
    with pytest.raises(BadChange, match="another name"):
        ExtractTable(new="secrets", **given)
    with pytest.raises(BadChange, match="different names"):
        ExtractTable(new="x", **(given | {"key": {"kind": sa.Text()}}))


def test_a_phase_killed_and_run_again_ends_as_if_never_killed(tmp_path):
    result = run_killed_kind(f"sqlite:///{tmp_path / 'service.db'}", "extracted", every=131)
    assert sum(result["kills"].values()) >= 3
    assert result["different"] == []
