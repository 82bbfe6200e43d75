"""A process of one release of the key manager, from its wheels: it makes casts, reads them, and says what it saw.

Run with the release's wheels first in PYTHONPATH; it uses nothing of this repository but what is there. A list of
[make | read | send | receive, document] comes in by stdin, and a list of answers goes out by stdout.
"""

import json
import sys

import sqlalchemy as sa

import bascule_keymanager
from bascule.release import Release
from bascule.rpc import Client, EmbeddedTransport, Message, Server
from bascule_keymanager.objects import Order
from bascule_keymanager.worker.api import WorkerApi


class Handlers(WorkerApi):
    """Keeps what it was asked to do."""

    def process_order(self, **arguments):
        order = arguments.pop("order")
        self.seen = {
            "order": {name: getattr(order, name) for name in Order.fields() if hasattr(order, name)},
            "arguments": arguments,
        }

    def rotate_secret(self, **_arguments):
        """Only releases from 2028.1 on ask for this, and no test here does."""
        raise AssertionError("nobody sends this")


class Kept:
    """A transport that keeps what it is given."""

    def send(self, topic, message, *, connection=None):
        self.message = message


def make(transport, asked):
    known = set(Order.fields())
    order = Order(**{name: value for name, value in asked["order"].items() if name in known})
    arguments = {each.name for each in WorkerApi.methods["process_order"].arguments}
    others = {name: value for name, value in asked["arguments"].items() if name in arguments}
    client = Client(WorkerApi, transport, pin=lambda: Release.parse(asked["pin"]))
    return client.cast("process_order", order=order, **others)


def read(message):
    handlers = Handlers()
    server = Server(handlers)
    if not server.can_handle(message):
        return {"refused": message.version}
    server.handle(message)
    return handlers.seen


def embedded(asked):
    transport = EmbeddedTransport(sa.create_engine(asked["database"]), release=Release.parse(asked["release"]))
    transport.create_tables()
    return transport


def answer(what, asked):
    if what == "make":
        message = make(Kept(), asked)
        return {"message": [message.id, message.topic, message.method, message.version, message.body]}
    if what == "read":
        return read(Message(*asked["message"]))
    transport = embedded(asked)
    try:
        if what == "send":
            return {"sent": make(transport, asked).version}
        message = transport.receive("worker", "here", lambda _: True)
        transport.done(message)
        return read(message)
    finally:
        transport.engine.dispose()


def main():
    answers = [answer(what, asked) for what, asked in json.load(sys.stdin)]
    json.dump([bascule_keymanager.__version__, bascule_keymanager.__file__, answers], sys.stdout)


if __name__ == "__main__":
    main()
