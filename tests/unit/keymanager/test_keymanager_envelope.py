"""Our own format: bound to its secret, written only where every live process reads it, and payloads move to it."""

import base64
import json
import threading
import time
from contextlib import nullcontext

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bascule.lifecycle import OutOfTouch
from bascule.release import Release
from bascule_keymanager.config_stores import ConfiguredStore
from bascule_keymanager.crypto.envelope import Envelope
from bascule_keymanager.crypto.plugin import Place, ProjectKey, Sealed
from bascule_keymanager.crypto.simple import MasterKeys, SimpleCrypto
from bascule_keymanager.errors import ConfigRefused, DamagedPayload, UnknownPlugin, UnreadableKek
from bascule_keymanager.identity import RELEASE, SUPPORTED_FROM
from bascule_keymanager.storage.reseal import Resealer

HERE = Place("secret-1", "p1")


@pytest.fixture
def master():
    return Fernet.generate_key().decode()


@pytest.fixture
def envelope(master):
    return Envelope(MasterKeys([master]))


@pytest.fixture
def key(envelope):
    return ProjectKey("k1", Envelope.plugin_name, None, envelope.new_key("label").wrapped)


def test_what_is_stored_opens_with_nothing_but_the_documented_format(envelope, key, master):
    sealed = envelope.seal(key, b"the payload", HERE)
    project_key = AESGCM(Fernet(master).decrypt(key.wrapped.encode()))
    extended = json.loads(sealed.extended)
    assert set(extended) == {"format", "key"}
    wrapped = base64.b64decode(extended["key"])
    data_key = project_key.decrypt(wrapped[:12], wrapped[12:], b'["bascule-envelope",1,"key","secret-1","p1"]')
    cypher = base64.b64decode(sealed.cypher_text)
    opened = AESGCM(data_key).decrypt(cypher[:12], cypher[12:], b'["bascule-envelope",1,"payload","secret-1","p1"]')
    assert opened == b"the payload"
    assert envelope.open(key, sealed, HERE) == b"the payload"
    assert "the payload" not in repr(sealed) + repr(key)


def test_every_payload_has_a_key_of_its_own(envelope, key):
    one, two = (envelope.seal(key, b"same", HERE) for _ in range(2))
    assert one.cypher_text != two.cypher_text
    with pytest.raises(DamagedPayload):
        envelope.open(key, Sealed(one.cypher_text, two.extended), HERE)


@pytest.mark.parametrize("place", [Place("secret-2", "p1"), Place("secret-1", "p2")])
def test_a_row_that_was_moved_to_another_secret_or_project_does_not_open(envelope, key, place):
    sealed = envelope.seal(key, b"the payload", HERE)
    with pytest.raises(DamagedPayload) as refusal:
        envelope.open(key, sealed, place)
    assert place.secret_id in str(refusal.value)


@pytest.mark.parametrize("extended", [None, "", "[]", '{"format":2,"key":"AAAA"}', '{"format":1,"key":5}', "{"])
def test_what_is_not_of_this_format_is_refused(envelope, key, extended):
    sealed = envelope.seal(key, b"the payload", HERE)
    with pytest.raises(DamagedPayload):
        envelope.open(key, Sealed(sealed.cypher_text, extended), HERE)


def test_a_project_key_of_another_master_key_or_plugin_is_refused(envelope, key, master):
    stranger = Envelope(MasterKeys([Fernet.generate_key().decode()]))
    assert not stranger.can_unwrap(key)
    with pytest.raises(UnreadableKek):
        stranger.seal(key, b"x", HERE)
    fernet = SimpleCrypto(MasterKeys([master])).new_key("label").wrapped
    assert not envelope.can_unwrap(ProjectKey("k2", Envelope.plugin_name, None, fernet))


@pytest.fixture
def enveloping(keymanager):
    """The same key manager, told to seal in the envelope format."""
    other = keymanager.again(crypto_plugins=("envelope", "simple_crypto"))
    yield other
    other.database.dispose()


def at(keymanager, pin):
    keymanager.parts.speaking = lambda: nullcontext(Release.parse(str(pin)))


def plugins_of(keymanager):
    """The plugins that sealed the stored payloads."""
    with keymanager.database.reader.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT k.plugin_name FROM encrypted_data e JOIN kek_data k ON k.id = e.kek_id ORDER BY e.created_at"
        )
        return [name.rpartition(".")[2] for (name,) in rows]


def post(keymanager, payload="abc"):
    body = {"payload": payload, "payload_content_type": "text/plain"}
    answer = keymanager.client().simulate_post("/v1/secrets", json=body)
    assert answer.status_code == 201
    return "/v1" + answer.json["secret_ref"].partition("/v1")[2] + "/payload"


def test_the_format_is_written_only_when_the_pin_allows_and_read_everywhere(keymanager, enveloping):
    paths = []
    for pin in ("2026.2", "2027.1", "2027.2", "2027.1"):
        at(enveloping, pin)
        paths.append(post(enveloping, f"at {pin}"))
    assert plugins_of(keymanager) == ["SimpleCryptoPlugin", "SimpleCryptoPlugin", "Envelope", "SimpleCryptoPlugin"]
    for reader in (keymanager, enveloping):  # also a process of this release that is not told to write it
        assert [reader.client().simulate_get(path).text for path in paths] == [
            "at 2026.2",
            "at 2027.1",
            "at 2027.2",
            "at 2027.1",
        ]


def test_a_process_that_knows_no_pin_writes_what_the_oldest_release_reads(keymanager, enveloping):
    assert SUPPORTED_FROM < RELEASE
    post(enveloping)
    assert plugins_of(keymanager) == ["SimpleCryptoPlugin"]


def test_a_process_out_of_touch_with_the_registry_writes_what_the_oldest_release_reads(keymanager, enveloping):
    registry = enveloping.parts.registry
    registry.create_tables()
    member = enveloping.parts.member = registry.join("api-1", "api")
    try:
        deadline = time.monotonic() + 60
        while member.pin < RELEASE:
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)
        post(enveloping, "in touch")
        member._voice.fall_silent()
        with pytest.raises(OutOfTouch):
            print(member.pin)
        path = post(enveloping, "out of touch")
    finally:
        member.leave()
        enveloping.parts.member = None
    assert plugins_of(keymanager) == ["Envelope", "SimpleCryptoPlugin"]
    assert keymanager.client().simulate_get(path).text == "out of touch"


def test_a_secret_s_second_step_and_an_order_seal_by_the_pin_too(keymanager, enveloping):
    at(enveloping, RELEASE)
    client = enveloping.client()
    path = "/v1" + client.simulate_post("/v1/secrets", json={}).json["secret_ref"].partition("/v1")[2]
    assert client.simulate_put(path, body=b"later", content_type="text/plain").status_code == 204
    client.simulate_post("/v1/orders", json={"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}})
    assert enveloping.processor.process_id(enveloping.wakes[0]) == "done"
    assert plugins_of(keymanager) == ["Envelope", "Envelope"]
    assert keymanager.client().simulate_get(path + "/payload").content == b"later"


def test_payloads_move_to_the_format_in_batches_while_they_are_read_and_back_again(keymanager, enveloping):
    paths = [post(keymanager, f"payload {number}") for number in range(5)]
    plugins = enveloping.parts.crypto_plugins
    for name, wanted in ((Envelope.plugin_name, "Envelope"), (SimpleCrypto.plugin_name, "SimpleCryptoPlugin")):
        resealer = Resealer(enveloping.database, enveloping.projects, plugins, plugins[name])
        assert resealer.left() == 5
        done, after, batches = 0, "", 0
        while after is not None:
            batch = resealer.run_batch(after=after, most=2)
            done, after, batches = done + batch.resealed, batch.last, batches + 1
            assert [keymanager.client().simulate_get(path).text for path in paths] == [
                f"payload {number}" for number in range(5)
            ]
        assert (done, batches, resealer.left()) == (5, 3, 0)
        assert plugins_of(keymanager) == [wanted] * 5
        assert resealer.run_batch(most=100).resealed == 0


def test_a_row_that_somebody_else_resealed_meanwhile_is_left_to_them(keymanager, enveloping):
    path = post(keymanager, "payload")
    plugins = enveloping.parts.crypto_plugins
    resealer = Resealer(enveloping.database, enveloping.projects, plugins, plugins[Envelope.plugin_name])
    write = enveloping.database.write

    def late(work):
        enveloping.database.write = write
        assert resealer.run_batch().resealed == 1  # between our reading and our writing
        return write(work)

    enveloping.projects.key_of(enveloping.projects.get_or_create("p1"), plugins[Envelope.plugin_name])
    enveloping.database.write = late
    assert resealer.run_batch().resealed == 0
    assert keymanager.client().simulate_get(path).text == "payload"


def test_a_payload_of_a_plugin_that_is_not_configured_stops_its_batch_by_name(keymanager, enveloping):
    post(keymanager)
    with keymanager.database.writer.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE kek_data SET plugin_name = 'barbican.plugin.crypto.p11_crypto.P11CryptoPlugin'"
        )
    plugins = enveloping.parts.crypto_plugins
    resealer = Resealer(enveloping.database, enveloping.projects, plugins, plugins[Envelope.plugin_name])
    with pytest.raises(UnknownPlugin, match="P11CryptoPlugin"):
        resealer.run_batch()


SOFT = ConfiguredStore("Software Only Crypto", "store_crypto", "simple_crypto", global_default=True)
OURS = ConfiguredStore("Envelope", "store_crypto", "envelope", global_default=False)
DOGTAG = ConfiguredStore("Dogtag KRA", "dogtag_crypto", None, global_default=False)


@pytest.fixture
def choosing(make_keymanager, sqlite_url):
    """A key manager whose projects choose among stores."""
    keymanager = make_keymanager(sqlite_url, secret_stores=(OURS, SOFT, DOGTAG))
    keymanager.parts.holdings.secret_stores.sync(keymanager.settings.secret_stores)
    return keymanager


def choose(keymanager, name):
    stores = keymanager.parts.holdings.secret_stores
    [store] = [store for store in stores.all() if store.name == name]
    stores.prefer(keymanager.projects.get_or_create("p1").id, store.id)


def test_new_secrets_go_to_the_store_that_their_project_chose_and_the_others_to_the_default(choosing):
    choose(choosing, "Envelope")
    for pin in ("2027.1", "2027.2"):
        at(choosing, pin)
        post(choosing)
    body = {"payload": "x", "payload_content_type": "text/plain"}
    assert choosing.client(project="p2").simulate_post("/v1/secrets", json=body).status_code == 201
    assert plugins_of(choosing) == ["SimpleCryptoPlugin", "Envelope", "SimpleCryptoPlugin"]


def test_a_project_that_chose_a_store_which_is_not_here_gets_no_other(choosing):
    choose(choosing, "Dogtag KRA")
    body = {"payload": "x", "payload_content_type": "text/plain"}
    assert choosing.client().simulate_post("/v1/secrets", json=body).status_code == 500
    assert plugins_of(choosing) == []


def test_a_default_store_that_is_not_here_is_refused_at_the_start(keymanager):
    default = ConfiguredStore("Dogtag KRA", "dogtag_crypto", None, global_default=True)
    with pytest.raises(ConfigRefused, match="dogtag_crypto"):
        keymanager.again(secret_stores=(OURS, default))


def test_a_plugin_that_nobody_knows_is_refused_by_name(keymanager):
    with pytest.raises(ConfigRefused, match="rot13"):
        keymanager.again(crypto_plugins=("simple_crypto", "rot13"))
