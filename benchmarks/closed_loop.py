"""Clients that each keep one connection and ask again the moment they have their answer: how many requests that makes.

The requests are bytes made beforehand, and of an answer only the status and the length are read: what the clients cost
themselves is the same for every server, and small beside it.
"""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["ClosedLoop", "Slice", "request"]

_TIMEOUT_S = 60.0


@dataclass
class Slice:
    """What one slice of time showed: the seconds of each request, and what was answered otherwise than wanted."""

    took_s: float
    latencies_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """Requests answered as wanted, per second."""
        return len(self.latencies_s) / self.took_s

    @property
    def p99_ms(self) -> float:
        """The time that one in a hundred took longer than."""
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else float("inf")


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"", *, host: str = "127.0.0.1") -> bytes:
    """Return the bytes of one request."""
    length = {"Content-Length": str(len(body))} if body else {}
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in {"Host": host, **headers, **length}.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class ClosedLoop:
    """So many clients of one address, each with a connection that it keeps."""

    def __init__(self, port: int, clients: int) -> None:
        self._port, self._clients = port, clients

    def run(self, seconds: float, requests: Sequence[bytes], status: int) -> Slice:
        """Ask these requests in turn, each client from another one on, for so long."""
        done = Slice(seconds)
        until = time.monotonic() + seconds
        parts = [Slice(seconds) for _ in range(self._clients)]
        threads = [
            threading.Thread(target=self._ask, args=(requests, number, until, status, part))
            for number, part in enumerate(parts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for part in parts:
            done.latencies_s += part.latencies_s
            done.wrong += part.wrong
        return done

    def run_once(self, asked: bytes) -> int:
        """Ask once, and return the status."""
        answer = _Connection(self._port)
        try:
            return answer.ask(asked)
        finally:
            answer.close()

    def _ask(self, requests: Sequence[bytes], number: int, until: float, status: int, into: Slice) -> None:
        turn = itertools.islice(itertools.cycle(requests), number * len(requests) // self._clients, None)
        answer = _Connection(self._port)
        try:
            for each in turn:
                began = time.monotonic()
                if began >= until:
                    return
                found = answer.ask(each)
                if found == status:
                    into.latencies_s.append(time.monotonic() - began)
                else:
                    into.wrong.append(f"{found} instead of {status}")
        except OSError as broken:
            into.wrong.append(f"the connection broke: {type(broken).__name__}")
        finally:
            answer.close()


class _Connection:
    """One kept connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.close: Callable[[], None] = self._socket.close

    def ask(self, request: bytes) -> int:
        """Send it, read the whole answer, and return its status."""
        self._socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._some()
        head = data[:end].lower()
        at = head.find(b"content-length:")
        if at < 0:
            raise ConnectionError("an answer without a length")
        left = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0]) - len(data)
        while left > 0:
            left -= len(self._some())
        return int(data[9:12])

    def _some(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("closed before the answer")
        return data
