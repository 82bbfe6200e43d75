"""Our key manager as its programs run it: one API process and one worker, on the loopback."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.keymanager_schema import make_schema
from support.stub_fleet import free_port

from bascule_keymanager.config import load_settings

__all__ = ["authtoken", "keymanager_servers"]

_PROGRAMS = Path(sys.executable).parent
_READY_S = 120.0

_CONFIGURATION = """\
[DEFAULT]
auth_strategy = keystone
[database]
connection = {database}
{quick}
[simple_crypto_plugin]
kek = '{kek}'
[keystone_authtoken]
{identity}
{more}
"""


def authtoken(auth_url: str) -> dict[str, str]:
    """Return the [keystone_authtoken] of a service that the Keystone of few words knows."""
    return {
        "auth_type": "password",
        "auth_url": auth_url,
        "www_authenticate_uri": auth_url,
        "username": "keys",
        "password": "secret",
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }


@contextlib.contextmanager
def keymanager_servers(
    folder: Path, kek: str, identity: Mapping[str, str], database: str | None = None, more: str = ""
) -> Iterator[str]:
    """Run both in this folder, on a new SQLite file or the database at this URL, and yield the API's address.

    `identity` is the [keystone_authtoken] of the configuration, `more` what stands after it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "keymanager.conf"
    config.write_text(
        _CONFIGURATION.format(
            database=database or f"sqlite:///{folder}/keymanager.db",
            quick="" if database else "sqlite_synchronous = False",
            kek=kek,
            identity="\n".join(f"{name} = {value}" for name, value in identity.items()),
            more=more,
        )
    )
    make_schema(load_settings(str(config)))
    port = free_port()
    environment = {**os.environ, "KEYMANAGER_CONFIG": str(config), "BASCULE_DRAIN_S": "0"}
    with (
        _started("keymanager-api", folder, environment | {"BASCULE_LISTEN": f"127.0.0.1:{port}"}) as api,
        _started("keymanager-worker", folder, environment) as worker,
    ):
        api.wait_ready()
        worker.wait_ready()
        yield f"http://127.0.0.1:{port}"


@dataclass(frozen=True, slots=True)
class _Process:
    process: subprocess.Popen[bytes]
    ready: Path
    log: Path

    def wait_ready(self) -> None:
        until = time.monotonic() + _READY_S
        while not self.ready.exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, f"not ready: {self.log.read_text()}"
            time.sleep(0.02)


@contextlib.contextmanager
def _started(program: str, folder: Path, environment: Mapping[str, str]) -> Iterator[_Process]:
    ready, log = folder / f"{program}.ready", folder / f"{program}.log"
    own = {"BASCULE_INSTANCE": f"{program}-1", "BASCULE_READY_FILE": str(ready)}
    with log.open("wb") as out:
        process = subprocess.Popen([_PROGRAMS / program], env={**environment, **own}, stdout=out, stderr=out)
    try:
        yield _Process(process, ready, log)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
