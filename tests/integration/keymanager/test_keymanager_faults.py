"""Two of the faults of `make fuzz-keymanager`, under a small load: nothing that was acknowledged is lost by them."""

import random
import tempfile
from pathlib import Path

import pytest
from support.faulty_keymanager import FaultyKeyManager
from support.keymanager_faults import FAULTS
from support.keymanager_measured import measure

from bascule.testing.servers.skipping import or_skip

SEED = 7


@pytest.fixture(scope="module")
def world(no_stale_servers):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # servers run as accounts of their own
        started = FaultyKeyManager(folder, "mariadb")
        or_skip(started.__enter__)
        try:
            yield started
        finally:
            started.__exit__()


@pytest.mark.parametrize("name", ["database", "kill-workers"])
def test_nothing_acknowledged_is_lost_and_no_order_is_done_twice(world, name):
    found = measure(world, FAULTS[name], random.Random(SEED), world.folder / name, rate=5.0, seconds=5.0)
    assert found.wrong == []
    assert found.secrets >= 20
    assert found.orders == found.orders_done
    if name == "database":
        assert any("the database cannot be reached" in said for said in found.told)
