"""Stop a server of oslo.messaging itself without losing what the broker gave it.

Its `stop()` never cancels its consumers: until the connection is closed, the broker goes on delivering, each request
is acknowledged as it comes in, and after `stop()` nobody runs it. Here the consumers are cancelled first, what came
in is run, and only then the server stops. Written for and tested with oslo.messaging 18.3.
"""

import threading
import time
from contextlib import suppress
from typing import Any

from bascule.errors import RpcError

__all__ = ["DrainTimedOut", "drain"]

_PAUSE_S = 0.01
_CONSUME_S = 0.1


class DrainTimedOut(RpcError):
    """A server did not come to rest in time; it is not stopped, and may be drained again."""

    def __init__(self, what: str, timeout_s: float) -> None:
        self.what, self.timeout_s = what, timeout_s
        super().__init__(f"{what} within {timeout_s:g} s; drain again, or stop the server and lose what it has")


def drain(server: Any, *, timeout_s: float = 30.0) -> None:  # Any: the library has no types
    """Cancel the consumers of an oslo.messaging RPC server, run what was delivered, then stop it and wait.

    Use it in place of `server.stop(); server.wait()`, with the rabbit driver and threads. It returns when all that
    was delivered has run. Casts in this process's own fanout queue go with that queue, as always. Raises
    DrainTimedOut when the broker does not answer the cancellation in time.
    """
    listener = server.listener._poll_style_listener  # noqa: SLF001  # decision 0007
    end = time.monotonic() + timeout_s
    cancelled = _Cancellation(listener.conn)
    if not cancelled.done.wait(timeout_s):
        cancelled.undo()
        raise DrainTimedOut("the broker did not confirm the cancellation", timeout_s)
    while listener.incoming:
        if time.monotonic() > end:
            raise DrainTimedOut("not all that was delivered could be begun", timeout_s)
        time.sleep(_PAUSE_S)
    server.stop()
    server.wait()


class _Cancellation:
    """Stands in for `consume` of one connection, so that the thread that polls it is the one that cancels."""

    def __init__(self, context: Any) -> None:
        self._context, self._consume = context, context.consume
        self.done = threading.Event()
        context.consume = self.consume

    def undo(self) -> None:
        """Let the connection be as it was."""
        self._context.consume = self._consume

    def consume(self, timeout: float | None = None) -> Any:  # noqa: ARG002  # the library's signature
        if self.done.is_set():
            # Short, so that the listener hands over one delivery after another.
            return self._consume(timeout=_CONSUME_S)
        conn = self._context.connection  # what the context stands for
        with conn._connection_lock:  # noqa: SLF001  # the thread that sends heartbeats uses the channel, too
            # Where the connection is gone, every subscription is gone with it.
            with suppress(*conn.connection.recoverable_connection_errors):
                for consumer, tag in list(conn._consumers.items()):  # noqa: SLF001
                    consumer.cancel(tag)  # waits for the broker's word; deliveries on their way come in meanwhile
            # A reconnect must not subscribe again; the fanout consumers stay, since closing deletes their queues.
            conn._new_tags.clear()  # noqa: SLF001
            kept = {each: tag for each, tag in conn._consumers.items() if each.type == "fanout"}  # noqa: SLF001
            conn._consumers = _Unsubscribed(kept)  # noqa: SLF001
            conn._active_tags.clear()  # noqa: SLF001
        self.done.set()
        return None


class _Unsubscribed(dict[Any, Any]):
    """Consumers that exist only to be cleaned up: a reconnect finds no tag to subscribe with."""

    def values(self) -> Any:
        return ()
