import pytest
import sqlalchemy as sa
from support.people import make_engine, phases, write

from bascule.schema import WidenKey
from bascule.schema.refusals import BadChange

CHANGE = WidenKey(id="people-id", table="people", column="id")


@pytest.mark.parametrize("kind", ["integer", "INT", "smallint"])
def test_sqlite_has_64_bits_already_and_nothing_is_done(db, kind):
    write(db, f"CREATE TABLE people (id {kind} PRIMARY KEY)")
    schema = make_engine(db, [CHANGE])
    for phase in ("expand", "migrate", "fence", "contract"):
        getattr(schema, phase)()
        write(db, "INSERT INTO people VALUES ((SELECT coalesce(max(id), 3000000000) + 1 FROM people))")
    schema.rollback(keep_synced=True)
    schema.contract()
    assert phases(schema.purge()) == {"people-id": "purged"}
    assert phases(schema.verify()) == {"people-id": "purged"}
    assert [column["name"] for column in sa.inspect(db).get_columns("people")] == ["id"]
    assert not any("people" in entry.statement for entry in schema.history())


def test_rollback_has_nothing_to_do_either(db):
    write(db, "CREATE TABLE people (id integer PRIMARY KEY)")
    schema = make_engine(db, [CHANGE])
    schema.expand()
    schema.migrate()
    assert phases(schema.rollback()) == {"people-id": "rolled_back"}


@pytest.mark.parametrize(("kind", "why"), [("id text", "type TEXT"), ("nr integer", "no column id")])
def test_what_is_not_an_integer_is_refused(db, kind, why):
    write(db, f"CREATE TABLE people ({kind} PRIMARY KEY)")
    with pytest.raises(BadChange, match=why):
        make_engine(db, [CHANGE]).expand()
