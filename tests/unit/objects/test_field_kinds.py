"""What each kind of field takes, refuses and never tells."""

import datetime as dt
import enum
import ipaddress
import json
from typing import Annotated, Literal

import pytest

from bascule.objects import IncompatibleObject, Object, field, schema_of, types
from bascule.release import Release

OLD, NEW = Release.parse("2026.2"), Release.parse("2027.1")
NOON = dt.datetime(2027, 3, 4, 12, 0, 5, tzinfo=dt.UTC)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(Object, namespace="zoo"):
    lives: int = 9


class Dog(Object, namespace="zoo"):
    name: str


class Everything(Object, namespace="zoo"):
    natural: types.NonNegativeInt = 0
    positive: types.NonNegativeFloat = 0.0
    flag: types.FlexibleBool = False
    moment: dt.datetime = NOON
    colour: Colour = Colour.RED
    word: Literal["a", "b"] = "a"
    uuid: types.Uuid = "7d3d21f6-6a0b-4f80-9e2b-3f0f2b9d9a11"
    mac: types.MacAddress = "52:54:00:12:34:56"
    pci: types.PciAddress = "0000:04:10.7"
    version: types.VersionPredicate = ">=1.0,<2"
    code: Annotated[str, types.matching("[A-Z]{3}")] = "ABC"
    ip: types.IPAddress = ipaddress.IPv4Address("10.0.0.1")
    net: types.IPNetwork = ipaddress.IPv6Network("fd00::/8")
    numbers: set[int] = field(default=set())
    matrix: list[list[int]] = field(default=[])
    pet: Cat | Dog | None = None
    pets: list[Cat | Dog] = field(default=[])
    ratio: float = 0
    number: int = 0
    text: str = ""


class Words(enum.StrEnum):
    ONE = "one"


class Numbers(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("flag", "yes", True),
        ("flag", 0, False),
        ("moment", NOON.replace(tzinfo=None), NOON),
        ("moment", NOON.astimezone(dt.timezone(dt.timedelta(hours=2))), NOON),
        ("mac", "52-54-00-AB-CD-EF", "52:54:00:ab:cd:ef"),
        ("pci", "0000:04:10.7", "0000:04:10.7"),
        ("colour", Colour.BLUE, Colour.BLUE),
        ("numbers", frozenset({1}), {1}),
        ("pet", Dog(name="Rex"), Dog(name="Rex")),
        ("ratio", 1, 1.0),
        ("number", Numbers.ONE, 1),
        ("text", Words.ONE, "one"),
        ("word", "b", "b"),
    ],
)
def test_a_value_is_kept_in_its_one_form_and_travels(name, value, kept):
    thing = Everything(**{name: value})
    assert getattr(thing, name) == kept
    assert type(getattr(Everything.from_json(thing.to_json()), name)) is type(getattr(thing, name))
    assert Everything.from_json(thing.to_json()) == thing
    assert json.loads(thing.to_json()) == json.loads(json.dumps(thing.to_primitive()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("natural", -1),
        ("natural", True),
        ("positive", -0.5),
        ("positive", float("nan")),
        ("flag", "perhaps"),
        ("flag", 2.5),
        ("moment", "2027-03-04"),
        ("colour", "red"),
        ("word", "c"),
        ("word", ["a"]),
        ("uuid", "secret"),
        ("mac", "52:54:00"),
        ("pci", "0000:04:10x7"),
        ("version", "about 1"),
        ("code", "ABCD"),
        ("ip", "10.0.0.1"),
        ("net", ipaddress.IPv4Address("10.0.0.1")),
        ("numbers", [1]),
        ("numbers", {"secret"}),
        ("matrix", [1]),
        ("matrix", [["secret"]]),
        ("pet", Everything()),
        ("pets", [Everything()]),
        ("ratio", True),
        ("ratio", "1"),
        ("number", 1.0),
        ("number", True),
        ("text", b"secret"),
    ],
)
def test_a_value_of_another_kind_is_refused_and_not_quoted(name, value):
    for attempt in (
        lambda: Everything(**{name: value}),
        lambda: setattr(Everything(), name, value),
        lambda: Everything.hydrate({name: value}),
    ):
        with pytest.raises(TypeError, match=rf"Everything\.{name} must be") as refusal:
            attempt()
        assert "secret" not in str(refusal.value)
        assert refusal.value.__cause__ is None
        assert refusal.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("natural", -1),
        ("positive", -0.5),
        ("flag", None),
        ("moment", "noon, secret"),
        ("moment", 1),
        ("moment", "0001-01-01T00:00:00+14:00"),
        ("colour", "green secret"),
        ("colour", ["red"]),
        ("word", "secret"),
        ("word", {}),
        ("uuid", "secret"),
        ("mac", 5),
        ("ip", "10.0.0.secret"),
        ("ip", 5),
        ("net", "10.0.0.1/8"),
        ("numbers", {"a": 1}),
        ("numbers", [[1]]),
        ("matrix", [[1], 2]),
        ("matrix", {}),
        ("pet", {"versioned_object.name": "Cow secret"}),
        ("pet", "Cat"),
        ("number", "7531secret"),
    ],
)
def test_data_of_another_kind_is_refused_and_not_quoted(name, data):
    sent = Everything().to_primitive()
    sent["versioned_object.data"][name] = data
    for attempt in (lambda: Everything.from_primitive(sent), lambda: Everything.from_json(json.dumps(sent))):
        with pytest.raises(IncompatibleObject, match=rf"cannot be read here: {name} must be") as refusal:
            attempt()
        assert "secret" not in str(refusal.value)
        assert refusal.value.__suppress_context__


def test_text_that_is_no_json_is_refused_and_not_quoted():
    for text in ('{"secret"', b"\xff", "[" * 100_000, ""):
        with pytest.raises(IncompatibleObject, match="it is no JSON") as refusal:
            Everything.from_json(text)
        assert "secret" not in str(refusal.value)
        assert refusal.value.__suppress_context__


def test_json_with_blanks_around_it_is_read_and_with_more_after_it_is_not():
    text = Everything(number=3).to_json()
    assert Everything.from_json(f" \n{text}\t") == Everything.from_json(text.encode()) == Everything(number=3)
    with pytest.raises(IncompatibleObject, match="it is no JSON"):
        Everything.from_json(f"{text} {text}")


def test_sensitive_values_of_collections_and_defaults_never_show():
    class Vault(Object, namespace="zoo"):
        keys: list[str] = field(default=["seven"], sensitive=True)

    assert repr(Vault()) == "Vault(keys=***)"
    assert "seven" not in repr(Vault.fields())
    with pytest.raises(TypeError) as refusal:
        Vault().keys.append(7531)
    assert "7531" not in str(refusal.value)


def test_a_read_only_field_is_set_once():
    class Birth(Object, namespace="zoo"):
        place: str = field(read_only=True)
        names: list[str] = field(default=[], read_only=True)

    birth = Birth(place="Oslo")
    for attempt in (lambda: setattr(birth, "place", "Rome"), lambda: birth.names.append("x"), birth.names.clear):
        with pytest.raises(AttributeError, match="read-only"):
            attempt()
    assert Birth.from_json(birth.to_json()) == birth == Birth(place="Oslo")


def test_a_field_with_moves_only_goes_where_they_lead():
    class Job(Object, namespace="zoo"):
        state: Literal["new", "running", "done"] = field(default="new", moves={"new": ["running"], "running": ["done"]})

    job = Job()
    job.state = "running"
    with pytest.raises(TypeError, match="must not become this"):
        job.state = "new"
    job.state = "done"
    assert Job.from_primitive(job.to_primitive()).state == "done", "what is read was allowed where it came from"


def test_a_factory_makes_each_object_its_own_value():
    numbers = iter(range(9))

    class Ticket(Object, namespace="zoo"):
        number: int = field(factory=lambda: next(numbers))

    assert [Ticket().number, Ticket().number] == [0, 1]

    class Wrong(Object, namespace="zoo"):
        number: int = field(factory=str)

    with pytest.raises(TypeError, match="what the factory of number makes must be int, not str"):
        Wrong()


def test_a_new_word_is_not_known_to_the_older_schema_nor_sent_to_it():
    class Light(Object, namespace="zoo"):
        colour: Annotated[
            Literal["red", "green", "amber", "blue"],
            types.Newer("amber", since="2027.1", below="red"),
            types.Newer("blue", since="2027.2", below="amber"),
        ]
        history: list[Literal["red"]] = field(default=[])

    blue = Light(colour="blue")
    sent = [blue.to_primitive(pin)["versioned_object.data"]["colour"] for pin in (OLD, NEW, None)]
    assert sent == ["red", "amber", "blue"]
    assert json.loads(blue.to_json(OLD)) == blue.to_primitive(OLD)
    assert schema_of(Light, NEW)["fields"]["colour"] == "one of red,green,amber"
    assert [Light.version_at(pin) for pin in (OLD, NEW, None)] == ["1.0", "1.1", "1.2"]


def test_annotations_that_cannot_travel_are_refused():
    for annotation in (
        complex,
        dict[int, str],
        int | str,
        Literal[1],
        Cat | int,
        Numbers,
        Annotated[Literal["a"], types.Newer("b", since="2027.1", below="a")],
    ):
        with pytest.raises(TypeError):
            type(Object)("Bad", (Object,), {"__annotations__": {"x": annotation}})
