"""The database servers that both sides can be measured on: what differs between them, and nothing else."""

import abc
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pymysql
import sqlalchemy as sa

from bascule.testing.servers import MariaDB, PostgreSQL
from bascule.testing.servers.packages import find_program

__all__ = ["SERVERS", "DatabaseServer", "Statement"]

_LOGGED_S = 10.0
_LOG = "pg_current_logfile('jsonlog')"
_MARK = "SELECT 'mark'"
_PLACEHOLDER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")


@dataclass(frozen=True)
class Statement:
    """What a server was asked, and the values apart from it, where the client sent them so."""

    sql: str
    parameters: tuple[str | None, ...] = ()


class DatabaseServer(abc.ABC):
    """A private server, for as long as `with` lasts."""

    barbican_driver: ClassVar[str]  # what Barbican's environment needs beside its own dependencies
    _uuid: ClassVar[str]
    _schema: ClassVar[str]
    _seconds: ClassVar[str]  # as many as numbers.seq says

    def __init__(self, server: MariaDB | PostgreSQL) -> None:
        self._server = server

    @classmethod
    @abc.abstractmethod
    def started(cls) -> AbstractContextManager["DatabaseServer"]:
        """Run one."""

    def new_database(self) -> str:
        """Make an empty database and return the URL that our service takes."""
        return self._server.new_database()

    @abc.abstractmethod
    def barbican_url(self, url: str) -> str:
        """Return what Barbican calls this database."""

    @abc.abstractmethod
    def connect(self, url: str) -> Any:  # the driver's own connection
        """Return a connection of a bare driver, outside transactions."""

    @abc.abstractmethod
    def copy(self, source: str, target: str) -> None:
        """Copy one database into another, which is empty, with all its keys."""

    @abc.abstractmethod
    def settle(self, url: str) -> None:
        """Do what the server would do by itself after so many new rows, within its next minutes."""

    @abc.abstractmethod
    def statements(self, url: str, ask: Callable[[], object]) -> list[Statement]:
        """Return what this database was asked while `ask` ran, as the server's own log has it."""

    def rows(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        with closing(self.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def multiply(self, url: str, secret_id: str, more: int) -> None:
        """Make so many secrets more, all of them like this one, each made a second before the next."""
        columns = self._columns(url, "secrets", "id", "created_at")
        one = f"(SELECT * FROM secrets WHERE id = '{secret_id}') one"
        made = f"one.created_at - {self._seconds}"
        rows = f"SELECT {self._uuid}, {made}, {columns} FROM {self._numbers(more)} CROSS JOIN {one}"
        self._run(url, f"INSERT INTO secrets (id, created_at, {columns}) {rows}")
        for table in ("secret_store_metadata", "encrypted_data"):
            columns = self._columns(url, table, "id", "secret_id")
            like = f"(SELECT {columns} FROM {table} WHERE secret_id = '{secret_id}') one"
            bare = f"(SELECT id AS secret_id FROM secrets WHERE id NOT IN (SELECT secret_id FROM {table})) bare"
            rows = f"SELECT {self._uuid}, secret_id, {columns} FROM {bare} CROSS JOIN {like}"
            self._run(url, f"INSERT INTO {table} (id, secret_id, {columns}) {rows}")

    def _columns(self, url: str, table: str, *but: str) -> str:
        quote = sa.make_url(url).get_dialect()().identifier_preparer.quote
        of = f"table_schema = {self._schema} AND table_name = '{table}'"
        found = self.rows(url, f"SELECT column_name FROM information_schema.columns WHERE {of}")
        return ", ".join(quote(name) for (name,) in found if name not in but)

    def _run(self, url: str, sql: str) -> None:
        with closing(self.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)

    @abc.abstractmethod
    def _numbers(self, count: int) -> str:
        """Return a table `numbers` of so many rows, with a column `seq`."""


class OnMariaDB(DatabaseServer):
    """MariaDB, which both are at home on."""

    barbican_driver = "PyMySQL"
    _uuid = "uuid()"
    _schema = "database()"
    _seconds = "INTERVAL numbers.seq SECOND"

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[DatabaseServer]:
        """Run one."""
        with MariaDB() as server:
            yield cls(server)

    def barbican_url(self, url: str) -> str:
        """Return what Barbican calls this database."""
        return url.replace("utf8mb4", "utf8")

    def connect(self, url: str) -> pymysql.Connection:
        """Return a connection of a bare driver, outside transactions."""
        parts = sa.make_url(url)
        return pymysql.connect(
            host=parts.host, port=int(parts.port or 0), user=parts.username or "", password=str(parts.password or ""),
            database=parts.database, autocommit=True, charset="utf8mb4",
        )  # fmt: skip

    def copy(self, source: str, target: str) -> None:
        """Copy one database into another, which is empty, with all its keys."""
        parts = sa.make_url(source)
        access = ["--no-defaults", "--protocol=tcp", f"--host={parts.host}", f"--port={parts.port}",
                  f"--user={parts.username}"]  # fmt: skip
        dump = _program("mariadb-dump")
        _pipe(
            [dump, *access, _name(source)], [dump.with_name("mariadb"), *access, _name(target)],
            {"MYSQL_PWD": str(parts.password)},
        )  # fmt: skip

    def settle(self, url: str) -> None:
        """Do nothing: InnoDB counts its rows anew while they are inserted."""

    def statements(self, url: str, ask: Callable[[], object]) -> list[Statement]:
        """Return what this database was asked while `ask` ran, as the server's own log has it."""
        with closing(self.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("SET GLOBAL log_output = 'TABLE'")
            cursor.execute("TRUNCATE mysql.general_log")
            cursor.execute("SET GLOBAL general_log = ON")
            try:
                ask()
            finally:
                cursor.execute("SET GLOBAL general_log = OFF")
            cursor.execute(
                "SELECT argument FROM mysql.general_log WHERE command_type IN ('Query', 'Execute') "
                "AND thread_id <> connection_id() ORDER BY event_time"
            )
            texts = [bytes(text).decode() if isinstance(text, bytes) else str(text) for (text,) in cursor.fetchall()]
        return [Statement(text) for text in texts]

    def _numbers(self, count: int) -> str:
        return f"seq_1_to_{count} numbers"


class OnPostgreSQL(DatabaseServer):
    """PostgreSQL, where real Barbican cannot read back the bytes that it binds to columns of text."""

    barbican_driver = "psycopg2-binary"
    _uuid = "gen_random_uuid()::text"
    _schema = "current_schema()"
    _seconds = "numbers.seq * INTERVAL '1 second'"

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[DatabaseServer]:
        """Run one, which logs as JSON: a statement of several lines is one line there."""
        with PostgreSQL() as server:
            server.sql("ALTER SYSTEM SET logging_collector = on")
            server.sql("ALTER SYSTEM SET log_destination = 'jsonlog'")
            server.restart()
            yield cls(server)

    def barbican_url(self, url: str) -> str:
        """Return what Barbican calls this database."""
        return url.replace("+psycopg:", "+psycopg2:")

    def connect(self, url: str) -> "psycopg.Connection[tuple[Any, ...]]":
        """Return a connection of a bare driver, outside transactions, whose statements name values as the log does."""
        plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(plain, autocommit=True, cursor_factory=psycopg.RawCursor)

    def copy(self, source: str, target: str) -> None:
        """Copy one database into another, which is empty, with all its keys."""
        parts = sa.make_url(source)
        access = [f"--host={parts.host}", f"--port={parts.port}", f"--username={parts.username}", "--no-password"]
        dump = _program("pg_dump", "/usr/lib/postgresql/*/bin")
        take = [dump.with_name("psql"), *access, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", _name(target)]
        _pipe([dump, *access, _name(source)], take, {"PGPASSWORD": str(parts.password)})

    def settle(self, url: str) -> None:
        """Do what autovacuum does in its next minute, when what was written is on disk."""
        for command in ("CHECKPOINT", "VACUUM", "ANALYZE"):
            self._run(url, command)

    def statements(self, url: str, ask: Callable[[], object]) -> list[Statement]:
        """Return what this database was asked while `ask` ran, as the server's own log has it."""
        with closing(self.connect(url)) as connection, connection.cursor() as cursor:
            [(begin,)] = cursor.execute(f"SELECT (pg_stat_file({_LOG})).size").fetchall()
            self._log(cursor, "all")
            try:
                cursor.execute(_MARK)
                ask()
                cursor.execute(_MARK)
            finally:
                self._log(cursor, "none")
            asked = _between_marks(cursor, begin, connection.info.backend_pid)
        ours = [each for each in asked if each.get("dbname") == _name(url)]
        return [statement for each in ours if (statement := _statement(each)) is not None]

    @staticmethod
    def _log(cursor: "psycopg.Cursor[Any]", what: str) -> None:
        cursor.execute(f"ALTER SYSTEM SET log_statement = '{what}'")
        cursor.execute("SELECT pg_reload_conf()")
        until = time.monotonic() + _LOGGED_S
        while cursor.execute("SHOW log_statement").fetchall() != [(what,)]:
            if time.monotonic() > until:
                raise SystemExit("the server does not take log_statement over")
        time.sleep(0.2)  # all sessions are told at once, and none can be asked whether it has heard

    def _numbers(self, count: int) -> str:
        return f"generate_series(1, {count}) AS numbers (seq)"


SERVERS: dict[str, type[DatabaseServer]] = {"mariadb": OnMariaDB, "postgresql": OnPostgreSQL}


def _between_marks(cursor: "psycopg.Cursor[Any]", begin: int, own: int) -> list[dict[str, Any]]:
    """Return what was logged between the two marks of the session `own`, once the server's collector has written it."""
    until = time.monotonic() + _LOGGED_S
    while time.monotonic() < until:
        [(text,)] = cursor.execute(f"SELECT pg_read_file({_LOG}, {begin}, 1 << 29)").fetchall()
        entries = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        marks = [at for at, each in enumerate(entries) if each.get("pid") == own and _MARK in each["message"]]
        if len(marks) == 2:
            return entries[marks[0] + 1 : marks[1]]
    raise SystemExit("the server does not log what it is asked")


def _statement(entry: dict[str, str]) -> Statement | None:
    kind, _, sql = entry["message"].partition(": ")
    if kind != "statement" and not kind.startswith("execute "):
        return None
    _, _, listed = entry.get("detail", "").partition("arameters: ")
    values = {int(number): value for number, value in _PLACEHOLDER.findall(listed)}
    return Statement(sql, tuple(_value(values[number]) for number in sorted(values)))


def _value(literal: str) -> str | None:
    return None if literal == "NULL" else literal[1:-1].replace("''", "'")


def _program(name: str, *folders: str) -> Path:
    found = find_program(name, *folders)
    assert found is not None, "the server's own programs are there"
    return found


def _pipe(source: list[str | Path], target: list[str | Path], secret: dict[str, str]) -> None:
    environment = {**os.environ, **secret}
    dumped = subprocess.run(source, env=environment, check=True, capture_output=True)
    subprocess.run(target, env=environment, check=True, input=dumped.stdout, stdout=subprocess.DEVNULL)


def _name(url: str) -> str:
    return str(sa.make_url(url).database)
