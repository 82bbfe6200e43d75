"""Calls over every transport, on every database and over the broker; each case gets a world to make transports in."""

import contextlib
import threading
import time

import pytest
import sqlalchemy as sa
from support.waiting import eventually

from bascule.errors import BasculeError
from bascule.objects import Object, field
from bascule.release import Release
from bascule.rpc import (
    Call,
    CallFailed,
    CallTimedOut,
    Client,
    EmbeddedTransport,
    Interface,
    Message,
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


class EmbeddedWorld:
    """Transports over one database."""

    def __init__(self, engine):
        self.engine = engine

    def transport(self, release=NEW, **options):
        made = EmbeddedTransport(self.engine, release=release, **options)
        made.create_tables()
        return made

    def waiting(self):
        with self.engine.connect() as connection:
            return [
                connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one()
                for name in ("bascule_message", "bascule_call")
            ]


@contextlib.contextmanager
def serving(world, handlers, release=NEW):
    transport = world.transport(release)
    stop = threading.Event()
    receiver = Receiver(transport, Server(handlers), taker="server")
    thread = threading.Thread(target=receiver.run, args=(stop,))
    thread.start()
    try:
        yield transport
    finally:
        stop.set()
        thread.join(30)


def a_reply_is_written_for_the_callers_release_whatever_the_pin(world):
    with serving(world, NewServer()) as transport:
        for release, label in ((None, None), (OLD, None), (NEW, "doubled")):
            client = Client(Boxes, transport, pin=lambda: OLD, release=release)
            assert client.call("double", box=Box(id="a", size=2)) == Box(id="a", size=4, label=label)
        old = Client(BoxesAsOfOld, transport, pin=lambda: OLD, release=OLD)
        assert old.call("double", box=BoxAsOfOld(id="b", size=3)) == BoxAsOfOld(id="b", size=6)
    assert not any(world.waiting())


def an_old_server_answers_a_new_caller_at_the_pin_and_names_the_release_for_what_is_newer(world):
    with serving(world, OldServer(), OLD) as transport:
        pinned = Client(Boxes, transport, pin=lambda: OLD, release=NEW)
        assert pinned.call("double", box=Box(id="a", size=2, label="x")) == Box(id="a", size=4)
        careless = Client(Boxes, transport, pin=lambda: NEW)
        for name, arguments in (("count", {}), ("double", {"box": Box(id="a", size=2)})):
            with pytest.raises(ReleaseNeeded, match=r"needs a process of 2027\.1") as refusal:
                careless.call(name, **arguments)
            assert refusal.value.needed == NEW
    assert not any(world.waiting())


def an_error_comes_back_as_a_document_and_quotes_nothing(world):
    with serving(world, NewServer()) as transport:
        client = Client(Boxes, transport, pin=lambda: NEW)
        with pytest.raises(CallFailed, match="BasculeError: the shelf is full") as said:
            client.call("fail", text="said")
        assert (said.value.kind, said.value.next_command) == ("BasculeError", "shelf empty")
        with pytest.raises(CallFailed) as unsaid:
            client.call("fail", text="top-secret")
        assert unsaid.value.kind == "RuntimeError"
        assert "top-secret" not in str(unsaid.value)


def a_call_that_nobody_takes_times_out_and_is_never_begun(world):
    client = Client(Boxes, world.transport(), pin=lambda: NEW)
    with pytest.raises(CallTimedOut, match="had no reply within 0.05 s"):
        client.call("count", timeout_s=0.05)
    assert not any(world.waiting())


def a_call_past_its_deadline_is_not_begun_even_when_its_caller_died(world):
    sender, receiver = world.transport(), world.transport(clock=lambda: time.time() + 100)
    expired = call_message("expired", time.time() + 50)
    for message in (expired, call_message("in time", time.time() + 200)):
        sender.send("boxes", message)
    received = []
    eventually(lambda: received.append(receiver.receive("boxes", "w", lambda _: True)) or any(received))
    assert [each.id for each in received if each] == ["in time"]
    receiver.reply(received[-1], {"result": 7})
    eventually(lambda: world.waiting()[0] == 0)


def call_message(key, deadline):
    return Message(key, "boxes", "count", "1.0", {}, Call(NEW, deadline))


def a_reply_that_is_no_reply_is_told_apart_from_a_failure(world):
    class Wrong(NewServer):
        def count(self):
            return "seven"

    with serving(world, Wrong()) as transport:
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
