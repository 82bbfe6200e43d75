"""The same classes for bascule and for oslo.versionedobjects, made by hypothesis: each reads what the other writes."""

import datetime as dt
import ipaddress
import itertools
import json
import warnings
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bascule.objects import Object, field, types
from bascule.release import Release

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what oslo's dependencies say about each other
    from oslo_versionedobjects import base, fields

RELEASES = tuple(Release.parse(name) for name in ("2026.2", "2027.1", "2027.2"))
COUNT = itertools.count()

TEXT = st.text(max_size=8)
INTS = st.integers(-(2**70), 2**70)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
UUIDS = st.uuids().map(str)
MACS = st.lists(st.integers(0, 255), min_size=6, max_size=6).map(lambda six: ":".join(f"{each:02x}" for each in six))
PCIS = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(0, 31), st.integers(0, 7)).map(
    lambda four: f"{four[0]:04x}:{four[1]:02x}:{four[2]:02x}.{four[3]}"
)
MOMENTS = st.datetimes(dt.datetime(1000, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001  # bounds are naive
PREDICATES = st.lists(
    st.tuples(st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]), st.sampled_from(["1.0", "2.10.3", "3"])).map(
        "".join
    ),
    min_size=1,
    max_size=3,
).map(",".join)
NETWORKS_4 = st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(
    lambda pair: ipaddress.IPv4Network(pair, strict=False)
)
ADDRESSES_6 = st.ip_addresses(v=6) | st.integers(0, 1 << 50).map(ipaddress.IPv6Address)
NETWORKS_6 = st.tuples(ADDRESSES_6, st.integers(0, 128)).map(lambda pair: ipaddress.IPv6Network(pair, strict=False))
INTERFACES = st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(ipaddress.IPv4Interface) | st.tuples(
    ADDRESSES_6, st.integers(0, 128)
).map(ipaddress.IPv6Interface)


class Kid(Object, name="LikeKid", namespace="like"):
    a: int
    b: str | None = field(since="2027.1", default=None)
    c: dict[str, int] = field(since="2027.2", default={})


@base.VersionedObjectRegistry.register
class OsloKid(base.VersionedObject):
    VERSION = "1.2"
    OBJ_PROJECT_NAMESPACE = "like"
    fields = {  # noqa: RUF012  # oslo's form
        "a": fields.IntegerField(),
        "b": fields.StringField(nullable=True),
        "c": fields.DictOfIntegersField(),
    }

    @classmethod
    def obj_name(cls):
        return "LikeKid"

    def obj_make_compatible(self, primitive, target_version):
        super().obj_make_compatible(primitive, target_version)
        for minor, name in ((1, "b"), (2, "c")):
            if int(target_version[2:]) < minor:
                primitive.pop(name, None)


KIDS = st.builds(Kid, a=INTS, b=st.none() | TEXT, c=st.dictionaries(TEXT, INTS, max_size=2))


@dataclass(frozen=True)
class Sort:
    """One kind of field on both sides."""

    annotation: Any
    oslo: Any
    values: st.SearchStrategy
    hashable: bool = True


def oslo_kid(kid):
    made = OsloKid(a=kid.a, b=kid.b, c=dict(kid.c))
    if unchanged := set(made.fields) - kid.changed():  # of none at all, oslo understands all
        made.obj_reset_changes(unchanged)
    return made


SORTS = {
    "int": Sort(int, fields.Integer, INTS),
    "float": Sort(float, fields.Float, FLOATS),
    "str": Sort(str, fields.String, TEXT),
    "sensitive": Sort(str, fields.SensitiveString, TEXT),
    "bool": Sort(bool, fields.Boolean, st.booleans()),
    "flexible": Sort(types.FlexibleBool, fields.FlexibleBoolean, st.booleans()),
    "datetime": Sort(dt.datetime, fields.DateTime, MOMENTS.map(lambda moment: moment.replace(microsecond=0))),
    "uuid": Sort(types.Uuid, fields.UUID, UUIDS),
    "enum": Sort(Literal["a", "b"], lambda: fields.Enum(["a", "b"]), st.sampled_from(["a", "b"])),
    "mac": Sort(types.MacAddress, fields.MACAddress, MACS),
    "pci": Sort(types.PciAddress, fields.PCIAddress, PCIS),
    "version": Sort(types.VersionPredicate, fields.VersionPredicate, PREDICATES),
    "natural": Sort(types.NonNegativeInt, fields.NonNegativeInteger, st.integers(0)),
    "positive": Sort(types.NonNegativeFloat, fields.NonNegativeFloat, st.floats(0, allow_infinity=False)),
    "ip": Sort(types.IPAddress, fields.IPAddress, st.ip_addresses(v=4) | ADDRESSES_6),
    "ip4": Sort(ipaddress.IPv4Address, fields.IPV4Address, st.ip_addresses(v=4)),
    "ip6": Sort(ipaddress.IPv6Address, fields.IPV6Address, ADDRESSES_6),
    "ip46": Sort(types.IPAddress, fields.IPV4AndV6Address, st.ip_addresses(v=4) | ADDRESSES_6),
    "net": Sort(types.IPNetwork, fields.IPNetwork, NETWORKS_4 | NETWORKS_6),
    "net with a host": Sort(types.IPInterface, fields.IPNetwork, INTERFACES),
    "net4": Sort(ipaddress.IPv4Network, fields.IPV4Network, NETWORKS_4),
    "net6": Sort(ipaddress.IPv6Network, fields.IPV6Network, NETWORKS_6),
    "object": Sort(Kid, lambda: fields.Object("LikeKid"), KIDS, hashable=False),
}


@st.composite
def sorts(draw):
    """A kind of field: one of the plain ones, or a list, dict or set of them, or of those."""
    sort = SORTS[draw(st.sampled_from(sorted(SORTS)))]
    for around in draw(st.lists(st.sampled_from(["list", "dict", "set"]), max_size=2)):
        if around == "set" and sort.hashable:
            sort = Sort(set[sort.annotation], of(fields.Set, sort.oslo), st.sets(sort.values, max_size=3), False)
        elif around == "dict":
            values = st.dictionaries(TEXT, sort.values, max_size=3)
            sort = Sort(dict[str, sort.annotation], of(fields.Dict, sort.oslo), values, False)
        elif around == "list":
            values = st.lists(sort.values, max_size=3)
            sort = Sort(list[sort.annotation], of(fields.List, sort.oslo), values, False)
    return sort


def of(outer, inner):
    return lambda: outer(plain_field(inner()))


def plain_field(kind, *, nullable=False):
    return fields.Field(kind, nullable=nullable)


@dataclass(frozen=True)
class Case:
    """One object on both sides."""

    ours: Any
    theirs: Any
    born: dict[str, int]


@st.composite
def cases(draw, sort=None):
    """A class of up to five fields, each of a release and perhaps nullable, and the same values on both sides."""
    name = f"Like{next(COUNT)}"
    chosen = [draw(sorts()) if sort is None else sort for _ in range(draw(st.integers(1, 5)))]
    body, annotations, values, oslo_fields, born = {}, {}, {}, {}, {}
    for number, each in enumerate(chosen):
        key, nullable = f"f{number}", draw(st.booleans())
        value = draw(st.none() | each.values if nullable else each.values)
        annotations[key] = each.annotation | None if nullable else each.annotation
        oslo_fields[key] = plain_field(each.oslo(), nullable=nullable)
        born[key], values[key] = draw(st.integers(0, 2)), value
        if born[key]:
            body[key] = field(since=str(RELEASES[born[key]]), default=value)
    numbers = {each: at for at, each in enumerate(sorted({0, *born.values()}))}
    ours = type(Object)(
        name, (Object,), {"__annotations__": annotations, "__module__": __name__, **body}, namespace="like"
    )
    theirs = oslo_class(name, oslo_fields, {key: numbers[at] for key, at in born.items()}, f"1.{len(numbers) - 1}")
    return Case(ours(**values), theirs(**{key: as_oslo(value) for key, value in values.items()}), born)


def oslo_class(name, oslo_fields, minors, version):
    def obj_make_compatible(self, primitive, target_version):
        super(made, self).obj_make_compatible(primitive, target_version)
        for key, minor in minors.items():
            if int(target_version[2:]) < minor:
                primitive.pop(key, None)
            elif key in primitive:
                primitive[key] = older_kids(primitive[key], self.manifest["LikeKid"])

    body = {
        "VERSION": version,
        "OBJ_PROJECT_NAMESPACE": "like",
        "fields": oslo_fields,
        "obj_make_compatible": obj_make_compatible,
        "manifest": {},
        "obj_relationships": {},
    }
    made = type(name, (base.VersionedObject,), body)
    base.VersionedObjectRegistry.register(made)
    return made


def older_kids(value, version):
    """Do by hand what oslo.versionedobjects does for an object alone, and not for one in a dict or deeper."""
    if isinstance(value, dict) and "versioned_object.name" in value:
        OsloKid().obj_make_compatible(value["versioned_object.data"], version)
        changes = [name for name in value.pop("versioned_object.changes", []) if name in value["versioned_object.data"]]
        return {
            **value,
            "versioned_object.version": version,
            **({"versioned_object.changes": changes} if changes else {}),
        }
    if isinstance(value, dict):
        return {key: older_kids(item, version) for key, item in value.items()}
    return type(value)(older_kids(item, version) for item in value) if isinstance(value, (list, tuple)) else value


def as_oslo(value):
    if isinstance(value, Kid):
        return oslo_kid(value)
    if isinstance(value, dict):
        return {key: as_oslo(item) for key, item in value.items()}
    if isinstance(value, (list, set)):
        return type(value)(as_oslo(item) for item in value)
    return str(value) if type(value).__module__ == "ipaddress" else value


def comparable(primitive):
    """Return the primitive with what has no order in one: changes, and what was a set."""
    if isinstance(primitive, dict):
        return {
            key: sorted(value) if key == "versioned_object.changes" else comparable(value)
            for key, value in primitive.items()
        }
    if isinstance(primitive, tuple):
        return sorted((json.dumps(comparable(each)) for each in primitive), key=str)
    return [comparable(each) for each in primitive] if isinstance(primitive, list) else primitive


def oslo_primitive(case, pin):
    """Return what oslo.versionedobjects writes for the pin's release."""
    target = case.ours.version_at(pin)
    type(case.theirs).manifest = {case.ours.object_name(): target, "LikeKid": Kid.version_at(pin)}
    if pin is None:
        return case.theirs.obj_to_primitive()
    type(case.theirs).obj_make_compatible_from_manifest = lambda self, primitive, version, _manifest: (
        self.obj_make_compatible(primitive, version)
    )
    return case.theirs.obj_to_primitive(target_version=target, version_manifest=type(case.theirs).manifest)


def check(case):
    for pin in (None, *RELEASES):
        ours, theirs = case.ours.to_primitive(pin), oslo_primitive(case, pin)
        assert comparable(ours) == comparable(theirs)
        assert json.loads(case.ours.to_json(pin)) == json.loads(json.dumps(ours))
        read = type(case.ours).from_primitive(theirs)
        assert (
            read == type(case.ours).from_json(json.dumps(theirs)) == type(case.ours).from_json(case.ours.to_json(pin))
        )
        assert comparable(read.to_primitive(pin)) == comparable(theirs)
    assert type(case.ours).from_primitive(oslo_primitive(case, None)) == case.ours
    back = type(case.theirs).obj_from_primitive(json.loads(case.ours.to_json()))
    assert comparable(back.obj_to_primitive()) == comparable(oslo_primitive(case, None))


@pytest.mark.parametrize("sort", sorted(SORTS))
def test_each_kind_of_field_travels_as_oslos_does(sort):
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases(SORTS[sort]))
    def each(case):
        check(case)

    each()


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_a_class_of_any_fields_travels_as_oslos_does(case):
    check(case)


def test_a_list_of_objects_is_oslos_list_object():
    class Kids(Object, name="LikeKids", namespace="like"):
        objects: list[Kid]

    @base.VersionedObjectRegistry.register
    class OsloKids(base.ObjectListBase, base.VersionedObject):
        VERSION = "1.0"
        OBJ_PROJECT_NAMESPACE = "like"
        fields = {"objects": fields.ListOfObjectsField("LikeKid")}  # noqa: RUF012  # oslo's form

        @classmethod
        def obj_name(cls):
            return "LikeKids"

    ours = Kids(objects=[Kid(a=1), Kid(a=2)])
    theirs = OsloKids.obj_from_primitive(ours.to_primitive())
    assert [kid.a for kid in theirs] == [1, 2]
    ours.forget_changes()
    theirs.obj_reset_changes(recursive=True)
    ours.objects[1].a = theirs.objects[1].a = 5
    assert comparable(theirs.obj_to_primitive()) == comparable(ours.to_primitive())
    assert ours.to_primitive()["versioned_object.changes"] == ["objects"]


def test_the_prefix_of_the_envelope_is_the_projects():
    class Ours(Object, name="LikeNova", namespace="nova", prefix="nova_object", version="1.5"):
        a: int

    class Base(base.VersionedObject):
        OBJ_SERIAL_NAMESPACE = "nova_object"
        OBJ_PROJECT_NAMESPACE = "nova"

    @base.VersionedObjectRegistry.register
    class Theirs(Base):
        VERSION = "1.5"
        fields = {"a": fields.IntegerField()}  # noqa: RUF012  # oslo's form

        @classmethod
        def obj_name(cls):
            return "LikeNova"

    assert Ours(a=1).to_primitive() == Theirs(a=1).obj_to_primitive()
    assert Theirs.obj_from_primitive(Ours(a=1).to_primitive()).a == 1
    assert Ours.from_primitive(Theirs(a=1).obj_to_primitive()) == Ours(a=1)


def test_a_new_word_of_an_enum_is_replaced_for_older_releases():
    class Ours(Object, name="LikeEnum", namespace="like"):
        state: Annotated[Literal["busy", "error"], types.Newer("error", since="2027.1", below="busy")]

    @base.VersionedObjectRegistry.register
    class Theirs(base.VersionedObject):
        VERSION = "1.1"
        OBJ_PROJECT_NAMESPACE = "like"
        fields = {"state": fields.EnumField(["busy", "error"])}  # noqa: RUF012  # oslo's form

        @classmethod
        def obj_name(cls):
            return "LikeEnum"

        def obj_make_compatible(self, primitive, target_version):
            super().obj_make_compatible(primitive, target_version)
            if target_version == "1.0" and primitive["state"] == "error":
                primitive["state"] = "busy"

    for pin, version in ((RELEASES[0], "1.0"), (RELEASES[1], "1.1")):
        assert Ours(state="error").to_primitive(pin) == Theirs(state="error").obj_to_primitive(target_version=version)
