"""The transport over RabbitMQ, through oslo.messaging's driver; needs `bascule[rabbitmq]`."""

from bascule.rpc.rabbitmq.drain import DrainTimedOut, drain
from bascule.rpc.rabbitmq.transport import BrokerUnreachable, RabbitTransport

__all__ = ["BrokerUnreachable", "DrainTimedOut", "RabbitTransport", "drain"]
