"""Rotation by several workers, and by one that is killed: a key that is due is made anew once, on every database."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.at_once import at_once

from bascule_keymanager.storage.tables import encrypted_data
from bascule_keymanager.storage.version_tables import secret_rotations, secret_versions

DEADLINE_S = 60.0
PAUSE = threading.Event()  # never set: between two looks at a condition
KEYS = 8
HALTING = Path(__file__).parents[2] / "support" / "killed_rotation.py"

pytestmark = pytest.mark.parametrize("server_url", ["sqlite", "postgresql", "mariadb"], indirect=True)


@pytest.fixture
def client(keymanager):
    return keymanager.client()


def make_key(keymanager, client):
    body = {"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}}
    order_id = client.simulate_post("/v1/orders", json=body).json["order_ref"].rpartition("/")[2]
    keymanager.processor.process_id(order_id)
    return "/v1/bascule/secrets/" + client.simulate_get(f"/v1/orders/{order_id}").json["secret_ref"].rpartition("/")[2]


def make_due(client, path):
    assert client.simulate_put(path + "/rotation", json={"interval_s": 3600}).status_code == 200
    assert client.simulate_post(path + "/rotation").status_code == 202


def read(client, path):
    answer = client.simulate_get(path + "/payload", headers={"Accept": "application/octet-stream"})
    assert answer.status_code == 200, answer.text
    return answer.content


def numbers(client, path):
    return [each["version"] for each in client.simulate_get(path + "/versions").json["versions"]]


def test_several_workers_make_each_key_anew_once(keymanager, client):
    paths = [make_key(keymanager, client) for _ in range(KEYS)]
    old = {path: read(client, path + "/versions/1") for path in paths}
    for path in paths:
        make_due(client, path)
    workers = [keymanager.again() for _ in range(4)]
    seen = [worker.parts.rotations.due(most=50) for worker in workers]
    assert [len(due) for due in seen] == [KEYS] * 4
    outcomes = at_once(4, lambda number: [workers[number].rotator.rotate(due) for due in seen[number]])
    for worker in workers:
        worker.database.dispose()
    told = [outcome for of_one in outcomes for outcome in of_one]
    assert sorted(told) == ["not due"] * 3 * KEYS + ["rotated"] * KEYS
    for path in paths:
        assert numbers(client, path) == [2, 1]
        assert read(client, path + "/versions/previous") == old[path]
        assert len(read(client, path + "/versions/current")) == 32
        assert client.simulate_get(path + "/labels").json["labels"] == {"current": 2, "previous": 1}
    with keymanager.database.reader.connect() as connection:
        assert set(connection.execute(sa.select(secret_rotations.c.turn)).scalars()) == {2}
        assert len(connection.execute(sa.select(encrypted_data.c.id)).all()) == KEYS


def test_a_worker_and_a_client_that_change_one_key_at_once_leave_no_version_without_its_payload(keymanager, client):
    path = make_key(keymanager, client)
    make_due(client, path)

    def work(number):
        if number == 0:
            return keymanager.rotator.rotate_id(path.rpartition("/")[2])
        body = {"payload": "a" * number, "payload_content_type": "text/plain"}
        return client.simulate_post(path + "/versions", json=body).status_code

    assert at_once(4, work) == ["rotated", 201, 201, 201]
    assert numbers(client, path) == [5, 4, 3, 2, 1]
    lengths = sorted(len(read(client, f"{path}/versions/{number}")) for number in range(1, 6))
    assert lengths == [1, 2, 3, 32, 32]


def test_a_worker_killed_in_the_middle_of_a_rotation_has_done_nothing_and_another_does_it(keymanager, client, tmp_path):
    path = make_key(keymanager, client)
    old = read(client, path + "/versions/current")
    make_due(client, path)
    settings = keymanager.settings
    command = [sys.executable, str(HALTING), settings.database_url, settings.keks[0], str(tmp_path)]
    process = subprocess.Popen(command, env=os.environ)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not (tmp_path / "stopped").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            PAUSE.wait(0.05)
        assert read(client, path + "/versions/current") == old
    finally:
        process.kill()
        process.wait()
    assert numbers(client, path) == [1]
    assert keymanager.rotator.rotate_id(path.rpartition("/")[2]) == "rotated"
    assert numbers(client, path) == [2, 1]
    assert read(client, path + "/versions/previous") == old
    with keymanager.database.reader.connect() as connection:
        assert len(connection.execute(sa.select(secret_versions.c.id)).all()) == 2
