"""keymanager-manage: cleaning, and keys and payloads that are wrapped and sealed again."""

import datetime as dt
import itertools
import json
import threading
import time

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from structlog.testing import capture_logs

from bascule_keymanager.cli.manage import group
from bascule_keymanager.clock import utc_now
from bascule_keymanager.config import load_settings
from bascule_keymanager.crypto.envelope import Envelope
from bascule_keymanager.crypto.simple import SimpleCrypto
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.storage.clean import Cleaner
from bascule_keymanager.storage.project_end import Ended, ProjectEnd
from bascule_keymanager.storage.reseal import Resealer
from bascule_keymanager.worker.cleaning import Cleaning

LONG_AGO = utc_now() - dt.timedelta(days=400)


@pytest.fixture
def manage(keymanager, tmp_path):
    """Run keymanager-manage; return what it printed."""
    numbers = itertools.count()

    def run(*arguments, code=0, keks=None, also=""):
        config = tmp_path / f"{next(numbers)}.conf"
        keys = "".join(f"kek = {key}\n" for key in keks or keymanager.settings.keks)
        url = keymanager.settings.database_url
        config.write_text(f"[database]\nconnection = {url}\n[simple_crypto_plugin]\n{keys}{also}")
        done = CliRunner().invoke(group, ["--config-file", str(config), *arguments])
        assert done.exit_code == code, done.output
        return done.output

    return run


def sql(keymanager, text, *values):
    with keymanager.database.writer.begin() as connection:
        result = connection.exec_driver_sql(text, values)
        return result.all() if result.returns_rows else result.rowcount


def count(keymanager, table):
    return sql(keymanager, f"SELECT count(*) FROM {table}")[0][0]


def age(keymanager, *tables, days=400):
    """Have what is deleted be deleted so many days ago."""
    for table in tables:
        sql(keymanager, f"UPDATE {table} SET deleted_at = datetime('now', '-{days} days') WHERE deleted")


SECRET_TABLES = ("secrets", "secret_store_metadata", "encrypted_data", "secret_user_metadata", "secret_acls")


def test_deleted_rows_go_after_the_days_that_were_said_and_living_ones_stay(keymanager, client, post_secret, manage):
    kept, recent, old = (post_secret() for _ in range(3))
    for path in (recent, old):
        client.simulate_put(path + "/metadata", json={"metadata": {"k": "v"}})
        assert client.simulate_delete(path).status_code == 204
    for table in SECRET_TABLES[:4]:
        column = "id" if table == "secrets" else "secret_id"
        sql(keymanager, f"UPDATE {table} SET deleted_at = ? WHERE {column} = ?", str(LONG_AGO), old.rpartition("/")[2])
    assert "cleaned up 5 rows" in manage("db", "clean")  # a secret, its payload, two rows of its store, one of its user
    assert [count(keymanager, table) for table in SECRET_TABLES] == [2, 4, 2, 1, 0]
    assert "cleaned up 5 rows" in manage("db", "clean", "-m", "0", "--verbose", "--batch-size", "1")
    assert [count(keymanager, table) for table in SECRET_TABLES] == [1, 2, 1, 0, 0]
    assert client.simulate_get(kept + "/payload").status_code == 200
    assert "cleaned up 0 rows" in manage("db", "clean", "-m", "0")


def test_what_an_order_refers_to_stays_as_long_as_the_order(keymanager, client, manage):
    client.simulate_post("/v1/orders", json={"type": "key", "meta": {"algorithm": "aes", "bit_length": 128}})
    keymanager.processor.process_id(keymanager.wakes[0])
    order = f"/v1/orders/{keymanager.wakes[0]}"
    reference = client.simulate_get(order).json["secret_ref"]
    client.simulate_delete("/v1" + reference.partition("/v1")[2])
    manage("db", "clean", "-m", "0")
    assert count(keymanager, "secrets") == 1
    assert client.simulate_get(order).json["secret_ref"] == reference
    client.simulate_delete(order)
    manage("db", "clean", "-m", "0")
    assert (count(keymanager, "orders"), count(keymanager, "secrets")) == (0, 0)


def test_expired_secrets_are_deleted_first_where_that_is_asked_for(keymanager, client, post_secret, manage):
    expired, living = post_secret(expiration="2999-01-01T00:00:00"), post_secret(expiration="2999-01-01T00:00:00")
    client.simulate_put(expired + "/acl", json={"read": {"users": ["u2"]}})
    sql(keymanager, "UPDATE secrets SET expiration = ? WHERE id = ?", str(LONG_AGO), expired.rpartition("/")[2])
    manage("db", "clean", "-m", "0")
    assert count(keymanager, "secrets") == 2
    output = manage("db", "clean", "-e", "-m", "90")
    assert "secret_acls: 1" in output
    assert [count(keymanager, table) for table in ("secrets", "secret_acls", "secret_acl_users")] == [2, 0, 0]
    age(keymanager, *SECRET_TABLES[:3])
    manage("db", "clean", "-m", "90")
    assert count(keymanager, "secrets") == 1
    assert client.simulate_get(living + "/payload").status_code == 200


def test_projects_that_have_nothing_go_where_that_is_asked_for_and_young_ones_stay(keymanager, post_secret, manage):
    post_secret()
    for project in ("empty", "young"):
        keymanager.projects.get_or_create(project)
    sql(keymanager, "UPDATE projects SET created_at = ? WHERE external_id <> 'young'", str(LONG_AGO))
    manage("db", "clean")
    assert count(keymanager, "projects") == 3
    assert "projects: 1" in manage("db", "clean", "-p")
    assert sql(keymanager, "SELECT external_id FROM projects ORDER BY 1") == [("p1",), ("young",)]


def test_a_row_that_was_revived_meanwhile_stays(keymanager, client, post_secret):
    path = post_secret()
    consumer = {"service": "nova", "resource_type": "vm", "resource_id": "1"}
    client.simulate_post(path + "/consumers", json=consumer)
    client.simulate_delete(path + "/consumers", json=consumer)
    cleaner = Cleaner(keymanager.database)
    write = keymanager.database.write

    def late(work):
        keymanager.database.write = write
        client.simulate_post(path + "/consumers", json=consumer)
        return write(work)

    keymanager.database.write = late
    assert [batch.rows for batch in cleaner.marked(before=utc_now())] == [0]
    assert client.simulate_get(path + "/consumers").json["total"] == 1


def test_project_keys_are_wrapped_by_the_first_master_key_and_a_dry_run_only_tells(keymanager, post_secret, manage):
    path = post_secret("payload")
    new, [old] = Fernet.generate_key().decode(), keymanager.settings.keks
    [before] = sql(keymanager, "SELECT plugin_meta FROM kek_data")
    assert "would rewrap project-p1-key-" in manage("simple_crypto", "rewrap_pkek", "--dry-run", keks=[new, old])
    assert sql(keymanager, "SELECT plugin_meta FROM kek_data") == [before]
    assert manage("simple_crypto", "rewrap_pkek", keks=[new, old]).startswith("rewrapped project-p1-key-")
    assert manage("simple_crypto", "rewrap_pkek", keks=[new, old]) == ""
    renewed = keymanager.again(keks=(new,))
    assert renewed.client().simulate_get(path + "/payload").text == "payload"
    renewed.database.dispose()
    refused = manage("simple_crypto", "rewrap_pkek", keks=[old], code=1)
    assert "no configured [simple_crypto_plugin] kek opens the project key" in refused


def test_a_new_project_key_seals_and_the_old_payloads_move_to_it(keymanager, post_secret, manage):
    path = post_secret("payload")
    assert "new key" in manage("simple_crypto", "new_pkek", "--project", "p1")
    [(newest,)] = sql(keymanager, "SELECT id FROM kek_data WHERE active")
    assert keymanager.client().simulate_get(path + "/payload").text == "payload"
    assert manage("simple_crypto", "rewrap_secrets", "--project", "p2") == "0 payloads\n"
    assert manage("simple_crypto", "rewrap_secrets", "--project", "p1") == "1 payloads\n"
    assert sql(keymanager, "SELECT kek_id FROM encrypted_data") == [(newest,)]
    assert keymanager.client().simulate_get(path + "/payload").text == "payload"
    fresh = keymanager.again()
    assert fresh.key_of().id == newest
    fresh.database.dispose()


def test_versions_move_to_the_new_key_too_and_one_that_moved_meanwhile_is_not_overwritten(
    keymanager, post_secret, manage
):
    path, client = post_secret("one"), keymanager.client()
    own = path.replace("/v1/", "/v1/bascule/")
    client.simulate_post(own + "/versions", json={"payload": "two", "payload_content_type": "text/plain"})
    manage("simple_crypto", "new_pkek", "--project", "p1")
    plugins = keymanager.parts.crypto_plugins
    keymanager.projects.forget("p1")
    resealer = Resealer(keymanager.database, keymanager.projects, plugins, plugins[SimpleCrypto.plugin_name])
    write = keymanager.database.write

    def write_after_current_moved(work):
        keymanager.database.write = write
        assert client.simulate_put(own + "/labels/current", json={"version": 1}).status_code == 200
        return write(work)

    keymanager.database.write = write_after_current_moved
    assert resealer.run_batch().resealed == 0
    assert client.simulate_get(path + "/payload").text == "one"
    assert manage("simple_crypto", "rewrap_secrets", "--project", "p1") == "2 payloads\n"
    [(newest,)] = sql(keymanager, "SELECT id FROM kek_data WHERE active")
    sealed = (
        "SELECT kek_id FROM encrypted_data UNION SELECT kek_id FROM bascule_secret_versions WHERE kek_id IS NOT NULL"
    )
    assert sql(keymanager, sealed) == [(newest,)]
    texts = [client.simulate_get(f"{own}/versions/{number}/payload").text for number in (1, 2)]
    assert texts == ["one", "two"]


def test_payloads_move_to_a_format_only_when_the_pin_allows_and_back_at_any_time(keymanager, post_secret, manage):
    path = post_secret("payload")
    refused = manage("payloads", "reseal", "--to", "envelope", code=1)
    assert "finish that upgrade first" in refused
    member = keymanager.parts.registry
    member.create_tables()
    joined = member.join("worker-1", "worker")
    try:
        deadline = time.monotonic() + 60
        while joined.pin < RELEASE:  # it is lifted once every live process has said that it can read it
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)
        assert manage("payloads", "reseal", "--to", "envelope") == "1 payloads\n"
    finally:
        joined.leave()
    assert keymanager.client().simulate_get(path + "/payload").text == "payload"
    names = "SELECT k.plugin_name FROM encrypted_data e JOIN kek_data k ON k.id = e.kek_id"
    assert sql(keymanager, names) == [("bascule_keymanager.crypto.envelope.Envelope",)]
    assert manage("payloads", "reseal", "--to", "simple_crypto") == "1 payloads\n"
    assert sql(keymanager, names) == [(SimpleCrypto.plugin_name,)]
    assert "rot13 is not configured" in manage("payloads", "reseal", "--to", "rot13", code=2)


def test_what_an_older_release_does_not_read_is_rewritten_with_the_pin_held_there(keymanager, post_secret, manage):
    old, other = post_secret("old"), post_secret("other")
    names = "SELECT k.plugin_name, count(*) FROM encrypted_data e JOIN kek_data k ON k.id = e.kek_id GROUP BY 1"
    plugins = keymanager.parts.crypto_plugins
    resealer = Resealer(keymanager.database, keymanager.projects, plugins, plugins[Envelope.plugin_name])
    assert resealer.run_batch().resealed == 2
    keymanager.parts.registry.create_tables()
    configured = "[crypto]\nenabled_crypto_plugins = envelope\nenabled_crypto_plugins = simple_crypto\n"
    refused = manage("pin", "lower", "2027.1", code=1, also=configured)
    assert "next: keymanager-manage pin hold 2027.1" in refused
    assert manage("pin", "hold", "2027.2")
    assert "hold it there first" in manage("pin", "lower", "2027.1", code=1, also=configured)
    assert manage("pin", "hold", "2027.1")
    assert manage("pin", "lower", "2027.1", also=configured) == "2 payloads\n"
    assert sql(keymanager, names) == [(SimpleCrypto.plugin_name, 2)]
    assert manage("pin", "lower", "2027.1", also=configured) == "0 payloads\n"
    client = keymanager.client()
    assert [client.simulate_get(path + "/payload").text for path in (old, other)] == ["old", "other"]


def test_whoever_lowers_the_pin_waits_for_the_batch_that_a_command_has_in_hand(keymanager, post_secret, manage):
    post_secret("payload")
    registry = keymanager.parts.registry
    registry.create_tables()
    manage("pin", "hold", "2027.2")
    sql(keymanager, "UPDATE bascule_pin SET pin = '2027.2', hold = NULL")
    with keymanager.parts.taking_part():
        with keymanager.parts.speaking() as pin:
            assert str(pin) == "2027.2"
            manage("pin", "hold", "2027.1")
            [command] = registry.status()[3]
            assert (command.role, command.acknowledged_epoch) == ("command", registry.status()[1] - 1)
            assert "not every process works by 2027.1 yet" in manage("pin", "lower", "2027.1", code=1)
            threading.Event().wait(1.5)  # three beats: it does not acknowledge meanwhile
            assert registry.status()[3][0].acknowledged_epoch < registry.status()[1]
        deadline = time.monotonic() + 60
        while registry.status()[3][0].acknowledged_epoch < registry.status()[1]:
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)
        with keymanager.parts.speaking() as pin:
            assert str(pin) == "2027.1"
        assert manage("pin", "lower", "2027.1") == "0 payloads\n"
    assert [process.state for process in registry.status()[3]] == ["stopped"]


def test_a_command_that_takes_part_lifts_no_pin(keymanager, post_secret, manage):
    post_secret("payload")
    registry = keymanager.parts.registry
    registry.create_tables()
    manage("pin", "hold", "2027.2")
    sql(keymanager, "UPDATE bascule_pin SET pin = '2027.2', hold = NULL")
    assert manage("payloads", "reseal", "--to", "envelope") == "1 payloads\n"
    with keymanager.parts.taking_part():
        threading.Event().wait(1.5)  # three beats, in which the only process of a fleet would lift it
    assert str(registry.status()[0]) == "2027.2"


def test_payloads_that_the_older_release_reads_stay_as_they_are(keymanager, post_secret, manage):
    post_secret("payload")
    manage("simple_crypto", "new_pkek", "--project", "p1")
    keymanager.parts.registry.create_tables()
    manage("pin", "hold", "2027.1")
    before = sql(keymanager, "SELECT kek_id, cypher_text FROM encrypted_data")
    assert manage("pin", "lower", "2027.1") == "0 payloads\n"
    assert sql(keymanager, "SELECT kek_id, cypher_text FROM encrypted_data") == before


def test_the_module_s_commands_say_which_option_is_missing(manage):
    assert "library_path is not set" in manage(
        "hsm", "check_mkek", code=1, also="[p11_crypto_plugin]\nmkek_label = m\nhmac_label = h\n"
    )
    assert "mkek_label is not set" in manage("hsm", "gen_hmac", code=1)


STORES = """[secretstore]
enable_multiple_secret_stores = True
stores_lookup_suffix = software
[secretstore:software]
secret_store_plugin = store_crypto
crypto_plugin = simple_crypto
global_default = True
"""


def test_secret_stores_are_synced_from_the_file(keymanager, manage):
    assert manage("db", "sync_secret_stores") == "projects may not choose among secret stores\n"
    assert manage("db", "sync_secret_stores", "-V", also=STORES) == "Software Only Crypto\n1 secret stores\n"
    assert sql(keymanager, "SELECT name FROM secret_stores") == [("Software Only Crypto",)]


def test_the_end_of_a_project_takes_what_it_has_and_nothing_of_others(keymanager, client, post_secret):
    ended = ProjectEnd(keymanager.database, keymanager.projects, keymanager.secrets)
    paths = [post_secret(f"payload {number}") for number in range(3)]
    names = [{"name": "s", "secret_ref": f"http://falconframework.org{paths[0]}"}]
    made = client.simulate_post("/v1/containers", json={"type": "generic", "secret_refs": names})
    container = "/v1" + made.json["container_ref"].partition("/v1")[2]
    client.simulate_put(container + "/acl", json={"read": {"users": ["u2"]}})
    client.simulate_post(container + "/consumers", json={"name": "n", "URL": "http://u"})
    client.simulate_post("/v1/orders", json={"type": "key", "meta": {"algorithm": "aes", "bit_length": 128}})
    other = keymanager.client(project="p2")
    body = {"payload": "theirs", "payload_content_type": "text/plain"}
    theirs = "/v1" + other.simulate_post("/v1/secrets", json=body).json["secret_ref"].partition("/v1")[2]

    assert ended.end("nobody") is None
    assert ended.end("p1") == Ended(secrets=3, containers=1)
    assert ended.end("p1") is None
    assert {client.simulate_get(path).status_code for path in [*paths, container]} == {404}
    assert other.simulate_get(theirs + "/payload").text == "theirs"
    for table in (
        "secrets",
        "containers",
        "container_secret",
        "container_consumer_metadata",
        "kek_data",
        "encrypted_data",
    ):
        of_p1 = 0 if table in ("containers", "container_secret", "container_consumer_metadata") else 1
        assert sql(keymanager, f"SELECT count(*) FROM {table} WHERE NOT deleted") == [(of_p1,)], table
    assert count(keymanager, "container_acls") + count(keymanager, "container_acl_users") == 0
    assert sql(keymanager, "SELECT deleted FROM orders") == [(0,)]
    assert sql(keymanager, "SELECT external_id FROM projects WHERE deleted") == [("p1",)]
    # Whoever uses the project again begins anew.
    again = client.simulate_post("/v1/secrets", json=body)
    assert client.simulate_get("/v1" + again.json["secret_ref"].partition("/v1")[2] + "/payload").text == "theirs"
    assert json.loads(client.simulate_get("/v1/secrets").text)["total"] == 1


def test_a_worker_removes_what_was_deleted_long_ago_a_batch_at_each_sweep_and_rests(keymanager, client, post_secret):
    old, recent, kept = (post_secret() for _ in range(3))
    for path in (old, recent):
        client.simulate_delete(path)
    for table in SECRET_TABLES[:3]:
        column = "id" if table == "secrets" else "secret_id"
        sql(keymanager, f"UPDATE {table} SET deleted_at = ? WHERE {column} = ?", str(LONG_AGO), old.rpartition("/")[2])
    now = [0.0]
    cleaning = Cleaning(Cleaner(keymanager.database, rows_per_batch=1), 90, rest_s=60, monotonic=lambda: now[0])
    steps = [count(keymanager, "encrypted_data")]
    with capture_logs() as logs:
        for _ in range(6):
            cleaning.step()
            steps.append(sum(count(keymanager, table) for table in SECRET_TABLES[:3]))
    assert steps == [3, 11, 10, 9, 8, 8, 8]
    assert [(log["event"], log["secrets"], log["secret_store_metadata"]) for log in logs] == [
        ("deleted rows removed", 1, 2)
    ]
    sql(keymanager, "UPDATE secrets SET deleted_at = ? WHERE deleted", str(LONG_AGO))
    seen = keymanager.count_statements()
    cleaning.step()
    assert seen == []  # it rests
    now[0] = 61
    cleaning.step()
    assert seen
    assert client.simulate_get(kept + "/payload").status_code == 200


def test_a_worker_whose_clean_up_fails_goes_on(keymanager):
    def fail(**_):
        raise RuntimeError("a value")
        yield

    cleaner = Cleaner(keymanager.database)
    cleaner.marked = fail
    with capture_logs() as logs:
        Cleaning(cleaner, 0).step()
    assert [(log["event"], log["error"]) for log in logs] == [("deleted rows not removed", "RuntimeError")]


def test_workers_clean_up_only_where_the_file_says_so(tmp_path, keymanager):
    for line, days in (("", None), ("clean_after_days = -1", None), ("clean_after_days = 30", 30)):
        config = tmp_path / "days.conf"
        keys = f"[simple_crypto_plugin]\nkek = {keymanager.settings.keks[0]}\n"
        config.write_text(f"[database]\nconnection = {keymanager.settings.database_url}\n{keys}[worker]\n{line}\n")
        assert load_settings(str(config)).clean_after_days == days
