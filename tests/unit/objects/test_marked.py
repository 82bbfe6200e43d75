"""Texts read with marks for the heads of envelopes give the same as texts that are parsed whole."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.objects import IncompatibleObject, Object, field
from bascule.release import Release

R1, R2 = Release.parse("2026.2"), Release.parse("2027.1")


class Leaf(Object, namespace="marked"):
    text: str = ""
    young: int = field(since="2027.1", default=0)


class Twig(Object, namespace="marked"):
    leaf: Leaf | None = None
    twig: "dict[str, Leaf]" = field(default={})


class Tree(Object, namespace="marked"):
    text: str
    leaf: Leaf
    leaves: list[Leaf] = field(default=[])
    named: dict[str, Leaf] = field(default={})
    either: Leaf | Twig | None = None
    twigs: list[list[Twig]] = field(default=[])
    marks: set[str] = field(default=set())


HEADS = [cls.generated.marked.head() for cls in (Leaf, Twig, Tree)]
PIECES = [*HEADS, *(cls.generated.marked.mark for cls in (Leaf, Tree)), '{"', '":', "}", '"', "\\", "ü", ","]
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=3).map("".join)
LEAVES = st.builds(Leaf, text=TEXT, young=st.integers())
TWIGS = st.builds(Twig, leaf=st.none() | LEAVES, twig=st.dictionaries(TEXT, LEAVES, max_size=2))
TREES = st.builds(
    Tree,
    text=TEXT,
    leaf=LEAVES,
    leaves=st.lists(LEAVES, max_size=3),
    named=st.dictionaries(TEXT, LEAVES, max_size=2),
    either=st.none() | LEAVES | TWIGS,
    twigs=st.lists(st.lists(TWIGS, max_size=2), max_size=2),
    marks=st.sets(TEXT, max_size=2),
)


def outcome(read, text):
    try:
        made = read(text)
    except IncompatibleObject as refusal:
        return str(refusal)
    return made, made.changed(), made.leaf.changed()


def whole(text):
    """Read the text without marks."""
    try:
        primitive = json.loads(text)
    except ValueError:
        raise IncompatibleObject("Tree", "?", "it is no JSON") from None
    return Tree.from_primitive(primitive)


@given(TREES, st.sampled_from([R1, R2, None]), st.booleans())
def test_what_is_written_is_read(made, pin, forget):
    if forget:
        made.forget_changes()
    text = made.to_json(pin)
    assert outcome(Tree.from_json, text) == outcome(whole, text)
    if pin is not R1:
        assert Tree.from_json(text) == made


@given(TREES, st.data())
def test_damage_is_refused_as_without_marks(made, data):
    text = made.to_json(data.draw(st.sampled_from([R1, R2])))
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 3))
    text = text[:at] + data.draw(st.sampled_from(PIECES) | st.text(max_size=1)) + text[at + cut :]
    assert outcome(Tree.from_json, text) == outcome(whole, text)


def test_an_expected_text_is_read_with_marks_and_others_are_not():
    made = Tree(text="a", leaf=Leaf(text="b"), leaves=[Leaf()], twigs=[[Twig(leaf=Leaf())]])
    read = Tree.generated.read_json
    assert read(made.to_json()) == made
    assert read(made.to_json()).changed() == made.changed()
    assert read(made.to_json(R1)) is None, "older"
    assert read(json.dumps(made.to_primitive())) is None, "spaced otherwise"
    assert read(made.to_json() + " ") is None
    assert read(made.to_json()[:-1]) is None
    mixed = made.to_primitive()
    mixed["versioned_object.data"]["leaf"] = Leaf(text="b").to_primitive(R1)
    text = json.dumps(mixed, separators=(",", ":"))
    assert read(text) is None, "an older object inside"
    assert Tree.from_json(text) == made


@pytest.mark.parametrize("text", ["", "{", "null", "[]", HEADS[2], HEADS[2] + "{}}", HEADS[2] + "[" * 100_000])
def test_what_is_no_envelope_is_refused(text):
    assert Tree.generated.read_json(text) is None
    with pytest.raises(IncompatibleObject) as refusal:
        Tree.from_json(text)
    assert Tree.generated.marked.mark not in str(refusal.value)


def test_a_mark_that_somebody_writes_is_worth_a_head_and_no_more():
    mark = Tree.generated.marked.mark
    for data in ({}, {"text": "a"}, []):
        with pytest.raises(IncompatibleObject):
            Tree.from_json(json.dumps({mark: data}, separators=(",", ":")))
