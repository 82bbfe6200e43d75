import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bascule.errors import StepFailed
from bascule.fleet.drivers.local import LocalTransport
from bascule.fleet.drivers.process import ProcessRuntime
from bascule.fleet.runtime import InstanceName, StartSpec
from bascule.release import Release

NAME = InstanceName("api-1", Release.parse("1.0"))
WAIT = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(0)); open('up', 'w').close(); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('up', 'w').close(); time.sleep(60)"
WITH_CHILD = "import os, time; os.fork(); open('up', 'w').close(); time.sleep(60)"


def spec(code):
    return StartSpec(NAME, "api", (sys.executable, "-c", code))


def eventually(condition, within_s=10.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.01)


@pytest.fixture
def runtime(tmp_path):
    made = ProcessRuntime(tmp_path / "run")
    yield made
    made.stop(NAME, signal_name="KILL", timeout_s=0.0)


def up(runtime):
    eventually((runtime.directory(NAME) / "up").exists)


def starts(runtime):
    return len((runtime.directory(NAME) / "starts").read_text().split())


def test_a_process_that_runs_is_not_started_again(runtime):
    runtime.start(spec(WAIT), timeout_s=5)
    up(runtime)
    runtime.start(spec(WAIT), timeout_s=5)
    assert runtime.alive() == {NAME: "api"}
    assert starts(runtime) == 1


def test_another_runtime_sees_the_same_processes(runtime, tmp_path):
    runtime.start(spec(WAIT), timeout_s=5)
    assert ProcessRuntime(tmp_path / "run").alive() == {NAME: "api"}


def test_whoever_only_looks_never_hinders_a_start(runtime):
    looking = threading.Event()
    watchers = [
        threading.Thread(target=lambda: [runtime.alive() for _ in iter(looking.is_set, True)]) for _ in range(3)
    ]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(15):
            runtime.start(spec(WAIT), timeout_s=5)
            assert runtime.alive() == {NAME: "api"}
            runtime.stop(NAME, signal_name="KILL", timeout_s=0.0)
    finally:
        looking.set()
        for watcher in watchers:
            watcher.join()
    eventually(lambda: starts(runtime) >= 1)


def test_stop_waits_for_the_end_and_may_be_called_again(runtime):
    runtime.start(spec(WAIT), timeout_s=5)
    up(runtime)
    assert not runtime.stop(NAME, signal_name="TERM", timeout_s=5).killed
    assert runtime.alive() == {}
    assert runtime.stop(NAME, signal_name="TERM", timeout_s=5).took_s == 0.0


def test_a_process_that_does_not_stop_is_killed_with_all_its_group(runtime):
    runtime.start(spec(STUBBORN), timeout_s=5)
    up(runtime)
    assert runtime.stop(NAME, signal_name="TERM", timeout_s=0.3).killed
    assert runtime.alive() == {}


def test_an_orphaned_child_still_counts_as_the_instance(runtime):
    runtime.start(spec(WITH_CHILD), timeout_s=5)
    up(runtime)
    leader = int((runtime.directory(NAME) / "pid").read_text())
    os.kill(leader, signal.SIGKILL)
    eventually(lambda: " Z " in Path(f"/proc/{leader}/stat").read_text())
    assert runtime.alive() == {NAME: "api"}
    runtime.stop(NAME, signal_name="TERM", timeout_s=5)
    assert runtime.alive() == {}


def test_a_start_waits_for_a_predecessor_that_is_stopping(runtime):
    slow = WAIT.replace("exit(0)", "(time.sleep(0.6), exit(0))")
    runtime.start(spec(slow), timeout_s=5)
    up(runtime)
    stopping = threading.Thread(target=runtime.stop, args=(NAME,), kwargs={"signal_name": "TERM", "timeout_s": 5})
    stopping.start()
    eventually((runtime.directory(NAME) / "signalled").exists)
    runtime.start(spec(WAIT), timeout_s=5)
    stopping.join()
    assert runtime.alive() == {NAME: "api"}
    eventually(lambda: starts(runtime) == 2)


def test_a_start_gives_up_on_a_predecessor_that_never_ends(runtime):
    runtime.start(spec(STUBBORN), timeout_s=5)
    up(runtime)
    (runtime.directory(NAME) / "stopping").touch()
    with pytest.raises(StepFailed, match="still stopping"):
        runtime.start(spec(WAIT), timeout_s=0.3)


def test_a_stop_that_was_killed_before_its_signal_is_made_up_for_by_the_next_start(runtime):
    runtime.start(spec(WAIT), timeout_s=5)
    up(runtime)
    (runtime.directory(NAME) / "stopping").touch()
    runtime.start(spec(WAIT), timeout_s=5)
    eventually(lambda: starts(runtime) == 2)
    assert not (runtime.directory(NAME) / "stopping").exists()


def test_killed_between_fork_and_exec_it_is_not_started_twice(tmp_path):
    """The starter is killed at once after the fork: whoever comes next finds the lock held."""
    code = f"""
import os, sys, signal, subprocess
sys.path[:] = {sys.path!r}
from pathlib import Path
from bascule.fleet.drivers import process
from bascule.fleet.runtime import InstanceName, StartSpec
from bascule.release import Release
real = os.posix_spawn
def and_die(*args, **kwargs):
    real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
process.os.posix_spawn = and_die
name = InstanceName("api-1", Release.parse("1.0"))
spec = StartSpec(name, "api", (sys.executable, "-c", {WAIT!r}))
process.ProcessRuntime(Path({str(tmp_path / "run")!r})).start(spec, timeout_s=5)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    runtime = ProcessRuntime(tmp_path / "run")
    runtime.start(spec(WAIT), timeout_s=5)
    up(runtime)
    assert starts(runtime) == 1
    runtime.stop(NAME, signal_name="TERM", timeout_s=5)


SAYS = "import os; open('up', 'w').write(os.environ.get('PYTHONPATH', 'none') + os.environ.get('PLAIN', ''))"


def test_a_process_does_not_import_what_lies_about_where_bascule_runs(runtime, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PLAIN", "-kept")
    runtime.start(spec(SAYS), timeout_s=5)
    said = runtime.directory(NAME) / "up"
    eventually(lambda: said.exists() and said.read_text() == "none-kept")


def test_what_the_fleet_file_says_of_imports_is_given_to_processes_and_commands(runtime, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/from/outside")
    said = {"PYTHONPATH": str(tmp_path)}
    runtime.start(StartSpec(NAME, "api", (sys.executable, "-c", SAYS), env=said), timeout_s=5)
    up = runtime.directory(NAME) / "up"
    eventually(lambda: up.exists() and up.read_text() == str(tmp_path))
    show = [sys.executable, "-c", "import os; print(os.environ.get('PYTHONPATH'))"]
    local = LocalTransport("local")
    assert local.run(show, env=said, timeout_s=10).stdout == f"{tmp_path}\n"
    assert local.run(show, env={}, timeout_s=10).stdout == "None\n"
