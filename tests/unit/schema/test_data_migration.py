import itertools
import logging
import traceback

import pytest
import sqlalchemy as sa
from support import secrets
from support.killed_kind import run_killed_kind
from support.people import QUICK, columns, phases
from support.secrets import declare, down, make, wrap

from bascule.schema import Blocked, DataMigration, Rename, Stale, data_migration, set_write
from bascule.schema.changes import Row
from bascule.schema.refusals import (
    BadChange,
    BadCount,
    FleetTooOld,
    OldWritesSeen,
    RowsBlocked,
    RowsInTheWay,
    StaleRows,
    StatementFailed,
    Stopped,
    TransformFailed,
    TriggersMissing,
)

NEW = {"blob2": sa.LargeBinary(), "kek_id": sa.String(64)}


def declared(up, **options):
    return data_migration("secrets-rewrap", table="secrets", old=["blob"], new=NEW, **options)(up)


@pytest.fixture
def table(db):
    secrets.create(db)
    return db


def test_old_and_new_writers_read_what_was_written_last_in_every_phase(table):
    schema = make(table)
    expected = {f"{number:03}": secrets.secret(number) for number in range(10)}
    keys = itertools.count()

    def write_both(*, old=True):
        key = next(keys)
        if old:
            secrets.update_old(table, f"{key % 10:03}", b"old %d" % key)
            secrets.insert_old(table, f"old-{key}", b"fresh %d" % key)
            expected.update({f"{key % 10:03}": b"old %d" % key, f"old-{key}": b"fresh %d" % key})
        key = next(keys)
        secrets.update_new(table, f"{key % 10:03}", b"new %d" % key)
        secrets.insert_new(table, f"new-{key}", b"made %d" % key)
        expected.update({f"{key % 10:03}": b"new %d" % key, f"new-{key}": b"made %d" % key})
        assert secrets.read_new(table) == expected

    schema.expand()
    write_both()
    with pytest.raises(Stopped):
        schema.migrate(should_stop=iter([False, True]).__next__)
    write_both()
    schema.migrate()
    assert secrets.migrated(table) == set(expected)
    write_both()
    assert phases(schema.migrate()) == {"secrets-rewrap": "synced"}
    schema.fence()
    write_both(old=False)
    schema.contract()
    write_both(old=False)
    schema.rollback(keep_synced=True)
    assert secrets.read_old(table) == expected
    write_both()
    schema.migrate()
    schema.contract()
    schema.purge()
    assert columns(table, "secrets") == ["id", "name", "blob2", "kek_id"]


@pytest.mark.parametrize("after", [(), ("migrate",), ("migrate", "fence"), ("migrate", "contract")])
def test_rollback_takes_down_what_only_the_new_side_holds(table, after):
    before = repr(sa.inspect(table).get_columns("secrets"))
    schema = make(table)
    schema.expand()
    for phase in after:
        getattr(schema, phase)()
    secrets.update_new(table, "003", b"new")
    secrets.insert_new(table, "x", b"only new")
    assert phases(schema.rollback()) == {"secrets-rewrap": "rolled_back"}
    found = secrets.read_old(table)
    assert (found["003"], found["x"], found["004"]) == (b"new", b"only new", secrets.secret(4))
    assert repr(sa.inspect(table).get_columns("secrets")) == before


def test_rollback_without_a_way_down_refuses_what_it_would_lose_unless_that_is_accepted(table):
    schema = make(table, declare())
    schema.expand()
    schema.migrate()
    schema.contract()
    secrets.update_new(table, "003", b"new")
    (loss,) = schema.losses()
    assert (loss.rows, "blob2" in loss.what) == (1, True)
    for options in ({}, {"keep_synced": True}):
        with pytest.raises(StaleRows) as refused:
            schema.rollback(**options)
        assert (refused.value.rows, refused.value.next_command) == (1, "rollback --accept-loss")
    schema.rollback(accept_loss=True)
    assert secrets.read_old(table)["003"] == secrets.secret(3)


def test_rollback_never_leaves_null_where_it_was_forbidden(table):
    schema = make(table, declare())
    schema.expand()
    secrets.insert_new(table, "x", b"only new")
    with pytest.raises(RowsInTheWay, match="have NULL in blob"):
        schema.rollback(accept_loss=True)
    secrets.sql(table, "DELETE FROM secrets WHERE id = 'x'")
    schema.rollback()
    assert columns(table, "secrets") == ["id", "name", "blob"]


def test_a_release_that_goes_on_writing_the_old_column_needs_no_marks_and_no_way_down(table):
    schema = make(table, declare(old_stays_written=True))
    schema.expand()
    schema.migrate()
    assert columns(table, "secrets") == ["id", "name", "blob", "blob2", "kek_id"]
    secrets.update_new(table, "003", b"new", both=True)
    assert "003" in secrets.migrated(table)
    schema.contract()
    secrets.insert_new(table, "x", b"of a later release")
    secrets.sql(table, "DELETE FROM secrets WHERE id = 'x'")
    schema.rollback()
    assert secrets.read_old(table)["003"] == b"new"
    with pytest.raises(BadChange, match="one will do"):
        declare(old_stays_written=True, down=down)


def test_a_row_written_while_the_function_works_is_taken_again_and_no_writer_waits_for_it(table):
    seen = []

    def up(rows):
        for row in rows:
            seen.append(row.pk)
            if row.pk == "003" and seen.count("003") == 1:
                secrets.update_old(table, "003", b"raced")  # SQLite: fails if a transaction were open
            if row.pk == "004" and seen.count("004") == 1:
                secrets.update_new(table, "004", b"new wins")
        return [row.becomes(blob2=wrap(row.blob), kek_id="kek-2") for row in rows]

    schema = make(table, declared(up, down=down))
    schema.expand()
    schema.migrate()
    found = secrets.read_new(table)
    assert (found["003"], found["004"]) == (b"raced", b"new wins")
    assert seen.count("003") == 2
    assert seen.count("004") == 1


def test_blocked_rows_are_counted_listed_and_done_when_the_block_is_gone(table):
    for number in range(12):
        secrets.insert_old(table, f"lost-{number:02}", b"lost %d" % number)
    schema = make(table)
    schema.expand()
    with pytest.raises(RowsBlocked) as refused:
        schema.migrate()
    assert refused.value.rows == 12
    assert "'lost-09', ..." in str(refused.value)
    assert "lost-10" not in str(refused.value)
    (status,) = schema.status()
    assert (status.phase, status.rows_stale) == ("backfilling", 12)
    assert len(secrets.migrated(table)) == 10
    for number in range(12):
        secrets.update_old(table, f"lost-{number:02}", b"found")
    schema.migrate()
    schema.contract()


def test_a_function_may_raise_stale_for_a_row_and_the_rest_goes_on(table):
    def up(rows):
        for row in rows:
            if row.pk in ("002", "007"):
                raise Stale(row.pk, "not now")
            yield row.becomes(blob2=wrap(row.blob), kek_id="kek-2")

    schema = make(table, declared(up))
    schema.expand()
    with pytest.raises(RowsBlocked) as refused:
        schema.migrate()
    assert refused.value.keys == ("002", "007")
    assert len(secrets.migrated(table)) == 8


SECRET = b"top secret value"


def leaking(rows):
    for row in rows:
        if row.pk == "005":
            raise ValueError(f"cannot decrypt {row.blob}")
        yield row.becomes(blob2=row.blob, kek_id="kek-2")


def wrongly_typed(rows):
    return [row.becomes(blob2=SECRET.decode(), kek_id={SECRET: 1}) for row in rows]


def omitting(rows):
    return [row.becomes(blob2=row.blob, kek_id="k") for row in rows if row.pk != "005"]


def of_null(rows):
    return [
        row.becomes(blob2=None, kek_id=None) if row.pk == "005" else row.becomes(blob2=b"", kek_id="") for row in rows
    ]


def half(rows):
    return [row.becomes(blob2=row.blob) for row in rows]


def of_nothing(rows):
    return [(row.pk, row.blob) for row in rows]


@pytest.mark.parametrize(
    ("up", "key", "why"),
    [
        (leaking, "005", "raise ValueError"),
        (omitting, "005", "got no answer"),
        (of_null, "005", "only NULL"),
        (half, "000", "exactly blob2, kek_id"),
        (of_nothing, "000", "neither"),
    ],
)
def test_a_function_that_fails_is_told_with_the_key_of_the_first_bad_row_and_without_any_value(
    table, caplog, up, key, why
):
    caplog.set_level(logging.DEBUG)
    secrets.update_old(table, "005", SECRET)
    options = {"options": QUICK}
    schema = make(table, declared(up), **options)
    schema.expand()
    with pytest.raises(TransformFailed, match=why) as refused:
        schema.migrate()
    assert key in str(refused.value)
    assert refused.value.__cause__ is refused.value.__context__ is None
    told = "".join(traceback.format_exception(refused.value)) + caplog.text
    with table.begin() as connection:
        for name in ("bascule_change", "bascule_schema_journal"):
            told += repr(connection.exec_driver_sql(f"SELECT * FROM {name}").all())
    assert "top secret" not in told
    assert "005" not in secrets.migrated(table)


def test_a_value_that_the_database_refuses_is_in_no_text(table, caplog):
    caplog.set_level(logging.DEBUG)
    table.echo = True
    schema = make(table, declared(wrongly_typed))
    schema.expand()
    with pytest.raises((StatementFailed, TransformFailed)) as refused:
        schema.migrate()
    assert refused.value.__cause__ is refused.value.__context__ is None
    assert "top secret" not in "".join(traceback.format_exception(refused.value)) + caplog.text


def test_rows_and_answers_show_only_their_keys():
    row = Row("pk", {"blob": SECRET})
    shown = repr((row, row.becomes(blob2=SECRET), row.blocked(SECRET.decode()), Stale("pk", SECRET.decode())))
    assert "secret" not in shown + str(Stale("pk", SECRET.decode()))
    assert row["blob"] == row.blob == SECRET
    with pytest.raises(AttributeError, match="does not read a column other"):
        _ = row.other


def test_contract_refuses_while_a_row_is_stale_and_when_the_old_column_was_written_since_the_fence(table):
    schema = make(table)
    schema.expand()
    schema.migrate()
    secrets.update_old(table, "003", b"old again")
    with pytest.raises(StaleRows):
        schema.contract()
    schema.migrate()
    schema.fence()
    secrets.insert_old(table, "y", b"unheard")
    secrets.sql(table, "DELETE FROM secrets WHERE id = 'y'")
    with pytest.raises(OldWritesSeen):
        schema.contract()
    schema.fence("refuse")
    for write in (secrets.insert_old, secrets.update_old):
        with pytest.raises(sa.exc.DBAPIError, match="old shape"):
            write(table, "003" if write is secrets.update_old else "z", b"refused")
    secrets.update_new(table, "003", b"new")
    schema.contract()


def test_what_old_writers_do_meanwhile_keeps_no_migration_from_its_end_but_from_contract(table):
    def up(rows):
        secrets.update_old(table, "003", b"again and again %d" % len(calls))
        calls.append(1)
        return [row.becomes(blob2=wrap(row.blob), kek_id="kek-2") for row in rows]

    calls = []
    schema = make(table, declared(up, down=down))
    schema.expand()
    (status,) = schema.migrate()
    assert (status.phase, status.rows_done, status.rows_stale) == ("synced", 9, 1)
    assert schema.online_data_migrations(5).code == 1
    with pytest.raises(StaleRows):
        schema.contract()
    quiet = make(table)
    quiet.migrate()
    assert quiet.online_data_migrations(5).code == 0
    quiet.contract()


def test_rows_wait_until_the_whole_fleet_is_of_the_release_that_can_read_them(table):
    older = ["api-1"]
    schema = make(table, declare(requires_fleet="2027.1"), older=lambda _: older)
    schema.expand()
    with pytest.raises(FleetTooOld, match="api-1"):
        schema.migrate()
    older.clear()
    schema.migrate()


def test_a_dropped_trigger_is_noticed(table):
    schema = make(table)
    schema.expand()
    secrets.sql(table, "DROP TRIGGER bsc_i_secrets_rewrap_old")
    with pytest.raises(TriggersMissing):
        schema.migrate()
    schema.expand()
    schema.migrate()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"old": ["nothing"]}, "has no column nothing"),
        ({"old": ["id"]}, "part of the primary key"),
        ({"new": {"name": sa.Text()}}, "already has a column name"),
    ],
)
def test_expand_refuses_columns_that_cannot_be_migrated(table, options, why):
    given = {"table": "secrets", "old": ["blob"], "new": NEW} | options
    with pytest.raises(BadChange, match=why):
        make(table, data_migration("x", **given)(down)).expand()


def test_a_column_is_renamed_before_or_after_it_is_migrated_and_not_meanwhile(table):
    rename = Rename(id="secrets-wrapped", table="secrets", old="blob", new="wrapped", type=sa.LargeBinary())
    label = Rename(id="secrets-label", table="secrets", old="name", new="label", type=sa.String(20))
    make(table).expand()
    make(table, label).expand()
    with pytest.raises(BadChange, match="change secrets-rewrap of table secrets is expanded.*both are about blob"):
        make(table, rename).expand()
    make(table).rollback()
    make(table, rename).expand()
    with pytest.raises(BadChange, match="both are about blob"):
        make(table).expand()


def test_columns_must_be_named_and_differ():
    with pytest.raises(BadChange, match="different names"):
        DataMigration(id="x", table="t", old={"a": None}, new={"a": sa.Text()}, up=down)


def test_a_row_without_a_key_keeps_no_other_from_being_migrated(table):
    secrets.insert(table, None, blob=b"nobody")
    schema = make(table)
    schema.expand()
    with pytest.raises(RowsBlocked) as refused:
        schema.migrate()
    assert refused.value.keys == (None,)
    assert len(secrets.migrated(table)) == 10
    assert schema.online_data_migrations(5).code == 3


def test_what_is_written_at_once_is_cut_into_parts_that_a_server_takes():
    rows = [(number, b"x" * 900_000, None) for number in range(5)] + [(5, "y" * 3_000_000), (6, "z")]
    assert [[row[0] for row in part] for part in set_write._portions(rows)] == [[0, 1], [2, 3], [4], [5], [6]]
    assert list(set_write._portions([])) == []


def test_arrays_are_refused():
    with pytest.raises(BadChange, match="arrays"):
        DataMigration(id="x", table="t", old={"a": None}, new={"b": sa.ARRAY(sa.Integer)}, up=down)


class Words(sa.types.TypeDecorator):
    """A list of words in one text."""

    impl, cache_ok = sa.Text, True

    def process_bind_param(self, value, dialect):
        return " ".join(value)

    def process_result_value(self, value, dialect):
        return value.split(" ")


def test_declared_types_convert_what_the_function_reads_and_gives(db):
    secrets.sql(db, "CREATE TABLE notes (a integer, b text, words text, PRIMARY KEY (a, b))")
    secrets.sql(db, "INSERT INTO notes VALUES (1, 'x', 'b a'), (1, 'y', 'd c'), (2, 'x', 'f e')")

    @data_migration("sort", table="notes", old={"words": Words()}, new={"sorted": Words()})
    def order(rows):
        assert all(isinstance(row.pk, tuple) for row in rows)
        return [row.becomes(sorted=sorted(row.words)) for row in rows]

    schema = make(db, order)
    schema.expand()
    schema.migrate()
    with db.begin() as connection:
        found = connection.exec_driver_sql("SELECT sorted FROM notes ORDER BY a, b").scalars().all()
    assert found == ["a b", "c d", "e f"]


def test_online_migrations_go_in_counted_steps_and_end_with_the_code_for_what_is_left(table):
    schema = make(table)
    schema.expand()
    with pytest.raises(BadCount):
        schema.online_data_migrations(0)
    codes, done = [], 0
    while not codes or codes[-1] == 1:
        before = len(secrets.migrated(table))
        summary = schema.online_data_migrations(4)
        assert len(secrets.migrated(table)) - before == summary.changes[0].done <= 4
        done += summary.changes[0].done
        codes.append(summary.code)
    assert (codes[-1], done) == (0, 10)
    assert len(codes) <= 5
    assert schema.online_data_migrations(4).code == 0


def test_online_migrations_tell_blocked_rows_and_failures(table):
    secrets.insert_old(table, "x", b"lost")
    schema = make(table)
    schema.expand()
    summary = schema.online_data_migrations(100)
    assert (summary.code, summary.changes[0].done, summary.changes[0].blocked) == (3, 10, 1)
    assert summary.changes[0].blocked_keys == ("x",)
    assert schema.online_data_migrations(100).code == 3
    failing = make(table, declared(leaking, down=down))
    secrets.update_old(table, "005", SECRET)
    summary = failing.online_data_migrations(100)
    assert summary.code == 2
    assert "005" in summary.changes[0].error
    assert "secret value" not in repr(summary)


def test_online_migrations_do_other_kinds_of_changes_too(table):
    rename = Rename(id="secrets-label", table="secrets", old="name", new="label", type=sa.String(20))
    schema = make(table, rename)
    schema.expand()
    codes = [schema.online_data_migrations(3).code for _ in range(6)]
    assert codes[0] == 1
    assert codes[-1] == 0


def test_a_phase_killed_and_run_again_ends_as_if_never_killed(tmp_path):
    result = run_killed_kind(f"sqlite:///{tmp_path / 'service.db'}", "secrets", every=131)
    assert sum(result["kills"].values()) >= 3
    assert result["different"] == []


def test_blocked_is_what_a_function_may_return():
    assert repr(Blocked(1, "reason")) == "Blocked(pk=1)"
