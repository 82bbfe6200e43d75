"""Real processes of the key manager: they join, serve, die and lose nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from bascule_keymanager.cli import db_manage, manage, status
from bascule_keymanager.config import load_settings
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.service import Parts

BIN = Path(sys.executable).parent
DEADLINE_S = 60.0
PAUSE = threading.Event()  # never set: between two looks at a condition
KEY = {"algorithm": "aes", "bit_length": 256}


def wait_for(fact, what):
    """Return what `fact` gives once it is true; fail at the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := fact()):
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        PAUSE.wait(0.02)
    return found


class Running:
    """One process with its ready file and its log."""

    def __init__(self, program, config, folder, instance, **environment):
        self.ready, self.log = folder / f"{instance}.ready", folder / f"{instance}.log"
        self.ready.unlink(missing_ok=True)
        variables = {
            **os.environ,
            "KEYMANAGER_CONFIG": str(config),
            "BASCULE_INSTANCE": instance,
            "BASCULE_READY_FILE": str(self.ready),
            "BASCULE_DRAIN_S": "1",
            **environment,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [BIN / program], env=variables, stderr=log, stdout=log, start_new_session=True
            )

    def wait_ready(self):
        def is_ready():
            assert self.process.poll() is None, self.log.read_text()
            return self.ready.exists()

        wait_for(is_ready, "ready")
        return self

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def config(tmp_path, keymanager):
    path = tmp_path / "keymanager.conf"
    url, [kek] = keymanager.settings.database_url, keymanager.settings.keks
    path.write_text(
        f"[DEFAULT]\nauth_strategy = noauth\n[database]\nconnection = {url}\nsqlite_synchronous = False\n"
        f"[simple_crypto_plugin]\nkek = {kek}\n[worker]\nsweep_age_s = 0.2\nsweep_interval_s = 0.3\n"
    )
    return path


@pytest.fixture
def start(config, tmp_path):
    """Start a program; whatever still runs at the end is killed."""
    running = []

    def begin(program, instance, **environment):
        running.append(Running(program, config, tmp_path, instance, **environment))
        return running[-1].wait_ready()

    yield begin
    for process in running:
        process.kill()


def spawn_refused(program, config):
    """Return the last line that a program says which must not start."""
    environment = {**os.environ, "KEYMANAGER_CONFIG": str(config)}
    done = subprocess.run(
        [BIN / program], check=False, env=environment, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert done.returncode == 1, done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture
def run(config, monkeypatch, capsys):
    """Run one of the commands in this process; return what it printed."""

    def run_one(module, *arguments, code=0, config=config):
        monkeypatch.setenv("KEYMANAGER_CONFIG", str(config))
        monkeypatch.setattr(sys, "argv", [module.__name__, *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            module.main()
        printed = capsys.readouterr()
        assert (end.value.code or 0) == code, printed.err
        return printed.out if code == 0 or printed.out else printed.err

    return run_one


def statuses(keymanager):
    with keymanager.database.reader.connect() as connection:
        return connection.exec_driver_sql("SELECT status, count(*) FROM orders GROUP BY status").all()


def test_orders_survive_a_worker_killed_in_the_middle_again_and_again(keymanager, start, client, config):
    total = 60
    for _ in range(total):
        client.simulate_post("/v1/orders", json={"type": "key", "meta": KEY})

    def done():
        return dict(statuses(keymanager)).get("ACTIVE", 0)

    for _ in range(3):
        before = done()
        worker = start("keymanager-worker", "worker-1")
        wait_for(lambda before=before: done() > before, "an order done")
        worker.kill()
    assert done() > 0
    workers = [start("keymanager-worker", f"worker-{number}") for number in (2, 3)]
    wait_for(lambda: done() == total, "all orders done")
    assert [worker.terminate() for worker in workers] == [0, 0]
    with keymanager.database.reader.connect() as connection:
        for question, answer in (
            ("SELECT count(*) FROM secrets", total),
            ("SELECT count(*) FROM encrypted_data", total),
            ("SELECT count(DISTINCT secret_id) FROM orders WHERE status = 'ACTIVE'", total),
            ("SELECT count(*) FROM secrets WHERE id NOT IN (SELECT secret_id FROM orders)", 0),
        ):
            assert connection.exec_driver_sql(question).scalar() == answer, question


def test_an_api_and_a_worker_join_the_fleet_serve_and_leave(start, config, run):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    api = start("keymanager-api", "api-1", BASCULE_LISTEN=address)
    worker = start("keymanager-worker", "worker-1")

    def call(path, document=None):
        body = None if document is None else json.dumps(document).encode()
        headers = {"X-Project-Id": "p1", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{address}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            assert answer.headers["X-Bascule-Release"] == str(RELEASE)
            assert answer.headers["X-Bascule-Instance"] == "api-1"
            return json.loads(answer.read())

    path = "/v1" + call("/v1/orders", {"type": "key", "meta": KEY})["order_ref"].partition("/v1")[2]
    wait_for(lambda: call(path)["status"] == "ACTIVE", "the order done")
    fleet = json.loads(run(manage, "fleet", "--json"))
    assert {(p["instance"], p["role"], p["state"]) for p in fleet["processes"]} == {
        ("api-1", "api", "live"),
        ("worker-1", "worker", "live"),
    }
    assert fleet["processes"][0]["release"] == str(RELEASE)
    assert fleet["pending_work"] == 0
    assert [api.terminate(), worker.terminate()] == [0, 0]
    fleet = json.loads(run(manage, "fleet", "--json"))
    assert {process["state"] for process in fleet["processes"]} == {"stopped"}
    assert Parts(load_settings(str(config))).transport.waiting("worker") == 0


def test_programs_refuse_with_one_sentence_and_the_next_command(tmp_path, config, run):
    empty = tmp_path / "empty.conf"
    empty.write_text(config.read_text().replace("keymanager.db", "empty.db"))
    for program in ("keymanager-worker", "keymanager-api"):
        refused = spawn_refused(program, empty)
        assert f"release {RELEASE} of the key manager cannot start: its database is empty" in refused
        assert refused.endswith("next: keymanager-db-manage expand")
    assert "there is no such file" in run(manage, "fleet", config=tmp_path / "none.conf", code=1)
    bare = tmp_path / "bare.conf"
    bare.write_text(f"[database]\nconnection = sqlite:///{tmp_path}/x.db\n")
    assert "kek is not set" in run(manage, "fleet", config=bare, code=1)
    odd = tmp_path / "odd.conf"
    odd.write_text(config.read_text() + "[DEFAULT]\nmax_limit_paging = hunter2\n")
    refused = run(manage, "fleet", config=odd, code=1)
    assert "wrong type" in refused
    assert "hunter2" not in refused


def test_the_upgrade_check_looks_at_every_project_key(keymanager, config, tmp_path, run):
    keymanager.key_of()
    chosen = "[oslo_policy]\nenforce_new_defaults = True\n[DEFAULT]\nhost_href = http://k.example\n"
    config.write_text(config.read_text().replace("[DEFAULT]\n", chosen))
    good = json.loads(run(status, "upgrade", "check", "--json"))
    assert {check["result"] for check in good["checks"]} == {0}
    wrong = tmp_path / "wrong.conf"
    [kek] = keymanager.settings.keks
    wrong.write_text(config.read_text().replace(kek, "A" * 43 + "="))
    bad = json.loads(run(status, "upgrade", "check", "--json", config=wrong, code=2))
    [failed] = [check for check in bad["checks"] if check["result"] == 2]
    assert failed["check"] == "master keys open every project key"
    assert failed["details"].startswith("1 of 1 project keys open with no configured master key")


def test_the_upgrade_check_fails_where_the_database_does_not_answer(config, tmp_path, run):
    nowhere = tmp_path / "nowhere.conf"
    nowhere.write_text(config.read_text().replace(str(tmp_path), f"{tmp_path}/none"))
    bad = json.loads(run(status, "upgrade", "check", "--json", config=nowhere, code=2))
    of_files = ("tokens can", "policies mean", "no Barbican", "the broker", "references do", "payloads are")
    results = {check["check"]: check["result"] for check in bad["checks"]}
    assert {result for name, result in results.items() if not name.startswith(of_files)} == {2}
    none = json.loads(run(status, "upgrade", "check", "--json", config=tmp_path / "none.conf", code=2))
    assert "there is no such file" in none["checks"][0]["details"]


def test_the_upgrade_check_refuses_over_an_unfinished_change_of_an_earlier_release(keymanager, run):
    with keymanager.database.writer.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE bascule_change SET id = id || '-old', release = '2026.1', phase = 'backfilling'"
        )
    bad = json.loads(run(status, "upgrade", "check", "--json", code=2))
    [failed] = [check for check in bad["checks"] if check["result"] == 2]
    assert failed["check"] == "schema changes of earlier releases are finished"


def test_the_pin_is_held_shown_and_released(run):
    run(manage, "pin", "hold", "2026.2")
    shown = json.loads(run(manage, "pin", "show", "--json"))
    assert (shown["pin"], shown["hold"]) == ("2026.2", "2026.2")
    run(manage, "pin", "release")
    assert json.loads(run(manage, "pin", "show", "--json"))["hold"] is None
    assert "release name" in run(manage, "pin", "hold", "soon", code=1)


def test_waiting_orders_are_listed(client, run):
    reference = client.simulate_post("/v1/orders", json={"type": "key", "meta": KEY}).json["order_ref"]
    listed = json.loads(run(manage, "list-orders", "--pending", "--json"))
    assert [order["id"] for order in listed["orders"]] == [reference.rpartition("/")[2]]


def test_the_base_alone_can_be_made_and_is_left_alone_afterwards(config, tmp_path, run):
    fresh = tmp_path / "fresh.conf"
    fresh.write_text(config.read_text().replace("keymanager.db", "fresh.db"))
    assert "created" in run(db_manage, "base", config=fresh)
    assert "already" in run(db_manage, "--config-file", str(fresh), "base", config=tmp_path / "none.conf")
    assert Parts(load_settings(str(fresh))).has_orders()
