"""Sends what is in an outbox, again and again until it is done."""

import logging

from bascule.errors import RpcError
from bascule.rpc.message import Message, Sender
from bascule.rpc.outbox import Outbox

__all__ = ["Relay"]

_AT_ONCE = 100
_AFTER_FAILURE_S = 1.0

log = logging.getLogger(__name__)


class Relay:
    """Sends the messages of an outbox through a transport, each at least once; several relays share the work.

    A message that is not done `retry_s` after it was sent is sent again, ever less often. With `trusts_broker` it is
    the broker's as soon as that has confirmed it: for receivers that have another database, and an Inbox.
    """

    def __init__(
        self, outbox: Outbox, transport: Sender, *, retry_s: float = 30.0, trusts_broker: bool = False
    ) -> None:
        self.outbox, self.transport = outbox, transport
        self.retry_s, self.trusts_broker = retry_s, trusts_broker

    def step(self) -> bool:
        """Send what is due; return whether there was anything that could be sent.

        A killed relay leaves what it had taken to be sent after `retry_s`. While the transport is away nothing is
        lost, and all is tried again after a second.
        """
        due = self.outbox.take_due(_AT_ONCE, retry_s=self.retry_s)
        for number, message in enumerate(due):
            if not self._send(message):
                self.outbox.put_off(due[number:], _AFTER_FAILURE_S)
                return number > 0
        return bool(due)

    def _send(self, message: Message) -> bool:
        try:
            self.transport.send(message.topic, message)
        except RpcError as failure:
            log.warning("could not send, trying again: %s", failure.sentence)
            return False
        if self.trusts_broker:
            self.outbox.forget(message)
        return True
