"""Free TCP ports on 127.0.0.1."""

import socket

__all__ = ["free_port", "free_ports", "is_open"]


def free_port() -> int:
    """Return a port that nobody listens on now; start the server soon, nothing reserves it."""
    return free_ports(1)[0]


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` different free ports."""
    # All are held open until the last is chosen, so that the kernel cannot give the same one twice.
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return tuple(int(sock.getsockname()[1]) for sock in held)
    finally:
        for sock in held:
            sock.close()


def is_open(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1:`port`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
