"""The private servers: they serve, they run unprivileged, and nothing of them stays."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from bascule.testing.servers import HAProxy, PackageMissing, clean_stale, free_port, one_backend
from bascule.testing.servers.packages import find_program, require
from bascule.testing.servers.ports import free_ports, is_open
from bascule.testing.servers.skipping import or_skip


def wait_for(condition, what, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} within {timeout_s} s"
        time.sleep(0.02)
    return value


def processes_of(directory: Path) -> list[int]:
    return [pid for pid, _ in json.loads((directory / "processes.json").read_text())["processes"]]


def run_sql(url, *statements):
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            results = [connection.execute(sa.text(statement)) for statement in statements]
            return results[-1].all() if results[-1].returns_rows else None
    finally:
        engine.dispose()


@pytest.mark.parametrize("fixture", ["postgresql_url", "mariadb_url"])
def test_a_database_starts_empty_and_takes_unicode(request, fixture):
    url = request.getfixturevalue(fixture)
    engine = sa.create_engine(url)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
    rows = run_sql(
        url, "CREATE TABLE t (name VARCHAR(50))", "INSERT INTO t VALUES ('Grüße \N{PILE OF POO}')", "SELECT name FROM t"
    )
    assert rows == [("Grüße \N{PILE OF POO}",)]


def test_mariadb_allows_triggers(mariadb_url):
    rows = run_sql(
        mariadb_url,
        "CREATE TABLE t (old INT, new INT)",
        "CREATE TRIGGER follow BEFORE INSERT ON t FOR EACH ROW SET NEW.new = NEW.old",
        "INSERT INTO t (old) VALUES (7)",
        "SELECT new FROM t",
    )
    assert rows == [(7,)]


@pytest.mark.parametrize("fixture", ["postgresql", "mariadb"])
def test_dropping_a_database_does_not_wait_for_open_transactions(request, fixture):
    server = request.getfixturevalue(fixture)
    url = server.new_database()
    run_sql(url, "CREATE TABLE t (n INT)")
    engine = sa.create_engine(url)
    connection = engine.connect()
    connection.execute(sa.text("SELECT * FROM t"))
    server.drop_database(url)
    with pytest.raises(sa.exc.DBAPIError):
        connection.execute(sa.text("SELECT 1"))
    connection.invalidate()
    connection.close()
    engine.dispose()


def test_rabbitmq_accepts_its_own_password_and_no_other(rabbitmq):
    user, password = rabbitmq.transport_url.removeprefix("rabbit://").partition("@")[0].split(":")
    tune, close = 30, 50  # methods of the class connection: what a broker answers to a good and to a bad login
    assert amqp_login(rabbitmq.port, user, password) == (10, tune)
    assert amqp_login(rabbitmq.port, user, "guess") == (10, close)
    assert amqp_login(rabbitmq.port, "guest", "guest") == (10, close)


def amqp_login(port, user, password):
    """Return the class and method of the broker's answer to a PLAIN login."""

    def frame_of(stream):
        header = stream.read(7)
        return stream.read(int.from_bytes(header[3:7], "big") + 1)[:-1]

    def short(text):
        return bytes([len(text)]) + text

    response = f"\0{user}\0{password}".encode()
    flag = short(b"authentication_failure_close") + b"t\x01"  # asks for an answer instead of a closed socket
    capabilities = short(b"capabilities") + b"F" + len(flag).to_bytes(4, "big") + flag
    arguments = len(capabilities).to_bytes(4, "big") + capabilities + short(b"PLAIN")
    arguments += len(response).to_bytes(4, "big") + response + short(b"en_US")
    payload = b"\x00\x0a\x00\x0b" + arguments
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        assert frame_of(stream)[:4] == b"\x00\x0a\x00\x0a"
        connection.sendall(b"\x01\x00\x00" + len(payload).to_bytes(4, "big") + payload + b"\xce")
        answer = frame_of(stream)
    return int.from_bytes(answer[:2], "big"), int.from_bytes(answer[2:4], "big")


def test_haproxy_answers_on_its_admin_socket_and_has_free_slots(haproxy_factory):
    with haproxy_factory(one_backend("web", slots=3, check_path="/")) as haproxy:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(haproxy.socket))
            admin.sendall(b"show servers state web\n")
            lines = admin.makefile().read().splitlines()
        assert [line.split()[3] for line in lines if " web " in line] == ["slot1", "slot2", "slot3"]
        assert is_open(haproxy.port)
    assert not is_open(haproxy.port)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its servers another user")
@pytest.mark.parametrize("fixture", ["postgresql", "mariadb", "rabbitmq"])
def test_no_server_runs_as_root(request, fixture):
    server = request.getfixturevalue(fixture)
    pids = processes_of(server._instance.directory)
    assert pids
    assert all(Path(f"/proc/{pid}").stat().st_uid != 0 for pid in pids)


@pytest.mark.parametrize("fixture", ["postgresql", "mariadb", "rabbitmq"])
def test_a_server_listens_on_loopback_only(request, fixture):
    port = request.getfixturevalue(fixture).port
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) == port
    ]
    assert listening == [f"0100007F:{port:04X}"]


def test_after_the_block_neither_processes_nor_files_are_left(haproxy_factory):
    with haproxy_factory() as haproxy:
        directory, pids = haproxy.socket.parent.parent, processes_of(haproxy.socket.parent.parent)
        assert pids
    assert not directory.exists()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(haproxy_factory):
    haproxy = haproxy_factory("global\n  no-such-keyword $port $socket\n")
    with pytest.raises(Exception, match="no-such-keyword"), haproxy:
        pytest.fail("a server with a wrong configuration came up")
    assert not haproxy.socket.parent.parent.exists()


@pytest.fixture
def run_of_its_own(haproxy_factory):
    """Another process that starts an HAProxy and waits: (process, directory of the server)."""
    with haproxy_factory():  # installs or skips here, where that can be told
        pass
    script = """
        import signal
        from bascule.testing.servers import HAProxy
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
        with HAProxy() as haproxy:
            print(haproxy.socket.parent.parent, flush=True)
            signal.pause()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        yield process, Path(process.stdout.readline().strip())
        process.kill()
    clean_stale()


def test_ctrl_c_stops_the_servers(run_of_its_own):
    process, directory = run_of_its_own
    pids = processes_of(directory)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    assert not directory.exists()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_killed_run_is_cleaned_by_the_next_one_and_a_living_one_is_not(run_of_its_own):
    process, directory = run_of_its_own
    pids = processes_of(directory)
    assert directory not in clean_stale()
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    process.kill()
    process.wait(timeout=20)
    assert directory in clean_stale()
    assert not directory.exists()
    wait_for(lambda: not any(is_running(pid) for pid in pids), "the servers of the killed run are gone")


def test_a_process_that_cannot_be_proven_to_be_ours_is_left_alone(run_of_its_own):
    process, directory = run_of_its_own
    process.kill()
    process.wait(timeout=20)
    record = directory / "processes.json"
    document = json.loads(record.read_text())
    [(pid, started)] = document["processes"]
    record.write_text(json.dumps({**document, "processes": [[pid, f"{started}0"]]}))
    assert directory in clean_stale()
    assert is_running(pid), "a process with the same id and another start time is somebody else's"
    os.killpg(pid, signal.SIGKILL)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_free_ports_are_different_and_free():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not any(is_open(port) for port in ports)
    assert free_port() > 0


def test_the_newest_version_of_a_program_is_found(tmp_path):
    for version in ("9.6", "15", "13"):
        program = tmp_path / version / "bin" / "initdb"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    assert find_program("initdb", f"{tmp_path}/*/bin") == tmp_path / "15" / "bin" / "initdb"


@pytest.fixture
def fake_apt(tmp_path, monkeypatch):
    """An apt-get that notes what it sees and, on install, puts the program in place."""
    system, programs = tmp_path / "system", tmp_path / "bin"
    programs.mkdir()
    script = programs / "apt-get"
    script.write_text(
        f"""#!/bin/sh
        echo "$DEBIAN_FRONTEND: $*" >> {tmp_path}/calls
        find {system} -type f >> {tmp_path}/calls
        case "$*" in *install*) /bin/touch {tmp_path}/program;; esac
        """
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def found(path):
    return lambda: path if path.exists() else None


def test_a_missing_package_is_installed_with_no_service_started(fake_apt):
    system = fake_apt / "system"
    system.mkdir()
    assert require("some-server", found(fake_apt / "program"), system=system) == fake_apt / "program"
    calls = (fake_apt / "calls").read_text().splitlines()
    assert [call for call in calls if call.endswith(("update", "some-server"))] == [
        "noninteractive: -q -o DPkg::Lock::Timeout=300 update",
        "noninteractive: -q -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends some-server",
    ]
    assert str(system / "usr/sbin/policy-rc.d") in calls
    assert list(system.rglob("*")) == [], "the files that hold services back are removed again"


def test_the_operators_own_policy_stays(fake_apt):
    policy = fake_apt / "system/usr/sbin/policy-rc.d"
    policy.parent.mkdir(parents=True)
    policy.write_text("theirs")
    require("other-server", found(fake_apt / "program"), system=fake_apt / "system")
    assert policy.read_text() == "theirs"


def test_without_root_a_missing_package_is_refused_with_the_command_to_type(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PackageMissing, match="only root can install it") as refusal:
        require("some-server", lambda: None)
    assert refusal.value.next_command == "sudo apt-get install --no-install-recommends some-server"


def test_without_the_server_a_test_is_skipped_loudly_and_fails_in_ci(monkeypatch):
    def make() -> HAProxy:
        raise PackageMissing("haproxy", "only root can install it")

    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT TESTED: the Debian package haproxy"):
        or_skip(make)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="a skip of this is a failure in CI"):
        or_skip(make)
