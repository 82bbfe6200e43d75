"""Calls on SQLite, and what a client calls instead of what the pin does not allow yet."""

import pytest
import sqlalchemy as sa
from support.call_cases import CASES, EmbeddedWorld

from bascule.release import Release
from bascule.rpc import CallFailed, Client, Fallback, Interface, MethodTooNew, ReplyUnreadable, arg, method

FIRST, SECOND, THIRD = (Release.parse(each) for each in ("1", "2", "3"))


@pytest.mark.parametrize("case", CASES)
def test_calls_on_sqlite(case, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/service.db")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    try:
        case(EmbeddedWorld(engine))
    finally:
        engine.dispose()


class Orders(Interface, topic="orders"):
    @method(since="1")
    def process(self, order: str) -> str:
        raise NotImplementedError

    @method(
        since="2",
        fallback=Fallback("process", arguments=lambda new: {"order": str(new["number"])}, result=lambda old: [old]),
    )
    def process_number(self, number: int) -> list[str]:
        raise NotImplementedError

    @method(since="3", fallback="process_number")
    def process_all(self, number: int, *, dry_run: bool = False, tries: int = arg(since="4", default=1)) -> list[str]:
        raise NotImplementedError


class Wire:
    """A transport that keeps what it is given and replies with the method's name."""

    def __init__(self):
        self.sent = []

    def send(self, topic, message, *, connection=None):
        self.sent.append((message.method, message.body))

    def call(self, topic, message, timeout_s):
        self.send(topic, message)
        return {"result": message.method if message.method == "process" else [message.method]}


def test_a_client_pinned_lower_calls_the_older_method_and_returns_what_the_newer_one_would():
    wire = Wire()
    for pin in (FIRST, SECOND, THIRD):
        client = Client(Orders, wire, pin=lambda pin=pin: pin)
        assert client.call("process_all", number=5) == [wire.sent[-1][0]]
        client.cast("process_all", number=5)
    assert wire.sent[::2] == wire.sent[1::2]
    assert wire.sent[::2] == [
        ("process", {"order": "5"}),
        ("process_number", {"number": 5}),
        ("process_all", {"number": 5, "dry_run": False}),
    ]


def test_a_fallback_that_would_drop_what_was_asked_for_is_refused():
    client = Client(Orders, Wire(), pin=lambda: SECOND)
    with pytest.raises(MethodTooNew, match=r"orders.process_all exists since 3, and the pin is 2"):
        client.call("process_all", number=5, dry_run=True)
    with pytest.raises(TypeError, match="process_all lacks the argument 'number'"):
        client.call("process_all")
    assert client.transport.sent == []


def test_a_fallback_to_a_method_that_is_not_older_is_refused_when_the_interface_is_made():
    with pytest.raises(TypeError, match="twice falls back to once, which is no older method here"):

        class Bad(Interface, topic="bad"):
            @method(since="2")
            def once(self) -> None:
                raise NotImplementedError

            @method(since="2", fallback="once")
            def twice(self) -> None:
                raise NotImplementedError


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"result": 5}, ReplyUnreadable),
        ({"error": "no"}, ReplyUnreadable),
        ({}, ReplyUnreadable),
        ({"error": {"kind": "Full", "sentence": None}}, CallFailed),
    ],
)
def test_a_reply_is_checked_as_strictly_as_a_request(document, error):
    class Odd(Wire):
        def call(self, topic, message, timeout_s):
            return document

    with pytest.raises(error, match=r"orders\.process"):
        Client(Orders, Odd(), pin=lambda: FIRST).call("process", order="1")


def test_a_transport_without_replies_is_refused_by_call_and_not_by_cast():
    class OneWay:
        def send(self, topic, message, *, connection=None):
            self.last = message

    client = Client(Orders, OneWay(), pin=lambda: FIRST)
    with pytest.raises(TypeError, match="OneWay brings no replies back"):
        client.call("process", order="1")
    assert client.cast("process", order="1") == client.transport.last


def test_casts_with_the_same_key_are_one_message():
    client = Client(Orders, Wire(), pin=lambda: FIRST)
    ids = [client.cast("process", dedup=key, order="1").id for key in ("a", "a", "b", None, None)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
