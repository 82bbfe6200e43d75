"""The meta of orders at rest: bound to its order, beside the plain one until contract, and then alone."""

import base64
import json
import threading
from contextlib import nullcontext

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from structlog.testing import capture_logs

from bascule.release import Release
from bascule_keymanager.cli.manage import group
from bascule_keymanager.clock import utc_now
from bascule_keymanager.config_messaging import BarbicanQueue, Messaging
from bascule_keymanager.crypto.envelope import Envelope
from bascule_keymanager.errors import DamagedOrder, SealedOrdersLost, UnreadableKek
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.migrations.changes import ORDERS_SEALED
from bascule_keymanager.storage.clean import Cleaner
from bascule_keymanager.storage.order_sealing import OrdersSealed
from bascule_keymanager.storage.order_seals import SEALED_SINCE
from bascule_keymanager.storage.orders import OrderStore
from bascule_keymanager.upgrade_checks import upgrade_checks
from bascule_keymanager.worker.sealer import OrderSealer

PASSPHRASE = "correct horse battery"
PAIR = {"name": "pair", "algorithm": "rsa", "bit_length": 1024, "passphrase": PASSPHRASE}


def sql(keymanager, text, *values):
    with keymanager.database.writer.begin() as connection:
        result = connection.exec_driver_sql(text, values)
        return result.all() if result.returns_rows else result.rowcount


def place(keymanager, **meta):
    """Order a pair of keys, and return the order's id."""
    body = {"type": "asymmetric", "meta": {**PAIR, **meta}}
    assert keymanager.client().simulate_post("/v1/orders", json=body).status_code == 202
    return keymanager.wakes[-1]


def get(keymanager, order_id):
    return keymanager.client().simulate_get(f"/v1/orders/{order_id}")


def stored(keymanager, order_id):
    [row] = sql(keymanager, "SELECT meta, sealed_meta, sealed_meta_kek_id FROM orders WHERE id = ?", order_id)
    return row


def seal_all(keymanager, **options):
    """Seal to the end, and return what was done."""
    sealed, removed, damaged, after = 0, 0, [], ""
    while after is not None:
        batch = keymanager.parts.order_sealing.seal_batch(after=after, **options)
        sealed, removed, after = sealed + batch.sealed, removed + batch.removed, batch.last
        damaged += batch.damaged
    return sealed, removed, damaged


@pytest.fixture
def another(keymanager):
    """Another process on the same database, which looks at everything anew."""
    made = []

    def start(**changes):
        made.append(keymanager.again(**changes))
        made[-1].seals_orders = True
        return made[-1]

    yield start
    for each in made:
        each.database.dispose()


@pytest.fixture
def sealing(another):
    """A process that seals orders, before the change is contracted."""
    return another()


@pytest.fixture
def contracted(keymanager, another):
    """A process that seals orders, after the change is contracted."""
    keymanager.contract()
    return another()


def test_before_contract_the_plain_meta_stays_beside_the_sealed_one(sealing, keymanager):
    order = place(sealing)
    plain, sealed, _ = stored(sealing, order)
    assert json.loads(plain)["passphrase"] == PASSPHRASE
    assert sealed
    assert PASSPHRASE not in sealed
    assert keymanager.parts.order_sealing.status() == OrdersSealed(plain=0, both=1, sealed=0)


def test_after_contract_an_order_is_kept_sealed_alone_and_answers_are_the_same(keymanager, contracted):
    before = place(keymanager)
    after = place(contracted)
    assert stored(keymanager, after)[0] is None
    assert contracted.parts.order_sealing.status() == OrdersSealed(plain=1, both=0, sealed=1)
    shown = [get(contracted, order).json for order in (before, after)]
    assert shown[0]["meta"] == shown[1]["meta"]
    assert set(shown[0]) == set(shown[1])
    assert shown[1]["meta"]["passphrase"] == PASSPHRASE
    assert [each["meta"] for each in contracted.client().simulate_get("/v1/orders").json["orders"]] == [
        shown[0]["meta"],
        shown[1]["meta"],
    ]
    assert contracted.processor.process_id(after) == "done"
    assert get(contracted, after).json["status"] == "ACTIVE"


def test_what_is_stored_opens_with_nothing_but_the_documented_format(contracted):
    order = place(contracted)
    _, text, kek_id = stored(contracted, order)
    kept = json.loads(text)
    assert set(kept) == {"format", "text", "extended"}
    [(plugin, wrapped)] = sql(contracted, "SELECT plugin_name, plugin_meta FROM kek_data WHERE id = ?", kek_id)
    assert plugin == Envelope.plugin_name
    project_key = AESGCM(Fernet(contracted.settings.keks[0]).decrypt(wrapped.encode()))
    about = '["bascule-envelope",1,"%s","order:%s","p1"]'
    key = base64.b64decode(json.loads(kept["extended"])["key"])
    data_key = AESGCM(project_key.decrypt(key[:12], key[12:], (about % ("key", order)).encode()))
    cypher = base64.b64decode(kept["text"])
    header, _, meta = data_key.decrypt(cypher[:12], cypher[12:], (about % ("payload", order)).encode()).partition(b"\n")
    assert header.decode() == f'["bascule-order",1,"{order}","p1"]'
    assert json.loads(meta)["passphrase"] == PASSPHRASE


def test_reading_costs_the_same_statements_as_ever(contracted):
    order = place(contracted)
    seen = contracted.count_statements()
    get(contracted, order)
    assert len(seen) == 1
    contracted.client().simulate_get("/v1/orders")
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("query", "total"), [("hello", 3), ("hell", 0), ("he%25", 3), ("name", 4), ("1024", 0), ("", 4), ("h_llo", 3)]
)
def test_sealed_and_plain_orders_are_found_alike_by_what_their_meta_holds(keymanager, contracted, query, total):
    for each in (keymanager, contracted):
        for name in ("hello", "other") if each is keymanager else ("hello", "hello"):
            place(each, name=name)
    client = contracted.client()
    pages = [client.simulate_get(f"/v1/orders?meta={query}&limit=1&offset={offset}").json for offset in range(total)]
    assert [page["total"] for page in pages] == [total] * total
    refs = [page["orders"][0]["order_ref"] for page in pages]
    everything = [each["order_ref"] for each in client.simulate_get("/v1/orders").json["orders"]]
    assert refs == [each for each in everything if each in refs]  # in the same order, each once
    assert client.simulate_get(f"/v1/orders?meta={query}&offset=9").json["total"] == total


def test_many_sealed_orders_are_looked_through_in_portions(contracted, monkeypatch):
    monkeypatch.setattr("bascule_keymanager.storage.orders._LOOKED_THROUGH_AT_ONCE", 2)
    names = ["a", "b", "a", "a", "b"]
    for name in names:
        place(contracted, name=name)
    sql(contracted, "UPDATE orders SET created_at = (SELECT min(created_at) FROM orders)")  # all at one moment
    assert contracted.client().simulate_get("/v1/orders?meta=a").json["total"] == 3


def damage(keymanager, order, how, other):
    if how == "changed":
        kept = json.loads(stored(keymanager, order)[1])
        text = bytearray(base64.b64decode(kept["text"]))
        text[-1] ^= 1
        kept["text"] = base64.b64encode(bytes(text)).decode()
        sql(keymanager, "UPDATE orders SET sealed_meta = ? WHERE id = ?", json.dumps(kept), order)
    elif how == "moved from another order":
        _, text, kek_id = stored(keymanager, other)
        sql(keymanager, "UPDATE orders SET sealed_meta = ? WHERE id = ?", text, order)
        assert stored(keymanager, order)[2] == kek_id
    elif how == "moved to another project":
        project = keymanager.projects.get_or_create("p2").id
        sql(keymanager, "UPDATE orders SET project_id = ? WHERE id = ?", project, order)
    elif how == "without its key":
        sql(keymanager, "UPDATE orders SET sealed_meta_kek_id = NULL WHERE id = ?", order)
    else:
        sql(keymanager, "UPDATE orders SET sealed_meta = ? WHERE id = ?", how, order)


DAMAGES = ["changed", "moved from another order", "moved to another project", "without its key", "", "[]", "{}", "null"]
DAMAGES += ['{"format":2,"text":"","extended":null}', '{"format":1,"text":5,"extended":{}}', "\\x5b5d"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_row_that_was_tampered_with_is_refused_and_is_nobody_else_s_trouble(contracted, how):
    order, other = place(contracted), place(contracted)
    damage(contracted, order, how, other)
    project = "p2" if how == "moved to another project" else "p1"
    with capture_logs() as logs:
        answer = contracted.client(project=project).simulate_get(f"/v1/orders/{order}")
    assert answer.status_code == 500
    assert answer.json["description"] == "Order retrieval failure seen - please contact site administrator."
    assert order in str(logs)
    with pytest.raises(DamagedOrder, match=order):
        contracted.processor.process_id(order)
    assert get(contracted, other).status_code == 200
    assert contracted.processor.process_id(other) == "done"
    [check] = [each for each in upgrade_checks(contracted.parts) if each.name == "sealed orders open"]
    code, told = check.ask()
    assert int(code) == 2
    assert order in told
    assert contracted.client(project=project).simulate_delete(f"/v1/orders/{order}").status_code == 204


def test_a_process_with_another_master_key_opens_no_order_and_changes_none(keymanager, contracted, another):
    order, plain = place(contracted), place(keymanager)
    stranger = another(keks=(Fernet.generate_key().decode(),))
    assert get(stranger, order).status_code == 500
    before = [stored(contracted, each) for each in (order, plain)]
    for again in (False, True):
        with pytest.raises(UnreadableKek):
            stranger.parts.order_sealing.seal_batch(again=again)
    assert [stored(contracted, each) for each in (order, plain)] == before
    answers = {check.name: check.ask() for check in upgrade_checks(stranger.parts)}
    assert int(answers["sealed orders open"][0]) == 2
    assert int({check.name: check.ask() for check in upgrade_checks(contracted.parts)}["sealed orders open"][0]) == 0


def test_the_passphrase_is_in_no_log_repr_or_refusal(contracted, another, caplog):
    stranger = another(keks=(Fernet.generate_key().decode(),))
    with capture_logs() as logs:
        order = place(contracted)
        row = contracted.orders.get(order)
        assert contracted.processor.process(row) == "done"
        get(stranger, order)
        seal_all(contracted, again=True)
        with pytest.raises(UnreadableKek) as refusal:
            _ = stranger.orders.get(order).meta
    told = f"{logs} {row!r} {refusal.value!r} {refusal.value} {caplog.text}"
    assert order in told
    assert PASSPHRASE not in told
    assert "passphrase" not in told


def test_orders_that_are_there_are_sealed_in_batches_and_stay_as_they_are(keymanager, sealing):
    orders = [place(keymanager, name=f"pair {number}") for number in range(7)]
    sql(keymanager, "UPDATE orders SET deleted = 1, deleted_at = ? WHERE id = ?", str(utc_now()), orders[3])
    before = [get(keymanager, order).text for order in orders]
    after, batches = "", 0
    while after is not None:
        batch = sealing.parts.order_sealing.seal_batch(after=after, most=3)
        after, batches = batch.last, batches + 1
        assert [get(keymanager, order).text for order in orders] == before
    assert batches == 3
    assert sealing.parts.order_sealing.status() == OrdersSealed(plain=0, both=7, sealed=0)
    assert seal_all(sealing) == (0, 0, [])


def test_plain_metas_go_once_the_change_is_contracted_and_not_before(keymanager, sealing, another):
    orders = [place(keymanager), place(sealing)]
    before = [get(keymanager, order).text for order in orders]
    assert seal_all(sealing) == (1, 0, [])
    keymanager.contract()
    late = place(keymanager)  # by a process that has not noticed yet
    assert seal_all(another()) == (1, 3, [])
    assert [stored(keymanager, order)[0] for order in (*orders, late)] == [None] * 3
    assert [get(keymanager, order).text for order in orders] == before


def test_a_plain_meta_whose_seal_does_not_hold_is_kept_and_sealed_again_on_request(sealing, another, keymanager):
    order = place(sealing)
    damage(sealing, order, "changed", None)
    keymanager.contract()
    after = another()
    assert seal_all(after) == (0, 0, [order])
    assert get(after, order).json["meta"]["passphrase"] == PASSPHRASE
    assert seal_all(after, again=True) == (1, 1, [])
    assert stored(after, order)[0] is None
    assert get(after, order).json["meta"]["passphrase"] == PASSPHRASE


def test_two_that_seal_at_once_do_no_harm(keymanager, another):
    orders = [place(keymanager, name=f"pair {number}") for number in range(40)]
    before = [get(keymanager, order).text for order in orders]
    keymanager.contract()
    workers, start, done = [another(), another()], threading.Barrier(2), []

    def work(worker):
        start.wait()
        done.append(seal_all(worker, most=3))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sealed for sealed, *_ in done) == 40
    assert keymanager.parts.order_sealing.status() == OrdersSealed(plain=0, both=0, sealed=40)
    assert [get(keymanager, order).text for order in orders] == before


def test_orders_are_sealed_again_by_the_newest_key_of_their_project(contracted):
    order = place(contracted)
    old = stored(contracted, order)[2]
    plugin = contracted.parts.crypto_plugins[Envelope.plugin_name]
    new = contracted.projects.renew_key(contracted.projects.get_or_create("p1"), plugin).id
    assert seal_all(contracted, again=True, external_id="p2") == (0, 0, [])
    assert seal_all(contracted) == (0, 0, [])
    assert stored(contracted, order)[2] == old
    assert seal_all(contracted, again=True, external_id="p1") == (1, 0, [])
    assert stored(contracted, order)[2] == new
    assert get(contracted, order).json["meta"]["passphrase"] == PASSPHRASE


def test_a_rollback_opens_every_order_before_an_older_release_may_start(keymanager, contracted):
    orders = [place(contracted, name=f"pair {number}") for number in range(3)]
    metas = [get(contracted, order).json["meta"] for order in orders]
    keymanager.parts.schema.rollback(keep_synced=True)
    assert keymanager.parts.order_sealing.status() == OrdersSealed(plain=0, both=3, sealed=0)
    assert [json.loads(stored(keymanager, order)[0]) for order in orders] == metas
    place(contracted)  # though this process remembers that the change was contracted
    assert keymanager.parts.order_sealing.status() == OrdersSealed(plain=0, both=4, sealed=0)


def test_a_full_rollback_from_contracted_leaves_plain_orders_and_no_new_columns(keymanager, contracted):
    order = place(contracted)
    keymanager.parts.schema.rollback(to=Release.parse("2027.2"))
    assert {change.id: change.phase for change in keymanager.parts.schema.status()}[ORDERS_SEALED] == "rolled_back"
    [(meta,)] = sql(keymanager, "SELECT meta FROM orders WHERE id = ?", order)
    assert json.loads(meta)["passphrase"] == PASSPHRASE
    columns = {name for _, name, *_ in sql(keymanager, "PRAGMA table_info(orders)")}
    assert not {"sealed_meta", "sealed_meta_kek_id"} & columns


def test_a_rollback_that_cannot_open_an_order_stops_where_no_older_release_starts(keymanager, contracted):
    order, other = place(contracted), place(contracted)
    damage(contracted, order, "changed", None)
    with pytest.raises(SealedOrdersLost, match=order):
        keymanager.parts.schema.rollback(keep_synced=True)
    assert {change.id: change.phase for change in keymanager.parts.schema.status()}[ORDERS_SEALED] == "restoring"
    contracted.parts.require_schema()  # this release goes on working
    assert json.loads(stored(keymanager, other)[0])["passphrase"] == PASSPHRASE
    keymanager.parts.schema.rollback(keep_synced=True, accept_loss=True)
    assert {change.id: change.phase for change in keymanager.parts.schema.status()}[ORDERS_SEALED] == "synced"


def test_nothing_is_sealed_under_an_older_pin_or_beside_barbican(keymanager, another):
    shared = Messaging(url="rabbit://", barbican=BarbicanQueue("t", "n", "1.1", "s"))
    assert keymanager.parts.seals_orders(RELEASE)
    assert keymanager.parts.seals_orders(SEALED_SINCE)
    assert not keymanager.parts.seals_orders(Release.parse("2027.2"))
    assert not another(messaging=shared).parts.seals_orders(RELEASE)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_worker_seals_a_batch_at_each_sweep_while_the_pin_allows_and_then_rests(keymanager, sealing):
    for number in range(150):
        keymanager.orders.add(
            keymanager.projects.get_or_create("p1").id, None, "key", {"name": str(number)}, lambda *_: None
        )
    clock, pin = Clock(), [Release.parse("2027.2")]
    parts = sealing.parts
    sealer = OrderSealer(
        parts.order_sealing, lambda: nullcontext(pin[0]), parts.seals_orders, rest_s=60, monotonic=clock
    )
    sealer.step()
    assert parts.order_sealing.status().both == 0
    pin[0] = SEALED_SINCE
    for expected in (100, 150):
        sealer.step()
        assert parts.order_sealing.status().both == expected
    seen = sealing.count_statements()
    sealer.step()
    assert seen == []
    clock.now = 61
    sealer.step()
    assert seen


def test_a_worker_that_cannot_seal_says_why_and_goes_on(keymanager, another):
    place(keymanager)
    seal_all(another())
    place(keymanager)
    stranger = another(keks=(Fernet.generate_key().decode(),))

    with capture_logs() as logs:
        OrderSealer(stranger.parts.order_sealing, lambda: nullcontext(RELEASE), stranger.parts.seals_orders).step()
    [event] = [event for event in logs if event["event"] == "orders not sealed"]
    assert event["error"] == "UnreadableKek"
    assert "no configured" in event["sentence"]


def test_a_key_that_sealed_an_order_is_cleaned_up_with_the_last_of_them(contracted):
    order = place(contracted)
    sql(contracted, "UPDATE kek_data SET deleted = 1, deleted_at = '2020-01-01 00:00:00.000000'")
    assert [batch for batch in Cleaner(contracted.database).marked(before=utc_now()) if batch.rows] == []
    assert get(contracted, order).json["meta"]["passphrase"] == PASSPHRASE
    contracted.client().simulate_delete(f"/v1/orders/{order}")
    tables = [batch.table for batch in Cleaner(contracted.database).marked(before=utc_now()) if batch.rows]
    assert tables == ["orders", "kek_data"]


def test_an_order_is_waited_for_and_counted_without_opening_it(contracted):
    order = place(contracted)
    damage(contracted, order, "changed", None)
    store: OrderStore = contracted.orders
    assert [each.id for each in store.pending(older_than_s=0, most=5)] == [order]
    assert store.count_pending() == 1


@pytest.fixture
def manage(keymanager, tmp_path):
    """Run keymanager-manage; return what it printed."""

    def run(*arguments, code=0, also=""):
        config = tmp_path / "manage.conf"
        settings = keymanager.settings
        keys = f"[simple_crypto_plugin]\nkek = {settings.keks[0]}\n"
        config.write_text(f"[database]\nconnection = {settings.database_url}\n{keys}{also}")
        done = CliRunner().invoke(group, ["--config-file", str(config), *arguments])
        assert done.exit_code == code, done.output
        return done.output

    return run


def hold_pin(keymanager, release):
    """Have the fleet, which is nobody yet, be at this release."""
    keymanager.parts.registry.create_tables()
    keymanager.parts.registry.hold(Release.parse(str(release)))
    sql(keymanager, "UPDATE bascule_pin SET pin = ?, hold = NULL", str(release))


def test_an_operator_sees_how_orders_are_kept_and_seals_them(keymanager, manage, sealing):
    place(keymanager)
    assert "finish that upgrade first" in manage("orders", "reseal", code=1)
    hold_pin(keymanager, "2028.1")
    assert json.loads(manage("orders", "status", "--json")) == {
        "pin": "2028.1",
        "plain_is_removed": False,
        "plain": 1,
        "both": 0,
        "sealed": 0,
    }
    assert manage("orders", "reseal", "--project", "p2") == "0 orders sealed, 0 plain ones removed\n"
    assert manage("orders", "reseal") == "1 orders sealed, 0 plain ones removed\n"
    assert "0 plain, 1 sealed beside the plain one, 0 sealed alone" in manage("orders", "status")
    keymanager.contract()
    assert manage("orders", "reseal") == "0 orders sealed, 1 plain ones removed\n"
    assert "plain ones are removed" in manage("orders", "status", "--check")
    damage(sealing, keymanager.wakes[0], "changed", None)
    assert f"does not open: {keymanager.wakes[0]}" in manage("orders", "status", "--check", code=1)


def test_no_command_seals_orders_beside_barbican(keymanager, manage):
    hold_pin(keymanager, "2028.1")
    also = "[DEFAULT]\ntransport_url = rabbit://\n[queue]\nshare_with_barbican = True\n"
    assert "share_with_barbican is on" in manage("orders", "reseal", code=1, also=also)


def test_commands_say_what_to_do_on_the_database_of_an_earlier_release(keymanager, manage):
    keymanager.parts.schema.rollback(to=Release.parse("2027.2"))
    assert "keymanager-db-manage expand" in manage("orders", "status", code=1)
    assert "cleaned up 0 rows" in manage("db", "clean")
    answers = {check.name: check.ask() for check in upgrade_checks(keymanager.parts)}
    assert int(answers["sealed orders open"][0]) == 0
