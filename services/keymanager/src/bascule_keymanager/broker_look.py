"""What a command asks the broker: whether it answers, and how many listen to a queue. It sends and takes nothing."""

import importlib
from collections.abc import Iterator
from typing import Any

from bascule_keymanager.config import Settings
from bascule_keymanager.errors import ConfigRefused, KeyManagerError

__all__ = ["BrokerAway", "count_listeners", "look_at_hosts"]

_PATIENCE_S = 5.0


class BrokerAway(KeyManagerError):
    """No host of the broker answers, or none lets us in."""

    def __init__(self, hosts: list[str]) -> None:
        self.hosts = tuple(hosts)
        super().__init__(
            f"the broker does not answer at {', '.join(hosts)}; look whether it runs, and at transport_url",
            next_command="keymanager-status upgrade check",
        )


def look_at_hosts(settings: Settings) -> int:
    """Return how many hosts `transport_url` names, all of which answer. Raises BrokerAway with those that do not."""
    away, hosts = list[str](), 0
    for name, connection in _connections(settings):
        hosts += 1
        with connection:
            try:
                connection.connect()
            except Exception as refused:  # noqa: BLE001 - a class for each transport; its text may quote
                away.append(_trouble(name, refused))
    if away:
        raise BrokerAway(away)
    return hosts


def count_listeners(settings: Settings, queue: str) -> int:
    """Return how many listen to a queue, which need not be there. Raises BrokerAway when no host can say."""
    away = list[str]()
    for name, connection in _connections(settings):
        with connection:
            try:
                connection.connect()
                return int(connection.channel().queue_declare(queue=queue, passive=True).consumer_count)
            except Exception as refused:  # noqa: BLE001 - as above
                if getattr(refused, "reply_code", None) == _NO_SUCH_QUEUE:
                    return 0
                away.append(_trouble(name, refused))
    raise BrokerAway(away)


_NO_SUCH_QUEUE = 404  # AMQP's own number


def _trouble(host: str, refused: Exception) -> str:
    return f"{host} ({type(refused).__name__})"


def _connections(settings: Settings) -> Iterator[tuple[str, Any]]:  # Any: kombu has no types
    """Yield each host and a connection to it, which is not open yet."""
    try:
        kombu: Any = importlib.import_module("kombu")  # Any: as above; it comes with oslo.messaging
        from bascule.rpc.rabbitmq.oslo_parts import oslo  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigRefused(None, "transport_url needs oslo.messaging; install bascule[rabbitmq]") from None
    parsed = oslo.TransportURL.parse(settings.options, settings.messaging.url)
    for host in parsed.hosts:
        connection = kombu.Connection(
            hostname=host.hostname,
            port=host.port or 5672,
            userid=host.username or "guest",
            password=host.password or "guest",
            virtual_host=parsed.virtual_host or "/",
            connect_timeout=_PATIENCE_S,
            ssl=bool(getattr(settings.options, "oslo_messaging_rabbit", {}).get("ssl", False)),
        )
        yield f"{host.hostname}:{host.port or 5672}", connection
