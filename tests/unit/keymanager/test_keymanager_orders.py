"""An accepted order has its effect exactly once."""

import json
import threading

import pytest
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from bascule.documents.status import ProcessStatus
from bascule.release import Release
from bascule_keymanager.cli.manage_orders import OrdersWait, wait_for_orders
from bascule_keymanager.waker import OwnWorkers

KEY = {"name": "k", "algorithm": "aes", "bit_length": 256, "mode": "cbc"}


PAIR = {"name": "pair", "algorithm": "rsa", "bit_length": 1024}

NO_STORE = ("400", "Process TypeOrder issue seen - Secret generate supported plugin not found..")
WRONG = ("400", "Process TypeOrder issue seen - Requested algorithm is not supported.")
UNSUPPORTED = ("500", "Process TypeOrder failure seen - please contact site administrator.")


def order(client, kind="key", **changes):
    meta = {**(KEY if kind == "key" else PAIR), **changes}
    body = json.dumps({"type": kind, "meta": meta})  # in ASCII: also what UTF-8 cannot spell
    return client.simulate_post("/v1/orders", body=body, content_type="application/json")


def path_of(reference):
    return "/v1" + reference.partition("/v1")[2]


def test_an_order_waits_until_a_worker_has_made_the_key(client, keymanager):
    accepted = order(client, payload_content_type="application/octet-stream")
    assert accepted.status_code == 202
    path = path_of(accepted.json["order_ref"])
    waiting = client.simulate_get(path).json
    assert waiting["status"] == "PENDING"
    assert waiting["meta"]["name"] == "k"
    assert waiting["meta"]["expiration"] is None
    assert "secret_ref" not in waiting
    assert keymanager.wakes == [path.rpartition("/")[2]]

    assert keymanager.processor.process_id(keymanager.wakes[0]) == "done"
    done = client.simulate_get(path).json
    assert done["status"] == "ACTIVE"
    assert (done["sub_status"], done["sub_status_message"]) == ("Unknown", "Unknown")
    assert done["creator_id"] == "u1"
    secret = client.simulate_get(path_of(done["secret_ref"])).json
    assert secret["secret_type"] == "symmetric"
    assert (secret["name"], secret["algorithm"], secret["bit_length"], secret["mode"]) == ("k", "aes", 256, "cbc")
    assert secret["content_types"] == {"default": "application/octet-stream"}
    assert len(client.simulate_get(path_of(done["secret_ref"]) + "/payload").content) == 32


def test_the_order_and_its_wake_up_are_kept_together_or_not_at_all(client, keymanager):
    def no_wake(*_):
        raise RuntimeError

    project = keymanager.projects.get_or_create("p1")
    with pytest.raises(RuntimeError):
        keymanager.orders.add(project.id, None, "key", KEY, no_wake)
    assert client.simulate_get("/v1/orders").json == {"orders": [], "total": 0}


def test_a_second_try_finds_nothing_to_do(client, keymanager):
    order(client)
    [name] = keymanager.wakes
    assert [keymanager.processor.process_id(name) for _ in range(3)] == ["done", "not pending", "not pending"]
    assert keymanager.processor.process_id("nobody") == "not pending"
    assert client.simulate_get("/v1/secrets").json["total"] == 1


def test_of_two_workers_that_hold_the_same_order_one_makes_the_key(client, keymanager):
    workers = [keymanager.again() for _ in range(2)]
    for _ in range(20):
        order(client)
    # Both have read every order as waiting, before either begins.
    seen = [worker.orders.pending(older_than_s=0, most=50) for worker in workers]
    assert [len(orders) for orders in seen] == [20, 20]
    start, outcomes = threading.Barrier(2), [[], []]

    def work(number):
        start.wait()
        outcomes[number] = [workers[number].processor.process(waiting) for waiting in seen[number]]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        worker.database.dispose()
    assert sorted(outcomes[0] + outcomes[1]) == ["done"] * 20 + ["not pending"] * 20
    assert client.simulate_get("/v1/secrets").json["total"] == 20
    shown = client.simulate_get("/v1/orders?limit=100").json["orders"]
    assert len({item["secret_ref"] for item in shown}) == 20


def test_a_worker_that_lost_leaves_no_rows_behind(client, keymanager):
    order(client)
    [waiting] = keymanager.orders.pending(older_than_s=0, most=10)
    keymanager.processor.process(waiting)
    assert keymanager.processor.process(waiting) == "not pending"  # it still holds the row as it was
    with keymanager.database.reader.connect() as connection:
        for table in ("secrets", "encrypted_data"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 1


@pytest.mark.parametrize(
    ("kind", "changes", "ends"),
    [
        ("key", {"bit_length": 512}, UNSUPPORTED),
        ("key", {"mode": "xts", "bit_length": 192}, UNSUPPORTED),
        ("key", {"algorithm": "blowfish"}, NO_STORE),
        ("key", {"algorithm": "3des", "bit_length": 192}, NO_STORE),
        ("key", {"algorithm": "desede", "bit_length": 192}, WRONG),
        ("key", {"algorithm": "rsa", "bit_length": 2048}, WRONG),
        ("key", {"algorithm": "ec", "bit_length": 521}, WRONG),
        ("asymmetric", {"bit_length": 3072}, UNSUPPORTED),
        ("asymmetric", {"algorithm": "aes", "bit_length": 256}, WRONG),
        ("asymmetric", {"algorithm": "ec", "bit_length": 256}, WRONG),
        ("asymmetric", {"algorithm": "foo", "bit_length": 256}, NO_STORE),
        ("asymmetric", {"passphrase": 5}, UNSUPPORTED),
        ("asymmetric", {"passphrase": "long" * 256}, UNSUPPORTED),
    ],
)
def test_orders_that_nobody_can_fill_end_in_error_with_barbicans_reason(client, keymanager, kind, changes, ends):
    assert order(client, kind, **changes).status_code == 202
    [name] = keymanager.wakes
    assert keymanager.processor.process_id(name) == "failed"
    shown = client.simulate_get(f"/v1/orders/{name}").json
    assert shown["status"] == "ERROR"
    assert (shown["error_status_code"], shown["error_reason"]) == ends
    assert not {"secret_ref", "container_ref", "sub_status", "sub_status_message"} & set(shown)
    assert client.simulate_get("/v1/secrets").json["total"] == 0


def done(client, keymanager, *, expect="done"):
    """Have the worker do the last order, and return it as it is shown then."""
    assert keymanager.processor.process_id(keymanager.wakes[-1]) == expect
    return client.simulate_get(f"/v1/orders/{keymanager.wakes[-1]}").json


def parts_of(keymanager, shown):
    """Return the type of the container that an order made, and its secrets by their names."""
    container = shown["container_ref"].rpartition("/")[2]
    with keymanager.database.reader.connect() as connection:
        [(kind, name, status, creator)] = connection.exec_driver_sql(
            "SELECT type, name, status, creator_id FROM containers WHERE id = ?", (container,)
        ).all()
        secrets = connection.exec_driver_sql(
            "SELECT name, secret_id FROM container_secret WHERE container_id = ?", (container,)
        ).all()
    return (kind, name, status, creator), {name: f"/v1/secrets/{secret}" for name, secret in secrets}


def test_a_pair_of_rsa_keys_comes_as_pem_in_a_container_of_its_kind(client, keymanager):
    assert order(client, "asymmetric", algorithm="RSA").status_code == 202
    shown = done(client, keymanager)
    assert (shown["status"], shown["type"], shown["sub_status"]) == ("ACTIVE", "asymmetric", "Unknown")
    assert "secret_ref" not in shown
    container, secrets = parts_of(keymanager, shown)
    assert container == ("rsa", "pair", "ACTIVE", "u1")
    assert set(secrets) == {"private_key", "public_key"}
    private = load_pem_private_key(client.simulate_get(secrets["private_key"] + "/payload").content, None)
    public = load_pem_public_key(client.simulate_get(secrets["public_key"] + "/payload").content)
    assert private.key_size == 1024
    assert private.public_key() == public
    for name, kind in (("private_key", "private"), ("public_key", "public")):
        secret = client.simulate_get(secrets[name]).json
        assert (secret["secret_type"], secret["algorithm"], secret["bit_length"]) == (kind, "RSA", 1024)
        assert secret["content_types"] == {"default": "application/octet-stream"}
        assert (secret["name"], secret["creator_id"]) == ("pair", "u1")


def test_a_pair_of_dsa_keys_comes_as_der_and_a_passphrase_closes_the_private_one(client, keymanager):
    order(client, "asymmetric", algorithm="dsa", passphrase="pä", payload_content_type="application/pkcs8")
    shown = done(client, keymanager)
    assert shown["meta"]["passphrase"] == "pä"
    (kind, *_), secrets = parts_of(keymanager, shown)
    assert kind == "dsa"
    assert set(secrets) == {"private_key", "public_key", "private_key_passphrase"}
    passphrase = client.simulate_get(secrets["private_key_passphrase"] + "/payload").content
    assert passphrase == "pä".encode()
    private = load_der_private_key(client.simulate_get(secrets["private_key"] + "/payload").content, passphrase)
    public = load_der_public_key(client.simulate_get(secrets["public_key"] + "/payload").content)
    assert private.public_key() == public
    secret = client.simulate_get(secrets["private_key_passphrase"]).json
    assert secret["secret_type"] == "passphrase"
    assert secret["content_types"] == {"default": "application/pkcs8"}


def test_an_empty_passphrase_is_none(client, keymanager):
    order(client, "asymmetric", passphrase="")
    _, secrets = parts_of(keymanager, done(client, keymanager))
    assert set(secrets) == {"private_key", "public_key"}
    load_pem_private_key(client.simulate_get(secrets["private_key"] + "/payload").content, None)


def test_a_worker_that_lost_a_pair_leaves_no_rows_behind(client, keymanager):
    order(client, "asymmetric", passphrase="p")
    [waiting] = keymanager.orders.pending(older_than_s=0, most=10)
    assert [keymanager.processor.process(waiting) for _ in range(2)] == ["done", "not pending"]
    with keymanager.database.reader.connect() as connection:
        for table, rows in (("secrets", 3), ("encrypted_data", 3), ("containers", 1), ("container_secret", 3)):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == rows


def test_what_an_order_made_outlives_it_and_a_deleted_order_is_not_done(client, keymanager):
    order(client)
    path = f"/v1/orders/{keymanager.wakes[0]}"
    made = path_of(done(client, keymanager)["secret_ref"])
    assert client.simulate_delete(path).status_code == 204
    for answer in (client.simulate_delete(path), client.simulate_get(path)):
        assert (answer.status_code, answer.json["description"]) == (404, "Order not found.")
    assert client.simulate_get(made + "/payload").status_code == 200

    order(client)
    assert keymanager.client(project="p2").simulate_delete(f"/v1/orders/{keymanager.wakes[1]}").status_code == 404
    assert client.simulate_delete(f"/v1/orders/{keymanager.wakes[1]}").status_code == 204
    assert keymanager.processor.process_id(keymanager.wakes[1]) == "not pending"
    assert client.simulate_get("/v1/orders").json == {"orders": [], "total": 0}


@pytest.mark.parametrize(
    ("query", "total"), [("hello", 2), ("hell", 0), ("he%25", 2), ("name", 3), ("256", 0), ("", 3), ('"hello"', 0)]
)
def test_orders_are_listed_by_whole_names_and_values_of_their_meta(client, query, total):
    for name in ("hello", "other", "hello"):
        order(client, name=name)
    shown = client.simulate_get(f"/v1/orders?meta={query}&limit=1")
    assert shown.json["total"] == total
    assert len(shown.json["orders"]) == min(total, 1)


def test_xts_keys_are_ordered_by_the_length_of_both_halves(client, keymanager):
    order(client, mode="xts", bit_length=512)
    assert keymanager.processor.process_id(keymanager.wakes[0]) == "done"
    path = path_of(client.simulate_get(f"/v1/orders/{keymanager.wakes[0]}").json["secret_ref"])
    assert len(client.simulate_get(path + "/payload").content) == 64


@pytest.mark.parametrize(
    ("body", "description"),
    [
        ({"type": "key"}, "schema 'Order': 'meta' is a required property. Invalid property: 'meta'"),
        ({}, "schema 'Order': 'type' is a required property. Invalid property: 'type'"),
        (
            {"type": "certificate", "meta": KEY},
            "schema 'Order': 'certificate' is not one of ['key', 'asymmetric']. Invalid property: 'type'",
        ),
        ({"type": "KEY", "meta": KEY}, "'KEY' is not one of ['key', 'asymmetric']. Invalid property: 'type'"),
        ({"type": 5, "meta": KEY}, "schema 'Order': 5 is not of type 'string'. Invalid property: 'type'"),
        ({"type": "key", "meta": []}, "schema 'Order': [] is not of type 'object'. Invalid property: 'meta'"),
        (
            {"type": "key", "meta": {"bit_length": 8}},
            "schema 'Order': 'algorithm' is required field for key type order. Invalid property: 'meta'",
        ),
        (
            {"type": "key", "meta": {"algorithm": "aes"}},
            "schema 'Order': 'bit_length' is required field for key type order. Invalid property: 'meta'",
        ),
        (
            {"type": "asymmetric", "meta": {"bit_length": 1024}},
            "schema 'Order': 'algorithm' is required field for asymmetric key type order. Invalid property: 'meta'",
        ),
        ({"type": "key", "meta": {**KEY, "bit_length": 9}}, "Provided field value is not supported"),
        ({"type": "asymmetric", "meta": {**PAIR, "bit_length": 1023}}, "Provided field value is not supported"),
        (
            {"type": "asymmetric", "meta": {"algorithm": "ec", "bit_length": 512}},
            "Provided field value is not supported",
        ),
        (
            {"type": "key", "meta": {**KEY, "payload": "x"}},
            (
                "If 'payload' is supplied, 'payload_content_type' must also be supplied.. "
                "Invalid property: 'payload_content_type'"
            ),
        ),
        (
            {"type": "key", "meta": {**KEY, "payload": "x", "payload_content_type": "text/plain"}},
            "schema 'Order': 'payload' not allowed for key type order. Invalid property: 'meta'",
        ),
        (
            {"type": "key", "meta": {**KEY, "payload_content_type": "image/png"}},
            (
                "schema 'Secret' within 'Order': payload_content_type is not one of ['text/plain', "
                "'text/plain;charset=utf-8', 'text/plain; charset=utf-8', 'application/octet-stream', "
                "'application/pkcs8']. Invalid property: 'payload_content_type'"
            ),
        ),
        (
            {"type": "asymmetric", "meta": {**PAIR, "bit_length": 40_000}},
            "'Secret' within 'Order': 40000 is greater than the maximum of 32767. Invalid property: 'bit_length'",
        ),
        ({"type": "key", "meta": {**KEY, "name": 5}}, "schema 'Secret' within 'Order': 5 is not of type"),
    ],
)
def test_orders_that_break_a_rule_are_refused_at_once(client, body, description):
    answer = client.simulate_post("/v1/orders", json=body)
    assert answer.status_code == 400
    assert description in answer.json["description"]
    assert client.simulate_get("/v1/orders").json["total"] == 0


def test_orders_of_other_projects_do_not_exist_for_the_caller(client, keymanager):
    path = path_of(order(client).json["order_ref"])
    for answer in (keymanager.client(project="p2").simulate_get(path), client.simulate_get("/v1/orders/none")):
        assert (answer.status_code, answer.json["description"]) == (404, "Order not found.")
    assert keymanager.client(project="p2").simulate_get("/v1/orders").json["total"] == 0
    refused = client.simulate_put("/v1/orders")
    assert (refused.status_code, refused.json["description"]) == (405, "Order update is not supported.")


def test_the_sweep_sees_only_orders_that_wait_long_enough(client, keymanager):
    order(client)
    assert keymanager.orders.pending(older_than_s=60, most=10) == []
    assert [waiting.id for waiting in keymanager.orders.pending(older_than_s=0, most=10)] == keymanager.wakes
    assert keymanager.orders.count_pending() == 1


def test_orders_in_hand_are_waited_for_and_later_ones_are_not(client, keymanager):
    order(client)
    with pytest.raises(OrdersWait, match="1 orders placed") as waits:
        wait_for_orders(keymanager.orders, timeout_s=0.0)
    assert waits.value.next_command == "keymanager-manage list-orders --pending"
    worker = threading.Timer(0.5, lambda: keymanager.processor.process_id(keymanager.wakes[0]))
    worker.start()
    late = threading.Timer(1.8, lambda: order(client))
    late.start()
    wait_for_orders(keymanager.orders, timeout_s=60.0)
    for thread in (worker, late):
        thread.join()
    assert keymanager.orders.count_pending() == 1


def test_our_own_workers_are_told_of_orders_where_one_of_them_lives():
    now, asked, processes = [0.0], [], []
    ours = OwnWorkers(lambda: asked.append(1) or processes, clock=lambda: now[0])

    def process(role, state):
        return ProcessStatus(f"{role}-1", role, Release.parse("2026.2.1"), 1, state, 0.0, 1)

    assert not ours.are_there()
    processes += [process("api", "live"), process("worker", "draining"), process("worker", "dead")]
    now[0] = 5.0
    assert not ours.are_there()
    processes.append(process("worker", "live"))
    assert not ours.are_there()  # it was asked a moment ago
    now[0] = 10.0
    assert ours.are_there()
    assert len(asked) == 3
