"""A private HAProxy with an admin socket."""

from pathlib import Path
from string import Template
from types import TracebackType
from typing import Self

from bascule.testing.servers.instance import Instance
from bascule.testing.servers.packages import find_program, require
from bascule.testing.servers.ports import free_port, is_open

__all__ = ["HAProxy", "one_backend"]

_ONE_BACKEND = """\
global
    stats socket $socket mode 600 level admin
    maxconn 2000
    nbthread 1

defaults
    mode http
    timeout connect 5s
    timeout check 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    option redispatch
    retries 2

frontend clients
    bind 127.0.0.1:$port
    default_backend {backend}

backend {backend}
    balance {balance}
    {check}
    server-template slot 1-{slots} 127.0.0.1:1 {check_server} disabled
"""


def one_backend(
    backend: str = "api", *, slots: int = 8, check_path: str | None = None, balance: str = "roundrobin"
) -> str:
    """Return a configuration with one backend of free slots; with a path, each server is checked over HTTP there."""
    check = f"option httpchk GET {check_path}" if check_path else "# servers are not checked"
    check_server = "check inter 1s fall 3 rise 1" if check_path else ""
    return _ONE_BACKEND.format(backend=backend, slots=slots, check=check, check_server=check_server, balance=balance)


class HAProxy:
    """An HAProxy that runs `config`, a template in which $port and $socket stand for the port and the admin socket."""

    def __init__(self, config: str | None = None) -> None:
        self._program = require("haproxy", lambda: find_program("haproxy"))
        self._instance = Instance("haproxy", ["haproxy"])
        self.port = free_port()
        self.socket: Path = self._instance.data / "admin.sock"
        self.config = Template(config or one_backend()).substitute(port=self.port, socket=self.socket)

    @property
    def url(self) -> str:
        """Where clients go."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            path = self._instance.write("haproxy.cfg", self.config)
            self._instance.start([self._program, "-db", "-f", path])
            self._instance.wait_until(lambda: is_open(self.port) and self.socket.exists())
        except BaseException:
            self._instance.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._instance.close()
