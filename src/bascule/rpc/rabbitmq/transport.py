"""The transport over RabbitMQ.

Its semantics are those of the embedded one: at least once, and kept for whoever can read it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from kombu.exceptions import OperationalError
from oslo_config import cfg

from bascule.errors import RpcError
from bascule.release import Release
from bascule.rpc.message import Message
from bascule.rpc.rabbitmq.delivery import Delivery, context_of
from bascule.rpc.rabbitmq.intake import Intake
from bascule.rpc.rabbitmq.oslo_parts import amqpdriver, oslo, rpc_transport
from bascule.rpc.reply import CallTimedOut

__all__ = ["BrokerUnreachable", "RabbitTransport"]

_LAST_WORD_S = 1.0  # for a broker that did not answer before


class BrokerUnreachable(RpcError):
    """A message could not be given to the broker; whether it arrived is not known."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        super().__init__(f"the broker took no message for {topic}; look whether it runs, then send again")


class RabbitTransport:
    """One process's way to the broker at `url`, as oslo.messaging writes it (rabbit://user:password@host:5672/).

    `conf` gives the broker's options where the service has them in oslo.config; without it they are this
    transport's own, with durable queues. `release` is this process's own: what it refused once, it is not counted
    for again. At most `prefetch` messages are taken ahead of their work; give it twice the number of threads. Make
    it in the process that uses it, after any fork. `wake` is set when something came in.
    """

    def __init__(
        self,
        url: str,
        *,
        conf: cfg.ConfigOpts | None = None,
        release: Release | None = None,
        prefetch: int = 10,
        hold_s: float = 5.0,
        send_retries: int = 3,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.release, self.clock, self.wake = release, clock, threading.Event()
        self._hold_s, self._send_retries = hold_s, send_retries
        self._transport = rpc_transport(url, conf, prefetch=prefetch)
        self._driver, self._exchange = self._transport._driver, self._transport.conf.control_exchange  # noqa: SLF001
        self._intakes: dict[str, Intake] = {}
        self._in_hand: dict[str, deque[Delivery]] = {}
        self._gone = amqpdriver.ObsoleteReplyQueuesCache()
        self._lock, self._arrival = threading.Lock(), threading.Condition()
        self._draining = False

    def send(self, topic: str, message: Message, *, connection: None = None) -> None:
        """Give the message to the broker, and return when it has confirmed. Raises BrokerUnreachable.

        A broker knows of no transaction: to send with one, give the client an Outbox instead.
        """
        if connection is not None:
            raise TypeError("a broker cannot join a transaction; cast through an Outbox, whose Relay sends to it")
        client = self._client(topic, message)
        self._sent(topic, lambda: client.cast(context_of(message), message.method, **message.body))

    def call(self, topic: str, message: Message, timeout_s: float) -> Any:  # Any: a reply's document
        """Send the message and wait for its reply. Raises CallTimedOut, BrokerUnreachable."""
        client = self._client(topic, message).prepare(timeout=timeout_s)
        try:
            return self._sent(topic, lambda: client.call(context_of(message), message.method, **message.body))
        except oslo.MessagingTimeout as late:
            raise CallTimedOut(message, timeout_s) from late

    def receive(self, topic: str, taker: str, can_handle: Callable[[Message], bool]) -> Message | None:
        """Take the oldest message that this process can handle, or return None.

        It is this process's until `done`, `reply`, `retry_later` or `give_back`, or until its connection ends. A cast
        that cannot be handled is put aside for `hold_s` at a time, until a newer process takes it. A call is taken
        anyhow, since its caller waits for an error at least; one past its deadline is dropped.
        """
        refuser = str(self.release) if self.release is not None else taker
        intake = self._intake(topic)
        while intake is not None and (delivery := intake.take()) is not None:
            message = delivery.message(topic)
            if message is None or (message.call is not None and message.call.deadline <= self.clock()):
                intake.end(delivery)
            elif message.call is not None or (refuser not in delivery.refused_by and can_handle(message)):
                with self._lock:
                    self._in_hand.setdefault(message.id, deque()).append(delivery)
                return message
            else:
                intake.hold(delivery, delivery.refused_also_by(refuser))
        return None

    def wait(self, timeout_s: float) -> None:
        """Return when there may be something to receive, and after `timeout_s` at the latest."""
        with self._arrival:
            self._arrival.wait_for(lambda: any(each.has_waiting for each in list(self._intakes.values())), timeout_s)

    def done(self, message: Message) -> None:
        """End the message: its work is done."""
        self._intakes[message.topic].end(self._let_go(message))

    def reply(self, message: Message, document: dict[str, Any]) -> None:  # Any: plain JSON values
        """Give the caller its reply, and end the message: its work is done. Nobody may wait any more."""
        delivery = self._let_go(message)
        content = delivery.content
        if message.call is not None and message.call.deadline > self.clock():
            asked = amqpdriver.AMQPIncomingMessage(
                self, {}, content, None, content.get("_msg_id"), content.get("_reply_q"), None, self._gone, None
            )
            asked.reply(document)
        self._intakes[message.topic].end(delivery)

    def retry_later(self, message: Message) -> None:
        """Put the message aside for `hold_s`: it failed, and may fail again."""
        delivery = self._let_go(message)
        self._intakes[message.topic].hold(delivery, delivery.content)

    def give_back(self, message: Message) -> None:
        """Let another process have the message now."""
        self._intakes[message.topic].give_back(self._let_go(message))

    @property
    def driver(self) -> Any:  # Any: the library has no types
        """The library's driver, which a reply is sent by."""
        return self._driver

    def drain(self, timeout_s: float = 10.0) -> bool:
        """Take nothing more; return whether the broker confirmed it in time.

        What is in hand can be finished and ended; what was not begun is the next process's. Without the broker's
        word nothing is lost either: it gives to others whatever was not ended when the connection goes.
        """
        with self._lock:
            self._draining = True
            intakes = list(self._intakes.values())
        end = time.monotonic() + timeout_s
        confirmed = [each.stop(max(0.0, end - time.monotonic())) for each in intakes]
        return all(confirmed)

    def close(self, timeout_s: float = 10.0) -> None:
        """Drain and hang up. Call it when nothing is in hand any more.

        Where the broker did not confirm the drain it is away, and is not waited for again: it gives to others whatever
        was not ended.
        """
        is_confirmed = self.drain(0.0 if self._draining else timeout_s)
        for each in self._intakes.values():
            each.close(timeout_s if is_confirmed else min(timeout_s, _LAST_WORD_S))
        self._transport.cleanup()

    def _intake(self, topic: str) -> Intake | None:
        with self._lock:
            if topic not in self._intakes and not self._draining:
                self._intakes[topic] = Intake(
                    self._driver, self._exchange, topic, hold_s=self._hold_s, on_delivery=self._tell_arrival
                )
            return self._intakes.get(topic)

    def _tell_arrival(self) -> None:
        self.wake.set()
        with self._arrival:
            self._arrival.notify()

    def _let_go(self, message: Message) -> Delivery:
        with self._lock:
            held = self._in_hand[message.id]
            delivery = held.popleft()
            if not held:
                del self._in_hand[message.id]
        return delivery

    def _client(self, topic: str, message: Message) -> Any:  # Any: the library has no types
        # Mandatory: a message for which there is no queue yet comes back instead of vanishing.
        options = oslo.TransportOptions(at_least_once=True)
        target = oslo.Target(topic=topic, version=message.version)
        return oslo.get_rpc_client(self._transport, target, retry=self._send_retries, transport_options=options)

    def _sent(self, topic: str, send: Callable[[], Any]) -> Any:  # Any: a reply's document
        try:
            try:
                return send()
            except oslo.MessageUndeliverable:
                self._declare(topic)
                return send()
        except (oslo.MessageDeliveryFailure, oslo.MessageUndeliverable, OperationalError) as failure:
            raise BrokerUnreachable(topic) from failure

    def _declare(self, topic: str) -> None:
        """Make the topic's queue, as the first process that receives from it would, so that it keeps the message."""
        conn = self._driver._get_connection("listen")  # noqa: SLF001  # decision 0007
        try:
            conn.declare_topic_consumer(exchange_name=self._exchange, topic=topic, callback=None)
        finally:
            conn.close()
