"""A connection's socket that asks the system for less: one call for a small answer, none to set what is set already."""

import socket
from typing import Any

__all__ = ["AnsweringSocket"]

_INFORMATIONAL = b"HTTP/1.1 1"
_SMALL = 65_536  # joining costs a copy, which a large body is not worth


class AnsweringSocket(socket.socket):
    """Takes the place of a connection's socket.

    gunicorn sends the head of an answer and its body one after the other, which wakes whoever reads twice; between
    `hold` and `release` the head waits for what follows it. And it sets timeouts anew for each request, which is a
    call to the system that lets go of the interpreter's lock, so that another thread may take it.
    """

    __slots__ = ("_head", "_holds")

    @classmethod
    def of(cls, connection: socket.socket) -> "AnsweringSocket":
        """Return the same connection; the socket that is given must not be used any more."""
        timeout = connection.gettimeout()
        taken = cls(fileno=connection.detach())
        taken._head, taken._holds = b"", False
        socket.socket.settimeout(taken, timeout)
        return taken

    def hold(self) -> None:
        """Let the first of what is sent from here on wait for the second."""
        self._head, self._holds = b"", True

    def release(self) -> None:
        """Send what still waits, and hold nothing any more. Raises OSError."""
        head, self._head, self._holds = self._head, b"", False
        if head:
            super().sendall(head)

    def sendall(self, data: Any, flags: int = 0) -> None:  # Any: whatever has a buffer
        """Send it, or hold it. Raises OSError."""
        if self._holds:
            self._holds = False
            if not data.startswith(_INFORMATIONAL):  # which is of use only before the answer
                self._head = data
                return
            self._holds = True
        if self._head:
            head, self._head = self._head, b""
            if len(data) > _SMALL:
                super().sendall(head, flags)
            else:
                data = head + data
        super().sendall(data, flags)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:  # Any: an open file
        """Send what waits, and a file. Raises OSError."""
        self.release()
        return super().sendfile(file, offset, count)

    def setblocking(self, flag: bool) -> None:
        """Set it, where it is not so."""
        self.settimeout(None if flag else 0.0)

    def settimeout(self, value: float | None) -> None:
        """Set it, where it is not so."""
        if value != self.gettimeout():
            super().settimeout(value)
