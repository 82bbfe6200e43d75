"""Writers of two releases on one row, in any order: each save changes what its writer changed, and nothing else."""

from typing import Annotated, Literal

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from bascule.objects import ObjectConflict, Stored, change, field, types
from bascule.objects.database import Database
from bascule.release import Release

R1, R2 = Release.parse("2026.2"), Release.parse("2027.1")
NAMES = ("state", "tries", "owner", "bits", "note")
TABLE = sa.Table(
    "orders",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("state", sa.String(8)),
    sa.Column("tries", sa.Integer),
    sa.Column("owner", sa.String(8)),
    sa.Column("bits", sa.String(8)),
    sa.Column("bit_length", sa.Integer),
    sa.Column("note", sa.String(8)),
)


class OldOrder(Stored, name="Order", namespace="shop", table=TABLE):
    id: int
    state: Literal["new", "done"] = "new"
    tries: int = 0
    owner: str | None = None
    bits: str = "1"


class Order(
    Stored,
    namespace="shop",
    table=TABLE,
    changes=[
        change(
            "2027.1",
            newer=("bit_length",),
            older=("bits",),
            down=lambda new: {"bits": str(new["bit_length"])},
            up=lambda old: {"bit_length": int(old["bits"])},
        ),
    ],
):
    id: int
    state: Annotated[Literal["new", "done", "failed"], types.Newer("failed", since="2027.1", below="done")] = "new"
    tries: int = 0
    owner: str | None = None
    bits: str = field(until="2027.1")
    bit_length: int = field(since="2027.1", default=1)
    note: str | None = field(since="2027.1", default=None)


VALUES = {
    "state": st.sampled_from(["new", "done", "failed"]),
    "tries": st.integers(0, 3),
    "owner": st.none() | st.sampled_from(["ada", "eve"]),
    "bits": st.integers(1, 3),
    "note": st.none() | st.sampled_from(["x", "y"]),
}
STEPS = st.one_of(
    st.tuples(st.just("get"), st.integers(0, 3)),
    st.tuples(st.just("save"), st.integers(0, 3), st.none() | st.sampled_from(["tries", "state", "owner"])),
    *(st.tuples(st.just("set"), st.integers(0, 3), st.just(name), values) for name, values in VALUES.items()),
)


class World:
    """Writers 0 and 1 are of the older release, 2 and 3 of the newer one; `row` is what the table must hold."""

    def __init__(self):
        self.engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
        TABLE.metadata.create_all(self.engine)
        self.row = {"state": "new", "tries": 0, "owner": None, "bits": "1", "note": None}
        self.pin = R1
        self.do(lambda store: OldOrder(id=1).create(store))
        self.writers = [self.got(number) for number in range(4)]
        self.dirty = [{} for _ in range(4)]
        self.seen = [dict(self.row) for _ in range(4)]

    def do(self, work):
        with self.engine.begin() as connection:
            return work(Database(connection, pin=lambda: self.pin))

    def got(self, number):
        return self.do(lambda store: (OldOrder if number < 2 else Order).get(store, 1))

    def get(self, number):
        self.writers[number], self.dirty[number], self.seen[number] = self.got(number), {}, dict(self.row)

    def set(self, number, name, value):
        old = number < 2
        if old and (name == "note" or value == "failed"):
            return
        attribute = name if old or name != "bits" else "bit_length"
        setattr(self.writers[number], attribute, str(value) if attribute == "bits" else value)
        self.dirty[number][name] = value

    def save(self, number, expected):
        """Save, and foretell what the row holds then: at the older pin, the newer field is not stored at all."""
        wanted = {expected: self.seen[number][expected]} if expected else {}
        stored = {name: self.stored(name, value) for name, value in self.dirty[number].items() if name != "note"}
        loses = any(self.row[name] != value for name, value in wanted.items())
        if loses:
            with pytest.raises(ObjectConflict):
                self.do(lambda store: self.writers[number].save(store, expected=wanted))
            return
        self.do(lambda store: self.writers[number].save(store, expected=wanted))
        self.row |= stored
        self.dirty[number] = {name: value for name, value in self.dirty[number].items() if name == "note"}
        assert self.writers[number].changed() == self.dirty[number].keys()

    @staticmethod
    def stored(name, value):
        return {"bits": str(value), "state": "done" if value == "failed" else value}.get(name, value)

    def check(self):
        with self.engine.begin() as connection:
            row = dict(connection.execute(sa.select(TABLE)).mappings().one())
        assert {name: row[name] for name in NAMES} == self.row
        assert row["bit_length"] is None


@given(st.lists(STEPS, max_size=25))
def test_no_writer_undoes_what_another_wrote(steps):
    world = World()
    for name, *arguments in steps:
        getattr(world, name)(*arguments)
        world.check()
    world.pin = R2
    for number, writer in enumerate(world.writers[2:], 2):
        world.do(writer.save)
        world.row |= world.dirty[number]
    with world.engine.begin() as connection:
        row = dict(connection.execute(sa.select(TABLE)).mappings().one())
    assert {name: row[name] for name in NAMES if name not in {"bits", "state"}} == {
        name: world.row[name] for name in NAMES if name not in {"bits", "state"}
    }, "after the lift, what was not stored yet is"
