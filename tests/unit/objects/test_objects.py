"""Versioned objects on the wire, between releases."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.objects import IncompatibleObject, Object, ObjectTooNew, field, schema_of, schemas_of
from bascule.release import Release

OLD, NEW, NEXT = Release.parse("2026.2"), Release.parse("2027.1"), Release.parse("2027.2")


class Step(Object, namespace="keymanager"):
    title: str
    seconds: float = field(since="2027.1", default=0.0)


class OrderAsOfOld(Object, name="Order", namespace="keymanager"):
    id: str
    tries: int = 0


class Order(Object, name="Order", namespace="keymanager"):
    id: str
    tries: int = 0
    accepted_at: float | None = field(since="2027.1", default=None)
    steps: list[Step] = field(since="2027.1", default=[])
    first: Step | None = field(since="2027.2", default=None)
    by_name: dict[str, Step] = field(since="2027.2", default={})


class Key(Object, namespace="keymanager", since="2027.1"):
    algorithm: str
    payload: str = field(sensitive=True)


def order():
    step = Step(title="generate", seconds=0.5)
    return Order(id="o-1", tries=2, accepted_at=1.5, steps=[step], first=step, by_name={"generate": step})


def test_the_wire_is_the_envelope_of_oslo_versionedobjects():
    assert Step(title="generate").to_primitive() == {
        "versioned_object.name": "Step",
        "versioned_object.namespace": "keymanager",
        "versioned_object.version": "1.1",
        "versioned_object.data": {"title": "generate", "seconds": 0.0},
        "versioned_object.changes": ["title"],
    }


def test_an_unchanged_object_carries_no_changes():
    step = Step(title="generate")
    step.forget_changes()
    assert "versioned_object.changes" not in step.to_primitive()
    step.seconds = 2
    assert step.changed() == {"seconds"}
    assert step.to_primitive()["versioned_object.changes"] == ["seconds"]
    assert "versioned_object.changes" not in step.to_primitive(OLD), "changes name only what is sent"


def test_fields_newer_than_the_pin_are_dropped_also_in_children():
    assert order().to_primitive(OLD)["versioned_object.data"] == {"id": "o-1", "tries": 2}
    at_new = order().to_primitive(NEW)
    assert at_new["versioned_object.version"] == "1.1"
    assert set(at_new["versioned_object.data"]) == {"id", "tries", "accepted_at", "steps"}
    (child,) = at_new["versioned_object.data"]["steps"]
    assert (child["versioned_object.version"], child["versioned_object.data"]["seconds"]) == ("1.1", 0.5)


def test_an_old_release_reads_what_a_new_one_sends_at_the_pin_and_back():
    old = OrderAsOfOld.from_primitive(json.loads(json.dumps(order().to_primitive(OLD))))
    assert old == OrderAsOfOld(id="o-1", tries=2)
    assert Order.from_primitive(old.to_primitive()) == Order(id="o-1", tries=2)


def test_an_old_release_refuses_what_a_new_one_sends_above_the_pin():
    with pytest.raises(IncompatibleObject, match=r"Order 1\.1 cannot be read here: this release reads up to 1\.0"):
        OrderAsOfOld.from_primitive(order().to_primitive(NEW))


def test_defaults_of_two_objects_are_not_shared():
    one, other = Order.from_primitive(OrderAsOfOld(id="1").to_primitive()), Order(id="2")
    one.steps.append(Step(title="generate"))
    assert other.steps == []


@given(
    st.builds(
        Order,
        id=st.text(),
        tries=st.integers(),
        accepted_at=st.none() | st.floats(allow_nan=False),
        steps=st.lists(st.builds(Step, title=st.text(), seconds=st.floats(allow_nan=False)), max_size=3),
        first=st.none() | st.builds(Step, title=st.text()),
        by_name=st.dictionaries(st.text(), st.builds(Step, title=st.text()), max_size=2),
    )
)
def test_what_is_sent_at_the_newest_release_comes_back_whole(sent):
    read = Order.from_primitive(json.loads(json.dumps(sent.to_primitive())))
    assert read == sent
    assert read.changed() == sent.changed()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"versioned_object.version": "2.0"}, "reads up to 1.2"),
        ({"versioned_object.version": "1.3"}, "reads up to 1.2"),
        ({"versioned_object.version": "1.x"}, "reads up to 1.2"),
        ({"versioned_object.name": "Secret"}, "keymanager Order was expected"),
        ({"versioned_object.namespace": "other"}, "keymanager Order was expected"),
        ({"versioned_object.data": {"id": "1", "tries": 0, "extra": 1}}, "['extra'] are not of that version"),
        ({"versioned_object.version": "1.0"}, "'accepted_at'"),
        ({"versioned_object.data": {"tries": 0}}, "id is missing"),
        ({"versioned_object.data": {"id": 1}}, "id must be str, not int"),
        ({"versioned_object.data": {"id": "1", "tries": True}}, "tries must be int, not bool"),
        ({"versioned_object.data": {"id": "1", "steps": {}}}, "steps must be a list"),
        ({"versioned_object.data": {"id": "1", "by_name": []}}, "by_name must be a table"),
        ({"versioned_object.data": {"id": "1", "steps": ["x"]}}, "it is no envelope"),
        ({"versioned_object.data": None}, "missing or damaged"),
        ({"versioned_object.changes": "id"}, "missing or damaged"),
    ],
)
def test_a_payload_that_is_not_of_its_version_is_refused(damage, reason):
    with pytest.raises(IncompatibleObject) as refusal:
        Order.from_primitive({**order().to_primitive(), **damage})
    assert reason in refusal.value.sentence


def test_what_is_no_envelope_at_all_is_refused():
    with pytest.raises(IncompatibleObject):
        Order.from_primitive(["Order"])


def test_an_object_younger_than_the_pin_is_not_sent():
    with pytest.raises(ObjectTooNew, match=r"exists since 2027\.1, and the pin is 2026\.2"):
        Key(algorithm="aes", payload="c2VjcmV0").to_primitive(OLD)


def test_sensitive_values_never_show():
    key = Key(algorithm="aes", payload="c2VjcmV0")
    assert repr(key) == "Key(algorithm='aes', payload=***)"
    with pytest.raises(IncompatibleObject) as refusal:
        Key.from_primitive({**key.to_primitive(), "versioned_object.data": {"algorithm": "aes", "payload": [7531]}})
    assert "7531" not in str(refusal.value)


def test_the_frozen_schema_follows_the_release():
    assert (
        schema_of(Order, OLD) == schema_of(OrderAsOfOld) == {"version": "1.0", "fields": {"id": "str", "tries": "int"}}
    )
    assert schema_of(Order, NEW)["version"] == "1.1"
    assert schemas_of([Order, Step], NEXT) == {
        "Order": {
            "version": "1.2",
            "fields": {
                "id": "str",
                "tries": "int",
                "accepted_at": "float|null",
                "steps": "list[Step]",
                "first": "Step|null",
                "by_name": "dict[Step]",
            },
        },
        "Step": {"version": "1.1", "fields": {"title": "str", "seconds": "float"}},
    }


def test_objects_of_one_base_inherit_its_fields_in_order():
    class Urgent(OrderAsOfOld, name="Urgent"):
        deadline: float = field(since="2027.1", default=0.0)

    assert list(Urgent.fields()) == ["id", "tries", "deadline"]
    assert Urgent(id="1").to_primitive()["versioned_object.namespace"] == "keymanager"


def test_mistakes_of_a_programmer_are_type_errors():
    with pytest.raises(TypeError, match=r"lacks \['id'\], and has no \['idd'\]"):
        Order(idd="1")
    with pytest.raises(TypeError, match="must be str, not int"):
        Order(id=1)
    with pytest.raises(AttributeError, match="no attribute 'trys'"):
        Order(id="1").trys = 3


def test_a_class_that_cannot_travel_is_refused_when_it_is_made():
    with pytest.raises(TypeError, match="needs a default"):
        type("Bad", (Object,), {"__annotations__": {"x": int}, "x": field(since="2027.1")})
    with pytest.raises(TypeError, match="cannot travel"):
        type("Bad", (Object,), {"__annotations__": {"x": complex}})
    with pytest.raises(TypeError, match="default of Bad.x must be int, not str"):
        type("Bad", (Object,), {"__annotations__": {"x": int}, "x": "one"})
    with pytest.raises(TypeError, match="would hide a method"):
        type("Bad", (Object,), {"__annotations__": {"changed": int}})
