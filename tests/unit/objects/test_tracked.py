"""Changes in the lists, dicts and sets of an object, and in the objects inside, are changes of the object."""

import copy
import pickle

import pytest

from bascule.objects import Object, field


class Leaf(Object, namespace="tree"):
    size: int = 0


class Branch(Object, namespace="tree"):
    leaf: Leaf | None = None
    leaves: list[Leaf] = field(default=[])
    named: dict[str, Leaf] = field(default={})
    numbers: list[int] = field(default=[])
    lists: list[list[int]] = field(default=[])
    texts: dict[str, str] = field(default={})
    marks: set[int] = field(default=set())
    branch: dict[str, list[Leaf]] = field(default={})


def branch():
    made = Branch(
        leaf=Leaf(),
        leaves=[Leaf(), Leaf()],
        named={"a": Leaf()},
        numbers=[3, 1, 2],
        lists=[[1], [2]],
        texts={"a": "b", "c": "d"},
        marks={1, 2},
        branch={"x": [Leaf()]},
    )
    made.forget_changes()
    return made


def read():
    return Branch.from_json(branch().to_json())


def augmented(name, operator, value):
    def change(made):
        scope = {"target": getattr(made, name), "value": value}
        exec(f"target {operator} value", scope)

    return change


CHANGES = [
    ("leaf", lambda made: setattr(made.leaf, "size", 1)),
    ("leaves", lambda made: setattr(made.leaves[1], "size", 1)),
    ("leaves", lambda made: made.leaves.append(Leaf())),
    ("named", lambda made: setattr(made.named["a"], "size", 1)),
    ("named", lambda made: made.named.update(b=Leaf())),
    ("branch", lambda made: setattr(made.branch["x"][0], "size", 1)),
    ("branch", lambda made: made.branch["x"].append(Leaf())),
    ("numbers", lambda made: made.numbers.append(1)),
    ("numbers", lambda made: made.numbers.extend([1])),
    ("numbers", lambda made: made.numbers.insert(0, 1)),
    ("numbers", lambda made: made.numbers.pop()),
    ("numbers", lambda made: made.numbers.remove(1)),
    ("numbers", lambda made: made.numbers.sort()),
    ("numbers", lambda made: made.numbers.reverse()),
    ("numbers", lambda made: made.numbers.clear()),
    ("numbers", lambda made: made.numbers.__setitem__(0, 5)),
    ("numbers", lambda made: made.numbers.__setitem__(slice(0, 1), [5, 6])),
    ("numbers", lambda made: made.numbers.__delitem__(0)),
    ("numbers", augmented("numbers", "+=", [1])),
    ("numbers", augmented("numbers", "*=", 2)),
    ("lists", lambda made: made.lists[0].append(7)),
    ("lists", lambda made: made.lists.append([7])),
    ("texts", lambda made: made.texts.__setitem__("x", "y")),
    ("texts", lambda made: made.texts.__delitem__("a")),
    ("texts", lambda made: made.texts.update({"x": "y"})),
    ("texts", lambda made: made.texts.setdefault("x", "y")),
    ("texts", lambda made: made.texts.pop("a")),
    ("texts", lambda made: made.texts.popitem()),
    ("texts", lambda made: made.texts.clear()),
    ("texts", augmented("texts", "|=", {"x": "y"})),
    ("marks", lambda made: made.marks.add(5)),
    ("marks", lambda made: made.marks.discard(1)),
    ("marks", lambda made: made.marks.remove(1)),
    ("marks", lambda made: made.marks.pop()),
    ("marks", lambda made: made.marks.clear()),
    ("marks", lambda made: made.marks.update({5})),
    ("marks", lambda made: made.marks.intersection_update({1})),
    ("marks", lambda made: made.marks.difference_update({1})),
    ("marks", lambda made: made.marks.symmetric_difference_update({1})),
    ("marks", augmented("marks", "|=", {5})),
    ("marks", augmented("marks", "&=", {1})),
    ("marks", augmented("marks", "-=", {1})),
    ("marks", augmented("marks", "^=", {1})),
]


@pytest.mark.parametrize("make", [branch, read, lambda: copy.deepcopy(branch()), lambda: Branch.hydrate(as_row())])
@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_a_change_inside_a_field_is_a_change_of_the_object(make, name, change):
    made = make()
    assert made.changed() == set()
    assert "versioned_object.changes" not in made.to_primitive()
    change(made)
    assert made.changed() == {name}
    assert made.to_primitive()["versioned_object.changes"] == [name]
    assert Branch.from_json(made.to_json()) == made
    made.forget_changes()
    assert made.changed() == set()


def as_row():
    return {name: getattr(branch(), name) for name in Branch.fields()}


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made.numbers.append("x"),
        lambda made: made.numbers.extend([1, "x"]),
        lambda made: made.numbers.insert(0, None),
        lambda made: made.numbers.__setitem__(0, "x"),
        lambda made: made.numbers.__setitem__(slice(0, 1), ["x"]),
        augmented("numbers", "+=", ["x"]),
        lambda made: made.lists[0].append("x"),
        lambda made: made.lists.append(["x"]),
        lambda made: made.texts.__setitem__("x", 1),
        lambda made: made.texts.__setitem__(1, "x"),
        lambda made: made.texts.update(x=1),
        lambda made: made.texts.setdefault("x"),
        augmented("texts", "|=", {"x": 1}),
        lambda made: made.marks.add("x"),
        lambda made: made.marks.update(["x"]),
        augmented("marks", "|=", {"x"}),
        augmented("marks", "^=", {"x"}),
        lambda made: made.leaves.append(Branch()),
        lambda made: made.branch["x"].append(None),
    ],
)
def test_a_collection_refuses_an_element_of_another_kind_and_stays_as_it_was(change):
    made = branch()
    with pytest.raises(TypeError, match="an element must"):
        change(made)
    assert made == branch()
    assert made.changed() == set()


def test_a_collection_is_the_objects_own_copy():
    numbers = [1]
    one, other = Branch(numbers=numbers), Branch(numbers=numbers)
    other.numbers = one.numbers
    numbers.append(2)
    one.numbers.append(3)
    assert (one.numbers, other.numbers) == ([1, 3], [1])
    assert one.texts is not other.texts


def test_copies_and_pickles_are_objects_of_their_own():
    for duplicate in (copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))):
        made = branch()
        made.leaf = Leaf(size=4)
        twin = duplicate(made)
        assert twin == made
        assert twin.changed() == {"leaf"}
        twin.numbers.append(9)
        assert (made.numbers, made.changed()) == ([3, 1, 2], {"leaf"})


def test_plain_copies_of_collections_tell_nobody():
    made = branch()
    for name in ("numbers", "texts", "marks"):
        duplicate = copy.deepcopy(getattr(made, name))
        assert type(duplicate) in (list, dict, set)
        duplicate.clear()
    assert made == branch()
    assert made.changed() == set()


def test_a_change_two_objects_deep_is_a_change_of_the_outermost():
    class Tree(Object, namespace="tree"):
        trunk: Branch
        branches: list[Branch] = field(default=[])

    tree = Tree(trunk=branch(), branches=[branch()])
    tree.forget_changes()
    tree.branches[0].leaves[0].size = 1
    assert tree.changed() == {"branches"}
    tree.trunk.leaf.size = 1
    assert tree.to_primitive()["versioned_object.changes"] == ["branches", "trunk"]
    assert Tree.from_json(tree.to_json()).branches[0].leaves[0].changed() == {"size"}
    tree.forget_changes()
    assert (tree.changed(), tree.trunk.leaf.changed()) == (set(), set())
