"""Calls between releases: what the client sends at which pin, and what the server takes."""

import dataclasses
import json

import pytest

from bascule.documents.manifest import RpcMethod
from bascule.objects import Object, field
from bascule.release import Release
from bascule.rpc import (
    Client,
    Interface,
    MalformedMessage,
    MethodTooNew,
    Server,
    UnknownMethod,
    UnsupportedVersion,
    arg,
    manifest,
    method,
)

OLD, NEW = Release.parse("2026.2"), Release.parse("2027.1")


class OrderAsOfOld(Object, name="Order"):
    id: str


class Order(Object, name="Order"):
    id: str
    accepted_at: float | None = field(since="2027.1", default=None)


class WorkerApiAsOfOld(Interface, topic="worker"):
    @method(since="2026.2")
    def process_order(self, order: OrderAsOfOld, request_id: str, hurry: bool = False) -> None:
        raise NotImplementedError


class WorkerApi(Interface, topic="worker"):
    @method(since="2026.2")
    def process_order(
        self, order: Order, request_id: str, tries: int = arg(since="2027.1", default=1), hurry: bool = False
    ) -> None:
        raise NotImplementedError

    @method(since="2027.1", version="2.0")
    def forget(self, ids: list[str]) -> None:
        raise NotImplementedError


class OldWorker(WorkerApiAsOfOld):
    def __init__(self):
        self.calls = []

    def process_order(self, order, request_id, hurry):
        self.calls.append((order, request_id, hurry))


class NewWorker(WorkerApi):
    def __init__(self):
        self.calls = []

    def process_order(self, order, request_id, tries, hurry):
        self.calls.append((order, request_id, tries, hurry))
        return "done"

    def forget(self, ids):
        self.calls.append(ids)


class Wire:
    """A transport that keeps what it is given, as JSON would bring it."""

    def __init__(self):
        self.sent = []

    def send(self, topic, message, *, connection=None):
        self.sent.append(dataclasses.replace(message, body=json.loads(json.dumps(message.body))))


class Pin:
    def __init__(self, release):
        self.release = release

    def __call__(self):
        return self.release


@pytest.fixture
def wire():
    return Wire()


def client(wire, pin=NEW):
    return Client(WorkerApi, wire, pin=pin if callable(pin) else lambda: pin)


def test_a_new_client_at_the_old_pin_is_understood_by_an_old_server(wire):
    worker = OldWorker()
    client(wire, OLD).cast("process_order", order=Order(id="1", accepted_at=2.0), request_id="r", tries=3)
    assert wire.sent[0].version == "1.0"
    Server(worker).handle(wire.sent[0])
    assert worker.calls == [(OrderAsOfOld(id="1"), "r", False)]


def test_the_pin_is_asked_at_every_call(wire):
    pin = Pin(OLD)
    caller = client(wire, pin)
    for pin.release in (OLD, NEW):
        caller.cast("process_order", order=Order(id="1", accepted_at=2.0), request_id="r", tries=3)
    assert [message.version for message in wire.sent] == ["1.0", "1.1"]
    worker = NewWorker()
    for message in wire.sent:
        assert Server(worker).handle(message) == "done"
    assert worker.calls == [(Order(id="1"), "r", 1, False), (Order(id="1", accepted_at=2.0), "r", 3, False)]


def test_what_is_newer_than_the_server_is_refused_counted_and_not_handled(wire):
    worker, refused = OldWorker(), []
    server = Server(worker, on_refused=refused.append)
    client(wire).cast("process_order", order=Order(id="1"), request_id="r")
    client(wire).cast("forget", ids=["1"])
    for message, reason in zip(wire.sent, ["handles up to 1.0", "the method is unknown"], strict=True):
        assert not server.can_handle(message)
        with pytest.raises(UnsupportedVersion, match=reason):
            server.handle(message)
    assert (worker.calls, len(refused)) == ([], 4)


def test_an_object_that_is_newer_than_the_server_is_refused_even_at_a_known_version(wire):
    refused = []
    server = Server(OldWorker(), on_refused=refused.append)
    client(wire, OLD).cast("process_order", order=Order(id="1"), request_id="r")
    (message,) = wire.sent
    message = dataclasses.replace(message, body={**message.body, "order": Order(id="1").to_primitive(NEW)})
    assert not server.can_handle(message)
    assert refused == [message]


def test_a_malformed_message_is_not_taken_for_a_newer_one(wire):
    refused = []
    server = Server(NewWorker(), on_refused=refused.append)
    client(wire).cast("forget", ids=["1"])
    (message,) = wire.sent
    for body, reason in [({}, r"\['ids'\] are missing"), ({"ids": [7531]}, "ids must be str, not int")]:
        damaged = dataclasses.replace(message, body=body)
        assert server.can_handle(damaged)
        with pytest.raises(MalformedMessage, match=reason) as refusal:
            server.handle(damaged)
        assert "7531" not in str(refusal.value)
    assert refused == []


def test_a_method_that_the_pin_does_not_allow_is_not_sent(wire):
    with pytest.raises(MethodTooNew, match=r"worker.forget exists since 2027\.1, and the pin is 2026\.2"):
        client(wire, OLD).cast("forget", ids=[])
    assert wire.sent == []


def test_a_call_that_the_interface_does_not_have_is_refused(wire):
    with pytest.raises(UnknownMethod, match="no method 'proces_order'"):
        client(wire).cast("proces_order")
    with pytest.raises(UnknownMethod, match="no argument 'orders'"):
        client(wire).cast("process_order", orders=1)
    with pytest.raises(TypeError, match="lacks the argument 'order'"):
        client(wire).cast("process_order", request_id="r")
    with pytest.raises(TypeError, match="request_id must be str, not int"):
        client(wire).cast("process_order", order=Order(id="1"), request_id=1)


def test_a_message_never_shows_what_it_carries(wire):
    message = client(wire).cast("process_order", order=Order(id="top-secret"), request_id="r")
    assert "top-secret" not in repr(message)


def test_the_manifest_follows_the_release():
    assert manifest(WorkerApi, OLD) == {
        "process_order": RpcMethod(OLD, "1.0", ("order", "request_id", "hurry")),
    }
    assert manifest(WorkerApi) == {
        "process_order": RpcMethod(OLD, "1.1", ("order", "request_id", "tries", "hurry")),
        "forget": RpcMethod(NEW, "2.0", ("ids",)),
    }


def test_a_server_without_all_its_methods_is_refused_when_it_is_made():
    class Half(WorkerApi):
        def forget(self, ids):
            raise AssertionError

    with pytest.raises(TypeError, match=r"Half does not answer \['process_order'\]"):
        Server(Half())


def test_an_argument_with_the_clients_own_name_is_refused():
    with pytest.raises(TypeError, match="connection is the client's own"):

        class Bad(Interface, topic="bad"):
            @method(since="2026.2")
            def call(self, connection: str) -> None:
                raise NotImplementedError
