"""The releases of the key manager as they were cut, and this code, send each other populated orders.

Over the embedded transport each runs from its own wheels alone. Their library has no transport over RabbitMQ: there
what one release's library wrote is carried by the broker to what another's reads.
"""

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from support.broker_world import BrokerWorld
from support.waiting import eventually

from bascule.rpc import Message

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "tests/support/released_rpc.py"
HERE = "here"
CUT = ("2026.2", "2027.1")
PAIRS = [pair for pair in product((*CUT, HERE), repeat=2) if pair != (HERE, HERE)]

ORDER = {
    "id": "5f1c7bd2-e0a9-4a6c-8f5e-0c5d5f0f7b11",
    "project_id": "p-1",
    "type": "key",
    "algorithm": "aes",
    "bit_length": 256,
    "mode": "cbc",
    "accepted_at": 1_790_000_000.25,
}
ARGUMENTS = {"request_id": "req-1"}
NEWER = {"accepted_at", "request_id"}  # than 2026.2


@pytest.fixture
def run(unpacked):
    """Have a process of a release do something, and return its answers: `run(release, *commands)`."""
    return lambda release, *commands: run_in("" if release == HERE else unpacked(release), release, commands)


def run_in(folder, release, commands):
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    common = {"order": ORDER, "arguments": ARGUMENTS, "release": release.replace(HERE, "2027.1")}
    text = json.dumps([[what, {**common, **asked}] for what, asked in commands])
    command = [sys.executable, str(PROGRAM)]
    done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    version, library, answers = json.loads(done.stdout)
    assert (release == HERE) == ("services/keymanager" in library), "the wrong code was loaded"
    assert release in (HERE, version)
    return answers


def lowest(*releases):
    return min(each.replace(HERE, "2027.1") for each in releases)


def expect_all_fields(seen, sender, receiver):
    """Everything arrived that both know, and nothing else but defaults."""
    new = lowest(sender, receiver) != "2026.2"
    order = dict(ORDER) if new else {name: ORDER[name] for name in ORDER if name not in NEWER} | {"accepted_at": None}
    arguments = ARGUMENTS if new else {"request_id": None}
    if receiver == "2026.2":  # it has no place for what is newer, not even for defaults
        order, arguments = {name: order[name] for name in order if name not in NEWER}, {}
    assert (seen["order"], seen["arguments"]) == (order, arguments)


def test_orders_sent_over_the_embedded_transport_arrive_whole(request, run, tmp_path):
    servers = {each: request.getfixturevalue(each) for each in ("postgresql", "mariadb")}
    ways = {}
    for pair in PAIRS:
        ways[*pair, f"sqlite:///{tmp_path}/{'-'.join(pair)}.db"] = None
        for server in servers.values():
            ways[*pair, server.new_database()] = None
    for release in (*CUT, HERE):
        mine = [way for way in ways if way[0] == release]
        run(release, *[("send", {"database": url, "pin": lowest(one, other)}) for one, other, url in mine])
    for release in (*CUT, HERE):
        mine = [way for way in ways if way[1] == release]
        ways |= zip(mine, run(release, *[("receive", {"database": url}) for _, _, url in mine]), strict=True)
    for (one, other, url), seen in ways.items():
        expect_all_fields(seen, one, other)
        server = servers.get(url.partition("+")[0].replace("mysql", "mariadb"))
        if server is not None:
            server.drop_database(url)
    assert len(ways) == 24


def test_orders_carried_by_the_broker_arrive_whole(rabbitmq, run):
    world = BrokerWorld(rabbitmq.transport_url)
    sender, receiver = world.transport(), world.transport()
    try:
        for one, other in (("2026.2", "2027.1"), ("2027.1", "2026.2")):
            [made] = run(one, ("make", {"pin": lowest(one, other)}))
            message = Message(*made["message"])
            sender.send("worker", message)
            came = receive(receiver)
            assert came == message
            receiver.done(came)
            written = [came.id, came.topic, came.method, came.version, came.body]
            expect_all_fields(*run(other, ("read", {"message": written})), one, other)
    finally:
        world.close()


def receive(transport):
    came = []
    eventually(lambda: came.append(transport.receive("worker", "w", lambda _: True)) or came[-1])
    return came[-1]


def test_an_old_release_refuses_what_was_written_above_the_pin(run):
    [made] = run("2027.1", ("make", {"pin": "2027.1"}))
    assert run("2026.2", ("read", made)) == [{"refused": "1.1"}]
