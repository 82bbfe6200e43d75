"""Real processes of the small service on a listening socket that the test owns."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import eventually

SERVICE = Path(__file__).with_name("small_service.py")


class Running:
    """One process of the small service."""

    def __init__(self, role, name, folder, listener, settings):
        self.ready_file, self.notes_file = folder / f"{name}.ready", folder / f"{name}.notes"
        self.stderr_file = folder / f"{name}.stderr"
        self.notes_file.touch()
        environment = {
            **os.environ,
            "BASCULE_INSTANCE": name,
            "BASCULE_READY_FILE": str(self.ready_file),
            "BASCULE_LISTEN_FD": str(listener.fileno()),
            "SMALL_NOTES": str(self.notes_file),
            **settings,
        }
        with self.stderr_file.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, str(SERVICE), role],
                env=environment,
                pass_fds=[listener.fileno()],
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def notes(self):
        return self.notes_file.read_text().splitlines()

    @property
    def stderr(self):
        return self.stderr_file.read_text()

    def wait_ready(self):
        eventually(lambda: self.ready_file.exists() or self.process.poll() is not None, what="a ready process")
        assert self.ready_file.exists(), self.stderr
        assert self.ready_file.read_text() == f"{self.process.pid}\n"
        return self

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self):
        return self.process.wait(30)

    def children(self):
        listing = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listing.stdout.split()]

    def clean_up(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # the whole group is gone, as it should be
        self.process.wait(10)


@pytest.fixture
def listener():
    with socket.socket() as it:
        it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        it.bind(("127.0.0.1", 0))
        it.listen(1024)
        yield it


@pytest.fixture
def run(tmp_path, listener):
    running = []

    def start(role, name, **settings):
        running.append(Running(role, name, tmp_path, listener, settings))
        return running[-1]

    yield start
    for each in running:
        each.clean_up()
