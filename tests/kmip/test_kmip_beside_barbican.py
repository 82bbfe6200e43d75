"""Our kmip_plugin and real Barbican's on one KMIP server: each reads what the other stored. `make kmip` runs it."""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from support.kmip_server import KmipServer

from bascule_keymanager.crypto.plugin import Place
from bascule_keymanager.errors import StoreFailed
from bascule_keymanager.stores.kmip import KmipStore
from bascule_keymanager.stores.kmip_connections import kmip_connections
from bascule_keymanager.stores.store import Form, Found, KeySpec, PairIds

PEM, SPKI = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
PKCS8, OPEN = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
RSA, DSA = rsa.generate_private_key(65_537, 2_048), dsa.generate_private_key(2_048)


class Theirs:
    """Barbican's plugin, in its own process."""

    def __init__(self, process, settings):
        self._process = process
        self.name = self._said(settings)

    def ask(self, verb, **asked):
        return self._said({"verb": verb, **asked})

    def _said(self, document):
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = KmipServer(tmp_path_factory.mktemp("kmip"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=[False, True], ids=["PKCS#8", "PKCS#1 alone"])
def stores(server, request, tmp_path_factory):
    """Ours and theirs, with the same options."""
    assert "BASCULE_BARBICAN" in os.environ, "BASCULE_BARBICAN is not set: these tests are run by `make kmip`"
    settings = server.settings
    names = ("host", "port", "ca_certs", "certfile", "keyfile")
    options = {**{name: getattr(settings, name) for name in names}, "pkcs1_only": request.param}
    program = Path(__file__).parent / "barbican_plugin.py"
    command = [Path(os.environ["BASCULE_BARBICAN"]) / "python", "-W", "ignore", program]
    with (tmp_path_factory.mktemp("barbican") / "log").open("wb") as log:
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True) as process:
            yield KmipStore(kmip_connections(settings), pkcs1_only=request.param), Theirs(process, options)
            process.stdin.close()


def cases(server):
    """Type, algorithm, length, and payload of everything that Barbican's plugin stores."""
    return [
        ("opaque", None, None, b"\0any bytes\xff"),
        ("passphrase", None, None, b"correct horse"),
        ("symmetric", "aes", 256, bytes(range(32))),
        ("symmetric", "hmacsha256", 160, bytes(range(20))),
        ("private", "rsa", 2_048, RSA.private_bytes(PEM, PKCS8, OPEN)),
        ("public", "rsa", 2_048, RSA.public_key().public_bytes(PEM, SPKI)),
        ("private", "dsa", 2_048, DSA.private_bytes(PEM, PKCS8, OPEN)),
        ("public", "dsa", 2_048, DSA.public_key().public_bytes(PEM, SPKI)),
        ("certificate", None, None, server.authority.path.read_bytes()),
    ]


def read(ours, metadata):
    return ours.read(Found(Place("s", "p1"), None, None, metadata))


def test_each_reads_and_deletes_what_the_other_stored(stores, server, request):
    ours, theirs = stores
    assert theirs.name == ours.plugin_name
    pkcs1_only, compared = "PKCS#1" in request.node.name, 0
    for secret_type, algorithm, bits, payload in cases(server):
        if pkcs1_only and algorithm == "dsa":
            continue  # Barbican takes none then
        encoded = base64.b64encode(payload).decode()
        by_us = ours.keep(None, "s", payload, Form(secret_type, algorithm)).metadata
        assert theirs.ask("read", type=secret_type, metadata=by_us) == encoded
        by_them = theirs.ask("store", type=secret_type, algorithm=algorithm, bit_length=bits, payload=encoded)
        assert by_them.keys() == by_us.keys()
        assert read(ours, by_them) == payload
        theirs.ask("delete", metadata=by_us)
        ours.forget(by_them)
        for metadata in (by_us, by_them):
            with pytest.raises(StoreFailed, match="no such object"):
                read(ours, metadata)
        compared += 1
    assert compared == (7 if pkcs1_only else 9)


def test_they_read_the_keys_that_the_server_made_for_us(stores):
    ours, theirs = stores
    pair = ours.generate_asymmetric(None, PairIds("a", "b"), KeySpec("rsa", 2_048))
    made = {
        "symmetric": ours.generate_symmetric(None, "s", KeySpec("aes", 256)),
        "private": pair.private,
        "public": pair.public,
    }
    for secret_type, kept in made.items():
        there = theirs.ask("read", type=secret_type, metadata=kept.metadata)
        assert base64.b64decode(there) == read(ours, kept.metadata)
