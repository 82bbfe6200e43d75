"""Orders sealed at rest, on every database: killed amid the work, two at once, and the way back."""

import json
import os
import subprocess
import sys

import pytest
import sqlalchemy as sa
from support.at_once import at_once

from bascule.release import Release
from bascule_keymanager.config import load_settings
from bascule_keymanager.service import Parts
from bascule_keymanager.storage.order_sealing import OrdersSealed

pytestmark = pytest.mark.parametrize("server_url", ["sqlite", "postgresql", "mariadb"], indirect=True)

PASSPHRASE = "correct horse battery"
# Works through all orders one by one, each in a transaction of its own, and tells of each.
PROGRAM = """
import sys
from bascule_keymanager.config import load_settings
from bascule_keymanager.service import Parts
parts, after = Parts(load_settings(sys.argv[1])), ""
batch = parts.order_sealing.open_batch if sys.argv[2] == "open" else parts.order_sealing.seal_batch
while after is not None:
    done = batch(after=after, most=1)
    after = done.last
    print(done.sealed, done.removed, flush=True)
"""


@pytest.fixture
def config(keymanager, tmp_path):
    path = tmp_path / "keymanager.conf"
    settings = keymanager.settings
    path.write_text(
        f"[DEFAULT]\nauth_strategy = noauth\n[database]\nconnection = {settings.database_url}\n"
        f"sqlite_synchronous = False\n[simple_crypto_plugin]\nkek = {settings.keks[0]}\n"
    )
    return path


@pytest.fixture
def start(config):
    """Parts of further processes on the same database, which look at everything anew."""
    made = []

    def one():
        made.append(Parts(load_settings(str(config))))
        return made[-1]

    yield one
    for parts in made:
        parts.database.dispose()


@pytest.fixture
def sealing(keymanager):
    """API processes that seal orders, which look at everything anew."""
    made = []

    def one():
        made.append(keymanager.again())
        made[-1].seals_orders = True
        return made[-1]

    yield one
    for each in made:
        each.database.dispose()


def place(keymanager, **meta):
    body = {"type": "asymmetric", "meta": {"algorithm": "rsa", "bit_length": 1024, "passphrase": PASSPHRASE, **meta}}
    assert keymanager.client().simulate_post("/v1/orders", json=body).status_code == 202
    return keymanager.wakes[-1]


def shown(keymanager):
    """Every order as the API shows it, by their names: MariaDB keeps whole seconds, and many are of the same one."""
    answer = keymanager.client().simulate_get("/v1/orders?limit=100")
    assert answer.status_code == 200
    return {order["meta"]["name"]: order for order in answer.json["orders"]}


def seal_all(parts, **options):
    after, done = "", 0
    while after is not None:
        batch = parts.order_sealing.seal_batch(after=after, **options)
        assert not batch.damaged
        after, done = batch.last, done + batch.sealed
    return done


def killed_after(config, what, lines):
    """Run the program, kill -9 it after so many lines; return False when it came to its end before."""
    argv = [sys.executable, "-c", PROGRAM, str(config), what]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        for _ in range(lines):
            if not process.stdout.readline():
                assert process.wait() == 0
                return False
    finally:
        process.kill()
        process.communicate()
    return True


def test_the_whole_way_there_and_back(keymanager, start, sealing):
    place(keymanager, name="plain")
    keymanager.seals_orders = True
    place(keymanager, name="both", passphrase="ü" * 200)
    before = shown(keymanager)
    assert seal_all(start()) == 1
    assert start().order_sealing.status() == OrdersSealed(plain=0, both=2, sealed=0)
    keymanager.contract()
    other = sealing()
    place(other, name="alone", passphrase="n" * 20_000)
    assert seal_all(start()) == 0
    assert start().order_sealing.status() == OrdersSealed(plain=0, both=0, sealed=3)
    assert before.items() < shown(other).items()
    assert set(shown(other)) == {"plain", "both", "alone"}
    for query, total in (("both", 1), ("bot", 0), ("_lone", 1), ("name", 3)):
        assert other.client().simulate_get(f"/v1/orders?meta={query}").json["total"] == total
    assert other.processor.process_id(keymanager.wakes[1]) == "done"
    there = shown(other)

    keymanager.parts.schema.rollback(keep_synced=True)
    assert start().order_sealing.status() == OrdersSealed(plain=0, both=3, sealed=0)
    assert shown(other) == there
    place(other, name="late")  # though this process remembers that the change was contracted
    assert start().order_sealing.status() == OrdersSealed(plain=0, both=4, sealed=0)

    keymanager.contract()
    assert seal_all(start()) == 0
    keymanager.parts.schema.rollback(to=Release.parse("2027.2"))
    with keymanager.database.reader.connect() as connection:
        metas = connection.execute(sa.text("SELECT meta FROM orders")).scalars().all()
        columns = {column["name"] for column in sa.inspect(connection).get_columns("orders")}
    assert sorted(json.loads(meta)["name"] for meta in metas) == ["alone", "both", "late", "plain"]
    assert not {"sealed_meta", "sealed_meta_kek_id"} & columns


def test_whoever_is_killed_amid_the_work_leaves_every_order_as_it_was(keymanager, start, config):
    for number in range(25):
        place(keymanager, name=f"order {number}")
    before = shown(keymanager)
    kills = 0
    for what, contract in (("seal", False), ("seal", True), ("open", False)):
        if contract:
            keymanager.contract()
        for lines in (1, 7):
            kills += killed_after(config, what, lines)
            assert shown(keymanager) == before
        assert not killed_after(config, what, 1_000)  # the next run goes on, and comes to the end
        assert shown(keymanager) == before
        expected = OrdersSealed(plain=0, both=0, sealed=25) if contract else OrdersSealed(plain=0, both=25, sealed=0)
        assert start().order_sealing.status() == expected
    assert kills == 6


def test_two_that_seal_while_orders_come_in_leave_none_out(keymanager, start, sealing):
    for number in range(30):
        place(keymanager, name=f"order {number}")
    before = shown(keymanager)
    keymanager.contract()
    processes = [start(), start()]
    writer = sealing()

    def work(number):
        if number == 2:
            return [place(writer, name=f"new {each}") for each in range(10)]
        return seal_all(processes[number], most=4)

    *done, made = at_once(3, work)
    assert sum(done) == 30
    seal_all(start())
    assert start().order_sealing.status() == OrdersSealed(plain=0, both=0, sealed=40)
    assert before.items() < shown(keymanager).items()
    assert {shown(keymanager)[f"new {number}"]["order_ref"][-36:] for number in range(10)} == set(made)


def test_a_rollback_and_writers_at_once_leave_no_order_that_an_older_release_cannot_read(keymanager, start, sealing):
    keymanager.contract()
    writers = [sealing() for _ in range(2)]
    for writer in writers:
        place(writer, name="before")
    assert start().order_sealing.status().sealed == 2

    def work(number):
        if number == 2:
            return [start().schema.rollback(keep_synced=True)]
        return [place(writers[number], name=f"{number} {each}") for each in range(15)]

    at_once(3, work)
    kept = start().order_sealing.status()
    assert (kept.sealed, kept.plain + kept.both) == (0, 32)


def test_another_master_key_and_a_moved_row_open_nothing(keymanager, start, sealing):
    keymanager.contract()
    writer = sealing()
    one, two = place(writer, name="one"), place(writer, name="two")
    with keymanager.database.writer.begin() as connection:
        text = sa.text("SELECT sealed_meta FROM orders WHERE id = :id")
        moved = connection.execute(text, {"id": two}).scalar_one()
        update = sa.text("UPDATE orders SET sealed_meta = :text WHERE id = :id")
        connection.execute(update, {"text": moved, "id": one})
    assert writer.client().simulate_get(f"/v1/orders/{one}").status_code == 500
    assert writer.client().simulate_get(f"/v1/orders/{two}").json["meta"]["name"] == "two"
    batch = start().order_sealing.check_batch()
    assert (batch.sealed, batch.damaged) == (1, (one,))
