"""castellan as the key manager uses it, against a server that speaks as much of Vault's HTTP as it takes."""

import http.server
import json
import threading

import pytest

from bascule_keymanager.config_stores import VaultSettings
from bascule_keymanager.crypto.plugin import Place
from bascule_keymanager.errors import StoreFailed
from bascule_keymanager.stores.store import Found
from bascule_keymanager.stores.vault import VaultStore, castellan_backend

TOKEN = "hunter2"


class KeysAndValues(http.server.BaseHTTPRequestHandler):
    """The second version of Vault's store of keys and values."""

    def _answer(self, status, document=None):
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.tokens.add(self.headers["X-Vault-Token"])
        self.server.kept[self.path] = body["data"]
        self._answer(200, {"data": {"version": 1}})

    def do_GET(self):
        value = self.server.kept.get(self.path)
        if value is None:
            self._answer(404, {"errors": []})
        else:
            self._answer(200, {"data": {"data": value, "metadata": {"version": 1}}})

    def do_DELETE(self):
        gone = self.server.kept.pop(self.path.replace("/metadata/", "/data/"), None)
        self._answer(404 if gone is None else 204)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), KeysAndValues) as server:
        server.kept, server.tokens = {}, set()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def store(server):
    settings = VaultSettings(root_token_id=TOKEN, vault_url=f"http://127.0.0.1:{server.server_port}", kv_path="keys")
    assert TOKEN not in repr(settings)
    return VaultStore(lambda: castellan_backend(settings))


def found(kept):
    return Found(Place("s", "p1"), None, None, kept.metadata)


def test_payloads_go_there_and_come_back_and_go(store, server):
    payload = bytes(range(256))
    kept = store.keep(None, "s", payload)
    [path] = server.kept
    assert path == f"/v1/secret/data/keys/{kept.metadata['key_id']}"
    assert server.tokens == {TOKEN}
    assert store.read(found(kept)) == payload
    store.forget(kept.metadata)
    assert server.kept == {}
    store.forget(kept.metadata)  # it is gone already, which is all that was asked for
    with pytest.raises(StoreFailed, match="ManagedObjectNotFoundError"):
        store.read(found(kept))


def test_a_server_that_is_away_is_told_without_the_token(store, server):
    kept = store.keep(None, "s", b"x")
    away = VaultSettings(root_token_id=TOKEN, vault_url="http://127.0.0.1:1")
    with pytest.raises(StoreFailed) as refusal:
        VaultStore(lambda: castellan_backend(away)).read(found(kept))
    assert TOKEN not in str(refusal.value)
