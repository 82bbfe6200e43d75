"""Payloads and keys in a KMIP server: PyKMIP's own, a process of its own, over TLS with certificates of both sides."""

import base64
import dataclasses
import logging
import os
from contextlib import nullcontext

import pytest
import structlog
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from kmip.core import enums
from kmip.pie import exceptions, objects
from support.at_once import at_once
from support.kmip_server import Authority, KmipServer

from bascule.release import Release
from bascule_keymanager.config import load_settings
from bascule_keymanager.config_stores import ConfiguredStore, KmipSettings
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.identity import RELEASE

PLUGIN = "barbican.plugin.kmip_secret_store.KMIPSecretStore"
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8, PKCS1 = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
SPKI, OPEN = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.NoEncryption()
RSA = rsa.generate_private_key(65_537, 2_048)
DSA = dsa.generate_private_key(2_048)
EC = ec.generate_private_key(ec.SECP256R1())
Kind = enums.ObjectType


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = KmipServer(tmp_path_factory.mktemp("kmip"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def keeping(make_keymanager, server, tmp_path):
    """A key manager whose payloads the server keeps."""
    url, plugins = f"sqlite:///{tmp_path}/km.db", ("kmip_plugin", "store_crypto")
    return of_this_release(make_keymanager(url, store_plugins=plugins, kmip=server.settings))


def of_this_release(keymanager):
    """The same in a fleet of no older release."""
    keymanager.parts.speaking = lambda: nullcontext(RELEASE)
    return keymanager


def again(keymanager, **changes):
    return of_this_release(keymanager.again(**changes))


def post(client, payload, secret_type="opaque", status=201, **fields):
    body = {
        "secret_type": secret_type,
        "payload": base64.b64encode(payload).decode(),
        "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64",
        **fields,
    }
    answer = client.simulate_post("/v1/secrets", json=body)
    assert answer.status_code == status, answer.text
    return "/v1" + answer.json["secret_ref"].partition("/v1")[2] if status == 201 else answer.json["description"]


def read(client, path):
    answer = client.simulate_get(path + "/payload", headers={"Accept": "application/octet-stream"})
    assert answer.status_code == 200, answer.text
    return answer.content


def metadata_of(keymanager, path):
    query = f"SELECT key, value FROM secret_store_metadata WHERE secret_id = '{path.rpartition('/')[2]}'"
    with keymanager.database.reader.connect() as connection:
        return dict(connection.exec_driver_sql(query).all())


def held(server, keymanager, path):
    """The object that the server has of a secret."""
    with server.client() as client:
        return client.get(metadata_of(keymanager, path)["key_uuid"])


def certificate(tmp_path):
    return Authority(tmp_path, "somebody").path.read_bytes()


def private(key, form=PKCS8, protection=OPEN):
    return key.private_bytes(PEM, form, protection)


def public(key):
    return key.public_key().public_bytes(PEM, SPKI)


EXACTLY = [
    ("opaque", b"\0any bytes\xff", {}, Kind.OPAQUE_DATA),
    ("passphrase", b"correct horse", {}, Kind.SECRET_DATA),
    ("symmetric", bytes(range(32)), {"algorithm": "AES", "bit_length": 256}, Kind.SYMMETRIC_KEY),
    ("symmetric", bytes(range(20)), {"algorithm": "hmacsha1"}, Kind.SYMMETRIC_KEY),
    ("symmetric", bytes(range(13)), {"algorithm": "aes"}, Kind.OPAQUE_DATA),
    ("symmetric", bytes(range(32)), {}, Kind.OPAQUE_DATA),
    ("private", private(RSA), {"algorithm": "rsa"}, Kind.PRIVATE_KEY),
    ("private", private(DSA), {}, Kind.PRIVATE_KEY),
    ("private", private(EC), {}, Kind.OPAQUE_DATA),
    ("private", private(RSA, PKCS1), {}, Kind.OPAQUE_DATA),
    ("private", private(RSA).rstrip(), {}, Kind.OPAQUE_DATA),
    ("private", private(RSA, PKCS8, serialization.BestAvailableEncryption(b"p")), {}, Kind.OPAQUE_DATA),
    ("private", RSA.private_bytes(DER, PKCS8, OPEN), {}, Kind.OPAQUE_DATA),
    ("public", public(RSA), {}, Kind.PUBLIC_KEY),
    ("public", public(DSA), {}, Kind.PUBLIC_KEY),
    ("public", public(EC), {}, Kind.OPAQUE_DATA),
    ("certificate", b"no certificate", {}, Kind.OPAQUE_DATA),
]


@pytest.mark.parametrize(("secret_type", "payload", "fields", "kind"), EXACTLY)
def test_every_payload_comes_back_byte_for_byte_as_the_object_that_barbican_makes(
    keeping, server, secret_type, payload, fields, kind
):
    client = keeping.client()
    path = post(client, payload, secret_type, **fields)
    assert read(client, path) == payload
    kept = held(server, keeping, path)
    assert kept.object_type == kind
    assert metadata_of(keeping, path) == {
        "plugin_name": PLUGIN,
        "content_type": "application/octet-stream",
        "key_uuid": kept.unique_identifier or metadata_of(keeping, path)["key_uuid"],
    }
    if kind in (Kind.PRIVATE_KEY, Kind.PUBLIC_KEY):
        assert (kept.cryptographic_length, kept.value[:1]) == (2_048, b"0")
    with keeping.database.reader.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM encrypted_data").scalar() == 0


def test_a_certificate_is_kept_as_one_and_a_chain_as_bytes(keeping, server, tmp_path):
    client, one = keeping.client(), certificate(tmp_path)
    for payload, kind in ((one, Kind.CERTIFICATE), (one + one, Kind.OPAQUE_DATA)):
        path = post(client, payload, "certificate")
        assert read(client, path) == payload
        assert held(server, keeping, path).object_type == kind


def test_text_is_kept_and_the_second_of_two_steps_knows_the_first(keeping, server):
    client = keeping.client()
    body = {"payload": "✓", "payload_content_type": "text/plain"}
    path = "/v1" + client.simulate_post("/v1/secrets", json=body).json["secret_ref"].partition("/v1")[2]
    assert client.simulate_get(path + "/payload", headers={"Accept": "text/plain"}).text == "✓"
    first = {"secret_type": "symmetric", "algorithm": "aes", "bit_length": 128}
    path = "/v1" + client.simulate_post("/v1/secrets", json=first).json["secret_ref"].partition("/v1")[2]
    answer = client.simulate_put(path, body=bytes(16), content_type="application/octet-stream")
    assert answer.status_code == 204
    assert held(server, keeping, path).cryptographic_algorithm == enums.CryptographicAlgorithm.AES
    assert read(client, path) == bytes(16)


def barbicans():
    """What Barbican's plugin registers, with what its API then returns."""
    rsa_public = RSA.public_key()
    pkcs1 = rsa_public.public_bytes(DER, serialization.PublicFormat.PKCS1)
    algorithm, length = enums.CryptographicAlgorithm.RSA, 2_048
    return {
        "opaque": (objects.OpaqueObject(b"theirs", enums.OpaqueDataType.NONE, name="n"), b"theirs"),
        "passphrase": (objects.SecretData(b"theirs", enums.SecretDataType.PASSWORD, name="n"), b"theirs"),
        "symmetric": (
            objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 256, bytes(range(32)), name="n"),
            bytes(range(32)),
        ),
        "private": (
            objects.PrivateKey(
                algorithm, length, RSA.private_bytes(DER, PKCS8, OPEN), enums.KeyFormatType.PKCS_8, name="n"
            ),
            private(RSA),
        ),
        "public": (
            objects.PublicKey(
                algorithm, length, rsa_public.public_bytes(DER, SPKI), enums.KeyFormatType.X_509, name="n"
            ),
            public(RSA),
        ),
        # With pkcs1_only it registers PKCS#1 under the name of the other format.
        "private in PKCS#1": (
            objects.PrivateKey(
                algorithm, length, RSA.private_bytes(DER, PKCS1, OPEN), enums.KeyFormatType.PKCS_8, name="n"
            ),
            private(RSA),
        ),
        "public in PKCS#1": (
            objects.PublicKey(algorithm, length, pkcs1, enums.KeyFormatType.X_509, name="n"),
            public(RSA),
        ),
    }


@pytest.mark.parametrize("name", list(barbicans()))
def test_what_barbicans_plugin_registered_is_read(keeping, server, name):
    made, payload = barbicans()[name]
    with server.client() as client:
        key_uuid = client.register(made)
    path = post(keeping.client(), b"in its place", name.partition(" ")[0])
    with keeping.database.writer.begin() as connection:
        connection.exec_driver_sql(f"UPDATE secret_store_metadata SET value = '{key_uuid}' WHERE key = 'key_uuid'")
    assert read(keeping.client(), path) == payload


def test_a_server_that_takes_pkcs1_alone_gets_that_and_the_client_its_own(keeping, server):
    process = again(keeping, kmip=dataclasses.replace(server.settings, pkcs1_only=True))
    client = process.client()
    for secret_type, payload, form in (
        ("private", private(RSA), enums.KeyFormatType.PKCS_1),
        ("public", public(RSA), enums.KeyFormatType.PKCS_1),
    ):
        path = post(client, payload, secret_type)
        assert held(server, process, path).key_format_type == form
        assert read(client, path) == read(keeping.client(), path) == payload
    path = post(client, private(DSA), "private")
    assert held(server, process, path).object_type == Kind.OPAQUE_DATA
    assert read(client, path) == private(DSA)
    process.database.dispose()


def order(keymanager, kind, **meta):
    client = keymanager.client()
    path = client.simulate_post("/v1/orders", json={"type": kind, "meta": meta}).json["order_ref"]
    keymanager.processor.process_id(keymanager.wakes[-1])
    return client.simulate_get("/v1" + path.partition("/v1")[2]).json


def test_a_key_that_is_ordered_is_made_by_the_server(keeping, server):
    done = order(keeping, "key", name="k", algorithm="aes", bit_length=192)
    assert done["status"] == "ACTIVE", done
    path = "/v1" + done["secret_ref"].partition("/v1")[2]
    kept = held(server, keeping, path)
    assert (kept.object_type, kept.cryptographic_length) == (Kind.SYMMETRIC_KEY, 192)
    assert read(keeping.client(), path) == kept.value
    assert len(kept.value) == 24


def test_a_pair_that_is_ordered_is_made_by_the_server(keeping, server):
    done = order(keeping, "asymmetric", name="k", algorithm="rsa", bit_length=2048)
    assert done["status"] == "ACTIVE", done
    client = keeping.client()
    shown = client.simulate_get("/v1" + done["container_ref"].partition("/v1")[2]).json
    paths = {each["name"]: "/v1" + each["secret_ref"].partition("/v1")[2] for each in shown["secret_refs"]}
    key = serialization.load_pem_private_key(read(client, paths["private_key"]), None)
    assert key.public_key().public_bytes(PEM, SPKI) == read(client, paths["public_key"])
    assert key.key_size == 2_048
    assert held(server, keeping, paths["private_key"]).object_type == Kind.PRIVATE_KEY


@pytest.mark.parametrize(
    ("kind", "meta", "code"),
    [
        ("key", {"algorithm": "aes", "bit_length": 512}, "400"),
        ("key", {"algorithm": "rsa", "bit_length": 2048}, "400"),
        ("key", {"algorithm": "nonsense", "bit_length": 256}, "400"),
        ("asymmetric", {"algorithm": "rsa", "bit_length": 2048, "passphrase": "p"}, "500"),
    ],
)
def test_an_order_that_nobody_does_ends(keeping, kind, meta, code):
    ended = order(keeping, kind, **meta)
    assert (ended["status"], ended["error_status_code"]) == ("ERROR", code)


def test_a_deleted_secret_is_destroyed_there_and_one_that_is_gone_there_is_deleted_here(keeping, server):
    client = keeping.client()
    one, two = post(client, b"one"), post(client, b"two")
    names = [metadata_of(keeping, path)["key_uuid"] for path in (one, two)]
    with server.client() as direct:
        direct.destroy(names[1])
    for path in (one, two):
        assert client.simulate_delete(path).status_code == 204
    with server.client() as direct:
        for name in names:
            with pytest.raises(exceptions.KmipOperationFailure) as gone:
                direct.get(name)
            assert gone.value.reason == enums.ResultReason.ITEM_NOT_FOUND


def test_a_secret_that_the_server_lost_is_told_apart_in_the_log(keeping, server, capsys):
    path = post(keeping.client(), b"hunter2")
    with server.client() as direct:
        direct.destroy(metadata_of(keeping, path)["key_uuid"])
    assert keeping.client().simulate_get(path + "/payload").status_code == 500
    assert "the KMIP server has no such object" in capsys.readouterr().out


def test_many_threads_share_the_server(keeping):
    client = keeping.client()

    def work(number):
        payload = os.urandom(40)
        path = post(client, payload)
        return [read(client, path) == payload for _ in range(3)] + [client.simulate_delete(path).status_code == 204]

    assert at_once(6, work) == [[True, True, True, True]] * 6


def test_a_server_that_went_away_and_came_back_costs_nothing_and_loses_nothing(keeping, server, capsys):
    client = keeping.client()
    path = post(client, b"before")
    server.stop()
    assert client.simulate_get(path + "/payload").status_code == 503
    assert "contact site administrator" in post(client, b"hunter2", status=503)
    assert client.simulate_delete(path).status_code == 503
    logged = capsys.readouterr().out
    assert "cannot be reached" in logged
    assert "hunter2" not in logged
    server.start()
    assert read(client, path) == b"before"
    server.stop()
    server.start()
    assert read(client, path) == b"before"  # over a connection that was open before
    assert client.simulate_get("/v1/secrets").json["total"] == 1


def test_who_is_not_known_there_gets_no_further(keeping, server, tmp_path, capsys):
    stranger, key = Authority(tmp_path, "stranger").issue("keymanager-2")
    process = again(keeping, kmip=dataclasses.replace(server.settings, certfile=str(stranger), keyfile=str(key)))
    post(process.client(), b"hunter2", status=503)
    unsure = again(keeping, kmip=dataclasses.replace(server.settings, ca_certs=str(stranger)))
    post(unsure.client(), b"hunter2", status=503)
    logged = capsys.readouterr().out
    assert logged.count("[kmip_plugin]") >= 2
    assert "hunter2" not in logged
    for each in (process, unsure):
        each.database.dispose()


def test_nothing_of_a_payload_reaches_a_log(keeping, caplog):
    caplog.set_level(logging.DEBUG)
    mark = b"hunter2-hunter2-"
    with structlog.testing.capture_logs() as events:
        client = keeping.client()
        path = post(client, mark, "symmetric", algorithm="aes")
        assert read(client, path) == mark
    told = repr(events) + "".join(repr(vars(record)) for record in caplog.records)
    for form in (mark.decode(), mark.hex(), base64.b64encode(mark).decode()):
        assert form not in told


def test_projects_may_choose_it(make_keymanager, server, tmp_path):
    soft = ConfiguredStore("Software Only Crypto", "store_crypto", "simple_crypto", global_default=True)
    kmip = ConfiguredStore("KMIP HSM", "kmip_plugin", None, global_default=False)
    url = f"sqlite:///{tmp_path}/km.db"
    keymanager = of_this_release(make_keymanager(url, secret_stores=(soft, kmip), kmip=server.settings))
    stores = keymanager.parts.holdings.secret_stores
    stores.sync(keymanager.settings.secret_stores)
    [chosen] = [store for store in stores.all() if store.name == "KMIP HSM"]
    stores.prefer(keymanager.projects.get_or_create("p2").id, chosen.id)
    here, there = keymanager.client(), keymanager.client(project="p2")
    assert metadata_of(keymanager, post(here, b"x"))["plugin_name"] != PLUGIN
    assert metadata_of(keymanager, path := post(there, b"y"))["plugin_name"] == PLUGIN
    assert read(there, path) == b"y"


def test_it_takes_nothing_while_a_process_that_cannot_read_it_may_be_live(keeping):
    keeping.parts.speaking = lambda: nullcontext(Release.parse("2027.2"))
    client = keeping.client()
    path = post(client, b"early")
    assert metadata_of(keeping, path)["plugin_name"] != PLUGIN
    keeping.parts.speaking = lambda: nullcontext(Release.parse("2028.1"))
    assert metadata_of(keeping, post(client, b"late"))["plugin_name"] == PLUGIN
    assert read(client, path) == b"early"


def test_a_key_that_the_server_keeps_encrypts(keeping):
    done = order(keeping, "key", name="k", algorithm="aes", bit_length=256)
    key = "/v1/bascule/secrets/" + done["secret_ref"].rpartition("/")[2]
    client = keeping.client()
    sealed = client.simulate_post(f"{key}/encrypt", json={"plaintext": "QUJD"}).json
    assert client.simulate_post(f"{key}/decrypt", json=sealed).json == {"plaintext": "QUJD"}


def test_the_options_are_barbicans(tmp_path):
    path = tmp_path / "keymanager.conf"
    path.write_text(
        f"[database]\nconnection = sqlite://\n[simple_crypto_plugin]\nkek = {Fernet.generate_key().decode()}\n"
        "[secretstore]\nenabled_secretstore_plugins = kmip_plugin\n"
        "[kmip_plugin]\nusername = u\npassword = hunter2\nhost = h\nport = 1\nssl_version = PROTOCOL_TLS_CLIENT\n"
        "ca_certs = a\ncertfile = c\nkeyfile = k\npkcs1_only = True\nplugin_name = Ours\n"
    )
    settings = load_settings(str(path))
    assert settings.store_plugins == ("kmip_plugin",)
    assert settings.kmip == KmipSettings("u", "hunter2", "h", 1, "PROTOCOL_TLS_CLIENT", "a", "c", "k", pkcs1_only=True)
    assert "hunter2" not in repr(settings)


def test_a_key_file_that_others_may_read_is_refused(keeping, server, tmp_path):
    loose = tmp_path / "loose.key"
    loose.write_bytes(server.key.read_bytes())
    loose.chmod(0o440)
    for path, told in ((loose, "give it the mode 0400"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(ConfigRefused, match=told):
            keeping.again(kmip=dataclasses.replace(server.settings, keyfile=str(path)))


def test_certificates_of_the_test_are_what_they_say(tmp_path):
    found = x509.load_pem_x509_certificate(certificate(tmp_path))
    assert found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
