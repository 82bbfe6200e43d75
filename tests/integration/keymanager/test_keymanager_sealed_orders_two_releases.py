"""An older release as it was cut, beside the code that is here: it reads every order whenever it may run."""

import importlib.util
import sys
from pathlib import Path

import pytest

from bascule.release import Release
from bascule_keymanager.api.process import ApiProcess
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.storage.order_sealing import OrdersSealed
from bascule_keymanager.worker.process import WorkerProcess

# Its programs and fixtures are those of the other test with two releases; only the older release is another.
_SPEC = importlib.util.spec_from_file_location(
    "two_releases", Path(__file__).with_name("test_keymanager_two_releases.py")
)
_TWO = importlib.util.module_from_spec(_SPEC)
sys.modules["two_releases"] = _TWO
_SPEC.loader.exec_module(_TWO)

config, database_url, old_api = _TWO.config, _TWO.database_url, _TWO.old_api
parts, start_new = _TWO.parts, _TWO.start_new

OLD = max(
    release
    for release in (Release.parse(path.name) for path in (_TWO.ROOT / "releases").iterdir())
    if release < Release.parse("2028.1")
)
_TWO.OLD = OLD


@pytest.fixture
def old(tmp_path, config, unpacked):
    """The old release, on a database that it made."""
    release = _TWO.OldRelease(tmp_path, config, unpacked(str(OLD)))
    for command in ("expand", "migrate"):
        made = release.popen("db_manage", "db-manage", command)
        assert made.wait(_TWO.DEADLINE_S) == 0, (tmp_path / "db-manage.log").read_text()
    yield release
    for process in release.running:
        process.kill()
        process.wait()


def order(client, name):
    body = {"type": "key", "meta": {"name": name, "algorithm": "aes", "bit_length": 256}}
    answer = client.simulate_post("/v1/orders", json=body)
    assert answer.status_code == 202
    return answer.json["order_ref"].removeprefix("http://keys")


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_the_older_release_reads_every_order_whenever_it_may_start(old, old_api, parts, start_new):
    def old_again(instance):
        """Start the API of the old release again, where it was."""
        return old.start("api", instance, BASCULE_LISTEN=old_api.address)

    def all_orders():
        return new.simulate_get("/v1/orders?limit=100").json

    def seal():
        worker = start_new(WorkerProcess, BASCULE_INSTANCE="worker-2")
        worker._sealer.step()
        worker.stop()

    by_old = old_api.call("/v1/orders", {**_TWO.KEY})["order_ref"].removeprefix("http://keys")
    parts.schema.expand()
    parts.schema.migrate()

    # Beside a process of the old release nothing is sealed.
    process = start_new(ApiProcess, BASCULE_INSTANCE="api-2")
    new = _TWO.client_of(process)
    beside = order(new, "beside")
    seal()
    assert parts.order_sealing.status() == OrdersSealed(plain=2, both=0, sealed=0)
    assert old_api.call("/v1/orders?limit=100") == all_orders()

    # Alone, everything is, and the old release comes back to orders that it reads.
    assert old.stop_all() == [0]
    _TWO.wait_for(lambda: process._member.pin == RELEASE, "the pin lifted")
    alone = order(new, "alone")
    seal()
    assert parts.order_sealing.status() == OrdersSealed(plain=0, both=3, sealed=0)
    parts.registry.hold(OLD)
    old_again("api-4")
    assert old_api.call("/v1/orders?limit=100") == all_orders()
    secret = old_api.call("/v1/secrets", _TWO.secret("by old"))["secret_ref"]  # with a key of its own kind
    assert new.simulate_get(secret.removeprefix("http://keys") + "/payload").text == "p"
    assert old.stop_all() == [0]
    parts.registry.release_hold()
    _TWO.wait_for(lambda: process._member.pin == RELEASE, "the pin lifted again")

    # After contract the plain ones go, and the old release does not start, whatever the pin.
    parts.schema.contract()
    process.stop()
    process = start_new(ApiProcess, BASCULE_INSTANCE="api-3")
    new = _TWO.client_of(process)
    after = order(new, "after")
    seal()
    assert parts.order_sealing.status() == OrdersSealed(plain=0, both=0, sealed=4)
    shown = all_orders()
    assert {each["meta"]["name"] for each in shown["orders"]} == {"ordered", "beside", "alone", "after"}
    parts.registry.hold(OLD)
    assert "cannot start" in old.refused("api")

    # The way back, while the new release works: it reads and does every order.
    parts.schema.rollback(keep_synced=True)
    old_again("api-5")
    assert old_api.call("/v1/orders?limit=100") == shown
    old.start("worker", "worker-1")
    for path in (by_old, beside, alone, after):
        _TWO.wait_for(lambda path=path: old_api.call(path)["status"] == "ACTIVE", "the old worker")
        assert new.simulate_get(path).json == old_api.call(path)
