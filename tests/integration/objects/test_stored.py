"""Objects and their rows on SQLite, PostgreSQL and MariaDB: written at the pin, by column, compare and set."""

import datetime as dt
import enum
import ipaddress
import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Annotated, Literal

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from bascule.objects import (
    NoSuchObject,
    Object,
    ObjectConflict,
    RowRefused,
    Stored,
    UnreadableRow,
    change,
    field,
    types,
)
from bascule.objects.database import Database
from bascule.release import Release

R1, R2, R3 = (Release.parse(name) for name in ("2026.2", "2027.1", "2027.2"))
METADATA = sa.MetaData()
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb", "mysql")

ORDERS = sa.Table(
    "orders",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("note", sa.String(64)),
    sa.Column("retry_after", sa.Integer),
    sa.Column("owner_name", sa.String(64)),
    sa.Column("bits", sa.String(8)),
    sa.Column("bit_length", sa.Integer),
    sa.Column("legacy", sa.Integer),
    sa.Column("parts", sa.Text),
)


class Part(Object, namespace="shop"):
    code: str
    spare: bool = field(since="2027.1", default=False)


COLUMNS = {"owner": "owner_name"}


class OrderAsOfR1(Stored, name="Order", namespace="shop", table=ORDERS, columns=COLUMNS):
    id: str
    state: Literal["new", "done"]
    tries: int = 0
    owner: str | None = None
    bits: str = "128"
    legacy: int = 0


BITS = change(
    "2027.1",
    newer=("bit_length",),
    older=("bits",),
    down=lambda new: {"bits": str(new["bit_length"])},
    up=lambda old: {"bit_length": int(old["bits"])},
)


class Order(Stored, name="Order", namespace="shop", table=ORDERS, columns=COLUMNS, changes=[BITS]):
    id: str = field(read_only=True)
    state: Annotated[Literal["new", "done", "failed"], types.Newer("failed", since="2027.1", below="done")]
    tries: int = 0
    owner: str | None = None
    bits: str = field(until="2027.1")
    bit_length: int = field(since="2027.1", default=128)
    legacy: int = field(until="2027.2", default=0)
    note: str | None = field(since="2027.1", default=None, sensitive=True)
    retry_after: int = field(since="2027.1", default=60)
    parts: list[Part] = field(since="2027.1", default=[])


@pytest.fixture
def db(any_db):
    METADATA.create_all(any_db)
    return any_db


class Session:
    """One transaction at a pin."""

    def __init__(self, engine, pin=None):
        self.engine, self.pin = engine, pin

    def __enter__(self):
        self.transaction = self.engine.begin()
        return Database(self.transaction.__enter__(), pin=lambda: self.pin)

    def __exit__(self, *error):
        return self.transaction.__exit__(*error)


def row(db, key="1"):
    with db.begin() as connection:
        return connection.execute(sa.select(ORDERS).where(ORDERS.c.id == key)).mappings().one()


def order(**values):
    return Order(**{"id": "1", "state": "new", **values})


def test_what_is_created_is_found_counted_saved_and_deleted(db):
    with Session(db) as store:
        for number, state in enumerate(["new", "new", "done", "failed"]):
            order(id=str(number), state=state, tries=number, owner="ada" if number % 2 else None).create(store)
    with Session(db) as store:
        assert Order.get(store, "3") == order(id="3", state="failed", tries=3, owner="ada")
        assert Order.get(store, "3").changed() == set()
        assert [each.id for each in Order.query(store, order_by=["-tries"])] == ["3", "2", "1", "0"]
        assert [each.id for each in Order.query(store, order_by=["state"], limit=2, offset=1)] == ["3", "0"]
        assert [each.id for each in Order.query(store, offset=3)] == ["3"]
        assert [each.id for each in Order.query(store, {"state": ["done", "failed"]})] == ["2", "3"]
        assert [each.id for each in Order.query(store, {"owner": None, "state": "new"})] == ["0"]
        assert [each.id for each in Order.query(store, {"owner": ["ada", None]})] == ["0", "1", "2", "3"]
        assert Order.query(store, {"state": []}) == []
        assert (Order.count(store), Order.count(store, {"state": "new"})) == (4, 2)
        by_hand = store.read(Order, sa.select(ORDERS).where(ORDERS.c.tries > 1).order_by(ORDERS.c.id))
        assert [each.id for each in by_hand] == ["2", "3"]
    with Session(db) as store:
        found = Order.get(store, "1")
        found.tries = 7
        found.save(store)
        assert found.changed() == set()
        Order.get(store, "2").delete(store)
    with Session(db) as store:
        assert [(each.id, each.tries) for each in Order.query(store)] == [("0", 0), ("1", 7), ("3", 3)]
        with pytest.raises(NoSuchObject, match="no Order with this key; query for it"):
            Order.get(store, "2")
        with pytest.raises(NoSuchObject):
            order(id="2").delete(store)


def test_a_save_writes_the_changed_columns_and_no_others(db):
    with Session(db) as store:
        order(owner="ada").create(store)
    with Session(db) as old, Session(db) as new:
        mine, theirs = OrderAsOfR1.get(old, "1"), Order.get(new, "1")
    theirs.note, theirs.retry_after, theirs.tries = "of the newer release", 5, 3
    with Session(db) as new:
        theirs.save(new)
    mine.owner = "eve"
    with Session(db) as old:
        mine.save(old)
    assert (row(db)["owner_name"], row(db)["tries"]) == ("eve", 3)
    assert (row(db)["note"], row(db)["retry_after"]) == ("of the newer release", 5)


def test_a_save_with_expected_values_loses_to_whoever_was_first(db):
    with Session(db) as store:
        order().create(store)
        one, other = Order.get(store, "1"), Order.get(store, "1")
    one.state, other.state = "done", "failed"
    with Session(db) as store:
        one.save(store, expected={"state": "new"})
    with Session(db) as store, pytest.raises(ObjectConflict, match="has another state by now; get it again") as lost:
        other.save(store, expected={"state": "new"})
    assert lost.value.expected == ("state",)
    assert (row(db)["state"], other.changed()) == ("done", {"state"})
    with Session(db) as store:
        with pytest.raises(ObjectConflict):
            one.delete(store, expected={"state": ["new", "failed"], "tries": 0})
        with pytest.raises(ObjectConflict):
            one.save(store, expected={"owner": "ada"})
        with pytest.raises(NoSuchObject):
            order(id="2").delete(store, expected={"state": "new"})
        one.delete(store, expected={"state": ["done", "failed"], "owner": None})


def test_of_many_writers_at_once_one_wins_and_no_increment_is_lost(db):
    with Session(db) as store:
        order().create(store)

    def increment(_number):
        for _ in range(200):
            try:
                with Session(db) as store:
                    mine = Order.get(store, "1")
                with Session(db) as store:
                    before = mine.tries
                    mine.tries += 1
                    mine.save(store, expected={"tries": before})
                return 1
            except ObjectConflict:
                continue
        return 0

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(increment, range(24))) == 24
    assert row(db)["tries"] == 24


def test_at_an_older_pin_nothing_newer_is_stored(db):
    made = order(state="failed", note="later", retry_after=5, bit_length=256, legacy=9, parts=[Part(code="x")])
    with Session(db, R1) as store:
        made.create(store)
    stored = dict(row(db))
    assert (stored["state"], stored["bits"], stored["legacy"]) == ("done", "256", 9)
    assert [stored[name] for name in ("note", "retry_after", "bit_length", "parts")] == [None] * 4
    assert made.changed() == {"note", "retry_after", "parts"}, "what is not stored stays changed"
    with Session(db, R1) as store:
        assert OrderAsOfR1.get(store, "1") == OrderAsOfR1(id="1", state="done", bits="256", legacy=9)
        read = Order.get(store, "1")
    assert (read.bit_length, read.retry_after, read.parts, read.legacy) == (256, 60, [], 9)
    read.bit_length, read.note = 512, "still later"
    with Session(db, R1) as store:
        read.save(store)
    assert (row(db)["bits"], row(db)["bit_length"], row(db)["note"]) == ("512", None, None)
    assert read.changed() == {"note"}
    with Session(db, R2) as store:
        read.save(store)
        made.save(store)
    assert row(db)["note"] == "later"
    assert (row(db)["retry_after"], json.loads(row(db)["parts"])[0]["versioned_object.version"]) == (5, "1.1")


def test_objects_in_a_column_are_written_at_the_pin_too(db):
    with Session(db, R2) as store:
        made = order(parts=[Part(code="x", spare=True)])
        made.create(store)
        made.parts[0].spare = False
        assert made.changed() == {"parts"}
        made.save(store)
        assert (made.changed(), Order.get(store, "1").parts) == (set(), [Part(code="x", spare=False)])


def rewrite_all(db, pin):
    after, passes = None, 0
    while passes == 0 or after is not None:
        with Session(db, pin) as store:
            after = store.rewrite(Order, after=after, limit=2)
        passes += 1
    return passes


def test_rows_are_written_again_for_an_older_release_before_it_comes_back(db):
    with Session(db, R2) as store:
        for number in range(5):
            made = order(
                id=str(number), state="failed", bit_length=number, note="n", parts=[Part(code="x", spare=True)]
            )
            made.create(store)
    with Session(db, R1) as store, pytest.raises(UnreadableRow, match="state must be one of new,done"):
        OrderAsOfR1.query(store)
    assert rewrite_all(db, R1) == 3
    with Session(db, R1) as store:
        assert [(each.state, each.bits) for each in OrderAsOfR1.query(store)] == [("done", str(at)) for at in range(5)]
        assert {each.note for each in Order.query(store)} == {"n"}, "what the older release does not know stays"
    before = [dict(row(db, str(number))) for number in range(5)]
    assert rewrite_all(db, R1) == 3
    assert [dict(row(db, str(number))) for number in range(5)] == before, "safe to do again"


def test_objects_in_columns_are_written_again_when_the_pin_was_lifted(db):
    class Box(Stored, name="Box", namespace="shop", table=KINDS):
        id: int
        part: Part | None

    with Session(db, R1) as store:
        Box(id=1, part=Part(code="x")).create(store)
        Box(id=2, part=None).create(store)
    for pin, version in ((R2, "1.1"), (R1, "1.0")):
        with Session(db, pin) as store:
            assert store.rewrite(Box) is None
            stored, nothing = store.connection.execute(sa.select(KINDS.c.part).order_by(KINDS.c.id)).scalars()
        assert nothing is None
        assert stored["versioned_object.version"] == version


def test_a_column_that_ended_is_read_and_written_only_below_its_end(db):
    with Session(db, R3) as store:
        order(legacy=9).create(store)
        assert row_of(store)["legacy"] is None
        store.connection.exec_driver_sql("ALTER TABLE orders DROP COLUMN legacy")
        store.connection.exec_driver_sql("ALTER TABLE orders DROP COLUMN bits")
        assert Order.get(store, "1") == order()
        assert Order.count(store, {"bit_length": 128}) == 1


def row_of(store):
    return store.connection.execute(sa.select(ORDERS)).mappings().one()


def test_a_key_that_is_taken_is_a_conflict_and_the_transaction_goes_on(db):
    with Session(db) as store:
        order(tries=1).create(store)
        order(id="2").create(store)
        again = order(tries=2)
        with pytest.raises(ObjectConflict, match="another id by now"):
            again.create(store)
        assert "tries" in again.changed()
        assert Order.get(store, "1").tries == 1
    assert row(db, "2")["state"] == "new"


def test_an_undone_transaction_leaves_no_row(db):
    with pytest.raises(ZeroDivisionError), Session(db) as store:
        order().create(store)
        raise ZeroDivisionError
    with Session(db) as store:
        assert Order.count(store) == 0


def test_what_the_database_refuses_is_told_without_the_values(db):
    with db.begin() as connection:
        connection.exec_driver_sql("CREATE UNIQUE INDEX one_note ON orders (note)")
    with Session(db) as store:
        order(note="xyzzy").create(store)
    with (
        pytest.raises(RowRefused, match="refused a row of Order .*; compare its constraints") as refusal,
        Session(db) as store,
    ):
        order(id="2", note="xyzzy").create(store)
    assert "xyzzy" not in str(refusal.value)
    assert refusal.value.__suppress_context__
    with Session(db) as store:
        order(id="2").create(store)
    other = order(id="2", note="xyzzy")
    other.forget_changes("id")
    with pytest.raises(RowRefused), Session(db) as store:
        other.save(store)
    assert row(db, "2")["note"] is None


def test_a_row_that_its_class_cannot_hold_is_told_without_the_value(db):
    with db.begin() as connection:
        connection.execute(sa.insert(ORDERS).values(id="1", state="xyzzy", tries=0))
        connection.execute(sa.insert(ORDERS).values(id="2", state="new", tries=0, parts="{xyzzy"))
        connection.execute(sa.insert(ORDERS).values(id="3", state="new", tries=0, bits="xyzzy"))
    for key, pin, reason in (("1", R2, "state must be one of"), ("2", R2, "parts must be JSON"), ("3", R1, "bits")):
        with Session(db, pin) as store, pytest.raises(UnreadableRow, match=reason) as refusal:
            Order.get(store, key)
        assert "xyzzy" not in str(refusal.value)


def test_what_makes_no_sense_is_a_mistake_of_the_programmer(db):
    with Session(db) as store:
        for where, complaint in (
            ({"colour": "red"}, "no field 'colour' in its table"),
            ({"tries": "one"}, "tries must be int, not str"),
            ({"bits": "128"}, "no field 'bits'"),
            ({"parts": [Part(code="x")]}, "cannot be compared in the database"),
        ):
            with pytest.raises(TypeError, match=complaint):
                Order.query(store, where)
            with pytest.raises(TypeError, match=complaint):
                order().delete(store, expected=where)
        with pytest.raises(TypeError, match=r"no fields \['colour'\] to sort by"):
            Order.query(store, order_by=["-colour"])
        with pytest.raises(TypeError, match="is the key of a row"):
            order().save(store)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


KINDS = sa.Table(
    "kinds",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", MOMENT),
    sa.Column("zoned", sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mariadb", "mysql")),
    sa.Column("uuid", sa.Uuid),
    sa.Column("colour", sa.String(8)),
    sa.Column("named", sa.Enum(Colour)),
    sa.Column("address", sa.String(40)),
    sa.Column("tags", sa.JSON),
    sa.Column("marks", sa.Text),
    sa.Column("part", sa.JSON),
    sa.Column("flag", sa.Boolean),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("weight", sa.Double),
    sa.Column("raw", sa.LargeBinary),
    sa.Column("worded", sa.Text),
    sa.Column("document", sa.JSON),
    sa.Column("notes", sa.Text),
)


class Kinds(Stored, namespace="shop", table=KINDS, columns={"unkept": None}):
    id: int | None = field(default=None, read_only=True)
    at: dt.datetime | None = None
    zoned: dt.datetime | None = None
    uuid: types.Uuid | None = None
    colour: Colour | None = None
    named: Colour | None = None
    address: types.IPAddress | None = None
    tags: dict[str, str] | None = None
    marks: set[int] | None = None
    part: Part | None = None
    flag: bool | None = None
    price: float | None = None
    weight: float | None = None
    raw: bytes | None = None
    worded: bytes | None = None
    document: types.Json | None = None
    notes: types.Json | None = None
    unkept: str = ""


def kinds():
    moment = dt.datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    return Kinds(
        at=moment,
        zoned=moment,
        uuid="7d3d21f6-6a0b-4f80-9e2b-3f0f2b9d9a11",
        colour=Colour.RED,
        named=Colour.BLUE,
        address=ipaddress.IPv4Address("10.0.0.1"),
        tags={"a": "ü"},
        marks={1, 2},
        part=Part(code="x"),
        flag=True,
        price=12.25,
        weight=0.1,
        raw=b"\x00\xff",
        worded=b"\x00\xff",
        document={"a": [1, {"b": None}]},
        notes="a text",
    )


def elsewhere(store):
    """Put the session into another time zone than UTC."""
    statements = {"postgresql": "SET TIME ZONE 'Asia/Tokyo'", "mysql": "SET time_zone = '+09:00'"}
    if statement := statements.get(store.connection.dialect.name):
        store.connection.exec_driver_sql(statement)


def test_every_kind_of_field_comes_back_from_its_column(db):
    with Session(db) as store:
        elsewhere(store)
        full, empty = kinds(), Kinds()
        full.unkept = "only in memory"
        full.create(store)
        empty.create(store)
        assert (full.id, empty.id, full.changed()) == (1, 2, {"unkept"}), "the database hands out the keys"
    with Session(db) as store:
        read = Kinds.get(store, full.id)
        full.unkept = ""
        assert read == full
        assert read.at.microsecond == 123456
        assert Kinds.get(store, empty.id) == empty
        for name in ("at", "uuid", "colour", "named", "address", "flag", "price", "raw", "worded"):
            assert [each.id for each in Kinds.query(store, {name: getattr(full, name)})] == [full.id], name
        for name in ("tags", "marks", "part", "at"):
            assert [each.id for each in Kinds.query(store, {name: None})] == [empty.id], name
        read.tags["b"] = "c"
        read.part.code = "y"
        read.document["a"][1]["b"] = "changed inside"
        read.save(store)
        assert Kinds.get(store, full.id) == read
        read.tags = read.part = read.at = None
        read.save(store)
        assert Kinds.get(store, full.id) == read
    with db.begin() as connection:
        price = connection.execute(sa.select(KINDS.c.price).where(KINDS.c.id == full.id)).scalar_one()
    assert price == Decimal("12.25")


def test_a_class_whose_table_does_not_fit_is_refused(db):
    class Lost(Stored, namespace="shop", table=ORDERS):
        id: str
        colour: str = ""

    class Needed(Stored, namespace="shop", table=ORDERS, columns={"state": None}):
        id: str
        state: str

    class Bare(Stored, namespace="shop"):
        id: str

    with Session(db) as store:
        with pytest.raises(TypeError, match="Lost.colour has no column 'colour' in orders"):
            Lost.count(store)
        with pytest.raises(TypeError, match="Needed.state is not kept in orders and so needs a default"):
            Needed.count(store)
        with pytest.raises(TypeError, match="Bare has no table"):
            Bare.count(store)
    with pytest.raises(TypeError, match="would hide a method"):
        type("Bad", (Stored,), {"__annotations__": {"count": int}})
