"""A private PostgreSQL."""

import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bascule.testing.servers.instance import Instance, ServerFailed, new_password
from bascule.testing.servers.packages import find_program, require
from bascule.testing.servers.ports import free_port

__all__ = ["PostgreSQL"]

_USER = "bascule"


class PostgreSQL:
    """A PostgreSQL for one test run: nothing survives it, so nothing is flushed to disk.

    With `durable` what was committed survives `restart`, as it does a kill of the process; it is slower.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._programs = require("postgresql", lambda: find_program("initdb", "/usr/lib/postgresql/*/bin")).parent
        self._instance = Instance("postgresql", ["postgres"])
        self._password = new_password()
        self._databases = 0
        self._durable = durable
        self.port = free_port()

    def __enter__(self) -> Self:
        try:
            self._set_up()
            self._instance.wait_until(self._answers)
        except BaseException:
            self._instance.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._instance.close()

    def is_running(self) -> bool:
        """Whether it answers now."""
        return self._answers()

    def restart(self, *, after_s: float = 0.0) -> None:
        """Kill the server, let so many seconds pass, start it again, and return when it answers."""
        self._instance.kill_last()
        time.sleep(after_s)
        self._start()
        self._instance.wait_until(self._answers)

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database, with its password."""
        return f"postgresql+psycopg://{_USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its SQLAlchemy URL."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database that `new_database` made, also when connections to it are still open."""
        name = url.rpartition("/")[2]
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement as the superuser and return psql's unaligned output. Raises: ServerFailed."""
        done = self._psql(statement, database)
        if done.returncode != 0:
            raise ServerFailed("postgresql", "refused a statement", done.stderr.strip())
        return done.stdout.strip()

    def _psql(self, statement: str, database: str) -> "subprocess.CompletedProcess[str]":
        connection = ["-h", "127.0.0.1", "-p", str(self.port), "-U", _USER, "-d", database]
        return subprocess.run(
            [str(self._programs / "psql"), *connection, "-X", "-q", "-A", "-t", "-w", "-c", statement],
            env={"PGPASSWORD": self._password, "PGCONNECT_TIMEOUT": "5"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _answers(self) -> bool:
        return self._psql("SELECT 1", "postgres").returncode == 0

    def _set_up(self) -> None:
        data = self._instance.data / "cluster"
        password = self._instance.write("password", self._password)
        self._instance.run(
            [
                self._programs / "initdb",
                *("-D", data, "-U", _USER, "-A", "scram-sha-256", "--pwfile", password),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
            ]
        )
        self._start()

    def _start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "on" if self._durable else "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": "200",
            "max_wal_size": "256MB",
            "log_timezone": "UTC",
            "timezone": "UTC",
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        command: list[str | Path] = [self._programs / "postgres", "-D", self._instance.data / "cluster", *options]
        # SIGQUIT stops at once and frees the shared memory, which SIGKILL would leave behind.
        self._instance.start(command, stop_signal=signal.SIGQUIT)
