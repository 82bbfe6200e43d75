"""Private servers of real Keystone and real Barbican, each in an environment of its own, on the loopback alone."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

AS_OF = "2026-11-15"  # the day whose newest dependencies both are installed with
BARBICAN, KEYSTONE = "23.0.0", "30.0.0"
LOG = "server.log"  # in the folder of each server

Options = Mapping[str, Mapping[str, str]]

KEYSTONE_CONFIG = """[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/fernet
[identity]
password_hash_rounds = 4
"""
# What every area shares. Barbican's own defaults stand wherever a line is not needed to run it here.
BARBICAN_OPTIONS: Options = {
    "DEFAULT": {"db_auto_create": "False"},
    "queue": {"enable": "False"},
    "secretstore": {"enabled_secretstore_plugins": "store_crypto"},
    "crypto": {"enabled_crypto_plugins": "simple_crypto"},
}
# The paste file is the one that Barbican ships, at a place of our own.
BARBICAN_WSGI = """from paste import deploy
application = deploy.loadapp("config:{paste}")
"""


class RecordingFailed(RuntimeError):
    """A server did not come up; the message ends with what it last wrote."""


def install(folder: Path, name: str, version: str) -> Path:
    """Return the folder of the programs of a new environment with this package in it; made once per folder."""
    environment = folder / name
    programs = environment / "bin"
    if not (programs / "gunicorn").exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True)
        packages = [f"{name}=={version}", "gunicorn", "setuptools<81"]
        to = ["--python", programs / "python", "--exclude-newer", AS_OF]
        subprocess.run([uv, "pip", "install", "--quiet", *to, *packages], check=True)
    return programs


@contextlib.contextmanager
def keystone(programs: Path, folder: Path, password: str, *, tells: str | None = None) -> Iterator[str]:
    """Run a new Keystone, and yield its address; its administrator is `admin` of project `admin`.

    `tells` is the URL of a broker, where it then tells what is deleted.
    """
    (folder / "fernet").mkdir(mode=0o700, parents=True)
    for number in range(2):
        (folder / "fernet" / str(number)).write_bytes(urlsafe_b64encode(secrets.token_bytes(32)))
    config = folder / "keystone.conf"
    told = f"[oslo_messaging_notifications]\ndriver = messagingv2\ntransport_url = {tells}\n" if tells else ""
    config.touch(mode=0o600)
    config.write_text(KEYSTONE_CONFIG.format(folder=folder) + told)
    port = free_port()
    url = f"http://127.0.0.1:{port}/v3"
    manage = [programs / "keystone-manage", "--config-file", config]
    environment = {"OS_KEYSTONE_CONFIG_FILES": str(config), **_environment(folder)}
    first = {"OS_BOOTSTRAP_PASSWORD": password, **environment}
    empty = programs.parent / "empty.db"  # made once for an environment: the migrations take minutes
    if empty.exists():
        shutil.copy(empty, folder / "keystone.db")
    else:
        _run([*manage, "db_sync"], environment)
        shutil.copy(folder / "keystone.db", draft := folder / "draft.db")
        shutil.move(draft, empty)
    # The internal address is the one that a token check looks for.
    addresses = ["--bootstrap-public-url", url, "--bootstrap-internal-url", url]
    _run([*manage, "bootstrap", *addresses, "--bootstrap-region-id", "here"], first)
    with _gunicorn(programs, folder, "keystone.wsgi.api:application", port, environment):
        yield url


@contextlib.contextmanager
def barbican(programs: Path, folder: Path, identity: Mapping[str, str], options: Options) -> Iterator[str]:
    """Run a new Barbican with these options and a Keystone's token check in front, and yield its address."""
    database = f"sqlite:///{folder}/barbican.db"
    kek = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    own: Options = {
        "database": {"connection": database},
        "simple_crypto_plugin": {"kek": f"'{kek}'"},
        "keystone_authtoken": identity,
    }
    home = folder / ".barbican"
    home.mkdir(parents=True)
    (home / "barbican.conf").write_text(_ini(BARBICAN_OPTIONS, own, options))
    paste = folder / "barbican-api-paste.ini"
    shutil.copy(programs.parent / "etc" / "barbican" / "barbican-api-paste.ini", paste)
    (folder / "barbican_wsgi.py").write_text(BARBICAN_WSGI.format(paste=paste))
    environment = {"PYTHONPATH": str(folder), **_environment(folder)}
    empty = folder.parent / "empty.db"  # made once: the migrations take longer than the whole scenario
    if not empty.exists():
        _run([programs / "barbican-db-manage", "-d", f"sqlite:///{empty}", "upgrade"], environment)
    shutil.copy(empty, folder / "barbican.db")
    port = free_port()
    with _gunicorn(programs, folder, "barbican_wsgi:application", port, environment):
        yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _ini(*layers: Options) -> str:
    merged: dict[str, dict[str, str]] = {}
    for layer in layers:
        for section, values in layer.items():
            merged.setdefault(section, {}).update(values)
    lines = []
    for section, values in merged.items():
        lines += [f"[{section}]", *(f"{name} = {value}" for name, value in values.items())]
    return "\n".join(lines) + "\n"


def _environment(home: Path) -> dict[str, str]:
    # Nothing of the caller's: proxies, Python paths and configuration files of other services stay outside.
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def _run(command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RecordingFailed(f"{Path(command[0]).name} failed: {done.stderr[-2000:]}")


@contextlib.contextmanager
def _gunicorn(
    programs: Path, folder: Path, application: str, port: int, environment: Mapping[str, str]
) -> Iterator[None]:
    # No arguments: Keystone would take the command line for its own.
    (folder / "gunicorn.conf.py").write_text(f'wsgi_app, bind, workers = "{application}", "127.0.0.1:{port}", 1\n')
    log = folder / LOG
    with log.open("w") as out:
        process = subprocess.Popen(
            [programs / "gunicorn"], cwd=folder, env=dict(environment), stdout=out, stderr=subprocess.STDOUT
        )
    try:
        _await(f"http://127.0.0.1:{port}/", process, log)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=60):
                return
        except urllib.error.HTTPError:
            return  # it answers, if only with the choice of versions
        except OSError:
            time.sleep(0.2)
    raise RecordingFailed(f"the server at {url} does not answer: {log.read_text()[-2000:]}")


def ask_json(method: str, url: str, body: object = None, token: str | None = None) -> tuple[dict[str, object], str]:
    """Ask Keystone and return its JSON with the token that it issued, if any."""
    headers = {"Content-Type": "application/json"} | ({"X-Auth-Token": token} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
        return (json.loads(text) if text else {}), answer.headers.get("X-Subject-Token", "")
