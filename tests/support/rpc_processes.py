"""Processes of a service that casts: servers that stop on SIGTERM, workers and relays that are killed.

They are forked from one process that has loaded everything, so that one comes up in the time of a kill.
"""

import logging
import multiprocessing
import os
import random
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from bascule.release import Release
from bascule.rpc import EmbeddedTransport, Interface, Outbox, Receiver, Relay, Server, current_message, method
from bascule.rpc.rabbitmq import RabbitTransport, drain
from bascule.rpc.rabbitmq.oslo_parts import oslo, rpc_transport

NEW = Release.parse("2027.1")
HANDLER_S = 0.02
THREADS = 8
EFFECT = sa.Table("effect", sa.MetaData(), sa.Column("number", sa.Integer), sa.Column("message", sa.String(36)))


@contextmanager
def forking():
    """Yield what starts processes: a context of multiprocessing whose server has this module loaded."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    try:
        yield context
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


class Notes:
    """A file that several processes add numbers to; a line is whole or not there, whoever is killed."""

    def __init__(self, path):
        self.path = Path(path)
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def add(self, number):
        os.write(self._file, b"%d\n" % number)

    def numbers(self):
        return [int(line) for line in self.path.read_text().split()]


class Effects(Interface, topic="effects"):
    @method(since="2026.2")
    def happen(self, number: int) -> None:
        raise NotImplementedError


class Noting(Effects):
    """Takes its time and notes what it did."""

    def __init__(self, notes):
        self.notes = notes

    def happen(self, number):
        time.sleep(HANDLER_S)
        self.notes.add(number)


class NotingEndpoint(Noting):
    """The same as oslo.messaging calls it."""

    def happen(self, ctxt, number):
        super().happen(number)


class EffectOnce(Effects):
    """Has its effect in the transaction that ends the message, and is slow enough to be killed anywhere."""

    def __init__(self, outbox, begun):
        self.outbox, self.begun = outbox, begun

    def happen(self, number):
        self.begun.add(number)
        time.sleep(random.uniform(0, HANDLER_S))
        with self.outbox.once() as connection:
            if connection is not None:
                connection.execute(sa.insert(EFFECT).values(number=number, message=current_message().id))
                time.sleep(random.uniform(0, HANDLER_S))


class EffectCareless(EffectOnce):
    """Has its effect whether the message was ended before or not: the count must see that."""

    def happen(self, number):
        with self.outbox.once():
            pass
        with self.outbox.engine.begin() as connection:
            connection.execute(sa.insert(EFFECT).values(number=number, message=current_message().id))
        time.sleep(random.uniform(0, HANDLER_S))
        self.begun.add(number)


def serve(kind, url, topic, notes_path):
    """Serve until SIGTERM, then stop as `kind` does: stock, drained, or ours."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # threads inherit it; sigwait below takes the signal
    notes = Notes(notes_path)
    if kind == "ours":
        _serve_ours(url, topic, notes)
        return
    conf = None
    transport = rpc_transport(url, conf, prefetch=0)
    server = oslo.get_rpc_server(transport, oslo.Target(topic=topic, server="one"), [NotingEndpoint(notes)])
    server.start()
    signal.sigwait({signal.SIGTERM})
    if kind == "drained":
        drain(server)
    else:
        server.stop()
        server.wait()
    transport.cleanup()


def _serve_ours(url, topic, notes):
    class Topic(Noting, topic=topic):
        pass

    transport, stop = RabbitTransport(url, release=NEW, prefetch=2 * THREADS), threading.Event()
    receiver = Receiver(transport, Server(Topic(notes)), taker="one")
    crew = threading.Thread(target=receiver.run, args=(stop,), kwargs={"threads": THREADS})
    crew.start()
    signal.sigwait({signal.SIGTERM})
    transport.drain()
    stop.set()
    crew.join()
    transport.close()


def work(broker_url, database_url, begun_path, handlers):
    """Do casts until killed."""
    logging.disable()
    engine = engine_of(database_url)
    server = Server(handlers(Outbox(engine), Notes(begun_path)))
    Receiver(_transport(broker_url, engine), server, taker=str(os.getpid())).run(threading.Event(), threads=4)


def relay(broker_url, database_url):
    """Send what is in the outbox until killed."""
    logging.disable()
    engine = engine_of(database_url)
    relaying = Relay(Outbox(engine), _transport(broker_url, engine), retry_s=4)
    while True:
        try:
            if not relaying.step():
                time.sleep(0.02)
        except sa.exc.SQLAlchemyError:
            time.sleep(0.2)


def _transport(broker_url, engine):
    if broker_url is None:
        return EmbeddedTransport(engine, release=NEW, lease_s=2)
    return RabbitTransport(broker_url, release=NEW, hold_s=0.5)


def engine_of(url):
    engine = sa.create_engine(url, pool_size=8)
    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def _quick(connection, _record):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA busy_timeout=20000")

    return engine
