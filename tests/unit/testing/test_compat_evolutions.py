"""Legal evolutions of the sample service: the old code reads what the new one sends, and no case raises an alarm."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.testing.sample import FIRST, NEXT, R1, TEXT, edited, frozen, imported

from bascule.documents.codec import fingerprint
from bascule.objects import frozen_of
from bascule.testing import compat_cases
from bascule.testing.compat.cases import check_all, sample_payloads

MANIFEST = frozen(FIRST, R1)
IMPORTS = (
    "from bascule.objects import Object, change, field, types\n",
    (
        "from ipaddress import IPv4Address, IPv4Interface, IPv6Network\nimport enum\nfrom typing import Annotated\n"
        "from bascule.objects import Object, change, field, types\n\n\n"
        'class Colour(enum.Enum):\n    RED = "red"\n    BLUE = "blue"\n\n\nISBN = types.matching("[0-9]{13}", "isbn")\n'
    ),
)


def adds(annotation, default, place="secret", name="added"):
    return [(f"    # {place}\n", f'    {name}: {annotation} = field(since="2027.1", {default})\n    # {place}\n')]


def changes(newer, older, down, up, *edits):
    made = f'changes=[change("2027.1", newer={newer}, older={older}, down=lambda new: {down}, up=lambda old: {up})]'
    return [('class Secret(Object, namespace="sample"):', f'class Secret(Object, namespace="sample", {made}):'), *edits]


SINCE, UNTIL = 'field(since="2027.1")', 'field(until="2027.1")'
FIELDS = {
    "int": "default=0",
    "int | None": "default=None",
    "float": "default=0.5",
    "str": 'default=""',
    "bool": "default=True",
    "dt.datetime | None": "default=None",
    "types.Uuid | None": "default=None",
    "types.MacAddress": 'default="01:02:03:04:05:06"',
    "types.PciAddress | None": "default=None",
    "types.VersionPredicate": 'default=">1"',
    "types.NonNegativeInt": "default=0",
    "types.NonNegativeFloat": "default=0.0",
    "types.FlexibleBool": "default=False",
    "IPv4Address | None": "default=None",
    "types.IPAddress | None": "default=None",
    "IPv6Network | None": "default=None",
    "IPv4Interface | None": "default=None",
    'Literal["x", "y"]': 'default="x"',
    "Colour": "default=Colour.RED",
    "Annotated[str, ISBN] | None": "default=None",
    "list[int]": "factory=list",
    "list[str | None]": "default=[]",
    "list[list[int]]": "default=[]",
    "set[int]": "default=set()",
    "dict[str, float]": "default={}",
    "dict[str, list[str]]": "default={}",
    "Child | None": "default=None",
    "Child | Other | None": "default=None",
    "list[Other]": "default=[]",
    "dict[str, Child | None]": "default={}",
    "dict[str, dict[str, Child]]": "default={}",
    "bytes": 'default=b"x"',
    "types.Json": "default=None",
}
YOUNG = [
    ("class Secret(", 'class Young(Object, namespace="sample", since="2027.1"):\n    a: int\n\n\nclass Secret('),
    ("OBJECTS = (", "OBJECTS = (Young, "),
]
LEGAL = {
    **{f"a new field of {annotation}": adds(annotation, default) for annotation, default in FIELDS.items()},
    "a new field in what stands in objects, lists and dicts": adds("int", "default=0", "child"),
    "a new field of two classes": adds("int", "default=0", "child") + adds("str", 'default="x"'),
    "two releases at once": [
        *adds("int", "default=0"),
        ("    # secret\n", '    later: str = field(since="2027.2", default="")\n    # secret\n'),
    ],
    "a field that came and went": [
        ("    # secret\n", '    brief: int = field(since="2027.1", until="2027.2", default=0)\n')
    ],
    "a new class": YOUNG,
    "a new class in a new field": [*YOUNG, *adds("Young | None", "default=None")],
    "a new class in a new list": [*YOUNG, *adds("list[Young]", "default=[]")],
    "a field that ends": [("    size: int = 1\n", '    size: int = field(until="2027.1", default=1)\n')],
    "a list that ends": [
        ("words: list[str] = field(default=[])", 'words: list[str] = field(until="2027.1", default=[])')
    ],
    "objects that end": [("    kids: list[Child]\n", '    kids: list[Child] = field(until="2027.1", default=[])\n')],
    "a new word": [
        (
            '    mode: Literal["a", "b"]',
            '    mode: Annotated[Literal["a", "b", "c"], types.Newer("c", since="2027.1", below="a")]',
        )
    ],
    "two new words, one below the other": [
        (
            '    mode: Literal["a", "b"]',
            (
                '    mode: Annotated[Literal["a", "b", "c", "d"], types.Newer("c", since="2027.1", below="b"), '
                'types.Newer("d", since="2027.2", below="c")]'
            ),
        )
    ],
    "a renamed field": changes(
        ("length",),
        ("size",),
        '{"size": new["length"]}',
        '{"length": old["size"]}',
        ("    size: int = 1\n", f"    size: int = {UNTIL}\n    length: int = {SINCE}\n"),
    ),
    "a text that became a number": changes(
        ("number",),
        ("count",),
        '{"count": str(new["number"])}',
        '{"number": int(old["count"])}',
        ("    count: str\n", f"    count: str = {UNTIL}\n    number: int = {SINCE}\n"),
    ),
    "a number that became a text": changes(
        ("text",),
        ("size",),
        '{"size": len(new["text"])}',
        '{"text": "x" * old["size"]}',
        ("    size: int = 1\n", f"    size: int = {UNTIL}\n    text: str = {SINCE}\n"),
    ),
    "one field that became two": changes(
        ("head", "tail"),
        ("count",),
        '{"count": new["head"] + new["tail"]}',
        '{"head": old["count"][:1], "tail": old["count"][1:]}',
        ("    count: str\n", f"    count: str = {UNTIL}\n    head: str = {SINCE}\n    tail: str = {SINCE}\n"),
    ),
    "two fields that became one": changes(
        ("pair",),
        ("count", "words"),
        '{"count": new["pair"][0] if new["pair"] else "", "words": new["pair"][1:]}',
        '{"pair": [old["count"], *old["words"]]}',
        ("    count: str\n", f"    count: str = {UNTIL}\n    pair: list[str] = {SINCE}\n"),
        ("    words: list[str] = field(default=[])\n", f"    words: list[str] = {UNTIL}\n"),
    ),
    "a word that became a flag": changes(
        ("is_a",),
        ("mode",),
        '{"mode": "a" if new["is_a"] else "b"}',
        '{"is_a": old["mode"] == "a"}',
        ('    mode: Literal["a", "b"]\n', f'    mode: Literal["a", "b"] = {UNTIL}\n    is_a: bool = {SINCE}\n'),
    ),
    "a set that became a list": changes(
        ("marked",),
        ("marks",),
        '{"marks": sorted(set(new["marked"]))}',
        '{"marked": sorted(old["marks"])}',
        (
            "    marks: set[str] = field(default=set())\n",
            f"    marks: set[str] = {UNTIL}\n    marked: list[str] = {SINCE}\n",
        ),
    ),
    "null that became a word": changes(
        ("named",),
        ("name",),
        '{"name": None if new["named"] == "" else new["named"]}',
        '{"named": "" if old["name"] is None else old["name"] or "-"}',
        ("    name: str | None\n", f"    name: str | None = {UNTIL}\n    named: str = {SINCE}\n"),
    ),
    "another default of an old field": [("    size: int = 1\n", "    size: int = 2\n"), *adds("int", "default=7")],
    "a default of a field that had none": [("    count: str\n", '    count: str = "0"\n'), *adds("int", "default=8")],
    "a field that becomes read-only": [("    count: str\n", "    count: str = field(read_only=True)\n")],
    "a field that becomes sensitive": [
        ("    count: str\n", "    count: str = field(sensitive=True)\n"),
        *adds("int", "default=9"),
    ],
    "a new argument": [("wait: bool)", 'wait: bool, soon: bool = arg(since="2027.1", default=False))')],
    "a new method": [
        ("    # api\n", '    @method(since="2027.1")\n    def drop(self, id: str) -> None:\n        """Drop."""\n')
    ],
    "methods and properties": [("    # secret\n", "    def is_small(self):\n        return self.size < 9\n")],
    "another order of fields": [("    count: str\n", ""), ("    # secret\n", "    count: str\n")],
    "fields from a base class": [
        (
            "class Secret(Object, ",
            'class Base(Object, namespace="sample"):\n    size: int = 1\n\n\nclass Secret(Base, ',
        ),
        ("    size: int = 1\n    at:", "    at:"),
    ],
    "a class of another Python name": [
        ("class Other(Object, ", 'class Elsewhere(Object, name="Other", '),
        ("Other, Secret", "Elsewhere, Secret"),
    ],
    "all of the next release": NEXT,
}
SAME_WIRE = {
    "a new argument", "a new method", "methods and properties", "another order of fields", "fields from a base class",
    "a class of another Python name",
}  # fmt: skip


def text_of(*titles):
    text = edited(TEXT, [IMPORTS])
    for title in titles:
        text = edited(text, LEGAL[title])
    return text


def alarms(service):
    isbns = {"isbn": ["9783161484100", "0000000000000"]}
    return check_all(compat_cases(service.OBJECTS, [MANIFEST], interfaces=service.INTERFACES, values=isbns))


def talk(service):
    """Let the classes of the first release themselves read what the new ones send, and the other way round."""
    old, new = ({cls.object_name(): cls for cls in each.OBJECTS} for each in (FIRST, service))
    for name, cls in old.items():
        for payload in sample_payloads(new.values(), name, values={"isbn": ["9783161484100"]}):
            read = cls.from_json(new[name].from_primitive(payload).to_json(R1))
            assert cls.from_json(new[name].from_json(read.to_json()).to_json(R1)) == read
            assert json.loads(read.to_json())["versioned_object.version"] == "1.0"


@pytest.mark.parametrize("title", LEGAL)
def test_a_legal_evolution_raises_no_alarm(title):
    service = imported(text_of(title))
    talk(service)
    assert alarms(service) == ()


def test_the_evolutions_are_really_different():
    wires = {title: frozen_of(imported(text_of(title)).OBJECTS) for title in LEGAL if title not in SAME_WIRE}
    different = {fingerprint(wire) for wire in wires.values()}
    assert len(LEGAL) >= 60
    assert len(different) >= 50
    assert fingerprint(frozen_of(FIRST.OBJECTS)) not in different - {fingerprint(wires["a field that ends"])}


@settings(max_examples=25, deadline=None)
@given(st.permutations([f"a new field of {annotation}" for annotation in FIELDS]), st.integers(2, 6))
def test_evolutions_one_after_the_other_raise_no_alarm(titles, count):
    text = edited(TEXT, [IMPORTS])
    for number, title in enumerate(titles[:count]):
        ((old, new),) = LEGAL[title]
        text = edited(
            text, [(old, new.replace("added", f"added_{number}").replace("2027.1", f"2027.{1 + number % 3}"))]
        )
    service = imported(text)
    talk(service)
    assert alarms(service) == ()
