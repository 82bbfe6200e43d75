"""What the supervisor and its processes say to each other, and how patient it is."""

import os
import socket

import pytest

from bascule.lifecycle import Notifier, ProcessEnvironment
from bascule.lifecycle.board import Board
from bascule.lifecycle.child import tidy
from bascule.lifecycle.inflight import InFlight
from bascule.lifecycle.supervision import pause_after


def test_a_process_that_keeps_failing_is_started_ever_more_rarely():
    assert [pause_after(failures) for failures in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert pause_after(10_000) == 30


@pytest.fixture
def listening(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as it:
        it.bind(str(tmp_path / "notify"))
        it.settimeout(5)
        yield it, str(tmp_path / "notify")


def test_words_are_those_of_sd_notify_and_the_variables_go_with_the_first_reader(listening):
    hears, address = listening
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2500000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    notifier = Notifier.take(environ)
    assert environ == {"HOME": "/"}
    assert notifier.watchdog_s == 2.5
    notifier.ready("serving")
    notifier.alive()
    notifier.stopping()
    assert [hears.recv(4096) for _ in range(3)] == [b"READY=1\nSTATUS=serving", b"WATCHDOG=1", b"STOPPING=1"]
    notifier.reloading()
    first, second = hears.recv(4096).decode().split("\n")
    assert (first, second.partition("=")[0]) == ("RELOADING=1", "MONOTONIC_USEC")


def test_an_abstract_address_is_understood():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind(f"\0bascule-{os.getpid()}")
        hears.settimeout(5)
        Notifier(f"@bascule-{os.getpid()}").ready()
        assert hears.recv(4096) == b"READY=1"


def test_a_watchdog_that_is_meant_for_another_process_is_not_ours():
    assert Notifier.take({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}).watchdog_s is None


def test_nobody_who_listens_is_no_error(tmp_path):
    Notifier(str(tmp_path / "gone")).ready()
    Notifier(None).ready()
    assert not list(tmp_path.iterdir())


def test_a_socket_of_systemd_is_taken_by_the_process_that_it_is_meant_for_only():
    meant = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    assert ProcessEnvironment.read(meant).listen_fd == 3
    assert ProcessEnvironment.read({**meant, "LISTEN_PID": "1"}).listen_fd is None
    assert ProcessEnvironment.read({**meant, "LISTEN_FDS": "0"}).listen_fd is None
    assert ProcessEnvironment.read({**meant, "BASCULE_LISTEN_FD": "9"}).listen_fd == 9


def test_children_do_not_inherit_what_is_meant_for_their_supervisor():
    assert tidy({"NOTIFY_SOCKET": "x", "LISTEN_PID": "1", "BASCULE_READY_FILE": "y", "PATH": "z"}) == {"PATH": "z"}


def test_what_a_process_had_in_hand_can_be_read_after_its_death():
    board = Board()
    pid = os.fork()
    if pid == 0:
        in_flight = InFlight(ledger=board.ledger)
        with in_flight.tracking("GET", "/done"):
            pass
        with in_flight.tracking("GET", "/v1/secrets?name=mine", "req-1"), in_flight.tracking("POST", "/v1/orders"):
            in_flight.name("req-2")
            os._exit(9)
    os.waitpid(pid, 0)
    assert board.ledger.take_all() == ["GET /v1/secrets req-1", "POST /v1/orders req-2"]
    assert board.ledger.take_all() == []


def test_a_ledger_that_is_full_or_a_line_that_is_long_breaks_nothing():
    ledger = Board().ledger
    for number in range(600):
        ledger.write(number, "x" * 1_000)
    assert ledger.take_all() == ["x" * 254] * 512
    for number in range(600):
        ledger.erase(number)
    ledger.write(1, "again")
    assert ledger.take_all() == ["again"]
