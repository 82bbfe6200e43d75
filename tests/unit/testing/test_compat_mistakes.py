"""Mistakes planted one at a time in the sample service's second release: the cases find every one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.testing.sample import FIRST, R1, R2, SECOND_TEXT, edited, frozen, imported

from bascule.testing import Incompatible, check, compat_cases

MANIFEST = frozen(FIRST, R1)


def found(text, manifests=(MANIFEST,), **options):
    """Return the titles of the cases that refuse the service with this text."""
    service = imported(text)
    refused = []
    for case in compat_cases(service.OBJECTS, manifests, interfaces=service.INTERFACES, **options):
        try:
            check(case)
        except Incompatible:
            refused.append(str(case))
    return refused


BY_HAND = """    # secret

    def to_primitive(self, pin=None):
        made = super().to_primitive(pin)
        data = made["versioned_object.data"]
        {}
        return made
"""

CLASSIC = {
    "1 a field of Secret without since": [("    # secret\n", "    extra: int = 0\n")],
    "2 a field of Child without since": [("    # child\n", "    extra: int = 0\n")],
    "3 a new field goes down": [('note: str | None = field(since="2027.1"', 'note: str | None = field(since="2026.2"')],
    "4 a child goes down as it is": [
        ("    # secret\n", BY_HAND.format('data["kid"] = self.kid.to_primitive()')),
    ],
    "5 a new word goes down": [
        ('Annotated[Literal["a", "b", "c"], types.Newer("c", since="2027.1", below="b")]', 'Literal["a", "b", "c"]'),
    ],
    "6 another kind goes down": [('"count": str(new["number"])', '"count": new["number"]')],
    "7 a conversion raises on a set field": [('str(new["number"])', '"" + new["number"]')],
    "8 children in a dict go down as they are": [
        (
            "    # secret\n",
            BY_HAND.format('data["byname"] = {key: each.to_primitive() for key, each in self.byname.items()}'),
        ),
    ],
    "9 a field holds another class": [("    kid: Child\n", "    kid: Other\n")],
}
MORE = {
    "10 a word is gone": [('["a", "b", "c"]', '["a", "c"]'), ('below="b"', 'below="a"')],
    "11 a read-only field may be written": [("    id: types.Uuid = field(read_only=True)\n", "    id: types.Uuid\n")],
    "12 the namespace is another": [
        ('class Child(Object, namespace="sample")', 'class Child(Object, namespace="other")')
    ],
    "13 a field that held null does not": [("    name: str | None\n", "    name: str\n")],
    "14 the elements of a list are others": [("words: list[str]", "words: list[int]")],
    "15 a field is gone": [("    size: int = 1\n", "")],
    "16 a class is gone": [("OBJECTS = (Child, Other, Secret)", "OBJECTS = (Child, Secret)")],
    "17 a field is renamed": [("    size: int = 1\n", "    length: int = 1\n")],
    "18 the way up forgets what came": [('{"number": int(old["count"])}', '{"number": 0 * int(old["count"])}')],
    "19 a word goes down as one that is new, too": [
        (
            'Literal["a", "b", "c"], types.Newer("c", since="2027.1", below="b")',
            'Literal["a", "b", "c", "d"], types.Newer("c", since="2027.1", below="d")',
        ),
    ],
    "20 the name on the wire is another": [("class Other(Object, ", 'class Other(Object, name="Another", ')],
    "21 the prefix is another": [("class Other(Object, ", 'class Other(Object, prefix="nova_object", ')],
    "22 the version starts elsewhere": [("class Other(Object, ", 'class Other(Object, version="2.0", ')],
    "23 a bound is new": [("    size: int = 1\n", "    size: types.NonNegativeInt = 1\n")],
    "24 a set is a list": [("marks: set[str] = field(default=set())", "marks: list[str] = field(default=[])")],
    "25 a moment is a text": [("    at: dt.datetime\n", "    at: str\n")],
    "26 a method is gone": [("def store(", "def store_it(")],
    "27 an argument is new and does not say so": [("wait: bool, ", "wait: bool, again: bool, ")],
    "28 a class is new and does not say so": [
        ("class Other(Object", 'class Young(Object, namespace="sample"):\n    a: int\n\n\nclass Other(Object'),
        ("OBJECTS = (", "OBJECTS = (Young, "),
    ],
    "29 a class in a field is not listed": [
        (
            "class Other(Object",
            'class Young(Object, namespace="sample", since="2027.1"):\n    a: int\n\n\nclass Other(Object',
        ),
        ("    # secret\n", '    young: Young | None = field(since="2027.1", default=None)\n'),
    ],
    "30 a field ends too early": [("    size: int = 1\n", '    size: int = field(until="2026.2", default=1)\n')],
    "31 a list goes down in another order": [
        ("    # secret\n", BY_HAND.format('data["kids"] = data["kids"][::-1]')),
    ],
    "32 a conversion knows no negative number": [
        ('str(new["number"])', 'str(new["number"]).removeprefix("-") if new["number"] > -2 else 1 / 0'),
    ],
    "33 changes go down that nobody knows": [
        ("    # secret\n", BY_HAND.format('made["versioned_object.changes"] = ["note"]')),
    ],
    "34 a null goes down as nothing": [
        ("    # secret\n", BY_HAND.format('data.pop("name") if self.name is None else None')),
    ],
}


def test_the_second_release_without_a_mistake_is_found_good():
    assert found(SECOND_TEXT) == []


@pytest.mark.parametrize("mistake", [*CLASSIC, *MORE])
def test_a_planted_mistake_is_found(mistake):
    assert found(edited(SECOND_TEXT, (CLASSIC | MORE)[mistake]))


def test_mistakes_in_the_payload_alone_are_found_by_the_payload():
    for mistake, case in (
        ("4 a child goes down as it is", "Secret-down-2026.2"),
        ("6 another kind goes down", "Secret-down-2026.2"),
        ("7 a conversion raises on a set field", "Secret-down-2026.2"),
        ("8 children in a dict go down as they are", "Secret-down-2026.2"),
        ("18 the way up forgets what came", "Secret-up-2026.2"),
        ("31 a list goes down in another order", "Secret-up-2026.2"),
    ):
        assert found(edited(SECOND_TEXT, (CLASSIC | MORE)[mistake])) == [case]


@settings(max_examples=15, deadline=None)
@given(st.sets(st.sampled_from(sorted(CLASSIC)), min_size=2, max_size=4))
def test_several_mistakes_do_not_hide_each_other(mistakes):
    text = SECOND_TEXT
    for mistake in sorted(mistakes):
        for old, new in CLASSIC[mistake]:
            text = text.replace(
                old, new + ("    # secret\n" if old == "    # secret\n" and "to_prim" not in new else ""), 1
            )
    assert found(text)


def test_a_name_is_not_used_again_even_after_its_release_is_no_longer_supported():
    with_legacy = edited(SECOND_TEXT, [("    # secret\n", '    legacy: str = field(until="2027.1", default="")\n')])
    first = imported(
        with_legacy.replace('    legacy: str = field(until="2027.1", default="")\n', '    legacy: str = ""\n')
    )
    old, new = frozen(first, R1), frozen(imported(SECOND_TEXT), R2)
    again = edited(SECOND_TEXT, [("    # secret\n", '    legacy: int = field(since="2027.2", default=0)\n')])
    assert found(SECOND_TEXT, [old, new], since="2027.1") == []
    assert found(again, [old, new], since="2027.1") == ["names-2026.2"]


def test_what_compares_nothing_is_refused():
    service = imported(SECOND_TEXT)
    for objects, manifests, options in (
        (service.OBJECTS, [], {}),
        (service.OBJECTS, [MANIFEST], {"since": "2028.1"}),
        ((), [MANIFEST], {}),
    ):
        with pytest.raises(ValueError, match="no supported release or no object to compare"):
            compat_cases(objects, manifests, **options)


def test_a_refusal_names_the_case_and_quotes_no_sample():
    service = imported(edited(SECOND_TEXT, CLASSIC["6 another kind goes down"]))
    case = next(each for each in compat_cases(service.OBJECTS, [MANIFEST]) if str(each) == "Secret-down-2026.2")
    with pytest.raises(Incompatible, match=r"Secret-down-2026\.2:\n  - cannot be sent: TypeError: a change of Secret"):
        check(case)
