"""Real Barbican and our key manager, ready to measure: two processes each behind HAProxy, one server, one Keystone.

Both begin with the same tables: Barbican fills its own through its API, ours takes a copy of them over as an operator
would (`keymanager-db-manage expand`, `migrate`, `contract`).
"""

import base64
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keymanager_databases import DatabaseServer, Statement

from bascule.testing.servers import HAProxy
from bascule.testing.servers.ports import free_port

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from barbican_recording import people as identity
from barbican_recording.servers import AS_OF, BARBICAN, KEYSTONE, install, keystone

__all__ = ["PAYLOAD", "Side", "sides", "token_of"]

PAYLOAD = "a secret of thirty-two characters"
_PROCESSES = 2
_READABLE = 200  # secrets made through the API, whose payloads are read
_LISTED = 10_000
_READY_S = 180.0

_BALANCER = """\
global
    stats socket $socket mode 600 level admin
    maxconn 2000
    nbthread 1

defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s

frontend clients
    bind 127.0.0.1:$port
    default_backend api

backend api
    balance roundrobin
{servers}
"""
_BARBICAN_CONF = """\
[DEFAULT]
db_auto_create = False
sql_connection = {database}
[database]
connection = {database}
[queue]
enable = False
[secretstore]
enabled_secretstore_plugins = store_crypto
[crypto]
enabled_crypto_plugins = simple_crypto
[simple_crypto_plugin]
kek = '{kek}'
{identity}
"""
_OURS_CONF = """\
[DEFAULT]
auth_strategy = keystone
[database]
connection = {database}
[simple_crypto_plugin]
kek = '{kek}'
{identity}
"""
_WSGI = 'from paste import deploy\napplication = deploy.loadapp("config:{paste}")\n'
_GUNICORN = (
    'wsgi_app, bind, workers, threads, worker_class, keepalive = "barbican_wsgi:application", "127.0.0.1:{port}", '
    '1, 4, "gthread", 60\n'
)


@dataclass(frozen=True)
class Side:
    """One of the two: where its balancer listens, whose processes it is, and the database that it works on."""

    name: str
    port: int
    pids: tuple[int, ...]
    server: DatabaseServer
    database: str

    def statements(self, ask: Callable[[], object]) -> list[Statement]:
        """Return what the server was asked on this side's database while `ask` ran, as its own log has it."""
        return self.server.statements(self.database, ask)

    def standing_ids(self) -> set[str]:
        """Return the ids of rows that a request refers to, rather than makes."""
        return {
            row[0] for row in self.server.rows(self.database, "SELECT id FROM projects UNION SELECT id FROM kek_data")
        }

    def connect(self) -> Any:  # the driver's own
        """Return a connection of a bare driver."""
        return self.server.connect(self.database)

    def cpu_s(self) -> float:
        """Return the CPU seconds that its processes and their children have used so far."""
        return sum(_cpu_s(pid) for root in self.pids for pid in (root, *_children(root)))

    def memory_mb(self) -> float:
        """Return what its processes hold now, without what they share being counted once only."""
        return sum(_rss_mb(pid) for root in self.pids for pid in (root, *_children(root)))


@contextlib.contextmanager
def sides(
    folder: Path, cache: Path, kind: type[DatabaseServer], say: Callable[[str], None]
) -> Iterator[tuple[Side, Side, str, list[str]]]:
    """Start everything; yield ours, Barbican's, a member's token, and the ids of secrets that have a payload."""
    say(f"installing Barbican {BARBICAN} and Keystone {KEYSTONE} (once)")
    programs, keystone_programs = _install_barbican(cache, kind.barbican_driver), install(cache, "keystone", KEYSTONE)
    kek = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    password = secrets.token_urlsafe(12)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(kind.started())
        url = stack.enter_context(keystone(keystone_programs, folder / "keystone", password))
        middleware = "[keystone_authtoken]\n" + _lines(identity.service_user(url, password))
        token = identity.make_people(url, password)["member"].token
        theirs, ours = (server.new_database() for _ in range(2))
        say("filling Barbican's tables")
        values = {"kek": kek, "identity": middleware}
        barbican = stack.enter_context(_barbican(programs, folder / "barbican", values, server, theirs))
        ids = _fill(barbican, token, say)
        server.copy(theirs, ours)
        say("taking a copy of them over")
        keymanager = stack.enter_context(_ours(folder / "ours", values, server, ours))
        server.settle(theirs)
        server.settle(ours)
        yield keymanager, barbican, token, ids


def token_of(token: str) -> dict[str, str]:
    """Return the headers of whoever has this token."""
    return {"X-Auth-Token": token}


def _install_barbican(cache: Path, driver: str) -> Path:
    programs = install(cache, "barbican", BARBICAN)
    uv = Path(sys.executable).with_name("uv")
    to = ["--python", programs / "python", "--exclude-newer", AS_OF]
    subprocess.run([uv, "pip", "install", "--quiet", *to, driver], check=True)
    return programs


@contextlib.contextmanager
def _barbican(
    programs: Path, folder: Path, values: Mapping[str, str], server: DatabaseServer, url: str
) -> Iterator[Side]:
    home = folder / ".barbican"
    home.mkdir(parents=True)
    database = server.barbican_url(url)
    (home / "barbican.conf").write_text(_BARBICAN_CONF.format(**values, database=database))
    paste = folder / "barbican-api-paste.ini"
    paste.write_bytes((programs.parent / "etc" / "barbican" / paste.name).read_bytes())
    (folder / "barbican_wsgi.py").write_text(_WSGI.format(paste=paste))
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONPATH": str(folder)}
    _run([programs / "barbican-db-manage", "-d", database, "upgrade"], environment, folder)
    with contextlib.ExitStack() as stack:
        ports, pids = [], []
        for number in range(_PROCESSES):
            port, settings = free_port(), folder / f"gunicorn{number}.conf.py"
            settings.write_text(_GUNICORN.format(port=port))
            started = _started([programs / "gunicorn", "-c", settings], environment, folder, f"api-{number}")
            pids.append(stack.enter_context(started))
            ports.append(port)
        yield Side("Barbican", _balanced(stack, ports), tuple(pids), server, url)


@contextlib.contextmanager
def _ours(folder: Path, values: Mapping[str, str], server: DatabaseServer, url: str) -> Iterator[Side]:
    folder.mkdir(parents=True)
    config = folder / "keymanager.conf"
    config.write_text(_OURS_CONF.format(**values, database=url))
    environment = {**os.environ, "KEYMANAGER_CONFIG": str(config)}
    for phase in ("expand", "migrate", "contract"):
        _run(_ours_command("db_manage", phase), environment, folder)
    with contextlib.ExitStack() as stack:
        ports, pids = [], []
        for number in range(_PROCESSES):
            port, name = free_port(), f"api-{number}"
            own = {"BASCULE_LISTEN": f"127.0.0.1:{port}", "BASCULE_INSTANCE": name, "BASCULE_DRAIN_S": "0"}
            pids.append(stack.enter_context(_started(_ours_command("api"), environment | own, folder, name)))
            ports.append(port)
        yield Side("bascule", _balanced(stack, ports), tuple(pids), server, url)


def _ours_command(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", f"from bascule_keymanager.cli.{program} import main; main()", *arguments]


def _balanced(stack: contextlib.ExitStack, ports: list[int]) -> int:
    for port in ports:
        _await(f"http://127.0.0.1:{port}/")
    servers = "\n".join(f"    server s{number} 127.0.0.1:{port}" for number, port in enumerate(ports))
    return stack.enter_context(HAProxy(_BALANCER.format(servers=servers))).port


def _fill(side: Side, token: str, say: Callable[[str], None]) -> list[str]:
    """Make secrets through the API, and thousands more of the same kind in the tables; return some with a payload."""
    ids: list[str] = []
    try:
        while len(ids) < _READABLE:
            ids.append(_make(side.port, token))
    except urllib.error.HTTPError as refused:
        if not ids:
            raise
        say(f"{side.name} answers {refused.code} to secret {len(ids) + 1}: the others are copies in its tables")
    side.server.multiply(side.database, ids[0], _LISTED - len(ids))
    if len(ids) == _READABLE:
        return ids
    return [row[0] for row in side.server.rows(side.database, f"SELECT id FROM secrets ORDER BY id LIMIT {_READABLE}")]


def _make(port: int, token: str) -> str:
    body = json.dumps({"name": "made", "payload": PAYLOAD, "payload_content_type": "text/plain"}).encode()
    headers = {"Content-Type": "application/json", **token_of(token)}
    wanted = urllib.request.Request(f"http://127.0.0.1:{port}/v1/secrets", body, headers)
    with urllib.request.urlopen(wanted, timeout=60) as answer:
        return str(json.load(answer)["secret_ref"].rpartition("/")[2])


def _lines(section: Mapping[str, str]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in section.items())


def _run(command: list[str | Path], environment: Mapping[str, str], folder: Path) -> None:
    done = subprocess.run(command, env=dict(environment), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{Path(command[0]).name} {command[-1]} failed: {done.stderr[-2000:]}")


@contextlib.contextmanager
def _started(command: list[str | Path], environment: Mapping[str, str], folder: Path, name: str) -> Iterator[int]:
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, env=dict(environment), cwd=folder, stdout=log, stderr=log)
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(url: str) -> None:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=60):
                return
        except urllib.error.HTTPError:
            return  # it answers, if only with the choice of versions
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers at {url}")


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for child in map(int, found) for each in (child, *_children(child))]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
