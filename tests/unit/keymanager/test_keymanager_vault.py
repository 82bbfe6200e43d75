"""Payloads that a store elsewhere keeps: our tables have their names, and nothing is left behind there or here."""

import itertools
import threading

import pytest

from bascule_keymanager.config_stores import ConfiguredStore
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.storage.project_end import Ended, ProjectEnd
from bascule_keymanager.storage.versions import Expected, Moved, NewVersion
from bascule_keymanager.stores.vault import VaultStore


class Shelf:
    """A store of names and bytes in this process; `broken` is what it does not do."""

    def __init__(self):
        self.kept, self.broken, self._names = {}, set(), itertools.count()

    def store(self, payload):
        self._check("store")
        name = f"name-{next(self._names)}"
        self.kept[name] = payload
        return name

    def get(self, name):
        self._check("get")
        return self.kept[name]

    def delete(self, name):
        self._check("delete")
        self.kept.pop(name, None)

    def _check(self, what):
        if what in self.broken:
            raise OSError("hunter2")


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def vaulted(keymanager, shelf, monkeypatch):
    """The same key manager with its payloads on the shelf."""
    monkeypatch.setattr("bascule_keymanager.stores.vault.castellan_backend", lambda _settings: shelf)
    other = keymanager.again(store_plugins=("vault_plugin", "store_crypto"))
    yield other
    other.database.dispose()


def post(client, payload="payload", status=201):
    body = {"payload": payload, "payload_content_type": "text/plain"}
    answer = client.simulate_post("/v1/secrets", json=body)
    assert answer.status_code == status
    return "/v1" + answer.json["secret_ref"].partition("/v1")[2] if status == 201 else None


def rows(keymanager, text):
    with keymanager.database.reader.connect() as connection:
        return connection.exec_driver_sql(text).all()


def test_our_tables_have_the_name_in_barbicans_form_and_no_payload(vaulted, shelf):
    path = post(vaulted.client())
    assert shelf.kept == {"name-0": b"payload"}
    assert dict(rows(vaulted, "SELECT key, value FROM secret_store_metadata")) == {
        "plugin_name": "barbican.plugin.vault_secret_store.VaultSecretStore",
        "content_type": "text/plain",
        "key_id": "name-0",
        "version": "1",
    }
    assert rows(vaulted, "SELECT count(*) FROM encrypted_data") == [(0,)]
    shown = vaulted.client().simulate_get(path).json
    assert shown["content_types"] == {"default": "text/plain"}
    assert vaulted.client().simulate_get(path + "/payload").text == "payload"


def test_what_each_store_keeps_is_read_by_its_own_plugin(keymanager, vaulted):
    ours, theirs = post(keymanager.client(), "ours"), post(vaulted.client(), "theirs")
    assert vaulted.client().simulate_get(ours + "/payload").text == "ours"
    assert vaulted.client().simulate_get(theirs + "/payload").text == "theirs"
    assert keymanager.client().simulate_get(theirs + "/payload").status_code == 500  # it has no vault


def test_deleting_a_secret_deletes_it_there_first(vaulted, shelf):
    client = vaulted.client()
    path = post(client)
    shelf.broken = {"delete"}
    assert client.simulate_delete(path).status_code == 503
    assert client.simulate_get(path + "/payload").text == "payload"
    shelf.broken = set()
    assert client.simulate_delete(path).status_code == 204
    assert shelf.kept == {}


def test_a_second_step_that_comes_too_late_leaves_nothing_there(vaulted, shelf):
    client = vaulted.client()
    path = "/v1" + client.simulate_post("/v1/secrets", json={}).json["secret_ref"].partition("/v1")[2]
    assert client.simulate_get(path + "/payload").status_code == 404
    start, answers = threading.Barrier(4), []

    def put(number):
        start.wait()
        answer = client.simulate_put(path, body=b"%d" % number, content_type="text/plain")
        answers.append(answer.status_code)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [204, 409, 409, 409]
    assert len(shelf.kept) == 1
    assert client.simulate_get(path + "/payload").content in shelf.kept.values()


def test_rows_that_cannot_be_inserted_leave_nothing_there(vaulted, shelf, monkeypatch):
    def refuse(_work):
        raise RuntimeError

    vaulted.projects.get_or_create("p1")
    monkeypatch.setattr(vaulted.database, "write", refuse)
    post(vaulted.client(), status=500)
    assert shelf.kept == {}


def test_orders_are_kept_there_and_one_that_fails_half_way_leaves_nothing(vaulted, shelf):
    client = vaulted.client()
    for kind, meta in (
        ("key", {"algorithm": "aes", "bit_length": 256}),
        ("asymmetric", {"algorithm": "rsa", "bit_length": 1024, "passphrase": "p"}),
    ):
        client.simulate_post("/v1/orders", json={"type": kind, "meta": meta})
        assert vaulted.processor.process_id(vaulted.wakes[-1]) == "done"
    assert len(shelf.kept) == 4
    client.simulate_post("/v1/orders", json={"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}})
    [waiting] = vaulted.orders.pending(older_than_s=0, most=5)
    assert [vaulted.processor.process(waiting) for _ in range(2)] == ["done", "not pending"]
    assert len(shelf.kept) == 5  # of whoever came second nothing is left


def test_a_project_that_ends_is_deleted_there_too(vaulted, shelf):
    for _ in range(3):
        post(vaulted.client())
    ending = ProjectEnd(vaulted.database, vaulted.projects, vaulted.secrets)
    assert ending.end("p1") == Ended(secrets=3, containers=0)
    assert shelf.kept == {}


def test_a_store_that_is_away_is_told_apart_and_quotes_nothing(vaulted, shelf, capsys):
    shelf.broken = {"store"}
    post(vaulted.client(), status=503)
    logged = capsys.readouterr().out
    assert "the secret store failed" in logged
    assert "hunter2" not in logged


def test_what_an_old_barbican_kept_without_saying_how_is_not_guessed_at(vaulted):
    path = post(vaulted.client())
    with vaulted.database.writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM secret_store_metadata WHERE key = 'version'")
    assert vaulted.client().simulate_get(path + "/payload").status_code == 500


def test_projects_may_choose_it(make_keymanager, sqlite_url, shelf, monkeypatch):
    monkeypatch.setattr("bascule_keymanager.stores.vault.castellan_backend", lambda _settings: shelf)
    soft = ConfiguredStore("Software Only Crypto", "store_crypto", "simple_crypto", global_default=True)
    vault = ConfiguredStore("VaultSecretStore", "vault_plugin", None, global_default=False)
    keymanager = make_keymanager(sqlite_url, secret_stores=(soft, vault))
    stores = keymanager.parts.holdings.secret_stores
    stores.sync(keymanager.settings.secret_stores)
    post(keymanager.client())
    assert shelf.kept == {}
    [chosen] = [store for store in stores.all() if store.name == "VaultSecretStore"]
    stores.prefer(keymanager.projects.get_or_create("p2").id, chosen.id)
    post(keymanager.client(project="p2"))
    assert list(shelf.kept.values()) == [b"payload"]


def test_a_store_that_nobody_knows_is_refused_by_name(keymanager):
    with pytest.raises(ConfigRefused, match="names dogtag_plugin; there are store_crypto, vault_plugin, kmip_plugin"):
        keymanager.again(store_plugins=("dogtag_plugin",))
    assert VaultStore.plugin_name.startswith("barbican.")


def versions_of(path):
    return path.replace("/v1/", "/v1/bascule/") + "/versions"


def add_version(client, path, payload, status=201):
    body = {"payload": payload, "payload_content_type": "text/plain"}
    answer = client.simulate_post(versions_of(path), json=body)
    assert answer.status_code == status, answer.text


def test_versions_move_between_the_stores_that_keep_them(keymanager, vaulted, shelf):
    client = vaulted.client()
    path = post(client, "one")
    add_version(client, path, "two")
    assert sorted(shelf.kept.values()) == [b"one", b"two"]
    add_version(keymanager.client(), path, "three")  # a process that keeps payloads in our tables
    labels = path.replace("/v1/", "/v1/bascule/") + "/labels/current"
    for current in (1, 3, 2, 1, 3):
        assert client.simulate_put(labels, json={"version": current}).status_code == 200
        texts = [client.simulate_get(f"{versions_of(path)}/{number}/payload").text for number in (1, 2, 3)]
        assert texts == ["one", "two", "three"]
        assert client.simulate_get(path + "/payload").text == texts[current - 1]
        sealed = rows(vaulted, "SELECT count(*) FROM encrypted_data")
        assert sealed == [(1 if current == 3 else 0,)]
    assert sorted(shelf.kept.values()) == [b"one", b"two"]
    assert client.simulate_delete(path).status_code == 204
    assert shelf.kept == {}
    assert rows(vaulted, "SELECT count(*) FROM bascule_secret_versions") == [(0,)]


def test_a_payload_that_the_store_does_not_delete_is_read_by_nobody_and_deleted_later(vaulted, shelf):
    client = vaulted.client()
    path = post(client, "one")
    add_version(client, path, "two")
    shelf.broken = {"delete"}
    assert client.simulate_delete(versions_of(path) + "/1/payload").status_code == 503
    assert client.simulate_get(versions_of(path) + "/1/payload").status_code == 404
    assert b"one" in shelf.kept.values()
    shelf.broken = set()
    assert client.simulate_delete(versions_of(path) + "/1/payload").status_code == 204
    assert list(shelf.kept.values()) == [b"two"]
    add_version(client, path, "three")
    shelf.broken = {"delete"}
    assert client.simulate_delete(versions_of(path) + "/2/payload").status_code == 503
    with vaulted.database.writer.begin() as connection:  # as long ago as the upkeep waits
        connection.exec_driver_sql("UPDATE bascule_secret_versions SET destroyed_at = '2026-01-01 00:00:00.000000'")
    shelf.broken = set()
    assert vaulted.parts.versions.upkeep() == 1
    assert list(shelf.kept.values()) == [b"three"]
    assert vaulted.parts.versions.upkeep() == 0


def test_versions_that_go_for_newer_ones_and_that_lose_leave_nothing_there(keymanager, vaulted, shelf):
    other = vaulted.again(max_versions=2)
    client = other.client()
    path = post(client, "one")
    for payload in ("two", "three", "four"):
        add_version(client, path, payload)
    assert sorted(shelf.kept.values()) == [b"four", b"three"]
    body = {"payload": "late", "payload_content_type": "text/plain", "expected_version": 1}
    assert client.simulate_post(versions_of(path), json=body).status_code == 409
    secret_id = path.rpartition("/")[2]
    with pytest.raises(Moved):  # when it looks the second time, too
        other.parts.versions.add(
            other.projects.get_or_create("p1"),
            secret_id,
            NewVersion("text/plain", "u1"),
            lambda store: store.keep(other.projects.get_or_create("p1"), secret_id, b"late"),
            expected=Expected(1),
        )
    assert sorted(shelf.kept.values()) == [b"four", b"three"]
    other.database.dispose()
