"""The way over RabbitMQ, where `transport_url` is configured: wake-ups for workers, ours and Barbican's.

Nothing depends on it but speed: an order is a row, and whoever was not woken for it finds it when it sweeps. Needs the
extra bascule[rabbitmq]. The broker's own options are oslo.messaging's, in the sections of Barbican's file.
"""

import functools

from bascule.errors import RpcError
from bascule.rpc.rabbitmq import RabbitTransport
from bascule.rpc.rabbitmq.oslo_parts import oslo, rpc_transport
from bascule_keymanager.config import Settings
from bascule_keymanager.identity import RELEASE

__all__ = ["Broker", "NobodyListens"]

_SEND_RETRIES = 1


class NobodyListens(RpcError):
    """No worker has ever listened to a queue, so that there is none to keep a message."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        super().__init__(f"no worker listens to {queue}; start one, Barbican's or keymanager-worker")


class Broker:
    """One process's connection to RabbitMQ; make it in the process that uses it, after any fork."""

    def __init__(self, settings: Settings) -> None:
        url, conf = settings.messaging.url, settings.options
        if url is None:
            raise AssertionError("whoever asks for the broker looks whether there is one")
        self._queue = settings.messaging.barbican
        self._make = functools.partial(RabbitTransport, url, conf=conf, release=RELEASE, send_retries=_SEND_RETRIES)
        self.transport = self._make()
        self._receiving: list[RabbitTransport] = []
        self._raw = rpc_transport(url, conf, prefetch=1)

    def cast_as_barbican(self, order_id: str, project: str, request_id: str | None) -> None:
        """Wake a worker, Barbican's or ours, as Barbican's API does.

        Raises NobodyListens when no worker has made that queue, where Barbican's API would lose the message without
        noticing, and what the library raises.
        """
        queue = self._queue
        if queue is None:
            raise AssertionError("whoever casts as Barbican looks whether its workers share the broker")
        target = oslo.Target(topic=queue.topic, namespace=queue.namespace, version=queue.version, server=queue.server)
        mandatory = oslo.TransportOptions(at_least_once=True)
        client = oslo.get_rpc_client(self._raw, target, retry=_SEND_RETRIES, transport_options=mandatory)
        try:
            client.cast({}, "process_type_order", order_id=order_id, project_id=project, request_id=request_id)
        except oslo.MessageUndeliverable as lost:
            raise NobodyListens(queue.name) from lost

    def receiving(self) -> RabbitTransport:
        """Return a connection to receive by: one for each who waits, who would be woken for the others otherwise."""
        self._receiving.append(self._make())
        return self._receiving[-1]

    def drain(self) -> None:
        """Take nothing more."""
        for transport in self._receiving:
            transport.drain()

    def close(self) -> None:
        """Hang up, when nothing is in hand any more."""
        for transport in (*self._receiving, self.transport):
            transport.close()
        self._raw.cleanup()
