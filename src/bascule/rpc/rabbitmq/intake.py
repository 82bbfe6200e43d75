"""Takes one topic's messages from the broker, and ends each only when its work is done.

oslo.messaging's own listener acknowledges a request as it comes in, so that one that is killed or stopped loses what
it has not done. Here the broker keeps a message until it is ended, and gives it to another when we are gone.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from bascule.rpc.rabbitmq.delivery import Delivery
from bascule.rpc.rabbitmq.oslo_parts import rpc_common

__all__ = ["Intake"]

_SHORTEST_WAIT_S = 0.002
_LONGEST_WAIT_S = 0.1  # while a message's end may be told any moment
_LONGEST_IDLE_S = 0.5  # which a drain may have to wait for
_AFTER_FAILURE_S = 1.0

log = logging.getLogger(__name__)


class Intake:
    """A consumer of one topic with a thread of its own, which alone touches the channel: it is not thread-safe.

    `on_delivery` is told, on that thread, that there is something to take. What is refused comes again after
    `hold_s` seconds, by a queue that nobody consumes.
    """

    def __init__(
        self, driver: Any, exchange: str, topic: str, *, hold_s: float, on_delivery: Callable[[], object]
    ) -> None:
        self._driver, self._exchange, self._topic = driver, exchange, topic  # Any: the library has no types
        self._hold_s, self._on_delivery = hold_s, on_delivery
        self._waiting: deque[Delivery] = deque()
        self._open: set[Delivery] = set()  # delivered and not ended; the thread's own
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stopping, self._stopped, self._closing = threading.Event(), threading.Event(), threading.Event()
        self._conn: Any = None
        self._thread = threading.Thread(target=self._run, name=f"intake-{topic}", daemon=True)
        self._thread.start()

    def take(self) -> Delivery | None:
        """Return the next delivery, or None when there is none now; it is the caller's to end."""
        while not self._stopping.is_set():
            try:
                delivery = self._waiting.popleft()
            except IndexError:
                return None
            if self._is_current(delivery):
                return delivery
            self._tasks.put(partial(self._open.discard, delivery))
        return None

    @property
    def has_waiting(self) -> bool:
        """Whether there may be something to take."""
        return bool(self._waiting)

    def end(self, delivery: Delivery) -> None:
        """Tell the broker to forget the message."""
        self._tasks.put(lambda: self._tell(delivery, delivery.raw.acknowledge))

    def give_back(self, delivery: Delivery) -> None:
        """Tell the broker to give the message to somebody, now."""
        self._tasks.put(lambda: self._tell(delivery, delivery.raw.requeue))

    def hold(self, delivery: Delivery, content: dict[str, Any]) -> None:  # Any: plain JSON values
        """Put the message, with this content, aside for a while; it ends when the copy is safe."""
        self._tasks.put(lambda: self._tell(delivery, lambda: self._put_aside(delivery, content)))

    def stop(self, timeout_s: float) -> bool:
        """Take nothing more, give back what was not begun, and return whether the broker has confirmed in time.

        What is in hand can still be ended. Safe to call twice.
        """
        self._stopping.set()
        return self._stopped.wait(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Say what is left to say, and hang up; the broker gives what was not ended to others."""
        self._stopping.set()
        self._closing.set()
        self._thread.join(timeout_s)

    def _is_current(self, delivery: Delivery) -> bool:
        # After a reconnect the broker delivers again what it gave to the channel before.
        return self._conn is not None and delivery.channel is self._conn.channel

    def _run(self) -> None:
        while not self._closing.is_set():
            context = None
            try:
                context = self._driver._get_connection(rpc_common.PURPOSE_LISTEN)  # noqa: SLF001  # decision 0007
                self._conn = context.connection
                self._conn.declare_topic_consumer(
                    exchange_name=self._exchange, topic=self._topic, callback=self._take_in
                )
                self._poll()
            except Exception as error:  # noqa: BLE001  # the driver mends what it knows of; this is something else
                log.warning("receiving failed, trying again: %s: %s", self._topic, type(error).__name__)
                self._closing.wait(_AFTER_FAILURE_S)
            finally:
                if context is not None:
                    context.close()
        self._stopped.set()

    def _poll(self) -> None:
        wait_s = _SHORTEST_WAIT_S
        while not self._closing.is_set() or not self._tasks.empty():
            if self._stopping.is_set() and not self._stopped.is_set():
                self._unsubscribe()
            busy = self._run_tasks()
            try:
                self._conn.consume(timeout=wait_s)
            except rpc_common.Timeout:
                # Ever longer while nothing happens, and never so long that a message's end is kept waiting.
                longest_s = _LONGEST_WAIT_S if self._open else _LONGEST_IDLE_S
                wait_s = _SHORTEST_WAIT_S if busy else min(2 * wait_s, longest_s)
            else:
                wait_s = _SHORTEST_WAIT_S

    def _unsubscribe(self) -> None:
        """Cancel on the broker, and return what nobody has begun; the broker keeps it for others."""
        with self._conn._connection_lock:  # noqa: SLF001  # decision 0007
            try:
                for consumer, tag in list(self._conn._consumers.items()):  # noqa: SLF001
                    consumer.cancel(tag)  # waits for the broker's word; deliveries on their way come in meanwhile
            except self._conn.connection.recoverable_connection_errors as gone:
                # Then there is no subscription either, and the broker has all that was not ended.
                log.info("the broker hung up first: %s: %s", self._topic, type(gone).__name__)
            # A reconnect must not subscribe again what it finds here.
            self._conn._consumers.clear()  # noqa: SLF001
            self._conn._active_tags.clear()  # noqa: SLF001
            self._conn._new_tags.clear()  # noqa: SLF001
        while self._waiting:
            delivery = self._waiting.popleft()
            self._tell(delivery, delivery.raw.requeue)
        self._stopped.set()

    def _take_in(self, raw: Any) -> None:  # Any: the library's own
        delivery = Delivery(raw, self._conn.channel, dict(raw))
        self._open.add(delivery)
        self._waiting.append(delivery)
        self._on_delivery()

    def _run_tasks(self) -> bool:
        ran = False
        while True:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                return ran
            ran = True
            task()

    def _tell(self, delivery: Delivery, what: Callable[[], object]) -> None:
        self._open.discard(delivery)
        if not self._is_current(delivery):
            return  # the broker has taken it back already, and delivers it again
        try:
            with self._conn._connection_lock:  # noqa: SLF001  # decision 0007
                what()
        except Exception as error:  # noqa: BLE001  # whatever it was, the message is not ended and comes again
            log.info("the broker was not told, and delivers again: %s: %s", self._topic, type(error).__name__)

    def _put_aside(self, delivery: Delivery, content: dict[str, Any]) -> None:
        conn, name = self._conn, f"{self._topic}.held"
        arguments = {
            "x-message-ttl": int(self._hold_s * 1000),
            "x-dead-letter-exchange": "",  # the one that brings a message to the queue of this name
            "x-dead-letter-routing-key": self._topic,
        }
        conn.channel.queue_declare(queue=name, durable=conn.durable, auto_delete=False, arguments=arguments)
        conn._producer.publish(  # noqa: SLF001  # decision 0007; waits for the broker's confirmation
            rpc_common.serialize_msg(content), exchange="", routing_key=name, mandatory=True
        )
        delivery.raw.acknowledge()
