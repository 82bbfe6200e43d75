"""2026.2 as it was cut, and the code that is here, on one database at the same time: what each may do, and when.

The old release runs from its wheels, in processes of its own; the new one in this process.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from falcon.testing import TestClient

from bascule.errors import BasculeError
from bascule.release import Release
from bascule.schema import trigger_names
from bascule.schema.state import Phase
from bascule_keymanager.api.process import ApiProcess
from bascule_keymanager.config import load_settings
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.migrations.changes import CHANGES
from bascule_keymanager.service import Parts, SchemaNotReady
from bascule_keymanager.storage.version_tables import secret_versions
from bascule_keymanager.worker.process import WorkerProcess

ROOT = Path(__file__).parents[3]
OLD = Release.parse("2026.2")
DEADLINE_S = 60.0
PAUSE = threading.Event()  # never set: between two looks at a condition
KEY = {"type": "key", "meta": {"name": "ordered", "algorithm": "aes", "bit_length": 256}}
VERSION = {"payload": "second", "payload_content_type": "text/plain"}
HEADERS = {"X-Project-Id": "p1", "Content-Type": "application/json"}


def wait_for(fact, what):
    deadline = time.monotonic() + DEADLINE_S
    while not (found := fact()):
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        PAUSE.wait(0.05)
    return found


class OldRelease:
    """Programs of the old release, from its wheels."""

    def __init__(self, folder, config, code):
        self.folder, self.config, self.code, self.running = folder, config, code, []

    def popen(self, program, instance, *arguments, **environment):
        code = f"from bascule_keymanager.cli.{program} import main; main()"
        variables = {
            **os.environ,
            "PYTHONPATH": str(self.code),
            "KEYMANAGER_CONFIG": str(self.config),
            "BASCULE_INSTANCE": instance,
            "BASCULE_READY_FILE": str(self.folder / f"{instance}.ready"),
            "BASCULE_DRAIN_S": "1",
            **environment,
        }
        with (self.folder / f"{instance}.log").open("w") as log:
            command = [sys.executable, "-c", code, *arguments]
            return subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=log)

    def start(self, program, instance, **environment):
        process = self.popen(program, instance, **environment)
        self.running.append(process)
        log = self.folder / f"{instance}.log"

        def is_ready():
            assert process.poll() is None, log.read_text()
            return (self.folder / f"{instance}.ready").exists()

        wait_for(is_ready, f"{instance} of {OLD}")
        return process

    def refused(self, program):
        process = self.popen(program, "refused")
        assert process.wait(DEADLINE_S) == 1
        return (self.folder / "refused.log").read_text().strip().splitlines()[-1]

    def stop_all(self):
        for process in self.running:
            process.terminate()
        codes = [process.wait(DEADLINE_S) for process in self.running]
        self.running.clear()
        return codes


class Http:
    """A client of an API process elsewhere."""

    def __init__(self, address):
        self.address = address

    def call(self, path, document=None, method=None):
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://{self.address}{path}", body, HEADERS, method=method)
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            self.release = answer.headers["X-Bascule-Release"]
            return json.loads(answer.read() or "null")


everywhere = pytest.mark.parametrize("database_url", ["sqlite", "postgresql", "mariadb"], indirect=True)


@pytest.fixture
def database_url(request, tmp_path):
    """An empty database; on SQLite unless the test says `everywhere`."""
    name = getattr(request, "param", "sqlite")
    return f"sqlite:///{tmp_path}/km.db" if name == "sqlite" else request.getfixturevalue(f"{name}_url")


@pytest.fixture
def config(tmp_path, database_url):
    path = tmp_path / "keymanager.conf"
    path.write_text(
        f"[DEFAULT]\nhost_href = http://keys\nauth_strategy = noauth\n[database]\nconnection = {database_url}\n"
        "sqlite_synchronous = False\n"
        f"[simple_crypto_plugin]\nkek = {Fernet.generate_key().decode()}\n"
        "[worker]\nsweep_age_s = 0.5\nsweep_interval_s = 0.3\n"
    )
    return path


@pytest.fixture
def old(tmp_path, config, unpacked):
    """The old release, on a database that it made."""
    release = OldRelease(tmp_path, config, unpacked(str(OLD)))
    made = release.popen("db_manage", "db-manage", "expand")
    assert made.wait(DEADLINE_S) == 0, (tmp_path / "db-manage.log").read_text()
    yield release
    for process in release.running:
        process.kill()
        process.wait()


@pytest.fixture
def old_api(old):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    old.start("api", "api-1", BASCULE_LISTEN=address)
    return Http(address)


@pytest.fixture
def parts(config):
    parts = Parts(load_settings(str(config)))
    yield parts
    parts.database.dispose()


@pytest.fixture
def start_new(config):
    """Start processes of the new release in this one; they are stopped at the end."""
    started = []

    def start(kind, **environment):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            process = kind(load_settings(str(config)))
            started.append(process)
            process.start()
        return process

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def synced(old, parts):
    parts.schema.expand()
    parts.schema.migrate()


def client_of(process):
    return TestClient(process.make_app(), headers=HEADERS)


def path_of(reference):
    return reference.removeprefix("http://keys")


def secret(name, payload="p"):
    return {"name": name, "payload": payload, "payload_content_type": "text/plain"}


def test_the_new_release_starts_only_on_a_synced_schema_and_says_what_to_run(old, parts, start_new):
    for phase, command in (("planned", "expand"), ("expanded", "migrate")):
        for kind in (ApiProcess, WorkerProcess):
            with pytest.raises(SchemaNotReady) as refusal:
                start_new(kind)
            assert f"schema change secrets-display-name is {phase}" in str(refusal.value)
            assert refusal.value.next_command == f"keymanager-db-manage {command}"
        getattr(parts.schema, command)()
    start_new(ApiProcess)
    start_new(WorkerProcess)


@everywhere
def test_what_either_release_writes_the_other_reads(old_api, synced, start_new, parts):
    new = client_of(start_new(ApiProcess, BASCULE_INSTANCE="api-2"))
    by_old = path_of(old_api.call("/v1/secrets", secret("made by old"))["secret_ref"])
    assert old_api.release == str(OLD)
    by_new = path_of(new.simulate_post("/v1/secrets", json=secret("made by new")).json["secret_ref"])
    for path, name in ((by_old, "made by old"), (by_new, "made by new")):
        assert old_api.call(path)["name"] == name
        assert new.simulate_get(path).json["name"] == name
        assert old_api.call(path) == new.simulate_get(path).json
    assert old_api.call("/v1/secrets?name=made%25") == new.simulate_get("/v1/secrets?name=made%25").json
    assert new.simulate_get("/v1/secrets?name=made%25").json["total"] == 2
    assert all(change.phase == "synced" for change in parts.schema.verify())


def test_orders_of_either_release_are_done_by_the_other(old, old_api, synced, start_new, parts):
    new_api = start_new(ApiProcess, BASCULE_INSTANCE="api-2")
    new = client_of(new_api)
    # Accepted by the old release, done by the new one, shown by both.
    path = path_of(old_api.call("/v1/orders", KEY)["order_ref"])
    worker = start_new(WorkerProcess, BASCULE_INSTANCE="worker-2")
    assert worker.step()
    assert old_api.call(path)["sub_status_message"] == "Unknown"
    # Accepted by the new release, done by the old one.
    old.start("worker", "worker-1")
    path = path_of(new.simulate_post("/v1/orders", json=KEY).json["order_ref"])
    wait_for(lambda: new.simulate_get(path).json["status"] == "ACTIVE", "the old worker")
    shown = new.simulate_get(path).json
    assert shown["sub_status_message"] == "Unknown"
    assert old_api.call(path) == shown
    assert new.simulate_get(path_of(shown["secret_ref"])).json["name"] == "ordered"
    assert {process.refused for process in parts.registry.status()[3]} == {0}


def messages(parts):
    with parts.database.reader.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text("SELECT version, body FROM bascule_message"))]


def triggers(parts):
    names = {
        "sqlite": "name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "trigger_name FROM information_schema.triggers",
        "mysql": "trigger_name FROM information_schema.triggers WHERE trigger_schema = database()",
    }[parts.database.dialect]
    with parts.database.reader.connect() as connection:
        return set(connection.execute(sa.text(f"SELECT {names}")).scalars())


def test_the_pin_decides_what_is_sent_and_follows_the_oldest_process(old_api, old, synced, start_new, parts):
    process = start_new(ApiProcess, BASCULE_INSTANCE="api-2")
    new = client_of(process)
    new.simulate_post("/v1/orders", json=KEY)
    [(version, body)] = messages(parts)
    assert version == "1.0"
    assert "request_id" not in body
    assert "accepted_at" not in body

    assert old.stop_all() == [0]
    wait_for(lambda: process._member.pin > OLD, "the pin lifted")
    new.simulate_post("/v1/orders", json=KEY)
    version, body = messages(parts)[-1]
    assert version == "1.1"
    assert json.loads(body)["request_id"].startswith("req-")
    assert json.loads(body)["order"]["versioned_object.version"] == "1.1"
    assert json.loads(body)["order"]["versioned_object.data"]["accepted_at"] == pytest.approx(time.time(), abs=30)


def test_an_ignored_pin_is_counted_by_who_could_not_read_and_loses_no_order(old, synced, start_new, parts):
    old.start("worker", "worker-1")
    new = client_of(start_new(ApiProcess, BASCULE_INSTANCE="api-2", BASCULE_PIN_OVERRIDE="2027.1"))
    path = path_of(new.simulate_post("/v1/orders", json=KEY).json["order_ref"])
    assert messages(parts)[0][0] == "1.1"
    wait_for(lambda: new.simulate_get(path).json["status"] == "ACTIVE", "the old worker's sweep")

    def refused():
        return {process.instance: process.refused for process in parts.registry.status()[3]}["worker-1"]

    wait_for(lambda: refused() == 1, "the refusal in the registry")


@everywhere
def test_after_contract_the_old_release_refuses_to_start(old, old_api, synced, start_new, parts):
    kept = path_of(old_api.call("/v1/secrets", secret("kept"))["secret_ref"])
    with pytest.raises(BasculeError) as refusal:
        parts.schema.contract()
    assert "api-1" in str(refusal.value)
    assert old.stop_all() == [0]
    process = start_new(ApiProcess, BASCULE_INSTANCE="api-2")
    wait_for(lambda: process._member.pin > OLD, "the pin lifted")
    assert {change.phase for change in parts.schema.contract()} == {"contracted"}
    assert client_of(process).simulate_get(kept).json["name"] == "kept"
    for program in ("api", "worker"):
        assert "release 2026.2" in old.refused(program)
    with pytest.raises(BasculeError):
        parts.schema.rollback()
    process.stop()
    assert "2027.1 removed what it needs" in old.refused("worker")


@everywhere
def test_before_contract_the_way_back_keeps_what_the_new_release_wrote(old, old_api, synced, start_new, parts):
    process = start_new(ApiProcess, BASCULE_INSTANCE="api-2")
    path = path_of(client_of(process).simulate_post("/v1/secrets", json=secret("by new")).json["secret_ref"])
    with pytest.raises(BasculeError) as refusal:
        parts.schema.rollback()
    assert "api-2" in str(refusal.value)
    process.stop()
    assert {change.phase for change in parts.schema.rollback()} == {Phase.ROLLED_BACK}
    assert old_api.call(path)["name"] == "by new"
    old_api.call("/v1/secrets", secret("after"))
    columns = {column["name"] for column in sa.inspect(parts.database.reader).get_columns("secrets")}
    assert "name" in columns
    assert "display_name" not in columns
    assert triggers(parts).isdisjoint(name for change in CHANGES for name in trigger_names(change))
    with pytest.raises(SchemaNotReady):
        start_new(ApiProcess)


@everywhere
def test_a_list_tells_the_right_number_while_the_old_release_writes_and_afterwards(old, old_api, synced, start_new):
    processes = [start_new(ApiProcess, BASCULE_INSTANCE=f"api-{number}") for number in (2, 3)]
    one, other = map(client_of, processes)

    def totals():
        return [each.simulate_get("/v1/secrets").json["total"] for each in (one, other)]

    for number in range(3):  # the old release notes nothing, so both count each time
        old_api.call("/v1/secrets", secret("by old"))
        assert one.simulate_post("/v1/secrets", json=secret("by new")).status_code == 201
        assert totals() == [2 * number + 2] * 2
    assert old.stop_all() == [0]
    wait_for(lambda: all(process._member.pin == RELEASE for process in processes), "the pin lifted")
    assert totals() == [6, 6]
    path = path_of(other.simulate_post("/v1/secrets", json=secret("by new")).json["secret_ref"])
    assert totals() == [7, 7]
    assert one.simulate_delete(path).status_code == 204
    with processes[0]._parts.database.writer.begin() as connection:  # nobody counts any more: this is not seen
        connection.execute(sa.text("UPDATE secrets SET deleted_at = created_at, deleted = (1 = 1)"))
    assert totals() == [6, 6]


def test_an_old_process_cannot_come_back_once_the_pin_is_lifted_without_contract(old, synced, start_new, parts):
    process = start_new(ApiProcess, BASCULE_INSTANCE="api-2")
    wait_for(lambda: process._member.pin > OLD, "the pin lifted")
    assert f"the pin of keymanager is {RELEASE}" in old.refused("worker")
    parts.registry.hold(OLD)
    old.start("worker", "worker-1")
    assert old.stop_all() == [0]


def test_a_key_is_used_from_when_the_last_process_that_cannot_has_gone(old, old_api, synced, start_new):
    new = client_of(start_new(ApiProcess, BASCULE_INSTANCE="api-2"))
    key = {
        "secret_type": "symmetric",
        "payload": "AAAAAAAAAAAAAAAAAAAAAA==",
        "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64",
    }
    path = path_of(old_api.call("/v1/secrets", key)["secret_ref"]).replace("/v1/", "/v1/bascule/")
    refused = new.simulate_post(f"{path}/encrypt", json={"plaintext": "QUJD"})
    assert refused.status_code == 409
    assert f"from release 2028.1 on, and the pin is {OLD}" in refused.json["description"]
    old.stop_all()

    def sealed():
        answer = new.simulate_post(f"{path}/encrypt", json={"plaintext": "QUJD"})
        return answer.json if answer.status_code == 200 else None

    ciphertext = wait_for(sealed, "the pin is lifted")
    assert new.simulate_post(f"{path}/decrypt", json=ciphertext).json == {"plaintext": "QUJD"}


@everywhere
def test_an_older_release_that_comes_back_shows_the_current_version_and_may_delete_it(old, synced, start_new, parts):
    process = start_new(ApiProcess, BASCULE_INSTANCE="api-2")
    wait_for(lambda: process._member.pin == RELEASE, "the pin is lifted")
    new = client_of(process)
    paths = [path_of(new.simulate_post("/v1/secrets", json=secret(name)).json["secret_ref"]) for name in ("a", "b")]
    for path in paths:
        versions = path.replace("/v1/", "/v1/bascule/") + "/versions"
        assert new.simulate_post(versions, json=VERSION).json["version"] == 2
    parts.registry.hold(OLD)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    old.start("api", "api-1", BASCULE_LISTEN=address)
    refused = wait_for(lambda: process._member.pin == OLD and new.simulate_get(versions), "the pin is held")
    assert refused.status_code == 409
    assert f"from release 2028.1 on, and the pin is {OLD}" in refused.json["description"]
    for path in paths:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{address}{path}/payload", headers=HEADERS | {"Accept": "text/plain"})
        ) as answer:
            assert answer.read() == b"second"
        assert new.simulate_get(path + "/payload", headers={"Accept": "text/plain"}).text == "second"
    Http(address).call(paths[0], method="DELETE")
    old.stop_all()
    assert parts.versions.upkeep() == 1
    with parts.database.reader.connect() as connection:
        left = connection.execute(sa.select(secret_versions.c.secret_id)).scalars().all()
    assert set(left) == {paths[1].rpartition("/")[2]}
