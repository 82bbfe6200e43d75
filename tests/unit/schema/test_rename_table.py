import pytest
import sqlalchemy as sa
from support import renamed
from support.killed_kind import run_killed_kind
from support.people import ALIAS, make_engine, phases, write
from support.renamed import engine

from bascule.schema import AddColumn, RenameTable
from bascule.schema.refusals import BadChange, OlderProcessesAlive, PastPointOfNoReturn


def both_write(db, key):
    """Write through both names, and look through both."""
    for table, other in (("people", "persons"), ("persons", "people")):
        renamed.insert(db, table, f"{key} {table}")
        renamed.update(db, other, f"{key} {table}", "Eve Moss")
        assert renamed.rows(db, table)[f"{key} {table}"] == ("Eve Moss", table)
        assert renamed.rows(db, "people") == renamed.rows(db, "persons")
        renamed.delete(db, other, f"{key} {table}")
        assert f"{key} {table}" not in renamed.rows(db, table)


def test_both_names_can_be_written_until_purge_and_every_phase_may_be_run_again(db):
    renamed.start(db)
    schema = engine(db)
    for phase in ("expand", "expand", "migrate", "fence", "contract", "contract"):
        getattr(schema, phase)()
        both_write(db, phase)
    assert "persons" in sa.inspect(db).get_table_names()
    assert sa.inspect(db).get_view_names() == ["people"]
    schema.rollback(keep_synced=True)
    both_write(db, "back")
    assert "people" in sa.inspect(db).get_table_names()
    schema.contract()
    schema.purge()
    assert sa.inspect(db).get_view_names() == []
    assert len(renamed.rows(db, "persons")) == 5
    assert [index["name"] for index in sa.inspect(db).get_indexes("persons")] == ["ix_nick"]
    with pytest.raises(PastPointOfNoReturn):
        schema.rollback()
    assert phases(schema.verify()) == {"people-persons": "purged"}


@pytest.mark.parametrize("after", [(), ("migrate",), ("migrate", "fence"), ("migrate", "contract")])
def test_rollback_leaves_the_old_name_alone_with_what_was_written(db, after):
    renamed.start(db)
    schema = engine(db)
    schema.expand()
    for phase in after:
        getattr(schema, phase)()
    renamed.insert(db, "persons", "x")
    schema.rollback()
    assert sa.inspect(db).get_view_names() == []
    assert len(renamed.rows(db, "people")) == 6
    schema.expand()
    assert len(renamed.rows(db, "persons")) == 6


def test_contract_waits_for_older_processes(db):
    renamed.start(db)
    schema = engine(db, older=lambda _: ["api-1"])
    schema.expand()
    schema.migrate()
    with pytest.raises(OlderProcessesAlive):
        schema.contract()


def test_triggers_and_references_follow_the_table(db):
    renamed.start(db)
    write(db, "CREATE TABLE pets (id integer PRIMARY KEY, owner varchar(36) REFERENCES people (id))")
    write(db, "CREATE TRIGGER own AFTER INSERT ON people BEGIN UPDATE people SET age = 7 WHERE id = NEW.id; END")
    schema = engine(db)
    schema.expand()
    schema.migrate()
    schema.contract()
    schema.purge()
    renamed.insert(db, "persons", "x")
    with db.begin() as connection:
        assert connection.scalar(sa.text("SELECT age FROM persons WHERE id = 'x'")) == 7
    assert sa.inspect(db).get_foreign_keys("pets")[0]["referred_table"] == "persons"


def test_changes_of_the_table_wait_for_each_other(db):
    renamed.start(db)
    alias, age = make_engine(db, [ALIAS]), AddColumn(id="tall", table="people", column="tall", type=sa.Integer())
    alias.expand()
    with pytest.raises(BadChange, match="purge it first, since one of them renames the table"):
        engine(db).expand()
    for phase in ("migrate", "contract"):
        getattr(alias, phase)()
    with pytest.raises(BadChange, match="change people-alias of table people is contracted"):
        engine(db).expand()
    alias.purge()
    engine(db).expand()
    with pytest.raises(BadChange, match="change people-persons of table people is expanded"):
        make_engine(db, [age]).expand()
    elsewhere = AddColumn(id="tall", table="persons", column="tall", type=sa.Integer())
    with pytest.raises(BadChange, match="change people-persons"):
        make_engine(db, [elsewhere]).expand()


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ("id integer PRIMARY KEY", "is the row's number"),
        ("id text PRIMARY KEY, age integer DEFAULT 3", "allows NULL and has a default"),
        ("id text PRIMARY KEY, twice text AS (id || id)", "is generated"),
    ],
)
def test_what_a_view_cannot_write_is_refused(db, columns, why):
    write(db, f"CREATE TABLE people ({columns})")
    with pytest.raises(BadChange, match=why):
        engine(db).expand()
    assert sa.inspect(db).get_view_names() == []


def test_who_needs_row_counts_is_refused_and_a_taken_name_too(db):
    renamed.start(db)
    with pytest.raises(BadChange, match="how many rows a write met"):
        engine(db, [RenameTable(id="x", table="people", new="persons")]).expand()
    write(db, "CREATE TABLE persons (id text PRIMARY KEY)")
    with pytest.raises(BadChange, match="persons already"):
        engine(db).expand()
    with pytest.raises(BadChange, match="different names"):
        RenameTable(id="x", table="people", new="people")


def test_a_default_stands_in_for_what_a_write_of_the_view_leaves_out(db):
    write(db, "CREATE TABLE people (id text PRIMARY KEY, nick text NOT NULL DEFAULT 'it''s')")
    engine(db).expand()
    write(db, "INSERT INTO persons (id) VALUES ('x')")
    with db.begin() as connection:
        assert connection.scalar(sa.text("SELECT nick FROM people")) == "it's"


def test_a_phase_killed_and_run_again_ends_as_if_never_killed(tmp_path):
    result = run_killed_kind(f"sqlite:///{tmp_path / 'service.db'}", "renamed", every=71)
    assert sum(result["kills"].values()) >= 3
    assert result["different"] == []
