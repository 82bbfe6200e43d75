"""Keys are used on PostgreSQL and MariaDB as on SQLite, whichever plugin sealed them, and by many at once."""

import base64
import os

import pytest
from support.at_once import at_once

from bascule_keymanager.config import _parsed

RAW = os.urandom(32)


def b64(raw):
    return base64.b64encode(raw).decode()


def post_key(client, raw=RAW):
    body = {
        "secret_type": "symmetric",
        "payload": b64(raw),
        "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64",
    }
    reference = client.simulate_post("/v1/secrets", json=body).json["secret_ref"]
    return "/v1/bascule/secrets/" + reference.rpartition("/")[2]


def test_every_use_of_a_key_on_a_server_is_one_statement(keymanager):
    client = keymanager.client()
    key, other = post_key(client), post_key(client)
    seen = keymanager.count_statements()

    def use(path, verb, **body):
        before = len(seen)
        answer = client.simulate_post(f"{path}/{verb}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json, len(seen) - before

    assert use(key, "encrypt", plaintext="QUJD")[1] == 2, "the first time, the project's key is asked for"
    sealed, statements = use(key, "encrypt", plaintext="QUJD", context="é✓😀")
    assert statements == 1
    assert use(key, "decrypt", **sealed, context="é✓😀") == ({"plaintext": "QUJD"}, 1)
    wrapped, statements = use(key, "wrap", key="QUJDREVGRw==")
    assert (statements, use(key, "unwrap", **wrapped)) == (1, ({"key": "QUJDREVGRw=="}, 1))
    made, statements = use(key, "data-key", algorithm="aes-kw")
    assert (statements, use(key, "unwrap", wrapped=made["wrapped"])) == (1, ({"key": made["key"]}, 1))
    assert use(key, "wrapped-data-key")[0].keys() == {"wrapped"}
    moved, statements = use(other, "rewrap", **sealed, context="é✓😀")
    assert statements == 2
    assert use(other, "decrypt", **moved, context="é✓😀")[0] == {"plaintext": "QUJD"}


@pytest.mark.parametrize("plugin", ["simple_crypto", "envelope"])
def test_a_key_is_used_by_other_processes_whatever_sealed_it(keymanager, plugin):
    process = keymanager.again(crypto_plugins=(plugin,))
    key = post_key(process.client())
    others = [keymanager.again() for _ in range(4)]

    def work(number):
        client = others[number].client()
        sealed = client.simulate_post(
            f"{key}/encrypt", json={"items": [{"plaintext": b64(b"%d" % n)} for n in range(9)]}
        )
        opened = client.simulate_post(f"{key}/decrypt", json=sealed.json)
        return [base64.b64decode(item["plaintext"]) for item in opened.json["items"]]

    assert at_once(4, work) == [[b"%d" % n for n in range(9)]] * 4
    for each in (process, *others):
        each.database.dispose()


@pytest.mark.parametrize("generation", [True, False], ids=["new defaults", "old defaults"])
def test_a_foreign_project_uses_no_key_and_one_whom_the_acl_names_does(keymanager, tmp_path, generation):
    path = tmp_path / "keymanager.conf"
    path.write_text(f"[oslo_policy]\nenforce_new_defaults = {generation}\n")
    process = keymanager.again(options=_parsed([str(path)]))
    maker = process.client("own", "maker", "member,creator")
    key = post_key(maker)
    body = {"plaintext": "QUJD"}
    for roles in ("", "reader", "member", "admin", "creator", "observer", "key-manager:key-user"):
        for user in ("maker", "listed"):
            assert process.client("foreign", user, roles).simulate_post(f"{key}/encrypt", json=body).status_code == 403
    acl = {"read": {"users": ["listed"], "project-access": False}}
    assert maker.simulate_put(key.replace("/bascule", "") + "/acl", json=acl).status_code == 200
    assert process.client("foreign", "listed", "").simulate_post(f"{key}/encrypt", json=body).status_code == 200
    for roles, status in (("key-manager:key-user", 403), ("admin", 200)):
        assert process.client("own", "mate", roles).simulate_post(f"{key}/encrypt", json=body).status_code == status
    process.database.dispose()
