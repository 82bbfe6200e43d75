"""A fleet of real processes of the stub service, on a shared socket, in a temporary directory."""

import pytest
from support.stub_fleet import NEW, OLD, write_fleet

from bascule.fleet import operations
from bascule.fleet.config import FleetConfig
from bascule.fleet.engine import Silent
from bascule.fleet.fleet import Fleet


@pytest.fixture
def fleet_path(tmp_path):
    return write_fleet(tmp_path)


@pytest.fixture
def fleet(fleet_path):
    opened = Fleet.open(FleetConfig.load(fleet_path))
    yield opened
    operations.stop_fleet(opened)


@pytest.fixture
def running(fleet):
    """The fleet with every instance at the old release."""
    operations.install(fleet, OLD, Silent())
    return fleet


@pytest.fixture
def planned(running):
    """The running fleet, and the path of a plan to the new release."""
    plan, facts = operations.create_plan(running, NEW)
    return running, operations.save_plan(running, plan, facts)
