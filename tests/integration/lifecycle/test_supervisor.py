"""Processes under the supervisor: readiness, reload, drain, hangs, crashes, and systemd's words."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from support.waiting import eventually

from .test_serving import InBackground, get_fresh

SERVICE = Path(__file__).with_name("small_service.py")


class Supervised:
    """A supervisor of the small service, with a stand-in for systemd's notify socket."""

    def __init__(self, folder, listener, options, role="api", **settings):
        self.notes_file, self.stderr_file = folder / "notes", folder / "stderr"
        self.notes_file.touch()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.notify.settimeout(0.01)
        self.words = []
        environment = {**os.environ, "SMALL_NOTES": str(self.notes_file), "BASCULE_INSTANCE": "small",
                       "NOTIFY_SOCKET": str(folder / "notify"), "BASCULE_DRAIN_S": "0.5"}  # fmt: skip
        passed = ()
        if listener is not None:
            environment["BASCULE_LISTEN_FD"] = str(listener.fileno())
            passed = (listener.fileno(),)
        command = [sys.executable, "-m", "bascule.lifecycle", *options, "--", sys.executable, str(SERVICE), role]
        with self.stderr_file.open("wb") as stderr:
            self.process = subprocess.Popen(
                command, env={**environment, **settings}, pass_fds=passed, stderr=stderr, start_new_session=True
            )

    def heard(self, word):
        try:
            while True:
                self.words += self.notify.recv(4096).decode().splitlines()
        except TimeoutError:
            return self.words.count(word)

    def wait_ready(self, times=1):
        eventually(lambda: self.heard("READY=1") >= times or self.process.poll() is not None, what="a ready service")
        assert self.process.poll() is None, self.stderr
        return self

    @property
    def stderr(self):
        return self.stderr_file.read_text()

    @property
    def notes(self):
        return self.notes_file.read_text().splitlines()

    def send(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def exit_code(self):
        return self.process.wait(40)

    def children(self):
        listing = ["ps", "-o", "pid=", "--ppid", str(self.process.pid)]
        out = subprocess.run(listing, capture_output=True, text=True, check=False)
        return [int(pid) for pid in out.stdout.split()]


@pytest.fixture
def supervise(tmp_path, listener):
    running = []

    def start(*options, role="api", **settings):
        running.append(Supervised(tmp_path, listener if role == "api" else None, options, role, **settings))
        return running[-1]

    yield start
    for each in running:
        with suppress(ProcessLookupError):  # the whole group is gone, as it should be
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait(10)
        each.notify.close()


def test_a_reload_under_load_replaces_every_process_without_a_gap_and_says_so(supervise, listener):
    service = supervise("--count", "2", WATCHDOG_USEC="400000").wait_ready()
    before = service.children()
    fresh, stop = InBackground(), threading.Event()

    def keep_coming():
        answers = []
        while not stop.wait(0.01):
            answers.append(get_fresh(listener))
        return answers

    fresh.run(keep_coming)
    slow = InBackground()
    slow.run(lambda: get_fresh(listener, "/slow?2"))
    eventually(lambda: "got /slow" in service.notes)
    service.send(signal.SIGHUP)
    service.wait_ready(times=2)
    assert service.heard("RELOADING=1") == 1
    assert any(word.startswith("MONOTONIC_USEC=") for word in service.words)
    eventually(lambda: len(service.children()) == 2, what="the end of the old ones")
    assert not set(before) & set(service.children())
    assert service.notes.count("building") == 4
    stop.set()
    assert set(fresh.join().answers[0]) == {(200, "small-1"), (200, "small-2")}
    assert fresh.failures == slow.join().failures == []
    service.send()
    assert service.exit_code() == 0, service.stderr
    assert service.heard("STOPPING=1") == 1
    assert service.heard("WATCHDOG=1") >= 3


def test_a_successor_that_does_not_start_leaves_the_old_process_serving(supervise, listener, tmp_path):
    service = supervise(SMALL_REFUSES_IF=str(tmp_path / "broken")).wait_ready()
    (tmp_path / "broken").touch()
    service.send(signal.SIGHUP)
    eventually(lambda: "reload failed" in service.stderr)
    assert get_fresh(listener)[0] == 200
    service.wait_ready(times=2)
    service.send()
    assert service.exit_code() == 0


def test_a_service_that_refuses_to_start_ends_its_supervisor_with_the_sentence(supervise):
    service = supervise(SMALL_REFUSES="1")
    assert service.exit_code() == 1
    assert "this release is too old; next: small pin hold 1" in service.stderr
    assert "ended with 1 before it was ready" in service.stderr
    assert service.heard("READY=1") == 0


def test_a_command_that_does_not_exist_is_said_and_ends_with_1(tmp_path):
    ended = subprocess.run([sys.executable, "-m", "bascule.lifecycle", "--no-socket", "--", str(tmp_path / "missing")],
                           capture_output=True, text=True, timeout=30, check=False)  # fmt: skip
    assert ended.returncode == 1
    assert "cannot be started: No such file or directory" in ended.stderr


def test_a_killed_process_is_started_again_and_the_end_tells_of_it(supervise, listener):
    service = supervise().wait_ready()
    (child,) = service.children()
    os.kill(child, signal.SIGKILL)
    eventually(lambda: service.children() not in ([], [child]))
    eventually(lambda: service.notes.count("building") == 2)
    assert get_fresh(listener)[0] == 200
    service.send()
    assert service.exit_code() == 1
    assert "abandoned: whatever small" in service.stderr


def test_a_worker_that_hangs_is_replaced(supervise):
    service = supervise("--no-socket", "--watchdog", "1", role="worker", SMALL_HANGS_ONCE="1").wait_ready()
    eventually(lambda: service.notes.count("start") == 2, what="a new worker")
    assert "gave no sign of life for 1 s" in service.stderr
    service.send()
    assert service.exit_code() == 1, "what the hung one had in hand is lost"


def test_a_process_that_outlives_its_time_to_stop_is_killed_and_named(supervise):
    service = supervise("--no-socket", "--stop-within", "0.5", role="worker", SMALL_STEP_S="60").wait_ready()
    eventually(lambda: "step begins" in service.notes)
    service.send()
    assert service.exit_code() == 1
    assert "has not ended 0.5 s after SIGTERM" in service.stderr


ACTIVATED = """
import os, sys
listener, command = int(sys.argv[1]), sys.argv[2:]
os.dup2(listener, 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(command[0], command)
"""


@pytest.mark.parametrize("supervised", [True, False])
def test_a_socket_that_systemd_opened_is_served(supervised, listener, tmp_path):
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    notify.settimeout(20)
    command = [sys.executable, str(SERVICE), "api"]
    if supervised:
        command = [sys.executable, "-m", "bascule.lifecycle", "--", *command]
    environment = {**os.environ, "SMALL_NOTES": str(tmp_path / "notes"), "BASCULE_INSTANCE": "small",
                   "NOTIFY_SOCKET": str(tmp_path / "notify"), "BASCULE_DRAIN_S": "0.5"}  # fmt: skip
    service = subprocess.Popen(
        [sys.executable, "-c", ACTIVATED, str(listener.fileno()), *command],
        env=environment, pass_fds=[listener.fileno()], start_new_session=True,
    )  # fmt: skip
    try:
        assert notify.recv(4096).decode().splitlines()[0] == "READY=1"
        assert get_fresh(listener) == (200, "small")
        service.terminate()
        assert service.wait(30) == 0
        words = []
        notify.settimeout(0.1)
        try:
            while True:
                words.append(notify.recv(4096).decode())
        except TimeoutError:
            pass  # that was all
        assert "STOPPING=1" in words
        assert "READY=1" not in words
    finally:
        notify.close()
        if service.poll() is None:
            os.killpg(service.pid, signal.SIGKILL)
            service.wait(10)
