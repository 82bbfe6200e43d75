"""An HTTP client as upgrades meet it: no retries, and connections that are new, kept, or long idle and used again.

Before it uses a connection again it looks whether the server has closed it, as a healthy client does, and then opens
a new one. The look comes `lead_s` before the request is sent: that is the round trip in which a server may close a
connection under a request that is already on its way. An error after sending is a failure and stays one.
"""

import asyncio
import heapq
import ipaddress
import random
import time
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import h11

from bascule.errors import GateError

__all__ = ["Client", "ConnectionClass", "Message", "NotLoopback", "Reply", "Target"]

ConnectionClass = Literal["kept", "new", "idle"]
MIX: tuple[tuple[ConnectionClass, float], ...] = (("kept", 0.5), ("new", 0.3), ("idle", 0.2))


class NotLoopback(GateError):
    """A load was aimed at something that is not this machine."""

    def __init__(self, target: str) -> None:
        self.target = target
        super().__init__(
            f"{target!r} is not an http address of this machine; the gate loads only services on loopback",
            next_command="give --target http://127.0.0.1:PORT",
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where the requests go."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read http://127.0.0.1:PORT. Raises NotLoopback for everything else."""
        try:
            parts = urlsplit(text)
            port = parts.port
            loopback = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
        except ValueError as fault:
            raise NotLoopback(text) from fault
        if parts.scheme != "http" or not loopback or port is None or parts.path not in {"", "/"}:
            raise NotLoopback(text)
        return cls(parts.hostname or "", port)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A request ready to be sent; `upload_s` makes its body arrive in `pieces` over that many seconds."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    upload_s: float = 0.0
    pieces: int = 1


@dataclass(slots=True, repr=False)
class Reply:
    """What came back: a status, or the error that came instead; times are of time.monotonic()."""

    start: float
    end: float
    connection: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str | None = None
    sent: bool = True


class Client:
    """Sends messages to one target over connections of the asked class."""

    def __init__(
        self,
        target: Target,
        rng: random.Random,
        *,
        idle_max_s: float = 4.0,
        timeout_s: float = 10.0,
        lead_s: float = 0.04,
    ) -> None:
        self.target, self.lead_s = target, lead_s
        self._rng, self._idle_max_s, self._timeout_s = rng, idle_max_s, timeout_s
        self._kept: list[_Wire] = []
        self._idle: list[tuple[float, int, _Wire]] = []  # a heap by the time at which each is due

    def draw_class(self) -> ConnectionClass:
        """Return a connection class in the proportions of the standard load."""
        drawn = self._rng.random()
        for name, share in MIX:
            drawn -= share
            if drawn < 0:
                return name
        return "kept"

    async def send(self, message: Message, wanted: ConnectionClass, *, at: float | None = None) -> Reply:
        """Send one message at the monotonic time `at` (or now) and return what became of it; never raises for it."""
        wire = self._take(wanted)
        if at is not None:
            await asyncio.sleep(max(0.0, at - time.monotonic()))
        label = wanted if wire is not None or wanted == "new" else f"{wanted}-opened"
        reply = Reply(start=time.monotonic(), end=0.0, connection=label)
        try:
            async with asyncio.timeout(self._timeout_s + message.upload_s):
                if wire is None:
                    reply.sent = False
                    wire = await self._open()
                    reply.sent = True
                await wire.exchange(message, self.target, reply)
        except TimeoutError:
            reply.error, reply.status = "timeout", None
        except (OSError, h11.ProtocolError) as fault:
            reply.error, reply.status = _name(fault), None
        reply.end = time.monotonic()
        if wire is not None:
            self._put_back(wire, wanted, reply)
        return reply

    def close(self) -> None:
        """Close every connection that is not in use."""
        for wire in (*self._kept, *(wire for _, _, wire in self._idle)):
            wire.close()
        self._kept.clear()
        self._idle.clear()

    async def _open(self) -> "_Wire":
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(_Wire, self.target.host, self.target.port)
        return wire

    def _take(self, wanted: ConnectionClass) -> "_Wire | None":
        """Return a connection to use again that looks open, or None: open a new one."""
        now = time.monotonic()
        while wanted == "kept" and self._kept:
            wire = self._kept.pop()
            if wire.usable and now - wire.used_at <= self._idle_max_s:
                return wire
            wire.close()
        while wanted == "idle" and self._idle and self._idle[0][0] <= now:
            _, _, wire = heapq.heappop(self._idle)
            if wire.usable and now - wire.used_at <= self._idle_max_s:
                return wire
            wire.close()
        return None

    def _put_back(self, wire: "_Wire", wanted: ConnectionClass, reply: Reply) -> None:
        wire.used_at = reply.end
        if wanted == "new" or reply.error is not None or not wire.usable:
            wire.close()
        elif wanted == "kept":
            self._kept.append(wire)
        else:
            # Between half of the longest gap and nearly all of it: after the whole gap the client itself lets go.
            due_at = reply.end + self._idle_max_s * self._rng.uniform(0.5, 0.95)
            heapq.heappush(self._idle, (due_at, id(wire), wire))


class _Wire(asyncio.Protocol):
    """One connection: bytes to events and back."""

    def __init__(self) -> None:
        self.used_at = 0.0
        self._h11 = h11.Connection(h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._gone: Exception | None = None
        self._ended = False
        self._news = asyncio.Event()

    @property
    def usable(self) -> bool:
        """Whether the connection looks open, with no request on it and nothing unasked from the server."""
        return not self._ended and self._h11.our_state is h11.IDLE and not self._h11.trailing_data[0]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # create_connection makes no other kind
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._h11.receive_data(data)
        self._news.set()

    def eof_received(self) -> bool:
        self._end(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    def _end(self, fault: Exception | None) -> None:
        if not self._ended:
            self._ended, self._gone = True, fault
            self._h11.receive_data(b"")
        self._news.set()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort() if self._ended else self._transport.close()

    async def exchange(self, message: Message, target: Target, reply: Reply) -> None:
        """Send the message and fill the reply. Raises OSError or h11.ProtocolError when the connection breaks."""
        length = [("Content-Length", str(len(message.body)))] if message.body or message.method != "GET" else []
        headers = [("Host", str(target)), *message.headers, *length]
        head = self._h11.send(h11.Request(method=message.method, target=message.path, headers=headers))
        if message.upload_s > 0 and message.body:
            self._write(head)
            await self._upload(message)
        else:
            data = self._h11.send(h11.Data(data=message.body)) if message.body else b""
            self._write((head or b"") + (data or b"") + (self._h11.send(h11.EndOfMessage()) or b""))
        await self._receive(reply)

    async def _upload(self, message: Message) -> None:
        size = -(-len(message.body) // message.pieces)
        for offset in range(0, len(message.body), size):
            await asyncio.sleep(message.upload_s / message.pieces)
            self._write(self._h11.send(h11.Data(data=message.body[offset : offset + size])))
        self._write(self._h11.send(h11.EndOfMessage()))

    def _write(self, data: bytes | None) -> None:
        if self._transport is None or self._transport.is_closing():
            raise self._gone or ConnectionAbortedError("closed by the server")
        if data:
            self._transport.write(data)

    def _next_event(self) -> object:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as fault:
            if self._ended:  # h11 calls an end in the middle of an answer a protocol error; to a client it is an end
                raise self._gone or ConnectionAbortedError("closed by the server") from fault
            raise

    async def _receive(self, reply: Reply) -> None:
        parts: list[bytes] = []
        while True:
            event = self._next_event()
            if event is h11.NEED_DATA:
                if self._gone is not None:
                    raise self._gone
                self._news.clear()
                await self._news.wait()
            elif isinstance(event, h11.Response):
                reply.status = event.status_code
                reply.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionAbortedError("closed by the server")
        reply.body = b"".join(parts)
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()


def _name(fault: Exception) -> str:
    """Return the one word under which the history keeps a broken connection."""
    if isinstance(fault, ConnectionRefusedError):
        return "refused"
    if isinstance(fault, ConnectionAbortedError):
        return "closed"
    if isinstance(fault, ConnectionResetError | BrokenPipeError):
        return "reset"
    return "protocol" if isinstance(fault, h11.ProtocolError) else "connection"
