"""Processes that serve HTTP are replaced, stopped and killed."""

import http.client
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from gunicorn.workers import gthread
from support.waiting import eventually

from bascule.lifecycle import LingerUnsupported, ProcessEnvironment, serve_wsgi

OLD, NEW = "api-1-old", "api-1-new"


class Client:
    """One connection that is kept until the server says otherwise; it never retries."""

    def __init__(self, listener):
        self.connection = http.client.HTTPConnection(*listener.getsockname(), timeout=30)
        self.connection.connect()
        self.closed = False

    def get(self, path="/", headers=None):
        assert not self.closed
        self.connection.request("GET", path, headers=headers or {})
        answer = self.connection.getresponse()
        self.closed = answer.will_close
        return answer.status, answer.read().decode()


class InBackground:
    """Clients in threads, and what became of each of their requests."""

    def __init__(self):
        self.answers, self.failures, self.threads = [], [], []

    def run(self, action):
        def record():
            try:
                self.answers.append(action())
            except OSError as error:
                self.failures.append(error)

        self.threads.append(threading.Thread(target=record))
        self.threads[-1].start()

    def join(self):
        for thread in self.threads:
            thread.join(40)
        return self


def get_fresh(listener, path="/", headers=None):
    client = Client(listener)
    try:
        return client.get(path, headers)
    finally:
        client.connection.close()


def taken(listener):
    """Return how many clients are connected, or 0 while any of them waits to be accepted."""
    port, connected, waiting = listener.getsockname()[1], 0, 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if int(local.rpartition(":")[2], 16) == port:
            connected += state == "01"
            waiting += int(queues.partition(":")[2], 16) if state == "0A" else 0
    return 0 if waiting else connected


def main_loop_wakes(running):
    """Return how often the first thread of the process that answers has been woken."""
    main = running.process.pid
    (worker,) = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    status = Path(f"/proc/{worker}/task/{worker}/status").read_text()
    return int(status.partition("voluntary_ctxt_switches:")[2].split()[0])


def test_the_linger_that_the_drain_relies_on_still_has_its_name_in_gunicorn():
    assert isinstance(gthread.STOP_KEEPALIVE_LINGER, float)


def test_a_gunicorn_without_that_linger_is_refused(monkeypatch):
    monkeypatch.delattr(gthread, "STOP_KEEPALIVE_LINGER")
    with pytest.raises(LingerUnsupported, match="STOP_KEEPALIVE_LINGER is gone"):
        serve_wsgi(lambda: None, environment=ProcessEnvironment("api-1"))


def test_an_old_process_is_replaced_under_load_without_a_lost_request(run, listener):
    old = run("api", OLD, BASCULE_DRAIN_S="3").wait_ready()
    kept = [Client(listener) for _ in range(5)]
    assert [client.get() for client in kept] == [(200, OLD)] * 5
    slow = InBackground()
    for _ in range(6):
        slow.run(lambda: get_fresh(listener, "/slow?2"))
    eventually(lambda: old.notes.count("got /slow") == 6)

    new = run("api", NEW, BASCULE_DRAIN_S="3").wait_ready()
    fresh, stop = InBackground(), threading.Event()

    def keep_coming():
        answers = []
        while not stop.wait(0.01):
            answers.append(get_fresh(listener))
        return answers

    fresh.run(keep_coming)
    old.terminate()
    eventually(lambda: "drain" in old.notes)
    late = time.monotonic() + 1.0
    eventually(lambda: time.monotonic() > late)  # clients idle for a second, which is within the linger
    assert [client.get() for client in kept] == [(200, OLD)] * 5
    assert all(client.closed for client in kept), "a late request is answered with Connection: close"
    assert old.exit_code() == 0
    assert "stop" in old.notes
    stop.set()

    assert slow.join().answers == [(200, OLD)] * 6
    (answers,) = fresh.join().answers
    assert fresh.failures == slow.failures == []
    assert {status for status, _ in answers} == {200}
    assert answers[-1] == (200, NEW)
    new.terminate()
    assert new.exit_code() == 0


def test_a_request_that_outlives_the_deadline_is_abandoned_and_named_without_its_query(run, listener):
    old = run("api", OLD, BASCULE_DRAIN_S="0.5", SMALL_DEADLINE_S="1").wait_ready()
    requests = InBackground()
    requests.run(lambda: get_fresh(listener, "/secret/path?60"))
    eventually(lambda: "got /secret/path" in old.notes)
    old.terminate()
    assert old.exit_code() == 1
    assert "abandoned GET /secret/path after 1." in old.stderr
    assert "?60" not in old.stderr
    assert len(requests.join().failures) == 1
    assert old.notes[-1] == "stop"


def test_fifty_requests_in_flight_are_all_answered(run, listener):
    old = run("api", OLD, BASCULE_DRAIN_S="0.5", SMALL_THREADS="50").wait_ready()
    requests = InBackground()
    for _ in range(50):
        requests.run(lambda: get_fresh(listener, "/slow?2"))
    eventually(lambda: old.notes.count("got /slow") == 50)
    old.terminate()
    assert requests.join().answers == [(200, OLD)] * 50
    assert requests.failures == []
    assert old.exit_code() == 0
    assert "abandoned" not in old.stderr


def test_a_client_that_asks_in_turn_is_answered_without_the_main_loop(run, listener):
    old = run("api", OLD, BASCULE_DRAIN_S="0.5").wait_ready()
    client = Client(listener)
    client.get()
    before = main_loop_wakes(old)
    assert [client.get() for _ in range(200)] == [(200, OLD)] * 200
    assert main_loop_wakes(old) - before < 200, "handing each over and back wakes it twice"
    client.connection.close()
    old.terminate()
    assert old.exit_code() == 0


def test_clients_that_outnumber_the_threads_are_all_answered(run, listener):
    old = run("api", OLD, BASCULE_DRAIN_S="0.5", SMALL_THREADS="2").wait_ready()
    clients, background = [Client(listener) for _ in range(7)], InBackground()
    for client in clients:
        background.run(lambda client=client: [client.get() for _ in range(20)])
    assert background.join().answers == [[(200, OLD)] * 20] * 7
    for client in clients:
        client.connection.close()
    old.terminate()
    assert old.exit_code() == 0


def test_requests_that_come_in_one_packet_are_all_answered(run, listener):
    old = run("api", OLD, BASCULE_DRAIN_S="0.5").wait_ready()
    with socket.create_connection(listener.getsockname(), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        answers = b""
        while answers.count(OLD.encode()) < 3:
            answers += connection.recv(65536)
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    old.terminate()
    assert old.exit_code() == 0


def test_answers_of_every_shape_are_whole_and_the_connection_stays_good(run, listener):
    old = run("api", OLD, BASCULE_DRAIN_S="0.5").wait_ready()
    client = Client(listener)
    for _ in range(2):
        assert client.get("/nothing") == (204, "")
        assert client.get("/pieces") == (200, OLD * 2)
        assert client.get() == (200, OLD)
        client.connection.request("HEAD", "/")
        answer = client.connection.getresponse()
        assert (answer.status, answer.getheader("Content-Length"), answer.read()) == (200, str(len(OLD)), b"")
    client.connection.close()
    with socket.create_connection(listener.getsockname(), timeout=10) as connection:
        connection.sendall(b"GET /breaks HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(OLD.encode() + b"\r\n"), "cut off, and not ended as if it were whole"
    old.terminate()
    assert old.exit_code() == 0


def test_requests_that_wait_for_a_thread_are_answered_too(run, listener):
    old = run("api", OLD, BASCULE_DRAIN_S="0.5", SMALL_THREADS="10").wait_ready()
    requests = InBackground()
    for _ in range(50):
        requests.run(lambda: get_fresh(listener, "/slow?0.5"))
    eventually(lambda: old.notes.count("got /slow") == 10)
    eventually(lambda: taken(listener) + len(requests.answers) >= 50)
    old.terminate()
    assert requests.join().answers == [(200, OLD)] * 50
    assert requests.failures == []
    assert old.exit_code() == 0


def test_what_is_over_the_deadline_is_named_by_path_and_request_id(run, listener):
    old = run("api", OLD, BASCULE_DRAIN_S="0.5", SMALL_DEADLINE_S="1").wait_ready()
    requests = InBackground()
    requests.run(lambda: get_fresh(listener, "/by/header?60", {"X-OpenStack-Request-ID": "req-17"}))
    requests.run(lambda: get_fresh(listener, "/by/app?60", {"Name-Me": "req-18"}))
    requests.run(lambda: get_fresh(listener, "/nasty?60", {"X-Request-ID": "a payload, perhaps"}))
    eventually(lambda: sum(note.startswith("got /") for note in old.notes) == 3)
    old.terminate()
    assert old.exit_code() == 1
    assert "abandoned GET /by/header req-17 after" in old.stderr
    assert "abandoned GET /by/app req-18 after" in old.stderr
    assert "abandoned GET /nasty after" in old.stderr
    assert "payload" not in old.stderr
    assert len(requests.join().failures) == 3


def test_what_a_killed_worker_had_in_hand_is_named_and_the_end_is_not_clean(run, listener):
    service = run("api", OLD, BASCULE_DRAIN_S="0.5").wait_ready()
    requests = InBackground()
    requests.run(lambda: get_fresh(listener, "/secret?30", {"X-Request-ID": "req-19"}))
    eventually(lambda: "got /secret" in service.notes)
    (worker,) = service.children()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: service.notes.count("building") == 2)
    assert get_fresh(listener) == (200, OLD)
    service.terminate()
    assert service.exit_code() == 1
    assert "abandoned GET /secret req-19: its process was killed" in service.stderr
    assert len(requests.join().failures) == 1


def test_a_worker_whose_threads_all_hang_is_replaced(run, listener):
    service = run("api", OLD, BASCULE_DRAIN_S="0.5", BASCULE_WATCHDOG_S="1", SMALL_THREADS="2").wait_ready()
    requests = InBackground()
    for _ in range(2):
        requests.run(lambda: get_fresh(listener, "/hangs?60"))
    eventually(lambda: service.notes.count("building") == 2, what="a new worker")
    assert get_fresh(listener) == (200, OLD)
    service.terminate()
    assert service.exit_code() == 1
    assert service.stderr.count("abandoned GET /hangs") == 2
    requests.join()


def test_a_process_whose_registry_does_not_let_it_back_in_drains_and_says_why(run, listener):
    service = run("api", OLD, BASCULE_DRAIN_S="0.5").wait_ready()
    requests = InBackground()
    requests.run(lambda: get_fresh(listener, "/outside?1"))
    assert service.exit_code() == 1
    assert requests.join().answers == [(200, OLD)]
    assert service.stderr.splitlines()[-1].startswith("the pin of small is 2, which release 1 cannot read")
    assert service.notes[-1] == "stop"


def test_sighup_does_not_fork_old_code_again(run, listener):
    service = run("api", OLD, BASCULE_DRAIN_S="0.5").wait_ready()
    service.process.send_signal(signal.SIGHUP)
    eventually(lambda: "SIGHUP does nothing here" in service.stderr)
    assert get_fresh(listener) == (200, OLD)
    assert len(service.children()) == 1
    service.terminate()
    assert service.exit_code() == 0


def test_a_process_told_to_drain_for_no_time_drops_everything_at_once(run, listener):
    bad = run("api", OLD, BASCULE_DRAIN_S="0").wait_ready()
    requests = InBackground()
    requests.run(lambda: get_fresh(listener, "/slow?30"))
    eventually(lambda: "got /slow" in bad.notes)
    began = time.monotonic()
    bad.terminate()
    assert bad.exit_code() == 0
    assert time.monotonic() - began < 5
    assert len(requests.join().failures) == 1
    assert "drain" not in bad.notes


def test_a_connection_that_never_sent_a_request_does_not_hold_the_drain(run, listener):
    old = run("api", OLD, BASCULE_DRAIN_S="0.5").wait_ready()
    silent = Client(listener)
    assert get_fresh(listener) == (200, OLD)
    began = time.monotonic()
    old.terminate()
    assert old.exit_code() == 0
    assert time.monotonic() - began < 10
    silent.connection.close()


def test_no_child_goes_on_serving_when_the_main_process_is_killed(run, listener):
    old = run("api", OLD, BASCULE_DRAIN_S="0.5").wait_ready()
    (worker,) = old.children()
    slow = InBackground()
    slow.run(lambda: get_fresh(listener, "/slow?1.5"))
    eventually(lambda: "got /slow" in old.notes)
    old.process.kill()
    assert old.exit_code() == -signal.SIGKILL
    eventually(lambda: not Path(f"/proc/{worker}").exists(), what="the end of the worker")
    assert slow.join().answers == [(200, OLD)], "what was in flight is still answered"
    assert old.notes[-1] == "stop"


def test_a_killed_worker_is_replaced_and_the_end_is_still_clean(run, listener):
    service = run("api", OLD, BASCULE_DRAIN_S="0.5").wait_ready()
    (worker,) = service.children()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: service.notes.count("building") == 2)
    assert get_fresh(listener) == (200, OLD)
    service.terminate()
    assert service.exit_code() == 0


def test_a_refusal_to_start_is_the_last_line_and_never_ready(run):
    service = run("api", OLD, SMALL_REFUSES="1")
    assert service.exit_code() == 1
    assert service.stderr.splitlines()[-1] == "this release is too old; next: small pin hold 1"
    assert not service.ready_file.exists()
    assert service.notes == ["start", "stop"]


def test_a_process_that_is_stopped_while_it_starts_never_says_that_it_is_ready(run):
    service = run("api", OLD, SMALL_BUILD_S="1")
    eventually(lambda: "building" in service.notes)
    service.terminate()
    assert service.exit_code() == 0
    assert not service.ready_file.exists()
    assert service.notes[-1] == "stop"


def test_a_process_that_cannot_say_that_it_is_ready_does_not_serve(run, tmp_path):
    service = run("api", OLD, BASCULE_READY_FILE=str(tmp_path / "missing" / "ready"))
    assert service.exit_code() == 1
    assert "cannot be written" in service.stderr.splitlines()[-1]


@pytest.mark.parametrize("descriptor", ["77", "0", "three"])
def test_a_descriptor_that_is_no_listening_socket_is_refused(run, descriptor):
    service = run("api", OLD, BASCULE_LISTEN_FD=descriptor)
    assert service.exit_code() == 1
    assert "BASCULE_LISTEN_FD" in service.stderr.splitlines()[-1]
