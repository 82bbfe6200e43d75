"""An accepted order has its effect exactly once."""

import threading

import pytest

KEY = {"name": "k", "algorithm": "aes", "bit_length": 256, "mode": "cbc"}


def order(client, **changes):
    return client.simulate_post("/v1/orders", json={"type": "key", "meta": {**KEY, **changes}})


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


def test_orders_that_nobody_can_fill_end_in_error_with_a_reason(client, keymanager):
    for changes in ({"bit_length": 512}, {"algorithm": "blowfish"}, {"mode": "xts", "bit_length": 192}):
        assert order(client, **changes).status_code == 202
    for name in keymanager.wakes:
        assert keymanager.processor.process_id(name) == "failed"
        shown = client.simulate_get(f"/v1/orders/{name}").json
        assert shown["status"] == "ERROR"
        assert shown["error_status_code"] == "400"
        reason = "Process TypeOrder issue seen - Secret generate supported plugin not found.."
        assert shown["error_reason"] == reason
        assert "secret_ref" not in shown
    assert client.simulate_get("/v1/secrets").json["total"] == 0


def test_xts_keys_are_ordered_by_the_length_of_both_halves(client, keymanager):
    order(client, mode="xts", bit_length=512)
    assert keymanager.processor.process_id(keymanager.wakes[0]) == "done"
    path = path_of(client.simulate_get(f"/v1/orders/{keymanager.wakes[0]}").json["secret_ref"])
    assert len(client.simulate_get(path + "/payload").content) == 64


@pytest.mark.parametrize(
    ("body", "description"),
    [
        ({"type": "key"}, "Provided object does not match schema 'Order': 'meta' is a required property."),
        (
            {"type": "certificate", "meta": KEY},
            "Provided object does not match schema 'Order': 'certificate' is not one",
        ),
        (
            {"type": "key", "meta": {"bit_length": 8}},
            "Provided object does not match schema 'Order': 'algorithm' is req",
        ),
        (
            {"type": "key", "meta": {"algorithm": "aes"}},
            "Provided object does not match schema 'Order': 'bit_length' is",
        ),
        ({"type": "key", "meta": {**KEY, "bit_length": 9}}, "Provided field value is not supported"),
        ({"type": "key", "meta": {**KEY, "payload": "x"}}, "Provided object does not match schema"),
        (
            {"type": "key", "meta": {**KEY, "name": 5}},
            "Provided object does not match schema 'Secret' within 'Order': 5",
        ),
    ],
)
def test_orders_that_break_a_rule_are_refused_at_once(client, body, description):
    answer = client.simulate_post("/v1/orders", json=body)
    assert answer.status_code == 400
    assert answer.json["description"].startswith(description)
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
