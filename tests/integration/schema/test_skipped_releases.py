"""Several releases at once: chained triggers, rolled-up phases, and the result of stepwise upgrades."""

import random

import pytest
import sqlalchemy as sa
from support.people import QUICK, make_engine, phases, write

from bascule.release import Release
from bascule.schema import AddColumn, AddIndex, Rename, Split, trigger_names
from bascule.schema.refusals import BadChange, EarlierUnfinished, SameReleaseAlive, SpecChanged, StillBuiltUpon

FIRST, REST = (
    {
        "sqlite": "substr({o.label}, 1, instr({o.label} || ' ', ' ') - 1)",
        "postgresql": "split_part({o.label}, ' ', 1)",
        "mysql": "substring_index({o.label}, ' ', 1)",
    },
    {
        "sqlite": "substr({o.label}, instr({o.label} || ' ', ' ') + 1)",
        "postgresql": "substr({o.label}, strpos({o.label} || ' ', ' ') + 1)",
        "mysql": "substring({o.label}, locate(' ', concat({o.label}, ' ')) + 1)",
    },
)
JOINED = {
    "sqlite": "{n.first} || ' ' || {n.rest}",
    "postgresql": "{n.first} || ' ' || {n.rest}",
    "mysql": "concat({n.first}, ' ', {n.rest})",
}
TEXT = sa.String(60)
# 2027.1 calls name label; 2027.2 splits label; 2028.1 calls rest surname, and adds what only it needs.
CHAIN = (
    Rename(id="name-label", release="2027.1", table="people", old="name", new="label", type=TEXT),
    Split(
        id="label-parts",
        release="2027.2",
        table="people",
        old={"label": TEXT},
        new={"first": TEXT, "rest": TEXT},
        up={"first": FIRST, "rest": REST},
        down={"label": JOINED},
    ),
    Rename(id="rest-surname", release="2028.1", table="people", old="rest", new="surname", type=TEXT),
    AddColumn(id="people-tenant", release="2028.1", table="people", column="tenant", type=TEXT, default="legacy"),
    AddIndex(id="people-surname", release="2028.1", table="people", name="ix_surname", columns=["surname"]),
)
RELEASES = ("2027.1", "2027.2", "2028.1")
SHAPES = {
    "2026.2": "UPDATE people SET name = '{first} {rest}' WHERE id = {key}",
    "2027.1": "UPDATE people SET label = '{first} {rest}' WHERE id = {key}",
    "2027.2": "UPDATE people SET first = '{first}', rest = '{rest}' WHERE id = {key}",
    "2028.1": "UPDATE people SET first = '{first}', surname = '{rest}' WHERE id = {key}",
}
INSERTS = {
    "2026.2": "INSERT INTO people (id, name) VALUES ({key}, '{first} {rest}')",
    "2027.1": "INSERT INTO people (id, label) VALUES ({key}, '{first} {rest}')",
    "2027.2": "INSERT INTO people (id, first, rest) VALUES ({key}, '{first}', '{rest}')",
    "2028.1": "INSERT INTO people (id, first, surname) VALUES ({key}, '{first}', '{rest}')",
}


def create(db):
    write(db, "CREATE TABLE people (id integer PRIMARY KEY, name varchar(60), age integer)")
    for key in range(8):
        write(db, f"INSERT INTO people (id, name) VALUES ({key}, 'First{key} Last{key}')")
    write(db, "INSERT INTO people (id, name) VALUES (8, NULL)")


def upto(release, changes=CHAIN):
    return [change for change in changes if tuple(map(int, change.release.split("."))) <= numbers(release)]


def numbers(release):
    return tuple(map(int, release.split(".")))


def rows(db):
    with db.begin() as connection:
        found = connection.exec_driver_sql("SELECT * FROM people ORDER BY id").mappings()
        return {row["id"]: dict(row) for row in found}


def dump(db):
    """Return schema and data in an order that does not tell how they came about."""
    inspector = sa.inspect(db)
    names = sorted(column["name"] for column in inspector.get_columns("people"))
    return {
        "columns": sorted((c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns("people")),
        "indexes": sorted((i["name"], tuple(i["column_names"])) for i in inspector.get_indexes("people")),
        "rows": [[row[name] for name in names] for row in rows(db).values()],
    }


def test_a_write_of_any_release_reaches_every_other_ones_columns(any_db):
    create(any_db)
    schema = make_engine(any_db, CHAIN, release="2028.1", options=QUICK)
    schema.expand()
    dice, expected = random.Random(7), {}
    for step in range(60):
        release, key = dice.choice(list(SHAPES)), dice.randrange(12)
        first, rest = f"f{step}", f"r{step}{dice.choice(['', ' ', ' x', 'É'])}"
        kind = SHAPES if key in rows(any_db) else INSERTS
        write(any_db, kind[release].format(first=first, rest=rest, key=key))
        expected[key] = (first, rest)
        row = rows(any_db)[key]
        joined = f"{first} {rest}"
        assert (row["name"], row["label"]) == (joined, joined), (release, row)
        assert (row["first"], row["rest"], row["surname"]) == (first, rest, rest), (release, row)
        if step == 30:
            schema.migrate()
    schema.migrate()
    assert all(status.rows_stale == 0 for status in schema.verify())
    for key, (first, rest) in expected.items():
        assert rows(any_db)[key]["name"] == f"{first} {rest}"


def test_a_partial_write_to_the_end_of_a_chain_never_filled_keeps_the_rest(any_db):
    create(any_db)
    schema = make_engine(any_db, CHAIN, release="2028.1", options=QUICK)
    schema.expand()
    write(any_db, "UPDATE people SET first = 'Eve' WHERE id = 3")
    row = rows(any_db)[3]
    assert (row["first"], row["rest"], row["label"], row["name"]) == ("Eve", "Last3", "Eve Last3", "Eve Last3")
    schema.migrate()
    assert rows(any_db)[3]["surname"] == "Last3"
    assert rows(any_db)[8] == dict.fromkeys(rows(any_db)[8]) | {"id": 8, "tenant": "legacy"}


def test_rolled_up_phases_end_as_stepwise_ones_do(any_db):
    create(any_db)
    for release in RELEASES:
        step = make_engine(any_db, upto(release), release=release, options=QUICK)
        step.expand()
        step.migrate()
        step.contract()
    step.purge()
    stepwise = dump(any_db)
    for table in ("people", "bascule_change", "bascule_schema_journal"):
        write(any_db, f"DROP TABLE {table}")
    create(any_db)
    rolled_up = make_engine(any_db, CHAIN, release="2028.1", options=QUICK)
    rolled_up.expand()
    rolled_up.migrate()
    assert set(phases(rolled_up.contract()).values()) == {"contracted"}
    rolled_up.purge()
    assert dump(any_db) == stepwise
    assert stepwise["columns"] == sorted(
        (name, str(kind), nullable)
        for name, kind, nullable in stepwise["columns"]
        if name not in {"name", "label", "rest"}
    )


def test_rolling_back_to_a_release_between_keeps_what_it_needs(any_db):
    create(any_db)
    schema = make_engine(any_db, CHAIN, release="2028.1", options=QUICK)
    schema.expand()
    schema.migrate()
    write(any_db, SHAPES["2028.1"].format(first="New", rest="Name", key=1))
    schema.contract()
    write(any_db, SHAPES["2028.1"].format(first="Newest", rest="Name", key=2))
    schema.rollback(to=Release.parse("2027.1"))
    assert phases(schema.status())["name-label"] == "contracted"
    there = set(rows(any_db)[1])
    assert there == {"id", "name", "age", "label"}
    assert rows(any_db)[1]["label"] == "New Name"
    assert rows(any_db)[2]["label"] == "Newest Name"
    schema.rollback()
    assert set(rows(any_db)[1]) == {"id", "name", "age"}
    assert rows(any_db)[2]["name"] == "Newest Name"


def test_a_rollback_without_a_release_takes_back_only_what_this_one_brought(any_db):
    create(any_db)
    early = make_engine(any_db, upto("2027.1"), release="2027.1", options=QUICK)
    for phase in ("expand", "migrate", "contract"):
        getattr(early, phase)()
    alive = ["api-1"]
    late = make_engine(
        any_db, upto("2027.2"), release="2027.2", options=QUICK, same=lambda release: alive * (str(release) == "2027.1")
    )
    late.expand()
    late.migrate()
    assert phases(late.rollback()) == {"name-label": "contracted", "label-parts": "rolled_back"}
    assert set(rows(any_db)[1]) == {"id", "name", "age", "label"}
    with pytest.raises(SameReleaseAlive, match=r"rollback of 2027\.1 must wait"):
        late.rollback(to=Release.parse("2026.2"))
    alive.clear()
    late.rollback(to=Release.parse("2026.2"))
    assert set(rows(any_db)[1]) == {"id", "name", "age"}


def test_the_next_release_purges_what_the_last_one_contracted(any_db):
    create(any_db)
    for release in ("2027.1", "2027.2"):
        step = make_engine(any_db, upto(release), release=release, options=QUICK)
        step.expand()
        step.migrate()
        step.contract()
    assert phases(step.status()) == {"name-label": "purged", "label-parts": "contracted"}
    step.contract()
    assert phases(step.status()) == {"name-label": "purged", "label-parts": "contracted"}
    assert set(rows(any_db)[1]) == {"id", "age", "label", "first", "rest"}


def test_contract_refuses_while_a_release_between_is_unfinished(any_db):
    create(any_db)
    early = make_engine(any_db, upto("2027.1"), release="2027.1", options=QUICK)
    early.expand()
    late = make_engine(any_db, CHAIN[3:4], release="2028.1", options=QUICK)
    late.expand()
    late.migrate()
    barrier = "finish release 2027.1 first, from its own environment"
    noted = [(each.phase, each.change) for each in late.plan().phases if barrier in each.note]
    assert noted == [("contract", "name-label")]
    with pytest.raises(EarlierUnfinished, match=r"name-label of 2027\.1 is expanded"):
        late.contract()
    early.migrate()
    early.contract()
    assert not any(barrier in each.note for each in late.plan().phases)
    late.contract()


def test_what_a_later_change_goes_on_from_is_not_taken_away(any_db):
    create(any_db)
    early = make_engine(any_db, upto("2027.1"), release="2027.1", options=QUICK)
    late = make_engine(any_db, upto("2027.2"), release="2027.2", options=QUICK)
    late.expand()
    late.migrate()
    with pytest.raises(StillBuiltUpon, match="name-label cannot be removed while label-parts"):
        early.rollback()
    early.contract()
    with pytest.raises(StillBuiltUpon, match="name-label cannot be removed while label-parts"):
        early.purge()
    write(any_db, SHAPES["2027.2"].format(first="Still", rest="Works", key=1))
    late.contract()
    early.purge()
    write(any_db, SHAPES["2027.2"].format(first="Still", rest="Works", key=1))


def test_a_change_that_was_edited_in_a_later_release_is_noticed(any_db):
    create(any_db)
    make_engine(any_db, upto("2027.1"), release="2027.1", options=QUICK).expand()
    fixed_late = (
        Rename(id="name-label", release="2027.1", table="people", old="name", new="label", type=sa.String(61)),
        *CHAIN[1:],
    )
    with pytest.raises(SpecChanged, match="name-label is expanded in this database but was edited since"):
        make_engine(any_db, fixed_late, release="2028.1", options=QUICK).expand()


def test_changes_out_of_the_order_of_their_releases_are_refused():
    with pytest.raises(BadChange, match="in the order of their releases"):
        make_engine(sa.create_engine("sqlite://"), CHAIN[::-1], release="2028.1")
    with pytest.raises(BadChange, match=r"up to 2027\.2"):
        make_engine(sa.create_engine("sqlite://"), CHAIN, release="2027.2")


def test_names_tell_the_place_in_the_chain():
    names = [name for depth, change in enumerate(CHAIN[:3]) for name in trigger_names(change, depth)]
    updates = sorted(name for name in names if "_upd_" in name)
    assert updates == [
        "bsc_f0_name_label_upd_old",
        "bsc_f1_label_parts_upd_old",
        "bsc_f2_rest_surname_upd_old",
        "bsc_g7_rest_surname_upd_new",
        "bsc_g8_label_parts_upd_new",
        "bsc_g9_name_label_upd_new",
    ]
