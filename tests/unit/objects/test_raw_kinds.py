"""Bytes and any JSON: on the wire, in memory, and refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.objects import IncompatibleObject, Object, field, schema_of, types

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


class Raw(Object, namespace="raw"):
    data: bytes = b""
    many: list[bytes] = field(default=[])
    document: types.Json = None
    named: dict[str, types.Json] = field(default={})
    young: types.Json | None = field(since="2027.1", default=None)


RAWS = st.builds(
    Raw,
    data=st.binary(max_size=9),
    many=st.lists(st.binary(max_size=3), max_size=2),
    document=JSON,
    named=st.dictionaries(st.text(max_size=2), JSON, max_size=2),
)


@given(RAWS)
def test_bytes_and_json_travel(made):
    assert Raw.from_primitive(json.loads(json.dumps(made.to_primitive()))) == made
    assert Raw.from_json(made.to_json()) == made
    assert json.loads(made.to_json()) == made.to_primitive()
    assert made.to_primitive()["versioned_object.data"]["document"] == made.document


def test_a_change_deep_inside_is_a_change_of_the_object():
    changes = (
        lambda made: made.document["a"][0].update(b=2),
        lambda made: made.document["a"].append({}),
        lambda made: made.document.pop("a"),
        lambda made: made.document["a"][0]["b"].append("x"),
    )
    for change in changes:
        made = Raw(document={"a": [{"b": [1]}]})
        made.forget_changes()
        made = Raw.from_json(made.to_json())
        change(made)
        assert made.changed() == {"document"}
    made.document["new"] = [1]
    made.forget_changes()
    made.document["new"].append(2)
    assert (made.changed(), made.document) == ({"document"}, {"a": [{"b": [1, "x"]}], "new": [1, 2]})


def test_what_was_given_or_sent_is_the_objects_own_copy():
    given_away = {"a": [1]}
    made = Raw(document=given_away)
    given_away["a"].append(2)
    sent = made.to_primitive()["versioned_object.data"]["document"]
    sent["a"].append(3)
    assert made.document == {"a": [1]}
    assert type(sent) is dict
    assert type(sent["a"]) is list


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", "text"),
        ("data", bytearray(b"x")),
        ("many", [b"", ""]),
        ("document", b""),
        ("document", {1: 2}),
        ("document", [float("nan")]),
        ("document", {"a": object()}),
        ("document", (1, 2)),
        ("document", nested(101)),
    ],
)
def test_what_is_no_bytes_or_json_is_refused(name, value):
    with pytest.raises(TypeError, match=f"Raw.{name} must"):
        Raw(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("data", "not base64"), ("data", "AAA"), ("data", 5), ("data", None)])
def test_what_is_no_base64_is_refused_without_quoting_it(name, value):
    sent = Raw().to_primitive()
    sent["versioned_object.data"][name] = value
    with pytest.raises(IncompatibleObject, match="data must be bytes in base64") as refusal:
        Raw.from_primitive(sent)
    assert "not base64" not in str(refusal.value)


def test_json_that_is_too_deep_is_refused_wherever_it_comes_from():
    sent = Raw().to_primitive()
    sent["versioned_object.data"]["document"] = nested(101)
    for read in (Raw.from_primitive, lambda primitive: Raw.from_json(json.dumps(primitive))):
        with pytest.raises(IncompatibleObject, match="document must not be deeper than 100"):
            read(sent)
    assert Raw(document=nested(99)).document == nested(99)


def test_frozen_schemas_know_their_words():
    assert schema_of(Raw)["fields"] == {
        "data": "bytes",
        "many": "list[bytes]",
        "document": "json",
        "named": "dict[json]",
        "young": "json|null",
    }
