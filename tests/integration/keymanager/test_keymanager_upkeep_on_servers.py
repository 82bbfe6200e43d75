"""Cleaning, ending projects, wrapping and sealing again, and pairs of keys, on real PostgreSQL and MariaDB."""

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from bascule_keymanager.clock import utc_now
from bascule_keymanager.crypto.envelope import Envelope
from bascule_keymanager.crypto.simple import MasterKeys, SimpleCrypto
from bascule_keymanager.storage.clean import Cleaner
from bascule_keymanager.storage.project_end import Ended, ProjectEnd
from bascule_keymanager.storage.reseal import Resealer
from bascule_keymanager.storage.rewrap import Rewrapper


def path_of(reference):
    return "/v1" + reference.partition("/v1")[2]


@pytest.fixture
def client(keymanager):
    return keymanager.client()


@pytest.fixture
def post(client):
    def one(payload="payload"):
        body = {"payload": payload, "payload_content_type": "text/plain"}
        return path_of(client.simulate_post("/v1/secrets", json=body).json["secret_ref"])

    return one


def count(keymanager, table):
    with keymanager.database.reader.connect() as connection:
        return connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar()


def order(client, keymanager, kind, **meta):
    client.simulate_post("/v1/orders", json={"type": kind, "meta": meta})
    assert keymanager.processor.process_id(keymanager.wakes[-1]) == "done"
    return client.simulate_get(f"/v1/orders/{keymanager.wakes[-1]}").json


def test_a_pair_of_keys_is_made_and_listed_by_its_meta(client, keymanager):
    shown = order(client, keymanager, "asymmetric", name="pair", algorithm="rsa", bit_length=1024, passphrase="p")
    container = client.simulate_get(path_of(shown["container_ref"])).json
    assert {each["name"] for each in container["secret_refs"]} == {
        "private_key",
        "public_key",
        "private_key_passphrase",
    }
    assert client.simulate_get("/v1/orders?meta=pair").json["total"] == 1
    assert client.simulate_get("/v1/orders?meta=pai").json["total"] == 0
    assert client.simulate_delete(f"/v1/orders/{keymanager.wakes[-1]}").status_code == 204


def test_what_was_deleted_is_removed_in_the_order_that_foreign_keys_want(client, keymanager, post):
    kept, gone = post(), post()
    shown = order(client, keymanager, "key", algorithm="aes", bit_length=128)
    for path in (gone, path_of(shown["secret_ref"])):
        client.simulate_delete(path)
    keymanager.projects.get_or_create("empty")
    with keymanager.database.writer.begin() as connection:
        connection.execute(sa.text("UPDATE projects SET created_at = '2020-01-01 00:00:00'"))
        connection.execute(sa.text(f"UPDATE secrets SET expiration = '2020-01-01' WHERE id = '{kept[-36:]}'"))
    cleaner = Cleaner(keymanager.database, rows_per_batch=1)
    assert sum(batch.rows for batch in cleaner.unused_projects()) == 1
    assert {batch.table for batch in cleaner.expired_secrets()} == {
        "encrypted_data",
        "secret_store_metadata",
        "secrets",
    }
    for _ in cleaner.marked(before=utc_now()):
        pass
    assert count(keymanager, "secrets") == 1  # an order refers to it
    client.simulate_delete(f"/v1/orders/{keymanager.wakes[-1]}")
    for _ in cleaner.marked(before=utc_now()):
        pass
    tables = ("secrets", "orders", "encrypted_data", "secret_store_metadata")
    assert [count(keymanager, table) for table in tables] == [0] * 4
    assert count(keymanager, "projects") == 1


def test_a_project_ends_with_all_that_it_has(client, keymanager, post):
    post()
    order(client, keymanager, "asymmetric", algorithm="rsa", bit_length=1024)
    ending = ProjectEnd(keymanager.database, keymanager.projects, keymanager.secrets)
    assert ending.end("p1") == Ended(secrets=3, containers=1)
    assert client.simulate_get("/v1/secrets").json["total"] == 0
    assert client.simulate_get(post("again") + "/payload").text == "again"


def test_payloads_and_keys_are_sealed_and_wrapped_again(client, keymanager, post):
    paths = [post(f"payload {number}") for number in range(5)]
    plugins = keymanager.parts.crypto_plugins
    for name in (Envelope.plugin_name, SimpleCrypto.plugin_name):
        resealer = Resealer(keymanager.database, keymanager.projects, plugins, plugins[name])
        after, done = "", 0
        while after is not None:
            batch = resealer.run_batch(after=after, most=2)
            after, done = batch.last, done + batch.resealed
        assert (done, resealer.left()) == (5, 0)
        assert [client.simulate_get(path + "/payload").text for path in paths] == [
            f"payload {number}" for number in range(5)
        ]
    new = Fernet.generate_key().decode()
    both = MasterKeys([new, *keymanager.settings.keks])
    rewrapped = list(Rewrapper(keymanager.database).run(list(plugins), both.rewrap, dry_run=False))
    assert len(rewrapped) == 2
    other = keymanager.again(keks=(new,))
    assert other.client().simulate_get(paths[0] + "/payload").text == "payload 0"
    key = other.projects.renew_key(other.projects.get_or_create("p1"), plugins[SimpleCrypto.plugin_name])
    assert other.key_of().id == key.id
    other.database.dispose()
