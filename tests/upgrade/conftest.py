"""Whole upgrades of the key manager's released wheels; environments are built once per run."""

import fcntl
import os

import pytest
from support.keymanager_fleet import NEW, OLD, RELEASES, open_fleet

from bascule.fleet import operations
from bascule.fleet.drivers.local import LocalTransport
from bascule.fleet.drivers.venv import VenvArtefacts
from bascule.fleet.engine import Silent
from bascule.fleet.releases import Releases


@pytest.fixture(scope="session")
def venvs(tmp_path_factory):
    """Both releases' environments; pytest-xdist's workers share them, and the first to come builds them."""
    root = tmp_path_factory.getbasetemp() / "venvs"
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = tmp_path_factory.getbasetemp().parent / "venvs"
    root.mkdir(exist_ok=True)
    artefacts = VenvArtefacts(root, LocalTransport("local"))
    releases = Releases.load(RELEASES)
    with (root / "one-at-a-time.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for release in (OLD, NEW):
            artefacts.stage(releases.get(release), timeout_s=300)
    return root


@pytest.fixture
def new_fleet(tmp_path, venvs):
    """Make fleets; each is stopped at the end."""
    opened = []

    def make(**options):
        fleet = open_fleet(tmp_path, venvs, **options)
        opened.append(fleet)
        return fleet

    yield make
    for fleet in opened:
        operations.stop_fleet(fleet)


@pytest.fixture
def running(new_fleet):
    """A fleet of two API processes and a worker, all at the old release."""
    fleet = new_fleet()
    operations.install(fleet, OLD, Silent())
    return fleet


@pytest.fixture
def planned(running):
    plan, facts = operations.create_plan(running, NEW)
    return running, operations.save_plan(running, plan, facts)
