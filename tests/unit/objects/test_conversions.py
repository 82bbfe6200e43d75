"""Fields that end at a release, changes made by hand, and generated code against the careful way."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.objects import IncompatibleObject, Object, ObjectTooNew, change, field, schema_of
from bascule.objects.careful import fill_carefully, read_carefully, write_carefully
from bascule.release import Release

R1, R2, R3 = (Release.parse(name) for name in ("2026.2", "2027.1", "2027.2"))


class PartAsOfR1(Object, name="Part", namespace="shop"):
    code: str


class Part(Object, name="Part", namespace="shop"):
    code: str
    spare: bool = field(since="2027.1", default=False)


class Young(Object, namespace="shop", since="2027.2"):
    code: str = ""


class KeyAsOfR1(Object, name="Key", namespace="shop"):
    bits: str
    owner: str
    legacy: int = 0
    parts: dict[str, PartAsOfR1] = field(default={})


class Key(
    Object,
    name="Key",
    namespace="shop",
    changes=[
        change(
            "2027.1",
            newer=("bit_length",),
            older=("bits",),
            down=lambda new: {"bits": str(new["bit_length"])},
            up=lambda old: {"bit_length": int(old["bits"])},
        ),
        change(
            "2027.2",
            newer=("first", "last"),
            older=("owner",),
            down=lambda new: {"owner": f"{new['first']} {new['last']}"},
            up=lambda old: dict(zip(("first", "last"), old["owner"].split(" "), strict=True)),
        ),
    ],
):
    bits: str = field(until="2027.1")
    bit_length: int = field(since="2027.1")
    owner: str = field(until="2027.2")
    first: str = field(since="2027.2")
    last: str = field(since="2027.2")
    legacy: int = field(until="2027.2", default=0)
    parts: dict[str, Part] = field(default={})
    young: Young | None = field(since="2027.2", default=None)


def key():
    return Key(bit_length=256, first="Ada", last="Lovelace", legacy=7, parts={"a": Part(code="x", spare=True)})


def test_each_release_gets_the_fields_that_it_knows():
    sent = {pin: key().to_primitive(pin)["versioned_object.data"] for pin in (R1, R2, R3, None)}
    assert {pin: list(data) for pin, data in sent.items()} == {
        R1: ["bits", "owner", "legacy", "parts"],
        R2: ["bit_length", "owner", "legacy", "parts"],
        R3: ["bit_length", "first", "last", "parts", "young"],
        None: ["bit_length", "first", "last", "parts", "young"],
    }
    assert (sent[R1]["bits"], sent[R2]["bit_length"], sent[R1]["owner"]) == ("256", 256, "Ada Lovelace")
    assert [Key.version_at(pin) for pin in (R1, R2, R3)] == ["1.0", "1.1", "1.2"]


def test_the_old_release_reads_it_and_what_it_sends_is_whole_again():
    old = KeyAsOfR1.from_json(key().to_json(R1))
    assert old == KeyAsOfR1(bits="256", owner="Ada Lovelace", legacy=7, parts={"a": PartAsOfR1(code="x")})
    assert old.to_primitive() == KeyAsOfR1.from_primitive(old.to_primitive()).to_primitive()
    new = Key.from_json(old.to_json())
    assert new == Key(bit_length=256, first="Ada", last="Lovelace", legacy=7, parts={"a": Part(code="x")})
    assert new.to_primitive(R1)["versioned_object.data"] == old.to_primitive()["versioned_object.data"]
    assert schema_of(Key, R1) == schema_of(KeyAsOfR1)


def test_changes_follow_a_conversion_both_ways():
    made = key()
    made.forget_changes()
    made.bit_length = 128
    assert made.to_primitive(R1)["versioned_object.changes"] == ["bits"]
    assert made.to_primitive(R2)["versioned_object.changes"] == ["bit_length"]
    assert Key.from_primitive(made.to_primitive(R1)).changed() == {"bit_length"}
    made.forget_changes()
    made.legacy = 1
    assert "versioned_object.changes" not in made.to_primitive()
    assert made.to_primitive(R1)["versioned_object.changes"] == ["legacy"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"bits": "many"}, r"\['bits'\] cannot be converted"),
        ({"bits": 256}, "bits must be str, not int"),
        ({"owner": "Ada"}, r"\['owner'\] cannot be converted"),
        ({"bit_length": 5}, r"fields \['bit_length'\] are not of that version"),
    ],
)
def test_what_cannot_be_converted_up_is_refused(damage, reason):
    sent = key().to_primitive(R1)
    sent["versioned_object.data"] |= damage
    with pytest.raises(IncompatibleObject, match=reason) as refusal:
        Key.from_primitive(sent)
    assert refusal.value.__context__ is None or refusal.value.__suppress_context__


def test_a_field_that_the_conversion_needs_is_asked_for():
    sent = key().to_primitive(R1)
    del sent["versioned_object.data"]["bits"]
    with pytest.raises(IncompatibleObject, match="bits is missing"):
        Key.from_primitive(sent)


def test_a_field_converted_by_hand_is_no_attribute():
    assert not hasattr(key(), "bits")
    with pytest.raises(TypeError, match="has no"):
        Key(bits="1", bit_length=1, first="", last="")


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (lambda new: {"old": new["new"]}, "returns a old on its way down that must be str"),
        (lambda new: {}, r"must return \['old'\] on its way down"),
    ],
)
def test_a_conversion_that_does_not_keep_its_promise_is_a_mistake_of_the_programmer(wrong, complaint):
    class Bad(Object, changes=[change("2027.1", newer=("new",), older=("old",), down=wrong, up=dict)]):
        new: int = field(since="2027.1")
        old: str = field(until="2027.1")

    with pytest.raises(TypeError, match=complaint):
        Bad(new=1).to_primitive(R1)


def test_a_change_must_speak_of_fields_that_come_and_go_with_it():
    with pytest.raises(TypeError, match=r"the change of Bad in 2027\.1 needs a field old until then"):

        class Bad(Object, changes=[change("2027.1", newer=("new",), older=("old",), down=dict, up=dict)]):
            new: int = field(since="2027.1")
            old: str = field(until="2027.2", default="")

    with pytest.raises(TypeError, match=r"exists until 2027\.1 and so needs a default"):

        class Worse(Object):
            old: str = field(until="2027.1")


def test_an_object_inside_that_is_younger_than_the_pin_is_dropped_with_its_field_and_else_refused():
    made = key()
    made.young = Young()
    assert "young" not in made.to_primitive(R2)["versioned_object.data"]

    class Holder(Object, namespace="shop"):
        young: list[Young]

    for send in (Holder.to_primitive, Holder.to_json):
        with pytest.raises(ObjectTooNew, match=r"Young exists since 2027\.2, and the pin is 2027\.1"):
            send(Holder(young=[Young()]), R2)
    assert Holder(young=[]).to_primitive(R2)["versioned_object.data"] == {"young": []}


def test_the_version_that_a_class_was_born_with_is_the_first():
    class Adopted(Object, version="2.7"):
        a: int = 0
        b: int = field(since="2027.1", default=0)

    assert [Adopted.version_at(pin) for pin in (R1, R2)] == ["2.7", "2.8"]
    assert Adopted.from_primitive(Adopted(a=1).to_primitive(R1)) == Adopted(a=1)
    with pytest.raises(IncompatibleObject, match=r"reads up to 2\.8"):
        Adopted.from_primitive({**Adopted().to_primitive(), "versioned_object.version": "2.6"})


class Mixed(Object, namespace="shop"):
    number: int
    ratio: float | None
    names: list[str]
    parts: dict[str, Part]
    first: Part | None = field(since="2027.1", default=None)
    marks: set[int] = field(since="2027.1", default=set())
    gone: str = field(until="2027.2", default="")


PARTS = st.builds(Part, code=st.text(max_size=3), spare=st.booleans())
MIXED = st.builds(
    Mixed,
    number=st.integers(),
    ratio=st.none() | st.floats(allow_nan=False),
    names=st.lists(st.text(max_size=3), max_size=3),
    parts=st.dictionaries(st.text(max_size=3), PARTS, max_size=3),
    first=st.none() | PARTS,
    marks=st.sets(st.integers(), max_size=3),
    gone=st.text(max_size=3),
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def carefully(primitive):
    target = object.__new__(Mixed)
    read_carefully(Mixed._spec, target, primitive)
    return target


def outcome(read, *arguments):
    try:
        made = read(*arguments)
    except (IncompatibleObject, TypeError) as refusal:
        return type(refusal), str(refusal)
    return made, made.changed()


@given(MIXED, st.sampled_from([R1, R2, R3, None]))
def test_generated_code_writes_and_reads_what_the_careful_way_does(made, pin):
    sent = made.to_primitive(pin)
    assert sent == write_carefully(Mixed._spec, made, pin)
    assert json.loads(made.to_json(pin)) == json.loads(json.dumps(sent))
    assert outcome(Mixed.from_primitive, sent) == outcome(carefully, sent)
    assert outcome(Mixed.from_primitive, Mixed.from_primitive(sent).to_primitive(pin)) == outcome(carefully, sent)


@given(MIXED, st.data())
def test_generated_code_refuses_what_the_careful_way_does(made, data):
    sent = made.to_primitive(data.draw(st.sampled_from([R1, R2, None])))
    where = data.draw(st.sampled_from([sent, sent["versioned_object.data"]]))
    if data.draw(st.booleans()):
        where[data.draw(st.sampled_from([*where, "extra", "gone", "marks"]))] = data.draw(JUNK)
    else:
        where.pop(data.draw(st.sampled_from(list(where))))
    assert outcome(Mixed.from_primitive, sent) == outcome(carefully, sent)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(Mixed.fields(), JUNK)))
def test_generated_code_fills_from_a_row_as_the_careful_way_does(row):
    def fill(row):
        target = object.__new__(Mixed)
        fill_carefully(Mixed._spec, target, row)
        return target

    assert outcome(Mixed.hydrate, row) == outcome(fill, row)


def test_a_row_may_hold_more_and_lack_what_has_a_default():
    row = {"number": 1, "ratio": 2, "names": [], "parts": {}, "column_of_a_newer_release": 1}
    made = Mixed.hydrate(row)
    assert made == Mixed(number=1, ratio=2.0, names=[], parts={})
    assert made.changed() == set()
    with pytest.raises(TypeError, match=r"Mixed lacks \['names'\]"):
        Mixed.hydrate({"number": 1, "ratio": 2})


def test_an_error_has_no_context_that_quotes_what_was_sent():
    class Dated(Object, namespace="shop"):
        at: dt.datetime
        note: str = ""

    sent = Dated(at=dt.datetime(2027, 1, 1, tzinfo=dt.UTC)).to_primitive()
    sent["versioned_object.data"] = {"at": "a secret", "other": ""}
    with pytest.raises(IncompatibleObject, match="'other'") as refusal:
        Dated.from_primitive(sent)
    assert refusal.value.__context__ is None
    with pytest.raises(TypeError, match=r"lacks \['at'\]") as mistake:
        Dated.hydrate({})
    assert mistake.value.__suppress_context__


def test_a_release_between_is_read_with_the_changes_that_it_did_not_know():
    read = Key.from_json(key().to_json(R2))
    assert (read.bit_length, read.first, read.last, read.legacy) == (256, "Ada", "Lovelace", 7)
    assert read.changed() == {"bit_length", "first", "last", "legacy", "parts"}


def test_changes_by_hand_are_chained_in_the_order_of_releases():
    def renamed(release, old, new):
        return change(
            release,
            newer=(new,),
            older=(old,),
            down=lambda data: {old: data[new] + "-"},
            up=lambda data: {new: data[old] + "+"},
        )

    class Twice(Object, changes=[renamed("2027.2", "b", "c"), renamed("2027.1", "a", "b")]):
        a: str = field(until="2027.1")
        b: str = field(since="2027.1", until="2027.2")
        c: str = field(since="2027.2")

    sent = [Twice(c="x").to_primitive(pin)["versioned_object.data"] for pin in (R1, R2, R3)]
    assert sent == [{"a": "x--"}, {"b": "x-"}, {"c": "x"}]
    assert [Twice.from_json(Twice(c="x").to_json(pin)).c for pin in (R1, R2, R3)] == ["x--++", "x-+", "x"]


def test_a_field_that_ended_is_refused_from_a_sender_that_knew_its_end():
    sent = Mixed(number=1, ratio=None, names=[], parts={}).to_primitive()
    sent["versioned_object.data"]["gone"] = ""
    with pytest.raises(IncompatibleObject, match=r"fields \['gone'\] are not of that version"):
        Mixed.from_primitive(sent)


@pytest.mark.parametrize(("changes", "kept"), [(["nobody"], set()), (["nobody", "number"], {"number"}), ([], set())])
def test_changes_of_fields_that_are_not_there_are_left_out(changes, kept):
    sent = {**Mixed(number=1, ratio=None, names=[], parts={}).to_primitive(), "versioned_object.changes": changes}
    assert Mixed.from_primitive(sent).changed() == kept


@pytest.mark.parametrize("changes", [[5], [["number"]], [None], {"number": 1}, "number", None])
def test_changes_that_are_no_names_are_refused(changes):
    sent = {**Mixed(number=1, ratio=None, names=[], parts={}).to_primitive(), "versioned_object.changes": changes}
    with pytest.raises(IncompatibleObject, match="data or changes are missing or damaged"):
        Mixed.from_primitive(sent)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), 1e300, -0.0])
def test_numbers_that_json_spells_its_own_way_are_written_as_the_standard_library_does(number):
    made = Mixed(number=1, ratio=number, names=[], parts={})
    assert made.to_json() == json.dumps(made.to_primitive(), separators=(",", ":"))
