"""Rows reached through another process, of the same release, of an older one, and of a newer one."""

import contextlib
import datetime as dt
import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from bascule.objects import IncompatibleObject, NoSuchObject, ObjectConflict, ObjectTooNew, RowRefused
from bascule.objects.database import Database
from bascule.objects.indirection import Indirection, Remote
from bascule.release import Release
from bascule.rpc import Client, EmbeddedTransport, Interface, Receiver, Server, method

PROGRAM = Path(__file__).with_name("orders.py")
R1, R2 = Release.parse("2026.2"), Release.parse("2027.1")


def load():
    spec = importlib.util.spec_from_file_location("bascule_test_orders", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


orders = load()
Order, OldOrder, Part, OldPart, ORDERS = orders.Order, orders.OldOrder, orders.Part, orders.OldPart, orders.ORDERS


class Conductor:
    """The process that has the database; calling it carries one call there and back."""

    def __init__(self, url, release, pin):
        self.url = url
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(release), str(pin), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, method, arguments):
        self.process.stdin.write(json.dumps([method, arguments]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def rows(self):
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            rows = [dict(row) for row in connection.execute(sa.select(ORDERS).order_by(ORDERS.c.id)).mappings()]
        engine.dispose()
        return rows

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def conductor(tmp_path):
    """`conductor(release, pin)` starts one; all share a database."""
    running = []

    def start(release, pin=R2):
        running.append(Conductor(f"sqlite:///{tmp_path / 'orders.db'}", release, pin))
        return running[-1]

    yield start
    for each in running:
        each.close()


def test_all_methods_do_there_what_they_do_here(conductor):
    there = conductor(R2)
    store = Remote(there, pin=lambda: R2)
    moment = dt.datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)
    made = [Order(state=state, note="n", parts=[Part(code="x", spare=True)]) for state in ("new", "failed", "new")]
    for each in made:
        each.create(store)
    assert [(each.id, each.changed()) for each in made] == [(1, set()), (2, set()), (3, set())]
    assert Order.get(store, 2) == made[1]
    assert [each.id for each in Order.query(store, {"state": "new"}, order_by=["-id"])] == [3, 1]
    assert [each.id for each in Order.query(store, {"state": ["new", "failed"], "note": "n"}, limit=1, offset=1)] == [2]
    assert (Order.count(store), Order.count(store, {"at": None})) == (3, 3)
    made[0].at, made[0].tries = moment, 5
    made[0].save(store, expected={"state": "new", "tries": 0})
    assert (made[0].changed(), there.rows()[0]["tries"]) == (set(), 5)
    assert made[0].at == moment, "what did not change over there stays as it is"
    assert Order.count(store, {"at": moment.replace(microsecond=0)}) == 1
    made[1].delete(store)
    with pytest.raises(NoSuchObject):
        Order.get(store, 2)
    with pytest.raises(ObjectConflict, match="another tries") as lost:
        made[0].delete(store, expected={"tries": [0, 1]})
    assert lost.value.expected == ("tries",)
    assert [row["id"] for row in there.rows()] == [1, 3]


def test_methods_of_the_services_own_run_there_and_what_they_changed_comes_back(conductor):
    there = conductor(R2)
    store = Remote(there, pin=lambda: R2)
    order = Order(state="new")
    order.create(store)
    part = order.claim(store, "w-1", part=Part(code="x"))
    assert part == Part(code="x for w-1", spare=True)
    assert (order.tries, order.bit_length, order.note, order.parts) == (1, 256, "unsaved", [Part(code="x")])
    assert order.changed() == {"note"}, "what it left unsaved"
    assert there.rows()[0]["note"] is None
    order.parts.append(Part(code="y"))
    assert order.changed() == {"note", "parts"}, "collections that came back tell of their changes"
    assert Order.oldest(store) == Order.get(store, 1)
    order.state = "done"
    order.save(store)
    with pytest.raises(ObjectConflict):
        order.claim(store, "w-2", Part(code="z"))
    assert there.rows()[0]["tries"] == 1


def test_an_older_process_is_answered_at_its_own_versions(conductor):
    newer = Remote(conductor(R2, R2), pin=lambda: R2)
    Order(state="failed", bit_length=256, note="n", parts=[Part(code="x", spare=True)]).create(newer)
    older = Remote(newer.call, pin=lambda: R1)
    read = OldOrder.get(older, 1)
    assert read == OldOrder(id=1, state="done", bits="256", parts=[OldPart(code="x")])
    read.tries = 4
    read.save(older)
    (row,) = newer.call.rows()
    assert (row["tries"], row["note"], row["state"], row["bit_length"]) == (4, "n", "failed", 256)
    assert OldOrder.oldest(older).tries == 4
    made = OldOrder(state="new", bits="512")
    made.create(older)
    assert made.claim(older, "w", OldPart(code="p")) == OldPart(code="p for w")
    assert (made.tries, made.bits, made.parts) == (1, "1024", [OldPart(code="p")])
    assert Order.get(newer, 2).bit_length == 1024


def test_a_newer_process_is_answered_by_an_older_one_while_the_pin_is_low(conductor):
    store = Remote(conductor(R1, R1), pin=lambda: R1)
    order = Order(state="new", bit_length=256, note="later")
    order.create(store)
    assert (order.id, order.note, order.changed()) == (1, "later", {"note"})
    assert store.call.rows()[0]["bits"] == "256"
    assert order.claim(store, "w", Part(code="p")) == Part(code="p for w")
    assert (order.tries, order.note, order.bit_length) == (1, "later", 256)
    assert Order.get(store, 1).bit_length == 256


def test_an_envelope_that_is_too_new_here_is_converted_there(conductor):
    store = Remote(conductor(R2), pin=lambda: R1)
    sent = Order(id=1, state="failed", bit_length=64, parts=[Part(code="x", spare=True)]).to_primitive()
    with pytest.raises(IncompatibleObject):
        OldOrder.from_primitive(sent)
    assert store.read(OldOrder, sent) == OldOrder(id=1, state="done", bits="64", parts=[OldPart(code="x")])
    assert store.read(Order, sent).state == "failed"
    with pytest.raises(IncompatibleObject, match="Order 9.9"):
        store.read(OldOrder, {**sent, "versioned_object.version": "9.9"})


def test_only_what_is_meant_to_be_called_from_afar_can_be(conductor):
    call = conductor(R2)
    store = Remote(call)
    order = Order(state="new")
    order.create(store)
    sent, versions = order.to_primitive(), {"Order": "1.1", "Part": "1.1"}
    on_object = {"objinst": sent, "object_versions": versions, "args": [], "kwargs": {}}
    on_class = {"objname": "Order", "object_versions": versions, "args": [], "kwargs": {}}
    for called, arguments, complaint in (
        ("object_action", {**on_object, "objmethod": "not_remotable"}, "no remotable method 'not_remotable'"),
        ("object_action", {**on_object, "objmethod": "forget_changes"}, "no remotable method"),
        ("object_action", {**on_object, "objmethod": "__init__"}, "no remotable method"),
        ("object_action", {**on_object, "objmethod": "oldest"}, "is a method of the class"),
        ("object_class_action_versions", {**on_class, "objmethod": "claim"}, "is a method of objects"),
        ("object_class_action_versions", {**on_class, "objmethod": "hydrate"}, "no remotable method"),
        (
            "object_class_action_versions",
            {**on_class, "objmethod": "query", "kwargs": {"where": {"x": 1}}},
            "no fields",
        ),
        (
            "object_class_action_versions",
            {**on_class, "objmethod": "query", "kwargs": {"where": {"tries": "x"}}},
            "int",
        ),
        ("object_class_action_versions", {**on_class, "objmethod": "query", "kwargs": {"order_by": ["x"]}}, "sort by"),
        ("open_store", {}, "no call 'open_store'"),
        ("object_action", {**on_object, "objmethod": "claim", "kwargs": {"worker": 5, "part": None}}, "must be str"),
        ("object_action", {**on_object, "objmethod": "claim"}, "missing a required argument"),
    ):
        answer = call(called, arguments)
        assert answer["error"] == "TypeError", answer
        assert complaint in answer["arguments"][0]
    for called, arguments in (
        ("object_class_action_versions", {**on_class, "objname": "Stranger", "objmethod": "query"}),
        ("object_action", {**on_object, "objinst": {}, "objmethod": "save"}),
        ("object_class_action_versions", {**on_class, "object_versions": {"Order": "1.1"}, "objmethod": "count"}),
        (
            "object_class_action_versions",
            {**on_class, "object_versions": {"Order": "0.9", "Part": "1.0"}, "objmethod": "count"},
        ),
    ):
        assert call(called, arguments)["error"] == "IncompatibleObject"
    assert Order.count(store) == 1


def test_arguments_are_checked_before_they_are_sent():
    def nobody(method, arguments):
        raise AssertionError(method)

    store = Remote(nobody, pin=lambda: R1)
    for call, complaint in (
        (lambda: Order(state="new").claim(store, 5, Part(code="x")), "an argument must be str"),
        (lambda: Order(state="new").claim(store), "missing a required argument"),
        (lambda: Order.query(store, {"state": "odd"}), "must be one of"),
    ):
        with pytest.raises(TypeError, match=complaint):
            call()


def test_errors_of_objects_are_raised_here_as_they_were_there():
    for error in (
        NoSuchObject("Order"),
        ObjectConflict("Order", ["state"]),
        RowRefused("Order", "UniqueViolation"),
        IncompatibleObject("Order", "1.0", "why"),
        ObjectTooNew("Order", R2, R1),
        TypeError("odd"),
    ):

        def open_store(error=error):
            raise error

        served = Indirection([Order], open_store)
        store = Remote(
            lambda method, arguments, served=served: json.loads(json.dumps(served.answer(method, arguments)))
        )
        with pytest.raises(type(error).__mro__[-4] if isinstance(error, ObjectTooNew) else type(error)) as raised:
            Order.count(store)
        assert str(raised.value) == str(error)


def test_the_embedded_transport_carries_the_calls(any_db):
    class Objects(Interface, topic="objects"):
        @method(since="2026.2")
        def act(self, call: str, arguments: str) -> str:
            raise NotImplementedError

    class Conductor(Objects):
        def act(self, call, arguments):
            return json.dumps(served.answer(call, json.loads(arguments)))

    @contextlib.contextmanager
    def open_store():
        with any_db.begin() as connection:
            yield Database(connection, pin=lambda: R2)

    orders.METADATA.create_all(any_db)
    served, stop = Indirection([Order], open_store), threading.Event()
    transport = EmbeddedTransport(any_db, release=R2)
    transport.create_tables()
    receiver = threading.Thread(target=Receiver(transport, Server(Conductor()), taker="conductor").run, args=(stop,))
    receiver.start()
    try:
        client = Client(Objects, transport, pin=lambda: R1)
        store = Remote(
            lambda call, arguments: json.loads(client.call("act", call=call, arguments=json.dumps(arguments)))
        )
        order = Order(state="new", note="n")
        order.create(store)
        assert order.claim(store, "w", Part(code="x")) == Part(code="x for w", spare=True)
        assert [each.tries for each in Order.query(store)] == [1]
        with pytest.raises(ObjectConflict):
            order.delete(store, expected={"tries": 7})
    finally:
        stop.set()
        receiver.join(30)


def test_a_fault_of_another_kind_is_left_to_the_carrier():
    def open_store():
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        Order.count(Remote(Indirection([Order], open_store).answer))
