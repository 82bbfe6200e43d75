"""A fleet of the key manager's released wheels, as an operator would write it, small and quick for tests."""

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path

from support.stub_fleet import free_port

from bascule.cli.demo import SERVICE_CONFIGURATION
from bascule.fleet.config import FleetConfig
from bascule.fleet.fleet import Fleet
from bascule.release import Release

ROOT = Path(__file__).parents[2]
RELEASES = ROOT / "releases"
# Over 2027.1 and 2027.2, which are never run.
OLD, NEW = Release.parse("2026.2"), Release.parse("2028.1")

FLEET = """
[fleet]
name = "test"
releases = "{releases}"

[variables]
config_file = "{config}"

[balancer]
bind = "127.0.0.1:{port}"

[environment]
BASCULE_DRAIN_S = "{drain_s}"

[policy]
canary_s = {watch_s}
soak_s = {watch_s}

[roles.api]
count = {api}

[roles.worker]
count = {workers}
"""


def open_fleet(directory, venvs, *, database=None, api=2, workers=1, drain_s=2.5, watch_s=1.0):
    """Write the files and open the fleet; environments are shared with every other fleet of the test run."""
    port = free_port()
    database = database or f"sqlite:///{directory / 'keymanager.sqlite'}"
    config = directory / "keymanager.conf"
    kek = base64.urlsafe_b64encode(os.urandom(32)).decode()
    config.write_text(SERVICE_CONFIGURATION.format(port=port, database=database, kek=kek))
    text = FLEET.format(
        releases=RELEASES,
        config=config,
        port=port,
        api=api,
        workers=workers,
        drain_s=drain_s,
        watch_s=watch_s,
    )
    (directory / "fleet.toml").write_text(text)
    fleet = Fleet.open(FleetConfig.load(directory / "fleet.toml"))
    node = fleet.first_node.directory
    node.mkdir(parents=True)
    (node / "venvs").symlink_to(venvs)
    return fleet


def releases_running(fleet):
    """The releases that run, as text."""
    return sorted({str(release) for found in fleet.alive().values() for release in found})


def starts(fleet):
    """How often each instance was started, by name and release."""
    root = fleet.first_node.directory / "run"
    return {path.parent.name: len(path.read_text().split()) for path in sorted(root.glob("*/starts"))}


def apply_until_killed(fleet, after_s):
    """Run `bascule upgrade apply` and kill -9 it after some seconds; return its exit code, None when it was killed."""
    argv = [sys.executable, "-m", "bascule.cli", "--fleet", str(fleet.config.path), "upgrade", "apply", "--yes"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said, _ = process.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return None, ""
    return process.returncode, said
