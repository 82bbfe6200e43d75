"""The nine classic mistakes as they were made, in classes of oslo.versionedobjects: the cases find every one."""

import itertools
import warnings

import pytest

from bascule.documents.manifest import Manifest
from bascule.release import Release
from bascule.testing import check, compat_cases
from bascule.testing.compat.cases import check_all

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what oslo's dependencies say about each other
    from oslo_versionedobjects import base, fields

    from bascule.objects.oslo import adopt
    from bascule.objects.oslo.schema import frozen_of

R1 = Release.parse("2026.2")
COUNT = itertools.count()


class World:
    """Secret with a Child in an object, a list and a dict; names are its own, as oslo's registry is one for all."""

    def __init__(self, number, *, secret=None, child=None, versions=("1.1", "1.1"), bodies=None):
        bodies = bodies or {}
        self.child_name, self.secret_name = f"Child{number}", f"Secret{number}"
        child_fields = {"a": fields.IntegerField(), **(child or {})}
        self.child = self._made(self.child_name, versions[0], child_fields, bodies.get("child", {}))
        kid = fields.Object(self.child_name)
        secret_fields = {
            "id": fields.UUIDField(read_only=True),
            "name": fields.StringField(nullable=True),
            "mode": fields.EnumField(["a", "b"]),
            "count": fields.StringField(),
            "kid": fields.ObjectField(self.child_name),
            "kids": fields.ListOfObjectsField(self.child_name),
            "byname": fields.Field(fields.Dict(kid)),
            **(secret(self) if secret else {}),
        }
        self.secret = self._made(self.secret_name, versions[1], secret_fields, bodies.get("secret", {}))
        self.classes = (self.child, self.secret)

    def _made(self, name, version, own_fields, body):
        namespace = {"VERSION": version, "OBJ_PROJECT_NAMESPACE": "shop", "fields": own_fields, **body}
        return base.VersionedObjectRegistry.register(type(name, (base.VersionedObject,), namespace))


def worlds(**options):
    """Return the first release's manifest and the second release's world."""
    number = next(COUNT)
    first = World(number, versions=("1.0", "1.0"))
    manifest = Manifest("shop", R1, objects=frozen_of(first.classes))
    for name in (first.child_name, first.secret_name):
        base.VersionedObjectRegistry.obj_classes()[name].clear()
    return manifest, World(number, **options)


NEW_CHILD = {"new": fields.IntegerField()}


def new_secret(_world):
    return {"note": fields.StringField(), "mode": fields.EnumField(["a", "b", "c"]), "count": fields.IntegerField()}


def child_down(self, primitive, target_version):
    base.VersionedObject.obj_make_compatible(self, primitive, target_version)
    if target_version == "1.0":
        primitive.pop("new", None)


def by_name_down(self, primitive):
    """What oslo does not do for objects in a dict."""
    for key, each in self.byname.items():
        primitive["byname"][key] = each.obj_to_primitive("1.0", self._obj_version_manifest)


def secret_down(*, parent=True, note=True, mode=True, count=True, by_name=True):
    def obj_make_compatible(self, primitive, target_version):
        if parent:
            base.VersionedObject.obj_make_compatible(self, primitive, target_version)
        if target_version != "1.0":
            return
        if note:
            primitive.pop("note", None)
        if mode and primitive.get("mode") == "c":
            primitive["mode"] = "b"
        if count and "count" in primitive:
            primitive["count"] = str(primitive["count"])
        if by_name and "byname" in primitive:
            by_name_down(self, primitive)

    return {"obj_make_compatible": obj_make_compatible}


def raises(self, primitive, target_version):
    secret_down()["obj_make_compatible"](self, primitive, target_version)
    if target_version == "1.0" and "name" in primitive:
        primitive["name"] += 1


CHILD = {"obj_make_compatible": child_down}
GOOD = {"secret": new_secret, "child": NEW_CHILD, "bodies": {"child": CHILD, "secret": secret_down()}}


def with_secret(body):
    return {**GOOD, "bodies": {"child": CHILD, "secret": body}}


def another_class(_world):
    @base.VersionedObjectRegistry.register
    class AnotherChild(base.VersionedObject):
        OBJ_PROJECT_NAMESPACE = "shop"
        fields = {"a": fields.IntegerField()}  # noqa: RUF012  # oslo's form

    return {**new_secret(_world), "kid": fields.ObjectField("AnotherChild")}


MISTAKES = {
    "1 Secret changed, version not bumped": {**GOOD, "versions": ("1.1", "1.0")},
    "2 Child changed, version not bumped": {**GOOD, "versions": ("1.0", "1.1")},
    "3 the conversion forgets to drop note": with_secret(secret_down(note=False)),
    "4 the conversion forgets super()": with_secret(secret_down(parent=False)),
    "5 the new word is not mapped down": with_secret(secret_down(mode=False)),
    "6 the other kind is not converted": with_secret(secret_down(count=False)),
    "7 the conversion raises on a set field": with_secret({"obj_make_compatible": raises}),
    "8 children in a dict are not converted": with_secret(secret_down(by_name=False)),
    "9 a field holds another class": {**GOOD, "secret": another_class},
    "10 the list holds elements of another kind, with the same version": {
        "secret": lambda world: {"name": fields.ListOfStringsField()},
        "versions": ("1.0", "1.0"),
    },
    "11 a field is no longer read-only, with the same version": {
        "secret": lambda world: {"id": fields.UUIDField()},
        "versions": ("1.0", "1.0"),
    },
    "12 a moment lost its zone, with the same version": {
        "secret": lambda world: {"name": fields.DateTimeField(tzinfo_aware=False)},
        "versions": ("1.0", "1.0"),
    },
}


def found(manifest, world):
    listed = [each for name in ("AnotherChild",) for each in base.VersionedObjectRegistry.obj_classes().get(name, [])]
    return check_all(compat_cases([*world.classes, *listed], [manifest]))


@pytest.mark.parametrize("adopted", [False, True])
def test_the_world_without_a_mistake_is_found_good(adopted):
    manifest, world = worlds(**GOOD)
    with adopt(world.classes if adopted else []):
        assert found(manifest, world) == ()
        for case in compat_cases(world.classes, [manifest]):
            check(case)


def dropping(*names):
    """A conversion that drops what is new and does what secret_down does."""

    def obj_make_compatible(self, primitive, target_version):
        secret_down()["obj_make_compatible"](self, primitive, target_version)
        for name in names if target_version == "1.0" else ():
            primitive.pop(name, None)

    return {"bodies": {"secret": {"obj_make_compatible": obj_make_compatible}, "child": CHILD}}


LEGAL = {
    "nothing": {"versions": ("1.0", "1.0"), "bodies": {"secret": secret_down(), "child": CHILD}},
    "versions alone": dropping(),
    "a nullable field": {"secret": lambda _w: {"x": fields.IntegerField(nullable=True)}, **dropping("x")},
    "a list": {"secret": lambda _w: {"x": fields.ListOfStringsField()}, **dropping("x")},
    "a set": {"secret": lambda _w: {"x": fields.SetOfIntegersField()}, **dropping("x")},
    "a dict of lists": {"secret": lambda _w: {"x": fields.DictOfListOfStringsField()}, **dropping("x")},
    "a moment": {"secret": lambda _w: {"x": fields.DateTimeField(tzinfo_aware=False)}, **dropping("x")},
    "addresses": {
        "secret": lambda _w: {
            "x": fields.IPAddressField(),
            "y": fields.IPNetworkField(),
            "z": fields.MACAddressField(),
        },
        **dropping("x", "y", "z"),
    },
    "an object": {"secret": lambda world: {"x": fields.ObjectField(world.child_name, nullable=True)}, **dropping("x")},
    "objects in a list": {"secret": lambda world: {"x": fields.ListOfObjectsField(world.child_name)}, **dropping("x")},
    "a child's field": {"child": NEW_CHILD, **dropping()},
    "a new word": {"secret": lambda _w: {"mode": fields.EnumField(["a", "b", "c"])}, **dropping()},
    "another kind": {"secret": lambda _w: {"count": fields.IntegerField()}, **dropping()},
    "a default": {"secret": lambda _w: {"x": fields.StringField(default="d")}, **dropping("x")},
}


@pytest.mark.parametrize("title", LEGAL)
def test_a_legal_evolution_raises_no_alarm(title):
    manifest, world = worlds(**LEGAL[title])
    assert found(manifest, world) == ()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_classic_mistake_is_found(mistake):
    manifest, world = worlds(**MISTAKES[mistake])
    assert found(manifest, world)


def test_a_fingerprint_sees_what_oslos_does_not():
    variants = [
        {},
        {"kid": fields.ObjectField("AnotherChild")},
        {"name": fields.ListOfStringsField()},
        {"name": fields.Field(fields.List(fields.Integer()))},
        {"name": fields.Field(fields.List(fields.String(), nullable=True))},
        {"id": fields.UUIDField()},
        {"name": fields.DateTimeField()},
        {"name": fields.DateTimeField(tzinfo_aware=False)},
        {"mode": fields.EnumField(["a", "b", "c"])},
        {"kid": fields.Field(fields.Object("Child0", subclasses=True))},
    ]
    prints = set()
    for each in variants:
        world = World("Printed", secret=lambda _world, each=each: each, versions=("1.0", "1.0"))
        prints.add(frozen_of(world.classes)[world.secret_name]["fingerprint"])
    assert len(prints) == len(variants)


def test_classes_of_both_kinds_need_cases_of_their_own():
    from bascule.objects import Object

    manifest, world = worlds(**GOOD)
    with pytest.raises(TypeError, match="need cases of their own each"):
        compat_cases([*world.classes, type(Object)("Ours", (Object,), {})], [manifest])
