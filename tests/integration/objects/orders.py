"""Orders of two releases, served on standard input and output by the process that has the database.

`python orders.py RELEASE PIN URL` answers one JSON line, [method, arguments], with another.
"""

import contextlib
import datetime as dt
import json
import sys
from typing import Annotated, Literal, Self

import sqlalchemy as sa

from bascule.objects import Object, Stored, change, field, types
from bascule.objects.database import Database
from bascule.objects.indirection import Indirection, remotable
from bascule.release import Release

METADATA = sa.MetaData()
ORDERS = sa.Table(
    "orders",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("bits", sa.String(8)),
    sa.Column("bit_length", sa.Integer),
    sa.Column("note", sa.String(64)),
    sa.Column("at", sa.DateTime),
    sa.Column("parts", sa.Text, nullable=False),
)


class OldPart(Object, name="Part", namespace="shop"):
    code: str


class OldOrder(Stored, name="Order", namespace="shop", table=ORDERS):
    id: int | None = None
    state: Literal["new", "done"]
    tries: int = 0
    bits: str = "128"
    at: dt.datetime | None = None
    parts: list[OldPart] = field(default=[])

    @remotable
    def claim(self, store, worker: str, part: OldPart) -> OldPart:
        """Count a try, and save it; return the part with the worker's name."""
        self.tries += 1
        self.parts = [part]
        self.save(store, expected={"state": "new"})
        return OldPart(code=f"{part.code} for {worker}")

    @classmethod
    @remotable
    def oldest(cls, store) -> Self | None:
        return next(iter(cls.query(store, order_by=["id"], limit=1)), None)

    def not_remotable(self, store):
        raise AssertionError("called from afar")


BITS = change(
    "2027.1",
    newer=("bit_length",),
    older=("bits",),
    down=lambda new: {"bits": str(new["bit_length"])},
    up=lambda old: {"bit_length": int(old["bits"])},
)


class Part(Object, namespace="shop"):
    code: str
    spare: bool = field(since="2027.1", default=False)


class Order(Stored, namespace="shop", table=ORDERS, changes=[BITS]):
    id: int | None = field(default=None, read_only=True)
    state: Annotated[Literal["new", "done", "failed"], types.Newer("failed", since="2027.1", below="done")]
    tries: int = 0
    bits: str = field(until="2027.1")
    bit_length: int = field(since="2027.1", default=128)
    at: dt.datetime | None = None
    note: str | None = field(since="2027.1", default=None)
    parts: list[Part] = field(default=[])

    @remotable
    def claim(self, store, worker: str, part: Part) -> Part:
        self.tries += 1
        self.bit_length *= 2
        self.parts = [part]
        self.save(store, expected={"state": "new"})
        self.note = "unsaved"
        return Part(code=f"{part.code} for {worker}", spare=True)

    @classmethod
    @remotable
    def oldest(cls, store) -> Self | None:
        return next(iter(cls.query(store, order_by=["id"], limit=1)), None)

    def not_remotable(self, store):
        raise AssertionError("called from afar")


CLASSES = {"2026.2": OldOrder, "2027.1": Order}


def main(release, pin, url):
    engine = sa.create_engine(url)
    METADATA.create_all(engine)

    @contextlib.contextmanager
    def open_store():
        with engine.begin() as connection:
            yield Database(connection, pin=lambda: Release.parse(pin))

    indirection = Indirection([CLASSES[release]], open_store)
    for line in sys.stdin:
        method, arguments = json.loads(line)
        sys.stdout.write(json.dumps(indirection.answer(method, arguments)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
