"""The load process against a real store over HTTP: what it does, what it keeps, and how it ends."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bascule.gate.checker import check
from bascule.gate.client import NotLoopback
from bascule.gate.history import read_history
from bascule.gate.process import LoadDied, LoadProcess
from bascule.gate.workload import WorkloadInvalid


@pytest.fixture
def run_load(store, workload_file, tmp_path, wait_for):
    """Return a function that runs one load until enough requests have come, and returns its history."""
    numbers = itertools.count()

    def run(*, requests=150, rate=100.0, preload=30, orders_s=10.0, **faults):
        directory = tmp_path / str(next(numbers))
        directory.mkdir()
        load = LoadProcess(workload_file, store.url, directory, rate=rate, preload=preload, orders_s=orders_s)
        with load:
            load.wait_ready(30)
            for name, value in faults.items():
                setattr(store, name, value)
            begun = store.requests
            wait_for(lambda: store.requests > begun + requests)
            load.stop(60)
        return read_history(load.history)

    return run


def findings(history):
    return {finding.kind for finding in check(history).findings}


def test_a_faultless_store_passes_every_operation_and_everything_is_read_back(run_load, store):
    history = run_load(requests=250)
    assert {operation.outcome for operation in history} == {"ok"}
    assert check(history).findings == ()
    assert [each.phase for each in history[:31]] == ["preload"] * 31
    kinds = {(each.phase, each.op) for each in history}
    for op in ("create", "slow create", "read", "describe", "list", "delete", "order key", "poll"):
        assert ("load", op) in kinds
    for op in ("probe-data read", "probe-control list", "probe-control create", "probe-control delete"):
        assert ("probe", op) in kinds
    read_back = {each.key for each in history if each.phase == "final" and each.op == "read"}
    acknowledged = {each.key for each in history if each.kind == "create"}
    assert read_back == acknowledged, "live and deleted keys alike, those of the probes too"
    orders = {each.key for each in history if each.kind == "order"}
    assert orders == {each.key for each in history if each.phase == "final" and each.state == "done"}
    assert history[-1].total == len(store.secrets)


def test_latency_counts_from_the_scheduled_time_and_leaves_out_the_clients_own_slowness(run_load):
    history = run_load(requests=150)
    slow = [each for each in history if each.op == "slow create"]
    assert slow
    assert all(1.0 <= each.upload_s <= 1.5 and each.end - each.start >= each.upload_s for each in slow)
    assert all(each.latency_s == pytest.approx(max(0, each.end - each.at - each.upload_s)) for each in slow)
    load = [each for each in history if each.phase == "load" and each.connection == "kept"]
    assert all(each.start >= each.at - 0.001 for each in load)


def test_a_store_that_creates_slowly_leaves_nothing_unread(run_load):
    history = run_load(create_s=0.7)
    assert findings(history) == set()


def test_a_history_holds_no_payload(run_load, store, tmp_path):
    run_load(requests=60)
    text = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    payloads = [secret["payload"] for secret in store.secrets.values()]
    assert payloads
    assert not any(payload.decode("latin-1") in text for payload in payloads)


def test_an_acknowledged_create_that_was_not_kept_is_lost(run_load):
    found = findings(run_load(forget_every=5))
    assert "lost" in found
    assert not found & {"wrong", "resurrected", "stale"}


def test_metadata_that_the_store_changes_are_wrong(run_load):
    history = run_load(rename_every=4)
    assert findings(history) == {"wrong"}
    assert any(each.error == "name differs from what was written" for each in history)


def test_orders_that_are_never_done_are_lost(run_load):
    history = run_load(never_done=True, orders_s=0.5)
    assert "order-lost" in findings(history)
    assert check(history).orders_accepted > check(history).orders_done


def test_a_status_500_is_a_failed_read_and_an_open_write(run_load):
    history = run_load(fail_every=7)
    failed = [each for each in history if each.status == 500]
    assert {(each.kind in {"create", "delete", "order"}, each.outcome) for each in failed} == {
        (True, "info"),
        (False, "fail"),
    }
    assert findings(history) <= {"unread"}


def test_a_connection_that_breaks_is_a_failure_and_is_not_tried_again(run_load):
    history = run_load(reset_every=11)
    broken = [each for each in history if each.error == "closed" and each.phase == "load"]
    assert broken
    assert all(each.status is None and each.outcome in {"fail", "info"} for each in broken)
    assert not findings(history) & {"lost", "wrong", "stale", "resurrected"}


def test_the_tail_shows_the_history_while_it_grows(store, workload_file, tmp_path, wait_for):
    load = LoadProcess(workload_file, store.url, tmp_path, rate=50, preload=5)
    tail = load.tail()
    assert tail.read() == ()
    seen = []
    with load:
        load.wait_ready(30)
        wait_for(lambda: seen.extend(tail.read()) or len(seen) > 40)
        load.stop(60)
    seen += tail.read()
    tail.close()
    assert tuple(seen) == read_history(load.history)


def test_a_store_that_nobody_serves_ends_the_load_with_one_sentence(workload_file, tmp_path):
    load = LoadProcess(workload_file, "http://127.0.0.1:9", tmp_path, preload=200)
    with load, pytest.raises(LoadDied, match=r"ended before it had begun: only 0 of 200 keys could be created"):
        load.wait_ready(30)


def test_a_load_is_refused_before_it_starts(workload_file, tmp_path):
    with pytest.raises(NotLoopback):
        LoadProcess(workload_file, "http://192.0.2.1:80", tmp_path)
    with pytest.raises(WorkloadInvalid):
        LoadProcess(tmp_path / "absent.toml", "http://127.0.0.1:80", tmp_path)


def test_a_killed_load_leaves_a_history_that_can_be_read(store, workload_file, tmp_path, wait_for):
    load = LoadProcess(workload_file, store.url, tmp_path, rate=100, preload=5)
    with load:
        load.wait_ready(30)
        wait_for(lambda: load.history.stat().st_size > 10_000)
        load.kill()
    assert not load.is_running
    with load.history.open("a") as half:
        half.write('{"at":1')
    assert {each.phase for each in read_history(load.history)} == {"preload", "load", "probe"}


def test_a_load_whose_parent_dies_ends_by_itself(store, workload_file, tmp_path, wait_for):
    history = tmp_path / "history.jsonl"
    parent = (
        "import subprocess, sys, os;"
        "command = [sys.executable, '-m', 'bascule.gate.load', *sys.argv[1:], '--parent', str(os.getpid())];"
        "print(subprocess.Popen(command).pid)"
    )
    arguments = ["--workload", workload_file, "--target", store.url, "--history", history, "--rate", "100"]
    said = tmp_path / "pid"  # a file, not a pipe: the load inherits it and would keep a pipe open
    with said.open("w") as out:
        subprocess.run([sys.executable, "-c", parent, *map(str, arguments)], check=True, stdout=out)
    wait_for(lambda: has_ended(int(said.read_text())))
    assert {each.phase for each in read_history(history)} >= {"preload", "final"}


def has_ended(pid):
    """Whether the process is gone, or is only waiting for somebody to take its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_same_seed_gives_the_same_arrivals(store, workload_file, tmp_path, wait_for):
    def kinds(name):
        directory = tmp_path / name
        directory.mkdir()
        with LoadProcess(workload_file, store.url, directory, rate=100, seed=3, preload=80) as load:
            load.wait_ready(30)
            begun = store.requests
            wait_for(lambda: store.requests > begun + 100)
            load.stop(60)
        drawn = [each for each in read_history(load.history) if each.phase == "load" and each.kind != "poll"]
        drawn = [each for each in drawn if not each.op.startswith("fetch")]
        drawn.sort(key=lambda each: each.at)
        return [each.op for each in drawn[:30]]

    assert kinds("first") == kinds("second")


def test_lines_are_json_objects_with_only_what_differs_from_the_default(run_load, tmp_path):
    run_load(requests=20)
    (path,) = tmp_path.rglob("*.jsonl")
    line = json.loads(path.read_text().splitlines()[1])
    assert {"n", "op", "kind", "phase", "at", "start", "end", "outcome", "key", "hash"} <= line.keys()
    assert "error" not in line
