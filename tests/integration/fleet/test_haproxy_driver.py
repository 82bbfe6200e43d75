"""The HAProxy driver against a real HAProxy: nothing fails while instances join and leave under load."""

import http.client
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from bascule.fleet.drivers.haproxy import (
    HAProxy,
    HAProxyUnreachable,
    NeverUp,
    NoFreeSlot,
    NotAdmin,
    OrderRefused,
    StillInFlight,
    UnknownBackend,
)
from bascule.testing.servers import free_port, one_backend

SERVER = """
    import sys, time
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            time.sleep(float(self.path[1:] or 0))
            body = sys.argv[2].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *args): pass

    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    print("ready", flush=True)
    server.serve_forever()
"""


@pytest.fixture
def start():
    """Start a small kept-alive HTTP server in a process of its own: (process, address)."""
    processes = []

    def make(name):
        port = free_port()
        command = [sys.executable, "-c", textwrap.dedent(SERVER), str(port), name]
        processes.append(process := subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert process.stdout.readline() == "ready\n"
        return process, f"127.0.0.1:{port}"

    yield make
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(params=[None, "/"], ids=["unchecked", "checked"])
def proxy(request, haproxy_factory):
    with haproxy_factory(one_backend("api", slots=3, check_path=request.param)) as haproxy:
        yield haproxy


@pytest.fixture
def balancer(proxy):
    return HAProxy(str(proxy.socket), "api")


class Load:
    """Clients with kept connections and no retries; each answer and each failure is kept."""

    def __init__(self, port, path="/0.02", clients=6):
        self.answers, self.failures = [], []
        self._port, self._path = port, path
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._over.is_set():
            try:
                connection.request("GET", self._path)
                response = connection.getresponse()
                body = response.read().decode()
                (self.answers if response.status == 200 else self.failures).append(body)
            except (OSError, http.client.HTTPException) as failed:
                self.failures.append(repr(failed))
                connection.close()
        connection.close()

    def wait_for_answers(self, name, count=15, timeout_s=20):
        """Return when `count` more answers have come from the server of that name."""
        goal = self.answers.count(name) + count
        deadline = time.monotonic() + timeout_s
        while self.answers.count(name) < goal:
            assert time.monotonic() < deadline, f"{name} answers under load"
            time.sleep(0.01)


def fetch(port, path="/0"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def test_no_request_fails_while_every_instance_is_replaced(proxy, balancer, start):
    balancer.prepare()
    old = {name: start(f"{name}-old") for name in ("api-1", "api-2")}
    for name, (_, address) in old.items():
        balancer.join(name, address)
    with Load(proxy.port) as load:
        load.wait_for_answers("api-1-old")
        for name, (process, address) in old.items():
            _, new_address = start(f"{name}-new")
            balancer.join(name, new_address)
            load.wait_for_answers(f"{name}-new")
            balancer.leave(name, address, timeout_s=10)
            process.kill()
            process.wait()
        load.wait_for_answers("api-1-new")
        load.wait_for_answers("api-2-new")
    assert load.failures == []
    assert set(load.answers) == {"api-1-old", "api-2-old", "api-1-new", "api-2-new"}


def test_without_leaving_first_requests_do_fail(proxy, balancer, start):
    process, address = start("api-1")
    _, other = start("api-2")
    balancer.join("api-1", address)
    balancer.join("api-2", other)
    with Load(proxy.port, "/0.2") as load:
        load.wait_for_answers("api-1", 5)
        process.kill()
        load.wait_for_answers("api-2", 10)
    assert load.failures, "the load of these tests sees a stop without a drain"


def test_join_and_leave_may_be_repeated(proxy, balancer, start):
    _, address = start("api-1")
    assert not balancer.is_joined("api-1", address)
    for _ in range(2):
        balancer.join("api-1", address)
        assert balancer.is_joined("api-1", address)
    assert sum(slot.takes_traffic for slot in balancer._slots()) == 1
    assert fetch(proxy.port) == (200, "api-1")
    for _ in range(2):
        balancer.leave("api-1", address, timeout_s=5)
        assert not balancer.is_joined("api-1", address)
    assert fetch(proxy.port)[0] == 503
    balancer.join("api-1", address)
    assert fetch(proxy.port) == (200, "api-1")


def test_a_deadline_while_requests_are_in_flight_is_told_and_leave_can_be_finished_later(proxy, balancer, start):
    _, address = start("api-1")
    balancer.join("api-1", address)
    answer = []
    client = threading.Thread(target=lambda: answer.append(fetch(proxy.port, "/1.5")))
    client.start()
    wait_until(lambda: balancer._in_flight("slot1") == 1)
    with pytest.raises(StillInFlight, match=r"api-1 at .* still has 1 requests in flight"):
        balancer.leave("api-1", address, timeout_s=0.1)
    assert not balancer.is_joined("api-1", address), "it gets no new requests meanwhile"
    balancer.leave("api-1", address, timeout_s=10)
    client.join()
    assert answer == [(200, "api-1")]


def test_a_drain_that_was_broken_off_is_undone_by_joining_again(proxy, balancer, start):
    _, address = start("api-1")
    balancer.join("api-1", address)
    balancer._tell("set server api/slot1 state drain")
    assert not balancer.is_joined("api-1", address)
    balancer.join("api-1", address)
    assert [slot.name for slot in balancer._slots() if slot.takes_traffic] == ["slot1"]


def test_instances_that_join_at_once_get_slots_of_their_own(proxy, balancer, start):
    addresses = [start(f"api-{number}")[1] for number in range(3)]
    threads = [threading.Thread(target=balancer.join, args=("api", address)) for address in addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(balancer.is_joined("api", address) for address in addresses)


def test_a_full_backend_is_told_with_the_cure(proxy, balancer, start):
    for number in range(3):
        balancer.join(f"api-{number}", start(f"api-{number}")[1])
    with pytest.raises(NoFreeSlot, match=r"backend api has no free server slot \(it has 3\)") as refusal:
        balancer.join("api-4", start("api-4")[1])
    assert "server-template" in refusal.value.next_command


def test_an_instance_that_haproxy_finds_down_is_told(haproxy_factory, monkeypatch):
    monkeypatch.setattr("bascule.fleet.drivers.haproxy._UP_TIMEOUT_S", 3.0)
    with haproxy_factory(one_backend("api", slots=1, check_path="/")) as haproxy:
        balancer = HAProxy(str(haproxy.socket), "api")
        address = f"127.0.0.1:{free_port()}"
        balancer.join("api-1", address)  # HAProxy trusts a slot until its first check
        wait_until(lambda: not balancer.is_joined("api-1", address))
        with pytest.raises(NeverUp, match=f"api-1 at {address}"):
            balancer.join("api-1", address)


def test_a_socket_that_is_not_there_is_told():
    with pytest.raises(HAProxyUnreachable, match=r"/nowhere/admin\.sock cannot be reached: No such file"):
        HAProxy("/nowhere/admin.sock", "api").prepare()
    with pytest.raises(HAProxyUnreachable, match="Connection refused"):
        HAProxy(f"127.0.0.1:{free_port()}", "api").prepare()


def test_a_socket_that_never_answers_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("bascule.fleet.drivers.haproxy._ANSWER_TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute"))
        mute.listen()
        with pytest.raises(HAProxyUnreachable, match="timed out"):
            HAProxy(str(tmp_path / "mute"), "api").prepare()


def test_an_unknown_backend_is_told_with_the_known_ones(proxy):
    with pytest.raises(UnknownBackend, match="no backend 'web'; it has api"):
        HAProxy(str(proxy.socket), "web").prepare()


def test_a_refused_order_is_told(balancer):
    with pytest.raises(OrderRefused, match="Invalid addr 'not-an-address'"):
        balancer.join("api-1", "not-an-address:80")


def test_a_socket_without_admin_level_is_told(haproxy_factory):
    config = one_backend("api").replace("level admin", "level operator")
    with haproxy_factory(config) as haproxy, pytest.raises(NotAdmin, match="level admin"):
        HAProxy(str(haproxy.socket), "api").join("api-1", "127.0.0.1:9")


def test_the_admin_socket_may_be_a_port_and_its_path_may_be_long(haproxy_factory, tmp_path, start):
    port = free_port()
    config = one_backend("api").replace(
        "stats socket $socket", f"stats socket 127.0.0.1:{port} level admin\n    stats socket $socket"
    )
    _, address = start("api-1")
    with haproxy_factory(config) as haproxy:
        HAProxy(f"127.0.0.1:{port}", "api").join("api-1", address)
        folder = tmp_path / ("x" * 120)
        folder.mkdir()
        os.link(haproxy.socket, folder / "admin.sock")
        assert HAProxy(str(folder / "admin.sock"), "api").is_joined("api-1", address)


def wait_until(condition, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
