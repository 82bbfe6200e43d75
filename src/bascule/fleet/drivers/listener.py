"""A program that holds one listening socket and hands it to whoever connects to its Unix socket.

Run as a file by a bare interpreter: `python -I listener.py BIND SOCKET`. It keeps the socket alive while API
processes of any release come and go, and while nothing else of bascule runs at all.
"""

import contextlib
import socket
import sys
from pathlib import Path

_BACKLOG = 1024


def open_listener(bind: str) -> socket.socket:
    """Return the listening socket; accepted sockets inherit TCP_NODELAY, so kept connections answer at once."""
    host, port = bind.rsplit(":", 1)
    listener = socket.create_server((host, int(port)), backlog=_BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(listener: socket.socket, path: Path) -> None:
    """Hand the listening socket out until we are stopped."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(draft))
        draft.chmod(0o600)
        door.listen()
        draft.rename(path)
        while True:
            visitor, _ = door.accept()
            with visitor, contextlib.suppress(OSError):  # a visitor that went away needs nothing
                socket.send_fds(visitor, [b"listener"], [listener.fileno()])


if __name__ == "__main__":
    serve(open_listener(sys.argv[1]), Path(sys.argv[2]))
