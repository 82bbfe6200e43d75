"""A key manager as an operator runs it, whose every part can be taken away: processes, servers, Keystone, HSM, disk.

Two API processes behind one HAProxy and two workers, each kept running by a supervisor; one database, one broker, a
Keystone that is a process of its own, and where a fault needs it a SoftHSM that can lose its token.
"""

import base64
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from pathlib import Path

from support.waiting import eventually

from bascule.testing.servers import HAProxy, MariaDB, PostgreSQL, RabbitMQ, free_port
from bascule.testing.servers.packages import find_program, require
from bascule.testing.servers.ports import is_open

ROOT = Path(__file__).parents[2]
WORKLOAD = ROOT / "examples" / "adoption" / "workload.toml"
SERVERS = {"mariadb": MariaDB, "postgresql": PostgreSQL}
STRANGERS = 400
_PIN = "4711"
_SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
_START_S = 180

# Reads are sent to another process when one dies with them in hand; nothing else is sent twice.
_BALANCER = """\
global
    stats socket $socket mode 600 level admin
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout check 1s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    option redispatch
    retries 3
    retry-on conn-failure empty-response
frontend clients
    bind 127.0.0.1:$port
    default_backend api
backend api
    balance roundrobin
    option httpchk GET /healthcheck
    http-request disable-l7-retry unless METH_GET
"""


class Place:
    """One supervised process of the key manager, under what stands in for systemd: it starts what has ended again."""

    def __init__(self, name, program, config, *, port=None):
        self.name, self.port = name, port
        self.log = config.parent / f"{name}.log"
        self._ready = config.parent / f"{name}.ready"
        socket = [] if port else ["--no-socket"]
        command = str(Path(sys.executable).parent / program)
        self._argv = [sys.executable, "-m", "bascule.lifecycle", *socket, "--", command, "--config-file", str(config)]
        self._environment = {**os.environ, "BASCULE_INSTANCE": name, "BASCULE_READY_FILE": str(self._ready)}
        if port:
            self._environment["BASCULE_LISTEN"] = f"127.0.0.1:{port}"
        self.process = None

    def start(self, **environment):
        self._ready.unlink(missing_ok=True)
        self._environment.update(environment)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._argv, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self):
        def is_ready():
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            return self._ready.exists()

        eventually(is_ready, within_s=_START_S, what=f"{self.name} is ready")

    @property
    def supervisor(self):
        return self.process.pid

    @property
    def main(self):
        """The process that the supervisor runs."""
        return _children(self.supervisor)[0]

    @property
    def child(self):
        """The process that answers requests, forked by the main one."""
        return _children(self.main)[0]

    def kill_all(self):
        """Kill the supervisor with all that runs under it, and start it anew, as systemd does."""
        self.kill()
        self.start()

    def kill(self):
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Keystone:
    """The stub as a process: the same port, and the same tokens, whenever it is started again."""

    def __init__(self, folder):
        self.port, self.token = free_port(), secrets.token_hex(16)
        self.strangers = [secrets.token_hex(16) for _ in range(STRANGERS)]
        self._tokens, self._log = folder / "tokens", folder / "keystone.log"
        self._tokens.touch(mode=0o600)
        # Whoever watches does so in a project of its own: the load's keys are counted.
        self.watcher = secrets.token_hex(16)
        watchers = "".join(f"{token} watched\n" for token in (self.watcher, *self.strangers))
        self._tokens.write_text(f"{self.token} loaded\n{watchers}")
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        argv = [sys.executable, "-m", "support.keystone_stub", str(self.port), str(self._tokens)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *sys.path])}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log, start_new_session=True)
        eventually(lambda: is_open(self.port), within_s=60, what="Keystone answers")

    def kill(self):
        self.process.kill()
        self.process.wait()


class Token:
    """A SoftHSM token behind a module that loses it, with all sessions, and finds it again. Needs a C compiler."""

    def __init__(self, folder):
        util = require("softhsm2", lambda: find_program("softhsm2-util") if _SOFTHSM.is_file() else None)
        compiler = require("gcc", lambda: find_program("gcc"))
        self._folder = folder / "hsm"
        (self._folder / "tokens").mkdir(parents=True)
        self.module, self._away = self._folder / "losing_hsm.so", self._folder / "away"
        configuration = self._folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {self._folder / 'tokens'}\nlog.level = ERROR\n")
        self.environment = {
            "SOFTHSM2_CONF": str(configuration),
            "LOSING_HSM_MODULE": str(_SOFTHSM),
            "LOSING_HSM_AWAY": str(self._away),
        }
        source = ROOT / "tests" / "support" / "losing_hsm.c"
        compile_it = [str(compiler), "-shared", "-fPIC", "-Wall", "-o", str(self.module), str(source), "-ldl"]
        new = [util, "--init-token", "--free", "--label", "keymanager", "--so-pin", "0815", "--pin", _PIN]
        for command in (compile_it, new):
            subprocess.run(command, check=True, capture_output=True, timeout=60, env={**os.environ, **self.environment})

    def lose(self):
        self._away.touch()

    def find(self):
        self._away.unlink()


class SmallDisk:
    """A file system of so many megabytes, which can be filled and emptied again. Needs root."""

    def __init__(self, folder, megabytes):
        self.path, self._megabytes = folder / "disk", megabytes
        self._ballast = self.path / "ballast"

    def __enter__(self):
        self.path.mkdir()
        options = f"size={self._megabytes}m,mode=777"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def fill(self):
        with self._ballast.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(4096))

    def empty(self):
        self._ballast.unlink(missing_ok=True)


class FaultyKeyManager:
    """The whole of it, from `with` to the end of the block."""

    def __init__(self, folder, database, *, hsm=False, disk_mb=None, tell=lambda _line: None):
        self.folder, self._kind, self._tell = folder, database, tell
        self._hsm, self._disk_mb = hsm, disk_mb
        self.hsm = self.disk = None
        self.kek = base64.urlsafe_b64encode(os.urandom(32)).decode()

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        try:
            self._start(self._stack)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _start(self, stack):
        self._tell(f"starting {self._kind}, RabbitMQ, Keystone" + (" and an HSM" if self._hsm else ""))
        if self._disk_mb:
            self.disk = stack.enter_context(SmallDisk(self.folder, self._disk_mb))
        with _temporary_in(self.disk.path if self.disk else None):
            self.database = stack.enter_context(SERVERS[self._kind](durable=True))
        self.broker = stack.enter_context(RabbitMQ())
        self.database_url = self.database.new_database()
        self.keystone = Keystone(self.folder)
        self.keystone.start()
        stack.callback(self.keystone.kill)
        if self._hsm:
            self.hsm = Token(self.folder)
        self._start_fleet(stack)

    def _start_fleet(self, stack):
        ports = [free_port(), free_port()]
        lines = [f"    server api-{port} 127.0.0.1:{port} check inter 1s fall 2 rise 1\n" for port in ports]
        balancer = HAProxy(_BALANCER + "".join(lines))
        self.url = balancer.url
        self.config = self._write_configuration()
        for command in ("base", "expand", "migrate"):
            self._run("keymanager-db-manage", "--config-file", str(self.config), command)
        if self.hsm:
            for command in ("gen_mkek", "gen_hmac"):
                self._run("keymanager-manage", "--config-file", str(self.config), "hsm", command)
        self._tell("starting two API processes and two workers")
        self.apis = [Place(f"api-{n}", "keymanager-api", self.config, port=port) for n, port in enumerate(ports, 1)]
        self.workers = [Place(f"worker-{n}", "keymanager-worker", self.config) for n in (1, 2)]
        for place in self.places:
            stack.callback(place.kill)
            place.start(**(self.hsm.environment if self.hsm else {}))
        for place in self.places:
            place.wait()
        stack.enter_context(balancer)
        eventually(self.answers, within_s=60, what="the balancer has found a process")

    @property
    def places(self):
        return [*self.apis, *self.workers]

    @property
    def secrets(self):
        """What must stand in no log; payloads come on top."""
        password = self.database_url.partition("//")[2].partition("@")[0].partition(":")[2]
        return {"kek": self.kek, "token": self.keystone.token, "password": password}

    def answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/healthcheck", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def workload(self, payload_bytes=None):
        """Write the load with the token in it; return where."""
        path = self.folder / "workload.toml"
        text = WORKLOAD.read_text()
        if payload_bytes:
            text = text.replace("payload_bytes = [16, 400]", f"payload_bytes = {list(payload_bytes)}")
        path.touch(mode=0o600)
        path.write_text(f'{text}\n[variables]\ntoken = "{self.keystone.token}"\n')
        return path

    def _run(self, program, *arguments):
        environment = {**os.environ, **(self.hsm.environment if self.hsm else {})}
        argv = [str(Path(sys.executable).parent / program), *arguments]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=_START_S, check=False)
        assert done.returncode == 0, f"{program} {' '.join(arguments)}: {done.stderr}"

    def _write_configuration(self):
        path = self.folder / "keymanager.conf"
        first = "p11_crypto" if self.hsm else "envelope"
        text = f"""\
            [DEFAULT]
            host_href = {self.url}
            transport_url = {self.broker.transport_url}
            [database]
            connection = {self.database_url}
            [queue]
            enable = True
            [secretstore]
            enabled_secretstore_plugins = store_crypto
            [crypto]
            enabled_crypto_plugins = {first}
            enabled_crypto_plugins = simple_crypto
            [simple_crypto_plugin]
            kek = {self.kek}
            [keystone_authtoken]
            auth_type = password
            auth_url = {self.keystone.url}
            www_authenticate_uri = {self.keystone.url}
            username = keys
            password = keys
            project_name = service
            user_domain_name = Default
            project_domain_name = Default
            """
        if self.hsm:
            hsm = f"""\
            [p11_crypto_plugin]
            library_path = {self.hsm.module}
            login = {_PIN}
            token_labels = keymanager
            mkek_label = mkek
            hmac_label = hmac
            hmac_key_type = CKK_GENERIC_SECRET
            hmac_keygen_mechanism = CKM_GENERIC_SECRET_KEY_GEN
            key_wrap_mechanism = CKM_AES_KEY_WRAP_PAD
            key_wrap_generate_iv = False
            """
            text = textwrap.dedent(text) + textwrap.dedent(hsm)
        path.touch(mode=0o600)
        path.write_text(textwrap.dedent(text))
        return path


@contextlib.contextmanager
def _temporary_in(folder):
    """Have what makes temporary directories make them here."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder) if folder else before
    try:
        yield
    finally:
        tempfile.tempdir = before


def _children(pid):
    """The ids of a process's children, once there are any."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + 30
    while not (found := path.read_text().split()):
        assert time.monotonic() < deadline, f"process {pid} has no children"
        time.sleep(0.02)
    return [int(each) for each in found]
