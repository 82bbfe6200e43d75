"""vault_plugin with a real OpenBao behind it, and with real Barbican beside it. `make openbao` installs both."""

import base64
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.keymanager_servers import authtoken, keymanager_servers
from support.keystone_stub import running
from support.stub_fleet import free_port

from bascule_keymanager.config_stores import VaultSettings
from bascule_keymanager.crypto.plugin import Place
from bascule_keymanager.errors import StoreFailed
from bascule_keymanager.stores.store import Found
from bascule_keymanager.stores.vault import VaultStore, castellan_backend

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

TOKEN = "root-token-of-this-test"
PAYLOAD = bytes(range(256))
POLICY = 'path "secret/data/keys/*" { capabilities = ["create", "read", "update", "delete"] }'


def program(variable):
    """Return the program that `make openbao` names in this variable."""
    assert variable in os.environ, f"{variable} is not set: these tests are run by `make openbao`"
    return Path(os.environ[variable])


class OpenBao:
    """A server that keeps everything in its memory."""

    def __init__(self, url):
        self.url, self.unseal_key = url, ""

    def ask(self, method, path, document=None, *, namespace=None, token=TOKEN):
        """Ask its own API; return the status and the JSON that it answers."""
        headers = {"X-Vault-Token": token} | ({"X-Vault-Namespace": namespace} if namespace else {})
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}/v1/{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read() or "null")

    def tell(self, method, path, document=None, **more):
        """Ask for what it must do."""
        status, answer = self.ask(method, path, document, **more)
        assert status in (200, 204), (status, answer)
        return answer

    def names(self, folder="", mount="secret", *, of_old=False):
        """Return the names of all in this folder that can be read."""
        at, read = (mount, mount) if of_old else (f"{mount}/metadata", f"{mount}/data")
        status, answer = self.ask("LIST", f"{at}/{folder}")
        names = answer["data"]["keys"] if status == 200 else []
        return [name for name in names if self.ask("GET", f"{read}/{folder}{name}")[0] == 200]

    def settings(self, **more):
        """Return our options that lead to it."""
        return VaultSettings(**{"root_token_id": TOKEN, "vault_url": self.url, **more})

    def store(self, **more):
        """Return our store on it."""
        settings = self.settings(**more)
        return VaultStore(lambda: castellan_backend(settings))


@pytest.fixture(scope="module")
def bao(tmp_path_factory):
    home, port = tmp_path_factory.mktemp("bao"), free_port()
    server = OpenBao(f"http://127.0.0.1:{port}")
    where = ["-dev", f"-dev-root-token-id={TOKEN}", f"-dev-listen-address=127.0.0.1:{port}", "-dev-no-store-token"]
    log = home / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program("BASCULE_BAO"), "server", *where], stdout=out, stderr=out, env={"HOME": str(home)}
        )
    try:
        until = time.monotonic() + 120
        while "Unseal Key:" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        server.unseal_key = log.read_text().partition("Unseal Key: ")[2].split()[0]
        yield server
    finally:
        process.terminate()
        process.wait(30)


def found(kept):
    return Found(Place("s", "p1"), None, None, kept.metadata)


def keeps(store):
    """Keep a payload, read it, and forget it twice."""
    kept = store.keep(None, "s", PAYLOAD)
    assert store.read(found(kept)) == PAYLOAD
    store.forget(kept.metadata)
    store.forget(kept.metadata)
    with pytest.raises(StoreFailed, match="ManagedObjectNotFoundError"):
        store.read(found(kept))


def test_payloads_go_there_and_come_back_and_go(bao):
    store = bao.store(kv_path="a/folder")
    kept = store.keep(None, "s", PAYLOAD)
    assert bao.names("a/folder/") == [kept.metadata["key_id"]]
    store.forget(kept.metadata)
    assert bao.names("a/folder/") == []
    keeps(bao.store())


def test_what_is_deleted_can_be_brought_back_by_whoever_runs_the_server(bao):
    # The way of castellan, and so of Barbican: docs/reference/keymanager-stores.md tells how to end it.
    store = bao.store()
    kept = store.keep(None, "s", PAYLOAD)
    name = kept.metadata["key_id"]
    store.forget(kept.metadata)
    bao.tell("POST", f"secret/undelete/{name}", {"versions": [1]})
    assert store.read(found(kept)) == PAYLOAD
    bao.tell("DELETE", f"secret/metadata/{name}")
    with pytest.raises(StoreFailed):
        store.read(found(kept))


def test_the_first_version_of_keys_and_values(bao):
    bao.tell("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
    keeps(bao.store(kv_mountpoint="old", kv_version=1))
    assert bao.names(mount="old", of_old=True) == []


def test_an_app_role_gets_in_with_no_more_than_it_needs(bao):
    bao.tell("POST", "sys/auth/approle", {"type": "approle"})
    bao.tell("PUT", "sys/policies/acl/keys", {"policy": POLICY})
    bao.tell("POST", "auth/approle/role/keys", {"token_policies": "keys", "token_ttl": "60s"})
    role = bao.tell("GET", "auth/approle/role/keys/role-id")["data"]["role_id"]
    secret = bao.tell("POST", "auth/approle/role/keys/secret-id", {})["data"]["secret_id"]
    entrance = {"root_token_id": None, "approle_role_id": role, "approle_secret_id": secret}
    keeps(bao.store(**entrance, kv_path="keys"))
    with pytest.raises(StoreFailed) as refusal:
        bao.store(**entrance, kv_path="elsewhere").keep(None, "s", PAYLOAD)
    assert secret not in str(refusal.value)


def test_a_namespace_of_its_own(bao):
    bao.tell("POST", "sys/namespaces/team", {})
    bao.tell("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}, namespace="team")
    store = bao.store(namespace="team")
    kept = store.keep(None, "s", PAYLOAD)
    assert store.read(found(kept)) == PAYLOAD
    with pytest.raises(StoreFailed):
        bao.store().read(found(kept))
    store.forget(kept.metadata)


def test_a_wrong_token_is_refused_without_being_told(bao):
    with pytest.raises(StoreFailed) as refusal:
        bao.store(root_token_id="hunter2").keep(None, "s", PAYLOAD)
    assert "hunter2" not in f"{refusal.value}{refusal.value.__cause__}"


def test_a_sealed_server_is_an_error_until_it_is_unsealed(bao):
    store = bao.store()
    kept = store.keep(None, "s", PAYLOAD)
    bao.tell("PUT", "sys/seal")
    with pytest.raises(StoreFailed):
        store.read(found(kept))
    bao.tell("PUT", "sys/unseal", {"key": bao.unseal_key})
    assert store.read(found(kept)) == PAYLOAD
    store.forget(kept.metadata)


class Client:
    """Somebody with a token who asks a key manager."""

    def __init__(self, url):
        self._url = url

    def ask(self, method, path, document=None, accept="application/json"):
        headers = {"X-Auth-Token": "t", "Content-Type": "application/json", "Accept": accept}
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self._url + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
            return json.loads(text) if text and accept == "application/json" else text

    def keep(self, payload):
        content = {"payload_content_type": "application/octet-stream", "payload_content_encoding": "base64"}
        made = self.ask("POST", "/v1/secrets", {"payload": base64.b64encode(payload).decode(), **content})
        return path_of(made["secret_ref"])

    def read(self, path):
        return self.ask("GET", f"{path}/payload", accept="application/octet-stream")

    def order(self, kind, **meta):
        path = path_of(self.ask("POST", "/v1/orders", {"type": kind, "meta": meta})["order_ref"])
        until = time.monotonic() + 120
        while (order := self.ask("GET", path))["status"] == "PENDING":
            assert time.monotonic() < until, order
            time.sleep(0.05)
        assert order["status"] == "ACTIVE", order
        return order


def path_of(reference):
    return "/v1" + reference.partition("/v1")[2]


@pytest.fixture
def keystone():
    with running() as server:
        server.issue("t")
        yield server


def options(bao, folder):
    return {"vault_url": bao.url, "root_token_id": TOKEN, "kv_path": folder}


@contextlib.contextmanager
def ours(folder, vault, keystone, database=None):
    """Run our processes with these options of vault_plugin, and yield a client of them."""
    lines = "\n".join(f"{name} = {value}" for name, value in vault.items())
    more = f"[secretstore]\nenabled_secretstore_plugins = vault_plugin\n[vault_plugin]\n{lines}\n"
    kek = base64.urlsafe_b64encode(os.urandom(32)).decode()
    with keymanager_servers(folder, kek, authtoken(f"{keystone.url}/v3"), database, more) as url:
        yield Client(url)


def test_the_whole_key_manager_keeps_its_payloads_there(bao, keystone, tmp_path):
    with ours(tmp_path, options(bao, "whole"), keystone) as client:
        path = client.keep(PAYLOAD)
        assert client.read(path) == PAYLOAD
        key = client.order("key", algorithm="aes", bit_length=256)
        assert len(client.read(path_of(key["secret_ref"]))) == 32
        pair = client.order("asymmetric", algorithm="rsa", bit_length=2048, passphrase="open")
        parts = {
            part["name"]: path_of(part["secret_ref"])
            for part in client.ask("GET", path_of(pair["container_ref"]))["secret_refs"]
        }
        assert client.read(parts["private_key"]).startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        assert client.read(parts["private_key_passphrase"]) == b"open"
        assert len(bao.names("whole/")) == 5
        for each in (path, path_of(key["secret_ref"]), *parts.values()):
            client.ask("DELETE", each)
        assert bao.names("whole/") == []


def test_barbican_and_ours_read_what_the_other_kept_there(bao, keystone, tmp_path):
    from barbican_recording.servers import barbican

    programs, folder = program("BASCULE_BARBICAN"), tmp_path / "barbican"
    plugins = {"secretstore": {"enabled_secretstore_plugins": "vault_plugin"}, "vault_plugin": options(bao, "both")}
    database = f"sqlite:///{folder}/barbican.db"
    with barbican(programs, folder, authtoken(f"{keystone.url}/v3"), plugins) as url:
        theirs = Client(url)
        kept, ordered = theirs.keep(PAYLOAD), theirs.order("key", algorithm="aes", bit_length=256)
        of_order = path_of(ordered["secret_ref"])
        with ours(tmp_path, options(bao, "both"), keystone, database) as client:
            assert client.read(kept) == PAYLOAD
            assert client.read(of_order) == theirs.read(of_order)
            own, own_order = client.keep(PAYLOAD[::-1]), client.order("key", algorithm="aes", bit_length=192)
            assert theirs.read(own) == PAYLOAD[::-1]
            assert len(theirs.read(path_of(own_order["secret_ref"]))) == 24
            client.ask("DELETE", kept)
        # Ours has gone: on SQLite two processes that write to one file lock each other out.
        theirs.ask("DELETE", own)
        for gone in (kept, own):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                theirs.read(gone)
        assert len(bao.names("both/")) == 2
