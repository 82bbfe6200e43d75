"""Payloads sealed by a PKCS#11 module, in Barbican's p11_crypto format, on SoftHSM."""

import base64
import json
import subprocess
import threading
from pathlib import Path

import pytest

from bascule.testing.servers.packages import find_program, require
from bascule.testing.servers.skipping import or_skip
from bascule_keymanager.crypto.hsm import P11Settings
from bascule_keymanager.crypto.p11 import P11Crypto
from bascule_keymanager.crypto.plugin import Place, ProjectKey, Sealed
from bascule_keymanager.errors import ConfigRefused, DamagedPayload, HsmFailed, UnreadableKek

LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "4711"
HERE = Place("secret-1", "p1")


@pytest.fixture(scope="session")
def softhsm():
    """The program that makes tokens; its package has the module too."""
    return or_skip(lambda: require("softhsm2", lambda: find_program("softhsm2-util") if LIBRARY.is_file() else None))


@pytest.fixture
def token(softhsm, tmp_path, monkeypatch):
    """A token of this test's own."""
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    new = [softhsm, "--init-token", "--free", "--label", "keymanager", "--so-pin", "0815", "--pin", PIN]
    subprocess.run(new, check=True, capture_output=True, timeout=60)
    return "keymanager"


@pytest.fixture
def options(token):
    return {
        "module": str(LIBRARY),
        "login": PIN,
        "token_labels": (token,),
        "mkek_label": "mkek",
        "hmac_label": "hmac",
        "hmac_key_type": "CKK_GENERIC_SECRET",
        # What SoftHSM has of the three ways to wrap.
        "key_wrap_mechanism": "CKM_AES_KEY_WRAP_PAD",
        "key_wrap_generate_iv": False,
    }


@pytest.fixture
def make(options):
    made = []

    def one(**changes):
        made.append(P11Crypto(P11Settings(**{**options, **changes})))
        return made[-1]

    yield one
    for plugin in made:
        plugin.hsm.close()


@pytest.fixture
def plugin(make):
    plugin = make()
    plugin.generate_master_key("mkek", "CKK_AES", "CKM_AES_KEY_GEN", 32, wraps=True)
    plugin.generate_master_key("hmac", "CKK_GENERIC_SECRET", "CKM_GENERIC_SECRET_KEY_GEN", 32, wraps=False)
    return plugin


@pytest.fixture
def key(plugin):
    return ProjectKey("k1", P11Crypto.plugin_name, "label", plugin.new_key("label").wrapped)


def lose_sessions(plugin):
    """Close every session behind the plugin's back, as a module does that was restarted."""
    plugin.hsm.call(lambda opened: opened._library.closeAllSessions(opened._slot))


def test_a_project_key_is_written_as_barbican_writes_it(plugin, key):
    meta = json.loads(key.wrapped)
    assert list(meta) == ["iv", "wrapped_key", "hmac", "mkek_label", "hmac_label", "key_wrap_mechanism"]
    assert (meta["iv"], meta["mkek_label"], meta["hmac_label"]) == (None, "mkek", "hmac")
    assert meta["key_wrap_mechanism"] == "CKM_AES_KEY_WRAP_PAD"
    assert len(base64.b64decode(meta["hmac"])) == 32
    assert " " not in key.wrapped
    new = plugin.new_key("label")
    assert (new.algorithm, new.bit_length, new.mode) == ("AES", 256, "CBC")


@pytest.mark.parametrize(("mechanism", "iv_bytes"), [("CKM_AES_CBC", 16), ("CKM_AES_GCM", 12)])
@pytest.mark.parametrize("payload", [b"x", b"sixteen bytes ..", bytes(range(256)) * 70])
def test_payloads_come_back_from_either_mechanism(plugin, key, make, mechanism, iv_bytes, payload):
    writer = make(encryption_mechanism=mechanism)
    sealed = writer.seal(key, payload, HERE)
    extended = json.loads(sealed.extended)
    assert extended["mechanism"] == mechanism
    assert len(base64.b64decode(extended["iv"])) == iv_bytes
    assert payload not in base64.b64decode(sealed.cypher_text) or len(payload) == 1
    assert plugin.open(key, sealed, HERE) == payload


def test_another_process_reads_with_nothing_but_the_rows_and_the_token(plugin, key, make):
    sealed = plugin.seal(key, b"payload", HERE)
    assert make().open(key, sealed, HERE) == b"payload"


def test_a_project_key_that_was_changed_is_refused(plugin, key):
    meta = json.loads(key.wrapped)
    wrapped = bytearray(base64.b64decode(meta["wrapped_key"]))
    wrapped[5] ^= 1
    meta["wrapped_key"] = base64.b64encode(bytes(wrapped)).decode()
    changed = ProjectKey("k2", P11Crypto.plugin_name, None, json.dumps(meta))
    assert plugin.can_unwrap(key)
    assert not plugin.can_unwrap(changed)
    with pytest.raises(UnreadableKek):
        plugin.seal(changed, b"x", HERE)
    for junk in ("", "{}", "[]", '{"iv": 5}'):
        assert not plugin.can_unwrap(ProjectKey("k3", P11Crypto.plugin_name, None, junk))


def test_a_payload_that_was_changed_is_refused_by_the_name_of_its_secret(plugin, key, make):
    sealed = make(encryption_mechanism="CKM_AES_GCM").seal(key, b"payload", HERE)
    cypher = bytearray(base64.b64decode(sealed.cypher_text))
    cypher[0] ^= 1
    changed = Sealed(base64.b64encode(bytes(cypher)).decode(), sealed.extended)
    with pytest.raises(HsmFailed):  # SoftHSM has but a general error for it, which might be anything
        plugin.open(key, changed, HERE)
    sealed = plugin.seal(key, b"payload", HERE)
    short = Sealed(base64.b64encode(base64.b64decode(sealed.cypher_text)[:-1]).decode(), sealed.extended)
    for damaged in (short, Sealed(sealed.cypher_text, "{"), Sealed(sealed.cypher_text, None)):
        with pytest.raises(DamagedPayload, match="secret-1"):
            plugin.open(key, damaged, HERE)


def test_lost_sessions_are_opened_again_without_anybody_noticing(plugin, key):
    sealed = plugin.seal(key, b"payload", HERE)
    for _ in range(3):
        lose_sessions(plugin)
        assert plugin.open(key, sealed, HERE) == b"payload"
    lose_sessions(plugin)
    assert plugin.open(key, plugin.seal(key, b"new", HERE), HERE) == b"new"
    lose_sessions(plugin)
    assert len(plugin.random(16)) == 16
    lose_sessions(plugin)
    assert plugin.can_unwrap(ProjectKey("k9", P11Crypto.plugin_name, None, plugin.new_key("other").wrapped))


def test_sessions_lost_under_many_threads_lose_no_answer(plugin, key):
    sealed = plugin.seal(key, b"payload", HERE)
    answers, failures, stop = [], [], threading.Event()

    def read():
        while not stop.is_set():
            try:
                answers.append(plugin.open(key, sealed, HERE))
            except Exception as failure:  # noqa: BLE001 - the test reports it
                failures.append(failure)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for _ in range(5):
        seen = len(answers)
        while len(answers) < seen + 20 and not failures:
            stop.wait(0.01)
        lose_sessions(plugin)
    stop.set()
    for reader in readers:
        reader.join()
    assert set(answers) == {b"payload"}
    # One try after the loss is all there is: a second loss within one call may be told.
    assert len(failures) <= 5
    assert {type(failure) for failure in failures} <= {HsmFailed}


def test_more_projects_than_fit_into_the_cache_are_served_all_the_same(plugin, make):
    small = make(pkek_cache_limit=2)
    keys = [ProjectKey(f"k{n}", P11Crypto.plugin_name, None, plugin.new_key("l").wrapped) for n in range(5)]
    sealed = [small.seal(key, f"payload {n}".encode(), HERE) for n, key in enumerate(keys)]
    for _ in range(2):
        assert [small.open(key, one, HERE) for key, one in zip(keys, sealed, strict=True)] == [
            f"payload {n}".encode() for n in range(5)
        ]


def test_project_keys_move_to_another_master_key(plugin, key, make):
    sealed = plugin.seal(key, b"payload", HERE)
    assert plugin.rewrap(key) is None
    plugin.generate_master_key("mkek2", "CKK_AES", "CKM_AES_KEY_GEN", 32, wraps=True)
    rewrapped = make(mkek_label="mkek2").rewrap(key)
    assert json.loads(rewrapped)["mkek_label"] == "mkek2"
    assert make().open(ProjectKey("k1", P11Crypto.plugin_name, None, rewrapped), sealed, HERE) == b"payload"


def test_refusals_say_what_is_missing(plugin, make):
    with pytest.raises(HsmFailed, match="there is a key labelled mkek already"):
        plugin.generate_master_key("mkek", "CKK_AES", "CKM_AES_KEY_GEN", 32, wraps=True)
    with pytest.raises(HsmFailed, match="no key labelled none"):
        make(mkek_label="none").new_key("label")
    with pytest.raises(HsmFailed, match="token_labels other"):
        make(token_labels=("other",)).random(1)
    with pytest.raises(ConfigRefused, match="library_path"):
        make(module=None)
    with pytest.raises(ConfigRefused, match="hmac_label"):
        make(hmac_label=None)
    with pytest.raises(ConfigRefused, match="encryption_mechanism"):
        make(encryption_mechanism="CKM_DES_CBC")


def test_a_wrong_pin_is_told_and_never_repeated(make, options):
    with pytest.raises(HsmFailed, match="CKR_PIN_INCORRECT") as refusal:
        make(login="1234567").random(1)
    assert "1234567" not in str(refusal.value)
    assert PIN not in repr(P11Settings(**options))


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/keymanager.db"


def test_the_api_and_the_worker_keep_payloads_in_the_module(make_keymanager, url, options, plugin):
    keymanager = make_keymanager(url, crypto_plugins=("p11_crypto", "simple_crypto"), p11=P11Settings(**options))
    client = keymanager.client()
    body = {"payload": "in the module", "payload_content_type": "text/plain"}
    path = "/v1" + client.simulate_post("/v1/secrets", json=body).json["secret_ref"].partition("/v1")[2]
    assert client.simulate_get(path + "/payload").text == "in the module"
    client.simulate_post("/v1/orders", json={"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}})
    assert keymanager.processor.process_id(keymanager.wakes[0]) == "done"
    with keymanager.database.reader.connect() as connection:
        names = connection.exec_driver_sql("SELECT plugin_name, algorithm, bit_length, mode FROM kek_data").all()
        assert names == [("barbican.plugin.crypto.p11_crypto.P11CryptoPlugin", "AES", 256, "CBC")]
        extended = connection.exec_driver_sql("SELECT DISTINCT kek_meta_extended LIKE '{\"iv\":%' FROM encrypted_data")
        assert extended.all() == [(1,)]
    # A module makes no pairs, as in Barbican: private keys would have to be outside it first.
    client.simulate_post("/v1/orders", json={"type": "asymmetric", "meta": {"algorithm": "rsa", "bit_length": 1024}})
    assert keymanager.processor.process_id(keymanager.wakes[1]) == "failed"
    for one in keymanager.parts.crypto_plugins.values():
        if isinstance(one, P11Crypto):
            one.hsm.close()


def test_orders_are_sealed_in_the_module_and_open_for_themselves_alone(make_keymanager, url, options, plugin):
    made = make_keymanager(url, crypto_plugins=("p11_crypto", "simple_crypto"), p11=P11Settings(**options))
    made.contract()
    keymanager = made.again()
    keymanager.seals_orders = True
    client = keymanager.client()
    for name in ("one", "two"):
        meta = {"name": name, "algorithm": "aes", "bit_length": 256}
        assert client.simulate_post("/v1/orders", json={"type": "key", "meta": meta}).status_code == 202
    one, two = keymanager.wakes
    shown = client.simulate_get(f"/v1/orders/{one}").json
    assert shown["meta"]["name"] == "one"
    with keymanager.database.writer.begin() as connection:
        metas = connection.exec_driver_sql("SELECT DISTINCT meta FROM orders").scalars().all()
        names = connection.exec_driver_sql("SELECT plugin_name FROM kek_data").scalars().all()
        connection.exec_driver_sql(
            "UPDATE orders SET sealed_meta = (SELECT sealed_meta FROM orders WHERE id = ?) WHERE id = ?", (one, two)
        )
    assert metas == [None]
    assert names == [P11Crypto.plugin_name]
    assert keymanager.processor.process_id(one) == "done"
    assert client.simulate_get(f"/v1/orders/{two}").status_code == 500
    assert keymanager.parts.order_sealing.check_batch().damaged == (two,)
    for parts in (keymanager.parts, made.parts):
        parts.crypto_plugins[P11Crypto.plugin_name].hsm.close()
    keymanager.database.dispose()
