"""What a worker's loop does with messages, whatever transport they come by."""

import logging
import threading
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from bascule.rpc.message import MalformedMessage, Message
from bascule.rpc.server import Server

__all__ = ["Receiver", "Receiving"]

_IDLE_S = 0.2  # which a stop may have to wait for

log = logging.getLogger(__name__)


class Receiving(Protocol):
    """The receiving half of a transport. A message is its taker's until one of the three that follow is called."""

    def receive(self, topic: str, taker: str, can_handle: Callable[[Message], bool]) -> Message | None:
        """Take the next message that can be handled, or return None; what is too new stays for a newer process."""

    def done(self, message: Message) -> None:
        """End the message: its work is done."""

    def reply(self, message: Message, document: dict[str, Any]) -> None:  # Any: plain JSON values
        """Give the caller its reply, and end the message."""

    def retry_later(self, message: Message) -> None:
        """Have it come again after a while: it failed."""

    def wait(self, timeout_s: float) -> None:
        """Return when there may be something to receive, and after `timeout_s` at the latest."""


class Receiver:
    """Takes messages and has `server` do them, one at a time per thread that asks.

    A message is ended after its work, so that a process killed in between leaves it to another: work may be done
    twice, and is never lost. `Outbox.once` and `Inbox.once` make of that an effect that happens once.
    """

    def __init__(self, transport: Receiving, server: Server, *, taker: str) -> None:
        self.transport, self.server, self.taker = transport, server, taker

    def step(self) -> bool:
        """Handle one message; return whether there was one. Raises what the transport raises."""
        message = self.transport.receive(self.server.topic, self.taker, self.server.can_handle)
        if message is None:
            return False
        if message.call is not None:
            self.transport.reply(message, self.server.answer(message))
            return True
        try:
            self.server.handle(message)
        except MalformedMessage as damaged:
            log.warning("message dropped: %s: %s", message.id, damaged.reason)
        except Exception as error:  # noqa: BLE001  # a worker that ends at one bad message does no other either
            # Its text may quote values; frames and class are enough to find the line.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.warning("message failed, trying again: %s: %s\n%s", message.id, type(error).__name__, where)
            self.transport.retry_later(message)
            return True
        self.transport.done(message)
        return True

    def run(self, stop: threading.Event, *, threads: int = 1) -> None:
        """Step in this many threads until `stop` is set, and return when all have finished what they had in hand."""
        crew = [
            threading.Thread(target=self._run, args=(stop,), name=f"receiver-{number}") for number in range(threads)
        ]
        for each in crew:
            each.start()
        for each in crew:
            each.join()

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                worked = self.step()
            except Exception as error:  # noqa: BLE001  # the database or broker is away: it may come back
                log.warning("could not receive, trying again: %s", type(error).__name__)
                stop.wait(1.0)
                continue
            if not worked:
                self.transport.wait(_IDLE_S)
