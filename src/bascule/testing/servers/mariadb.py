"""A private MariaDB."""

import signal
import subprocess
import time
from types import TracebackType
from typing import Self

from bascule.testing.servers.instance import Instance, ServerFailed, new_password
from bascule.testing.servers.packages import find_program, require
from bascule.testing.servers.ports import free_port

__all__ = ["MariaDB"]

_USER = "bascule"


class MariaDB:
    """A MariaDB for one test run: nothing is flushed to disk; its user may create databases and triggers.

    With `durable` what was committed survives `restart`, as it does a kill of the process; it is slower.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._server = require("mariadb-server", lambda: find_program("mariadbd"))
        self._install = require("mariadb-server", lambda: find_program("mariadb-install-db"))
        self._client = require("mariadb-client", lambda: find_program("mariadb"))
        self._instance = Instance("mariadb", ["mysql"])
        self._password = new_password()
        self._databases = 0
        self._flush = 2 if durable else 0  # 2 hands each commit to the kernel, which outlives the process
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
        return f"mysql+pymysql://{_USER}:{self._password}@127.0.0.1:{self.port}/{database}?charset=utf8mb4"

    def new_database(self) -> str:
        """Make an empty database and return its SQLAlchemy URL."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.sql(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database that `new_database` made, also when connections to it are still open."""
        name = url.rpartition("/")[2].partition("?")[0]
        holders = f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"  # noqa: S608 (our own name)
        for connection in self.sql(holders).split():
            self._query(f"KILL CONNECTION {connection}", "")  # it may have gone by itself meanwhile
        self.sql(f"DROP DATABASE IF EXISTS `{name}`")

    def sql(self, statement: str, database: str = "") -> str:
        """Run one statement and return its rows as tab-separated lines. Raises: ServerFailed."""
        done = self._query(statement, database)
        if done.returncode != 0:
            raise ServerFailed("mariadb", "refused a statement", done.stderr.strip())
        return done.stdout.strip()

    def _query(self, statement: str, database: str) -> "subprocess.CompletedProcess[str]":
        connection = ["--protocol=tcp", "--host=127.0.0.1", f"--port={self.port}", f"--user={_USER}"]
        return subprocess.run(
            [
                str(self._client),
                "--no-defaults",
                *connection,
                "--batch",
                "--skip-column-names",
                "-e",
                statement,
                database,
            ],
            env={"MYSQL_PWD": self._password},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _answers(self) -> bool:
        return self._query("SELECT 1", "").returncode == 0

    def _set_up(self) -> None:
        data = self._instance.data / "tables"
        self._instance.run(
            [
                self._install,
                *("--no-defaults", f"--datadir={data}", "--skip-test-db", "--auth-root-authentication-method=socket"),
                *("--innodb-log-file-size=16M", "--skip-log-bin"),
            ]
        )
        # A file, because an argument would show the password to everyone on this machine.
        first_sql = self._instance.write(
            "first.sql",
            f"CREATE USER '{_USER}'@'127.0.0.1' IDENTIFIED BY '{self._password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{_USER}'@'127.0.0.1' WITH GRANT OPTION;\n",
        )
        # Of its own: an instance that starts removes what it takes for the leftovers of one that died.
        self._instance.make_directory("scratch")
        self._start(f"--init-file={first_sql}")

    def _start(self, *first: str) -> None:
        data, scratch = self._instance.data / "tables", self._instance.data / "scratch"
        self._instance.start(
            [
                self._server,
                *("--no-defaults", f"--datadir={data}", f"--tmpdir={scratch}", *first),
                *("--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self._instance.data / 'socket'}"),
                *("--skip-name-resolve", "--skip-log-bin", "--log-bin-trust-function-creators=1"),
                *(
                    f"--innodb-flush-log-at-trx-commit={self._flush}",
                    "--innodb-flush-method=nosync",
                    "--skip-innodb-doublewrite",
                ),
                *("--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--key-buffer-size=1M"),
                *("--max-connections=200", "--skip-performance-schema", "--character-set-server=utf8mb4"),
            ],
            stop_signal=signal.SIGKILL,  # nothing is worth a tidy shutdown: the tables are removed right after
        )
