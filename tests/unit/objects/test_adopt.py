"""Adopted classes of oslo.versionedobjects give and take what they did before, to the byte, and are pinned."""

import copy
import datetime as dt
import itertools
import json
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what oslo's dependencies say about each other
    from oslo_versionedobjects import base, exception, fields

    from bascule.objects.oslo import NotAtPin, adopt

register = base.VersionedObjectRegistry.register
COUNT = itertools.count()
TEXT = st.text(max_size=6)
QUICK = {"deadline": None, "suppress_health_check": list(HealthCheck)}


class Base(base.VersionedObject):
    OBJ_PROJECT_NAMESPACE = "adopted"


@register
class AdoptedKid(Base):
    VERSION = "1.1"
    fields = {  # noqa: RUF012  # oslo's form
        "a": fields.IntegerField(),
        "b": fields.StringField(nullable=True),
    }

    def obj_make_compatible(self, primitive, target_version):
        super().obj_make_compatible(primitive, target_version)
        if target_version == "1.0":
            primitive.pop("b", None)


@register
class AdoptedBigKid(AdoptedKid):
    VERSION = "1.0"


class Loud(fields.FieldType):
    """A kind of a service's own, which needs the object and the name of the attribute."""

    def coerce(self, obj, attr, value):
        return f"{type(obj).__name__}.{attr}={value}" if "=" not in str(value) else value

    def to_primitive(self, obj, attr, value):
        return {"attr": attr, "value": value, "of": obj.obj_name()}

    def from_primitive(self, obj, attr, value):
        return value["value"]


class Shouted(fields.String):
    def coerce(self, obj, attr, value):
        return super().coerce(obj, attr, value).upper()


class MarkedField(fields.StringField):
    def to_primitive(self, obj, attr, value):
        return f"<{attr}:{value}>"


def kid(value):
    return AdoptedKid(a=value[0], b=value[1]) if value[1] != "" else AdoptedKid(a=value[0])


KIDS = st.tuples(st.integers(), st.none() | TEXT).map(kid)
ADDRESSES = st.ip_addresses().map(str)
ZONES = st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=2)), dt.timezone(dt.timedelta(0), "EST")])
SORTS = {
    "integer": (fields.Integer, st.integers() | st.floats(-9, 9) | st.sampled_from(["1", "x"])),
    "float": (fields.Float, st.floats() | st.integers(-9, 9)),
    "string": (fields.String, TEXT | st.integers() | st.datetimes()),
    "sensitive": (fields.SensitiveString, TEXT),
    "boolean": (fields.Boolean, st.booleans() | st.integers(0, 2)),
    "flexible": (fields.FlexibleBoolean, st.booleans() | st.sampled_from(["yes", "no", "perhaps"])),
    "datetime": (fields.DateTime, st.datetimes(timezones=ZONES) | st.sampled_from(["2026-01-02T03:04:05+02:00"])),
    "naive": (lambda: fields.DateTime(tzinfo_aware=False), st.datetimes(timezones=ZONES)),
    "uuid": (fields.UUID, st.uuids().map(str) | st.uuids()),
    "enum": (lambda: fields.Enum(["a", "b"]), st.sampled_from(["a", "b", "c"])),
    "mac": (fields.MACAddress, st.sampled_from(["01:02:03:0a:0b:0c", "01-02-03-0A-0B-0C", "x"])),
    "pci": (fields.PCIAddress, st.sampled_from(["0000:02:00.0", "0000:0A:1f.7"])),
    "predicate": (fields.VersionPredicate, st.sampled_from([">1.0", "<2,>=1.5"])),
    "natural": (fields.NonNegativeInteger, st.integers(-1)),
    "positive": (fields.NonNegativeFloat, st.floats()),
    "ip": (fields.IPAddress, ADDRESSES),
    "ip4": (fields.IPV4Address, st.ip_addresses(v=4).map(str)),
    "ip6": (fields.IPV6Address, st.ip_addresses(v=6).map(str)),
    "ip46": (fields.IPV4AndV6Address, ADDRESSES),
    "net": (fields.IPNetwork, ADDRESSES),
    "net4": (fields.IPV4Network, st.ip_addresses(v=4).map(str)),
    "net6": (fields.IPV6Network, st.ip_addresses(v=6).map(str)),
    "object": (lambda: fields.Object("AdoptedKid"), KIDS),
    "subclass": (
        lambda: fields.Object("AdoptedKid", subclasses=True),
        KIDS | st.builds(AdoptedBigKid, a=st.integers()),
    ),
    "any": (fields.FieldType, TEXT | st.integers() | KIDS.filter(lambda each: False)),
    "of its own": (Loud, TEXT),
    "a coercion of its own": (Shouted, TEXT),
}


@st.composite
def kinds(draw):
    make, values = SORTS[draw(st.sampled_from(sorted(SORTS)))]
    for around in draw(st.lists(st.sampled_from(["list", "dict", "set"]), max_size=2)):
        make, values = around_it(around, make, values)
    return make, values


def around_it(around, make, values):
    outer = {"list": fields.List, "dict": fields.Dict, "set": fields.Set}[around]
    hashed = values.filter(lambda each: not isinstance(each, (list, dict, set, base.VersionedObject)))
    many = {
        "list": st.lists(values, max_size=3),
        "dict": st.dictionaries(TEXT, values, max_size=3),
        "set": st.lists(hashed, max_size=3).map(lambda items: {each for each in items if each.__hash__}),
    }
    return (lambda: outer(make())), many[around]


class Case:
    """A class, the values that were set, and what is done to one object of it."""

    def __init__(self, cls, values, forgotten):
        self.cls, self.values, self.forgotten = cls, values, forgotten

    def made(self):
        made = self.cls()
        for name, value in self.values.items():
            outcome(setattr, made, name, copy.deepcopy(value))
        made.obj_reset_changes(self.forgotten or None)
        return made

    def results(self):
        """Everything that an application can see of one object, on its way out and in."""
        made = self.made()
        primitive = outcome(made.obj_to_primitive)
        yield text(primitive)
        yield sorted(made.obj_what_changed()), [made.obj_attr_is_set(name) for name in made.fields], repr(made)
        for target, manifest in (("1.0", None), ("1.0", MANIFEST), ("1.1", MANIFEST), ("1.2", None)):
            yield text(outcome(made.obj_to_primitive, target, manifest))
        if isinstance(primitive, dict):
            wire = json.loads(json.dumps(primitive, default=str))
            yield from self.read(primitive)
            yield from self.read(wire)
            for name in wire["versioned_object.data"]:
                for junk in (None, 5, -1, -0.5, "x", [], {}, ["x"], {"a": None}):
                    data = {**wire["versioned_object.data"], name: junk}
                    yield from self.read({**wire, "versioned_object.data": data})

    def read(self, primitive):
        read = outcome(self.cls.obj_from_primitive, copy.deepcopy(primitive), "context")
        if isinstance(read, base.VersionedObject):
            yield read.VERSION, read._context, sorted(read._changed_fields), state(read)
            yield text(outcome(read.obj_to_primitive))
        else:
            yield read


MANIFEST = {"AdoptedKid": "1.0", "AdoptedBigKid": "1.0"}


def outcome(call, *arguments):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            result = call(*arguments)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must be the same
            return type(error).__name__, str(error)
    return (type(said[0].message).__name__, text(result)) if said and not hasattr(result, "fields") else result


def text(value):
    return json.dumps(value, default=repr) if isinstance(value, dict) else str(value)


def state(value):
    """Return the whole state of an object, with the types of everything in it."""
    if isinstance(value, base.VersionedObject):
        return type(value).__name__, {
            name: state(held) for name, held in sorted(vars(value).items()) if name[:5] == "_obj_"
        }
    if isinstance(value, (list, set, tuple)):
        coercing = getattr(value, "_element_type", None), getattr(value, "_field", None)
        return type(value).__name__, coercing, sorted(map(repr, map(state, value)))
    if isinstance(value, dict):
        return type(value).__name__, getattr(value, "_field", None), {key: state(item) for key, item in value.items()}
    return type(value).__name__, repr(value)


@st.composite
def cases(draw, sort=None):
    sorts = [sort or draw(kinds()) for _ in range(draw(st.integers(1, 4)))]
    own, values = {}, {}
    for number, (make, some) in enumerate(sorts):
        nullable, read_only = draw(st.booleans()), draw(st.sampled_from([False, False, True]))
        field = fields.Field(make(), nullable=nullable, read_only=read_only)
        own[f"f{number}"] = field
        if draw(st.sampled_from([True, True, True, False])):
            values[f"f{number}"] = draw(st.none() | some if nullable else some)
    cls = register(type(f"Adopted{next(COUNT)}", (Base,), {"VERSION": "1.1", "fields": own}))
    return Case(cls, values, draw(st.lists(st.sampled_from(sorted(own)), unique=True)))


def check(case):
    stock = list(case.results())
    with adopt([case.cls, AdoptedKid, AdoptedBigKid]) as adopted:
        assert adopted.accelerated == (case.cls, AdoptedKid, AdoptedBigKid)
        assert list(case.results()) == stock
    assert list(case.results()) == stock


@pytest.mark.parametrize("sort", sorted(SORTS))
def test_each_kind_of_field_is_as_before(sort):
    @settings(max_examples=8, **QUICK)
    @given(cases(SORTS[sort]))
    def each(case):
        check(case)

    each()


@settings(max_examples=60, **QUICK)
@given(cases())
def test_a_class_of_any_fields_is_as_before(case):
    check(case)


@register
class AdoptedAll(Base):
    VERSION = "1.2"
    fields = {  # noqa: RUF012  # oslo's form
        "id": fields.IntegerField(read_only=True),
        "lazy": fields.StringField(),
        "note": fields.StringField(nullable=True, default="x"),
        "marked": MarkedField(),
        "kid": fields.ObjectField("AdoptedKid", nullable=True),
        "kids": fields.ListOfObjectsField("AdoptedKid"),
        "by_name": fields.Field(fields.Dict(fields.Object("AdoptedKid"))),
    }
    obj_extra_fields = ("twice",)
    obj_relationships = {"kid": [("1.0", "1.0"), ("1.2", "1.1")], "kids": [("1.1", "1.0")]}  # noqa: RUF012  # oslo's
    loaded = ()

    @property
    def twice(self):
        return self.id * 2

    def obj_load_attr(self, attrname):
        type(self).loaded += (attrname,)
        self.lazy = "loaded"

    def obj_make_compatible(self, primitive, target_version):
        super().obj_make_compatible(primitive, target_version)
        if target_version in {"1.0", "1.1"} and "note" in primitive:
            primitive["note"] = f"below 1.2: {primitive['note']}"

    @base.remotable
    def touch(self, word):
        self.note = word
        return self.id


@register
class AdoptedKids(base.ObjectListBase, Base):
    VERSION = "1.1"
    fields = {"objects": fields.ListOfObjectsField("AdoptedKid")}  # noqa: RUF012  # oslo's form
    child_versions = {"1.0": "1.0", "1.1": "1.1"}  # noqa: RUF012  # oslo's form


def everything():
    kids = [AdoptedKid(a=number, b="b") for number in range(3)]
    made = AdoptedAll(
        "context", id=1, note="n", marked="m", kid=kids[0], kids=kids, by_name={"x": AdoptedKid(a=9, b="")}
    )
    made.obj_reset_changes(recursive=True)
    made.note = "changed"
    kids[0].a = 5
    return made


def seen(made):
    for target, manifest in (
        (None, None),
        ("1.1", None),
        ("1.0", None),
        ("1.1", {"AdoptedKid": "1.0"}),
        (None, {"a": "1.0"}),
        (None, {"AdoptedKid": "1.0"}),
    ):
        yield text(outcome(made.obj_to_primitive, target, manifest))
    yield sorted(made.obj_what_changed()), outcome(made.obj_to_primitive, "9.9")
    yield outcome(made.obj_attr_is_set, "twice"), outcome(made.obj_attr_is_set, "nobody"), "lazy" in made
    yield state(made.obj_clone()), repr(made)


CLASSES = (AdoptedKid, AdoptedAll, AdoptedKids)


def test_overrides_lazy_loading_relations_and_remotable_methods_work_as_before():
    stock = list(seen(everything()))
    with adopt(CLASSES) as adopted:
        assert (adopted.accelerated, adopted.left_alone) == (CLASSES, {})
        made = everything()
        assert list(seen(made)) == stock
        assert (made.touch("w"), made.note, AdoptedAll.loaded) == (1, "w", ())
        assert (made.lazy, AdoptedAll.loaded, made.obj_attr_is_set("lazy")) == ("loaded", ("lazy",), True)
        read = AdoptedAll.obj_from_primitive(json.loads(json.dumps(made.obj_to_primitive())))
        assert (read.note, read.kid.a, read.by_name["x"].a, read.kids[2].b) == ("w", 5, 9, "b")
        with pytest.raises(exception.ReadOnlyFieldError):
            read.id = 2
        read.kids.append(AdoptedKid(a=1))
        with pytest.raises(ValueError, match="AdoptedKid is required"):
            read.kids.append("x")
    AdoptedAll.loaded = ()


def test_a_list_of_objects_is_as_before():
    def of_a_list():
        kids = AdoptedKids(objects=[AdoptedKid(a=1, b="b"), AdoptedKid(a=2)])
        kids.obj_reset_changes(recursive=True)
        yield text(kids.obj_to_primitive())
        kids.objects[1].a = 3
        yield from (text(kids.obj_to_primitive(target)) for target in (None, "1.0", "1.1"))
        read = AdoptedKids.obj_from_primitive(kids.obj_to_primitive("1.0"))
        yield len(read), read[0].VERSION, [each.a for each in read], state(read[:1]), sorted(read.obj_what_changed())
        yield text((read + read).obj_to_primitive())
        yield text(AdoptedKids().obj_to_primitive())

    stock = list(of_a_list())
    with adopt(CLASSES):
        assert list(of_a_list()) == stock


def test_payloads_of_older_and_newer_versions_are_met_as_before():
    def met():
        primitive = everything().obj_to_primitive()
        for version in ("1.0", "1.1", "1.2", "1.2.3", "1.3", "2.0"):
            read = outcome(AdoptedAll.obj_from_primitive, {**primitive, "versioned_object.version": version})
            yield (read.VERSION, state(read), text(read.obj_to_primitive())) if hasattr(read, "VERSION") else read
        kid = {**primitive["versioned_object.data"]["kid"], "versioned_object.version": "1.7"}
        data = {**primitive["versioned_object.data"], "kid": kid}
        yield outcome(AdoptedAll.obj_from_primitive, {**primitive, "versioned_object.data": data})
        stranger = {**kid, "versioned_object.name": "AdoptedAll"}
        yield outcome(AdoptedAll.obj_from_primitive, {**primitive, "versioned_object.data": {**data, "kid": stranger}})
        yield outcome(AdoptedAll.obj_from_primitive, {**primitive, "versioned_object.namespace": "other"})
        stranger = {**primitive["versioned_object.data"]["kid"], "versioned_object.name": "AdoptedKids"}
        yield outcome(AdoptedAll.obj_from_primitive, {**primitive, "versioned_object.data": {**data, "kid": stranger}})
        yield outcome(
            AdoptedAll.obj_from_primitive, {**primitive, "versioned_object.data": {**data, "kids": [stranger]}}
        )

    stock = list(met())
    with adopt(CLASSES):
        assert list(met()) == stock


def test_a_class_that_has_its_own_of_what_is_replaced_keeps_it_and_is_named():
    def of(**own):
        body = {"fields": {"a": fields.IntegerField()}, **own}
        return register(type(f"Adopted{next(COUNT)}", (Base,), body))

    own = {
        "obj_to_primitive": lambda self, target_version=None, version_manifest=None: "mine",
        "obj_attr_is_set": lambda self, attrname: True,
        "__getattr__": lambda self, name: 5,
        "__setattr__": lambda self, name, value: super(Base, self).__setattr__(name, value),
    }
    for name, method in own.items():
        cls = of(**{name: method})
        before = dict(vars(cls))
        with adopt([cls, AdoptedKid]) as adopted:
            assert adopted.accelerated == (AdoptedKid,)
            assert name in adopted.left_alone[cls]
            assert dict(vars(cls)) == before
    reader = of(_obj_from_primitive=classmethod(lambda cls, context, objver, primitive: "read my way"))
    hand_made = of()
    hand_made.a = property(lambda self: 7)
    shared = of(_obj_a=3)
    with adopt([reader, hand_made, shared]) as adopted:
        assert adopted.accelerated == (reader,)
        assert list(adopted.left_alone) == [reader, hand_made, shared]
        assert reader.obj_from_primitive(reader(a=1).obj_to_primitive()) == "read my way"
        assert shared().obj_to_primitive()["versioned_object.data"] == {"a": 3}
        assert hand_made().a == 7


def test_overridden_changes_names_and_init_are_asked():
    @register
    class AdoptedOwn(Base):
        fields = {"a": fields.IntegerField(), "b": fields.IntegerField()}  # noqa: RUF012  # oslo's form

        def __init__(self, *arguments, **values):
            super().__init__(*arguments, **values)
            self.b = 1

        @classmethod
        def obj_name(cls):
            return "AdoptedAnotherName"

        def obj_what_changed(self):
            return super().obj_what_changed() | {"a"}

    def all_of_it():
        made = AdoptedOwn(a=1)
        made.obj_reset_changes()
        primitive = made.obj_to_primitive()
        return text(primitive), state(AdoptedOwn.obj_from_primitive(primitive))

    stock = all_of_it()
    with adopt([AdoptedOwn]) as adopted:
        assert adopted.accelerated == (AdoptedOwn,)
        assert all_of_it() == stock


def test_a_read_only_field_that_init_has_set_is_guarded_as_before():
    @register
    class AdoptedSet(Base):
        fields = {"a": fields.IntegerField(read_only=True)}  # noqa: RUF012  # oslo's form

        def __init__(self, *arguments, **values):
            super().__init__(*arguments, **values)
            self.a = 1

    same, other = AdoptedSet().obj_to_primitive(), AdoptedSet().obj_to_primitive()
    other["versioned_object.data"]["a"] = 2
    with adopt([AdoptedSet]):
        assert AdoptedSet.obj_from_primitive(same).a == 1
        with pytest.raises(exception.ReadOnlyFieldError):
            AdoptedSet.obj_from_primitive(other)


def test_subclasses_that_are_not_adopted_stay_as_they_are():
    with adopt([AdoptedKid]):
        big = AdoptedBigKid(a=1, b="x")
        assert big.obj_to_primitive()["versioned_object.name"] == "AdoptedBigKid"
        assert AdoptedBigKid.obj_from_primitive(big.obj_to_primitive()).b == "x"
        assert big.obj_attr_is_set("b")
        assert big.obj_what_changed() == {"a", "b"}


def test_undone_twice_and_nested_nothing_is_left():
    before = [dict(vars(cls)) for cls in CLASSES]
    outer = adopt(CLASSES)
    with adopt(CLASSES) as inner:
        assert inner.accelerated == CLASSES
    assert AdoptedKid.obj_to_primitive is not base.VersionedObject.obj_to_primitive
    outer.undo()
    outer.undo()
    assert [dict(vars(cls)) for cls in CLASSES] == before


class Pin:
    """The versions at the live pin, which moves."""

    versions = {"AdoptedAll": "1.1", "AdoptedKid": "1.0", "AdoptedKids": "1.0"}  # noqa: RUF012  # replaced as a whole

    def __call__(self):
        return self.versions


def test_what_names_no_version_is_sent_at_the_pin_also_in_dicts():
    pin = Pin()
    made = everything()
    as_stock = made.obj_to_primitive("1.1", pin.versions)
    newest = made.obj_to_primitive()
    with adopt(CLASSES, versions=pin):
        sent = made.obj_to_primitive()
        assert sent["versioned_object.version"] == "1.1"
        data, stock_data = sent["versioned_object.data"], as_stock["versioned_object.data"]
        assert {**data, "by_name": None} == {**stock_data, "by_name": None}
        assert data["note"] == "below 1.2: changed", "converted once"
        kid = data["by_name"]["x"]
        assert (kid["versioned_object.version"], "b" in kid["versioned_object.data"]) == ("1.0", False)
        assert stock_data["by_name"]["x"]["versioned_object.version"] == "1.1", "oslo sends it as it is"
        assert made.obj_to_primitive("1.2") == newest, "who names a version gets it"
        assert AdoptedKids(objects=[AdoptedKid(a=1, b="b")]).obj_to_primitive()["versioned_object.version"] == "1.0"
        pin.versions = {name: each[0].VERSION for name, each in base.VersionedObjectRegistry.obj_classes().items()}
        assert made.obj_to_primitive() == newest, "lifted without a restart"
        pin.versions = {}
        assert made.obj_to_primitive() == newest
    assert made.obj_to_primitive() == newest


def test_an_object_that_the_pin_does_not_know_is_not_sent():
    pin = Pin()
    with adopt(CLASSES, versions=pin):
        pin.versions = {"AdoptedAll": "1.1"}
        with pytest.raises(NotAtPin, match="object AdoptedKid does not exist at the pin"):
            everything().obj_to_primitive()
        with pytest.raises(NotAtPin):
            AdoptedKid(a=1).obj_to_primitive()
        pin.versions = Pin.versions
        assert AdoptedKid(a=1).obj_to_primitive()["versioned_object.version"] == "1.0", "and the next one is"


def test_a_class_that_is_left_alone_is_pinned_all_the_same():
    @register
    class AdoptedOwnWay(Base):
        VERSION = "1.1"
        fields = {"a": fields.IntegerField()}  # noqa: RUF012  # oslo's form

        def obj_to_primitive(self, target_version=None, version_manifest=None):
            return {**super().obj_to_primitive(target_version, version_manifest), "extra": True}

    pin = Pin()
    pin.versions = {"AdoptedOwnWay": "1.0"}
    with adopt([AdoptedOwnWay], versions=pin) as adopted:
        assert adopted.left_alone == {AdoptedOwnWay: "it has its own obj_to_primitive"}
        sent = AdoptedOwnWay(a=1).obj_to_primitive()
        assert (sent["versioned_object.version"], sent["extra"]) == ("1.0", True)
        older = AdoptedOwnWay.obj_from_primitive(sent)
        pin.versions = {"AdoptedOwnWay": "1.1"}
        assert older.obj_to_primitive()["versioned_object.version"] == "1.0", "what was read older stays so, as in oslo"
