"""A private RabbitMQ, with a port mapper of its own."""

import shutil
import signal
import socket
from types import TracebackType
from typing import Self

from bascule.testing.servers.instance import Instance, new_password
from bascule.testing.servers.packages import find_program, require
from bascule.testing.servers.ports import free_ports, is_open

__all__ = ["RabbitMQ"]

_USER = "bascule"
_AMQP_HELLO = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"  # the first byte of Connection.Start, which a broker sends once it accepts clients


class RabbitMQ:
    """A RabbitMQ for one test run, on one scheduler thread that sleeps when idle."""

    def __init__(self) -> None:
        # The inner launcher: the one in /usr/sbin changes to the account rabbitmq and its system-wide directories.
        self._server = require(
            "rabbitmq-server",
            lambda: find_program("rabbitmq-server", "/usr/lib/rabbitmq/lib/*/sbin", "/usr/lib/rabbitmq/bin"),
        )
        self._epmd = require("rabbitmq-server", lambda: find_program("epmd"))
        self._instance = Instance("rabbitmq", ["rabbitmq"])
        self._password = new_password()
        self._mnesia = self._instance.data / "mnesia"
        self.port, self._dist_port, self._epmd_port = free_ports(3)

    @property
    def transport_url(self) -> str:
        """The oslo.messaging transport URL, with its password."""
        return f"rabbit://{_USER}:{self._password}@127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        try:
            self._start_port_mapper()
            self._start_broker()
        except BaseException:
            self._instance.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._instance.close()

    def restart(self, *, wipe: bool = False) -> None:
        """Kill the broker as a power cut does, and start it again; with `wipe` its disk is lost, too.

        Returns when it answers, and leaves nothing running when it does not.
        """
        self._instance.kill_last()
        if wipe:
            shutil.rmtree(self._mnesia)
        try:
            self._start_broker()
        except BaseException:
            self._instance.close()
            raise

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(_AMQP_HELLO)
                return connection.recv(1) == _METHOD_FRAME
        except OSError:
            return False

    def _start_port_mapper(self) -> None:
        # Without one of its own the broker would start a port mapper as a daemon, outside of what we can stop.
        self._instance.start([self._epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1"])
        self._instance.wait_until(lambda: is_open(self._epmd_port))

    def _start_broker(self) -> None:
        data = self._instance.data
        settings = self._instance.write(
            "rabbitmq.conf",
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"default_user = {_USER}\n"
            f"default_pass = {self._password}\n"
            "vm_memory_high_watermark.absolute = 512MB\n"
            "disk_free_limit.absolute = 10MB\n"
            "log.console = true\n"
            "log.console.level = warning\n"
            "log.file = false\n",
        )
        plugins = self._instance.write("enabled_plugins", "[].\n")
        environment = {
            "RABBITMQ_NODENAME": f"bascule-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(self._mnesia),
            "RABBITMQ_LOG_BASE": str(data),
            "RABBITMQ_CONFIG_FILE": str(settings),
            "RABBITMQ_CONF_ENV_FILE": str(data / "none"),  # absent on purpose: not the system's settings
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_PID_FILE": str(data / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
            "RUNNING_UNDER_SYSTEMD": "true",  # the launcher then becomes the broker instead of staying its parent
        }
        self._instance.start([self._server], environment, stop_signal=signal.SIGKILL)
        self._instance.wait_until(self._answers, timeout_s=120)
