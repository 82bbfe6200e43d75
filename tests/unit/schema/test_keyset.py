import datetime as dt
import decimal
import uuid

import pytest
import sqlalchemy as sa

from bascule.schema.keyset import Keyset, decode, encode


@pytest.mark.parametrize(
    "key",
    [
        (1,),
        ("text é",),
        (uuid.UUID(int=7), 3),
        (b"\x00\xff",),
        (decimal.Decimal("1.50"), dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC), dt.date(2026, 1, 2)),
    ],
)
def test_a_cursor_comes_back_as_the_same_key(key):
    assert decode(encode(key)) == key


def test_a_key_that_cannot_be_stored_is_refused():
    with pytest.raises(TypeError, match="list cannot be walked"):
        encode(([1],))


def test_no_cursor_is_the_start():
    assert decode(None) is None


def test_a_composite_key_is_walked_once_and_in_order(db):
    pairs = [(a, f"k{b}") for a in range(5) for b in range(5)]
    with db.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a integer, b text, PRIMARY KEY (a, b))")
        connection.execute(sa.text("INSERT INTO t VALUES (:a, :b)"), [{"a": a, "b": b} for a, b in pairs])
        keyset, cursor, walked = Keyset("t", ("a", "b")), None, []
        while page := keyset.page(connection, cursor, 4):
            between = sa.select(sa.func.count()).select_from(keyset.source).where(keyset.between(cursor, page[-1]))
            assert connection.scalar(between) == len(page)
            walked += page
            cursor = page[-1]
    assert walked == sorted(pairs)
