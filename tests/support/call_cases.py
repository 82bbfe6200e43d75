"""Calls over the embedded transport, on every database; each case gets an engine."""

import contextlib
import threading
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bascule.errors import BasculeError
from bascule.objects import Object, field
from bascule.release import Release
from bascule.rpc import (
    CallFailed,
    CallTimedOut,
    Client,
    EmbeddedTransport,
    Interface,
    Receiver,
    ReleaseNeeded,
    Server,
    method,
)

OLD, NEW = Release.parse("2026.2"), Release.parse("2027.1")


class Box(Object, name="Box"):
    id: str
    size: int
    label: str | None = field(since="2027.1", default=None)


class BoxAsOfOld(Object, name="Box"):
    id: str
    size: int


class Boxes(Interface, topic="boxes"):
    @method(since="2026.2")
    def double(self, box: Box) -> Box:
        raise NotImplementedError

    @method(since="2026.2")
    def fail(self, text: str) -> None:
        raise NotImplementedError

    @method(since="2027.1")
    def count(self) -> int:
        raise NotImplementedError


class BoxesAsOfOld(Interface, topic="boxes"):
    @method(since="2026.2")
    def double(self, box: BoxAsOfOld) -> BoxAsOfOld:
        raise NotImplementedError


class NewServer(Boxes):
    def double(self, box):
        return Box(id=box.id, size=2 * box.size, label="doubled")

    def fail(self, text):
        if text == "said":
            raise BasculeError("the shelf is full", next_command="shelf empty")
        raise RuntimeError(text)

    def count(self):
        return 7


class OldServer(BoxesAsOfOld):
    def double(self, box):
        return BoxAsOfOld(id=box.id, size=2 * box.size)


@contextlib.contextmanager
def serving(engine, handlers, release=NEW):
    transport = EmbeddedTransport(engine, release=release)
    transport.create_tables()
    stop = threading.Event()
    receiver = Receiver(transport, Server(handlers), taker="server")
    thread = threading.Thread(target=receiver.run, args=(stop,))
    thread.start()
    try:
        yield transport
    finally:
        stop.set()
        thread.join(30)


def rows(engine):
    with engine.connect() as connection:
        return [
            connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in ("bascule_message", "bascule_call")
        ]


def a_reply_is_written_for_the_callers_release_whatever_the_pin(engine):
    with serving(engine, NewServer()) as transport:
        for release, label in ((None, None), (OLD, None), (NEW, "doubled")):
            client = Client(Boxes, transport, pin=lambda: OLD, release=release)
            assert client.call("double", box=Box(id="a", size=2)) == Box(id="a", size=4, label=label)
        old = Client(BoxesAsOfOld, transport, pin=lambda: OLD, release=OLD)
        assert old.call("double", box=BoxAsOfOld(id="b", size=3)) == BoxAsOfOld(id="b", size=6)
    assert rows(engine) == [0, 0]


def an_old_server_answers_a_new_caller_at_the_pin_and_names_the_release_for_what_is_newer(engine):
    with serving(engine, OldServer(), OLD) as transport:
        pinned = Client(Boxes, transport, pin=lambda: OLD, release=NEW)
        assert pinned.call("double", box=Box(id="a", size=2, label="x")) == Box(id="a", size=4)
        careless = Client(Boxes, transport, pin=lambda: NEW)
        for name, arguments in (("count", {}), ("double", {"box": Box(id="a", size=2)})):
            with pytest.raises(ReleaseNeeded, match=r"needs a process of 2027\.1") as refusal:
                careless.call(name, **arguments)
            assert refusal.value.needed == NEW
    assert rows(engine) == [0, 0]


def an_error_comes_back_as_a_document_and_quotes_nothing(engine):
    with serving(engine, NewServer()) as transport:
        client = Client(Boxes, transport, pin=lambda: NEW)
        with pytest.raises(CallFailed, match="BasculeError: the shelf is full") as said:
            client.call("fail", text="said")
        assert (said.value.kind, said.value.next_command) == ("BasculeError", "shelf empty")
        with pytest.raises(CallFailed) as unsaid:
            client.call("fail", text="top-secret")
        assert unsaid.value.kind == "RuntimeError"
        assert "top-secret" not in str(unsaid.value)


def a_call_that_nobody_takes_times_out_and_is_never_begun(engine):
    transport = EmbeddedTransport(engine)
    transport.create_tables()
    client = Client(Boxes, transport, pin=lambda: NEW)
    with pytest.raises(CallTimedOut, match="had no reply within 0.05 s"):
        client.call("count", timeout_s=0.05)
    assert rows(engine) == [0, 0]


def a_call_past_its_deadline_is_not_begun_even_when_its_caller_died(engine):
    transport = EmbeddedTransport(engine, clock=lambda: time.time() + 100)
    transport.create_tables()
    sent = []

    class Dies(EmbeddedTransport):
        def call(self, topic, message, timeout_s):
            sent.append(message)
            self.send(topic, message)
            return {"result": 7}

    Client(Boxes, Dies(engine), pin=lambda: NEW).call("count", timeout_s=50)
    assert transport.receive("boxes", "w", lambda _: True) is None
    late = replace(sent[0], id="late")
    transport.send("boxes", replace(late, call=replace(late.call, deadline=time.time() + 101)))
    assert transport.receive("boxes", "w", lambda _: True).id == "late"
    transport.reply(late, {"result": 7})
    assert rows(engine)[0] == 0


def a_reply_that_is_no_reply_is_told_apart_from_a_failure(engine):
    class Wrong(NewServer):
        def count(self):
            return "seven"

    with serving(engine, Wrong()) as transport:
        client = Client(Boxes, transport, pin=lambda: NEW)
        with pytest.raises(CallFailed, match="count failed with TypeError"):
            client.call("count")


CASES = [
    pytest.param(case, id=case.__name__)
    for case in (
        a_reply_is_written_for_the_callers_release_whatever_the_pin,
        an_old_server_answers_a_new_caller_at_the_pin_and_names_the_release_for_what_is_newer,
        an_error_comes_back_as_a_document_and_quotes_nothing,
        a_call_that_nobody_takes_times_out_and_is_never_begun,
        a_call_past_its_deadline_is_not_begun_even_when_its_caller_died,
        a_reply_that_is_no_reply_is_told_apart_from_a_failure,
    )
]
