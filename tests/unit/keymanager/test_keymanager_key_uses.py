"""The API that uses a key: what it answers, what it refuses and how, and that nothing of it is told or logged."""

import base64
import itertools
import json
import os
from contextlib import nullcontext

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bascule.release import Release
from bascule_keymanager.api.key_uses import KEY_USES
from bascule_keymanager.api.metrics import Metrics
from bascule_keymanager.api.pipeline import Frame
from bascule_keymanager.config import _parsed, load_settings
from bascule_keymanager.config_transit import TransitSettings
from bascule_keymanager.policy.policies import Policies

MARK = b"hunter2-hunter2-hunter2-hunter2-"  # in every plaintext, 32 bytes long, and nowhere else
NOT_YOURS = "The ciphertext was made with a secret that is not there, or that you may not open it with"
DOES_NOT_OPEN = "The ciphertext does not open: it was changed or cut, or its context is another"


def b64(raw):
    return base64.b64encode(raw).decode()


def post_key(client, raw=None, **fields):
    """Keep a key, and return its path below our own."""
    body = {
        "secret_type": "symmetric",
        "algorithm": "aes",
        "payload": b64(os.urandom(32) if raw is None else raw),
        "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64",
        **fields,
    }
    answer = client.simulate_post(
        "/v1/secrets", json={name: value for name, value in body.items() if value is not None}
    )
    assert answer.status_code == 201, answer.text
    return "/v1/bascule/secrets/" + answer.json["secret_ref"].rpartition("/")[2]


@pytest.fixture
def key(client):
    return post_key(client)


@pytest.fixture
def use(client):
    """Use a key, and return the answer's JSON; `status` is what is expected."""

    def ask(path, verb, status=200, client=client, **body):
        answer = client.simulate_post(f"{path}/{verb}", json=body)
        assert answer.status_code == status, answer.text
        if status == 200:
            assert answer.headers["cache-control"] == "no-store"
            return answer.json
        assert answer.json.keys() == {"code", "title", "description"}
        assert answer.json["code"] == status
        return answer.json["description"]

    return ask


def test_what_was_encrypted_is_decrypted_with_its_context(key, use):
    sealed = use(key, "encrypt", plaintext=b64(MARK), context="volume 5")["ciphertext"]
    assert sealed.startswith(f"bascule:1:encrypted:{key.rpartition('/')[2]}:")
    assert use(key, "decrypt", ciphertext=sealed, context="volume 5") == {"plaintext": b64(MARK)}
    for context in ({}, {"context": ""}, {"context": "volume 5 "}, {"context": " volume 5"}):
        told = use(key, "decrypt", 400, ciphertext=sealed, **context)
        assert told == f"Decryption issue seen - {DOES_NOT_OPEN}."


def test_nothing_is_as_good_as_something_to_encrypt(key, use):
    sealed = use(key, "encrypt", plaintext="")["ciphertext"]
    assert use(key, "decrypt", ciphertext=sealed) == {"plaintext": ""}


@pytest.mark.parametrize("algorithm", ["aes-kw", "aes-kwp", "aes-gcm", None])
def test_a_key_is_wrapped_and_unwrapped(key, use, algorithm):
    chosen = {"algorithm": algorithm} if algorithm else {}
    wrapped = use(key, "wrap", key=b64(MARK), **chosen)["wrapped"]
    assert wrapped.split(":")[2] == (algorithm or "aes-kwp")
    assert use(key, "unwrap", wrapped=wrapped) == {"key": b64(MARK)}


def test_a_context_makes_it_aes_gcm_and_the_others_refuse_one(key, use):
    wrapped = use(key, "wrap", key=b64(MARK), context="c")["wrapped"]
    assert wrapped.split(":")[2] == "aes-gcm"
    assert use(key, "unwrap", wrapped=wrapped, context="c") == {"key": b64(MARK)}
    assert DOES_NOT_OPEN in use(key, "unwrap", 400, wrapped=wrapped)
    told = use(key, "wrap", 400, key=b64(MARK), algorithm="aes-kw", context="c")
    assert told == "Key wrap issue seen - aes-kw takes no context; aes-gcm does."
    plain = use(key, "wrap", key=b64(MARK))["wrapped"]
    assert "takes no context" in use(key, "unwrap", 400, wrapped=plain, context="c")
    assert "multiples of 8" in use(key, "wrap", 400, key=b64(b"five5"), algorithm="aes-kw")
    assert "the value should be non-empty" in use(key, "wrap", 400, key="")


def test_a_data_key_comes_plain_and_wrapped_or_wrapped_alone(key, use):
    for bits, size in ((None, 32), (128, 16), (192, 24), (512, 64), (256.0, 32)):
        made = use(key, "data-key", **({"bit_length": bits} if bits else {}))
        assert len(base64.b64decode(made["key"])) == size
        assert use(key, "unwrap", wrapped=made["wrapped"]) == {"key": made["key"]}
    assert made["key"] != use(key, "data-key", bit_length=256)["key"]
    alone = use(key, "wrapped-data-key", context="c")
    assert alone.keys() == {"wrapped"}
    assert len(base64.b64decode(use(key, "unwrap", wrapped=alone["wrapped"], context="c")["key"])) == 32


def test_a_wrapped_key_is_not_decrypted_and_a_ciphertext_not_unwrapped(key, use):
    wrapped = use(key, "wrap", key=b64(MARK), algorithm="aes-gcm")["wrapped"]
    sealed = use(key, "encrypt", plaintext=b64(MARK))["ciphertext"]
    assert "unwrapped and not decrypted" in use(key, "decrypt", 400, ciphertext=wrapped)
    assert "decrypted and not unwrapped" in use(key, "unwrap", 400, wrapped=sealed)
    renamed = wrapped.replace(":aes-gcm:", ":encrypted:")
    assert DOES_NOT_OPEN in use(key, "decrypt", 400, ciphertext=renamed)


def test_each_thing_that_is_wrong_with_a_ciphertext_has_its_sentence_and_none_tells_more(client, key, use):
    sealed = use(key, "encrypt", plaintext=b64(MARK))["ciphertext"]
    other = post_key(client)
    head, _, body = sealed.rpartition(":")
    flipped = ("B" if body[50] == "A" else "A").join((body[:50], body[51:]))
    for text in (f"{head}:{flipped}", f"{head}:{body[:60]}", f"{head}:{body[:104]}", f"{head}:AAAA"):
        assert DOES_NOT_OPEN in use(key, "decrypt", 400, ciphertext=text)
    assert "another secret" in use(other, "decrypt", 400, ciphertext=sealed)
    own = sealed.split(":")
    own[3] = other.rpartition("/")[2]
    assert "key that its secret does not have" in use(other, "decrypt", 400, ciphertext=":".join(own))
    assert "of format 7" in use(key, "decrypt", 400, ciphertext="bascule:7:" + sealed[10:])
    for text in (sealed + " ", " " + sealed, sealed[:-1] + "!", f"{head}:{body[:105]}", "vault:v1:abcd", head, "é"):
        assert "no ciphertext of this key manager's" in use(key, "decrypt", 400, ciphertext=text)


def test_several_items_are_answered_each_for_itself(key, use):
    items = [{"plaintext": b64(b"%d" % number), "context": str(number)} for number in range(5)]
    sealed = [item["ciphertext"] for item in use(key, "encrypt", items=items)["items"]]
    asked = [{"ciphertext": text, "context": str(number)} for number, text in enumerate(sealed)]
    asked[1]["context"], asked[3]["ciphertext"] = "other", "nonsense"
    answers = use(key, "decrypt", items=asked)["items"]
    assert [answers[n] for n in (0, 2, 4)] == [{"plaintext": b64(b"%d" % n)} for n in (0, 2, 4)]
    told = {"code": 400, "title": "Bad Request", "description": f"Decryption issue seen - {DOES_NOT_OPEN}."}
    assert answers[1] == {"error": told}
    assert answers[3]["error"]["description"].startswith("Decryption issue seen - The text is no ciphertext")


def test_a_key_that_was_given_another_payload_is_told(keymanager, client, key, use):
    sealed = use(key, "encrypt", plaintext=b64(MARK))["ciphertext"]
    newer = post_key(client)
    names = [path.rpartition("/")[2] for path in (key, newer)]
    with keymanager.database.writer.begin() as connection:  # what a restored row would be
        for table in ("encrypted_data",):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE secret_id = '{names[0]}'")
            connection.exec_driver_sql(f"UPDATE {table} SET secret_id = '{names[0]}' WHERE secret_id = '{names[1]}'")
    assert "key that its secret does not have" in use(key, "decrypt", 400, ciphertext=sealed)


def test_rewrap_moves_to_another_key_only_what_the_caller_may_open(keymanager, client, key, use):
    newer = post_key(client)
    for verb, field, kept in (("encrypt", "plaintext", "ciphertext"), ("wrap", "key", "wrapped")):
        sealed = use(key, verb, **{field: b64(MARK)})[kept]
        for target in (key, newer):
            moved = use(target, "rewrap", ciphertext=sealed)["ciphertext"]
            assert moved.split(":")[3] == target.rpartition("/")[2]
            opener = {"encrypt": "decrypt", "wrap": "unwrap"}[verb]
            assert use(target, opener, **{kept: moved}) == {field: b64(MARK)}
    stranger = keymanager.client("p2", "u2")
    own = post_key(stranger)
    told = use(own, "rewrap", 400, client=stranger, ciphertext=sealed)
    assert told == f"Rewrap issue seen - {NOT_YOURS}."
    gone = sealed.replace(key.rpartition("/")[2], "7f3a6c1e-2b5d-4e8f-9a10-3c4d5e6f7a8b")
    assert use(own, "rewrap", 400, client=stranger, ciphertext=gone) == told
    [answer] = use(own, "rewrap", client=stranger, items=[{"ciphertext": sealed}])["items"]
    assert answer["error"]["description"] == told


def test_rewrap_keeps_the_context(key, use):
    sealed = use(key, "encrypt", plaintext=b64(MARK), context="c")["ciphertext"]
    assert DOES_NOT_OPEN in use(key, "rewrap", 400, ciphertext=sealed)
    moved = use(key, "rewrap", ciphertext=sealed, context="c")["ciphertext"]
    assert moved != sealed
    assert use(key, "decrypt", ciphertext=moved, context="c") == {"plaintext": b64(MARK)}


NO_KEYS = [
    ({"secret_type": "opaque"}, "is of type opaque"),
    ({"secret_type": "passphrase"}, "is of type passphrase"),
    ({"algorithm": "des"}, "of another algorithm"),
    ({"raw": b"x" * 33}, "16, 24 or 32 bytes"),
    ({"raw": b"x" * 8}, "16, 24 or 32 bytes"),
    (
        {"payload": "x" * 32, "payload_content_type": "text/plain", "payload_content_encoding": None},
        "is text, and a key is bytes",
    ),
    ({"payload": None, "payload_content_type": None, "payload_content_encoding": None}, "has no payload"),
]


@pytest.mark.parametrize(("fields", "told"), NO_KEYS)
def test_what_is_no_key_is_told_so(client, use, fields, told):
    path = post_key(client, **fields)
    for each in KEY_USES:
        body = {name: b64(MARK) for name in each.schema.item.rules["required"]}
        assert told in use(path, each.verb, 400, **body)


@pytest.mark.parametrize("fields", [{"algorithm": None}, {"algorithm": "AES"}, {"mode": "cbc"}, {"raw": bytes(16)}])
def test_keys_are_taken_as_clients_made_them(client, use, fields):
    path = post_key(client, **fields)
    assert use(path, "decrypt", ciphertext=use(path, "encrypt", plaintext="")["ciphertext"]) == {"plaintext": ""}


def test_a_key_that_was_ordered_is_used(keymanager, client, use):
    meta = {"algorithm": "aes", "bit_length": 256, "mode": "cbc"}
    order = client.simulate_post("/v1/orders", json={"type": "key", "meta": meta}).json["order_ref"]
    assert keymanager.processor.process_id(keymanager.wakes[-1]) == "done"
    ordered = client.simulate_get("/v1" + order.partition("/v1")[2]).json
    path = "/v1/bascule/secrets/" + ordered["secret_ref"].rpartition("/")[2]
    assert use(path, "decrypt", ciphertext=use(path, "encrypt", plaintext="QUJD")["ciphertext"]) == {
        "plaintext": "QUJD"
    }


def test_what_is_not_there_is_not_found(client, key, use):
    for path in ("/v1/bascule/secrets/7f3a6c1e-2b5d-4e8f-9a10-3c4d5e6f7a8b", "/v1/bascule/secrets/nonsense"):
        for each in KEY_USES:
            use(path, each.verb, 404, plaintext="")
    assert client.simulate_delete(key.replace("/bascule", "")).status_code == 204
    assert use(key, "encrypt", 404, plaintext="") == "Secret not found."
    assert client.simulate_get(key + "/encrypt").status_code == 405
    assert client.simulate_post(key + "/sign").status_code == 404


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "'plaintext' is a required property"),
        ({"plaintext": 5}, "the value is not of type 'string'"),
        ({"plaintext": "%%%"}, "the value is not base64"),
        ({"plaintext": "QUJ"}, "the value is not base64"),
        ({"plaintext": "QUJD", "contxt": "c"}, "'contxt' was unexpected"),
        ({"plaintext": "QUJD", "context": {"a": "b"}}, "the value is not of type 'string'"),
        ({"plaintext": "QUJD", "context": "x" * 4_097}, "the value is too long"),
        ({"plaintext": "QUJD", "items": [{"plaintext": "QUJD"}]}, "nothing stands beside 'items'"),
        ({"items": []}, "the list is empty"),
        ({"items": [{}]}, "'plaintext' is a required property"),
        ({"items": [[]]}, "is not of type 'object'"),
        ({"items": {"plaintext": "hunter2"}}, "the value is not of type 'array'"),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_without_repeating_it(key, use, body, told):
    description = use(key, "encrypt", 400, **body)
    assert told in description
    assert "hunter2" not in description


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"hunter2"', b"\xff", b'{"plaintext": "\\ud800"}'])
def test_what_is_no_json_object_is_refused(client, key, raw):
    headers = {"Content-Type": "application/json"}
    answer = client.simulate_post(key + "/encrypt", body=raw, headers=headers)
    assert answer.status_code == 400
    assert "hunter2" not in answer.text
    assert client.simulate_post(key + "/encrypt", body=raw, headers={"Content-Type": "text/plain"}).status_code == 415


def test_what_is_too_large_is_refused_by_each_limit(make_keymanager, sqlite_url, use):
    keymanager = make_keymanager(sqlite_url, transit=TransitSettings(100, 3, 1_000))
    client = keymanager.client()
    path = post_key(client)
    assert use(path, "encrypt", client=client, plaintext=b64(bytes(100)))
    assert "At most 100 bytes" in use(path, "encrypt", 413, client=client, plaintext=b64(bytes(101)))
    assert "At most 100 bytes" in use(path, "wrap", 413, client=client, key=b64(bytes(101)))
    assert len(use(path, "encrypt", client=client, items=[{"plaintext": ""}] * 3)["items"]) == 3
    assert "at most 3 items" in use(path, "encrypt", 413, client=client, items=[{"plaintext": ""}] * 4)
    assert "too large" in use(path, "encrypt", 413, client=client, plaintext=b64(bytes(1_000)))


def test_a_ciphertext_opens_after_the_limits_were_lowered(make_keymanager, sqlite_url, use):
    keymanager = make_keymanager(sqlite_url)
    client = keymanager.client()
    path = post_key(client)
    sealed = use(path, "encrypt", client=client, plaintext=b64(bytes(500)))["ciphertext"]
    smaller = keymanager.again(transit=TransitSettings(max_plaintext_bytes=10)).client()
    assert use(path, "decrypt", client=smaller, ciphertext=sealed) == {"plaintext": b64(bytes(500))}


def test_the_configuration_file_has_the_limits(tmp_path):
    path = tmp_path / "keymanager.conf"
    common = "[database]\nconnection = sqlite://\n[simple_crypto_plugin]\nkek = k\n"
    path.write_text(common)
    assert load_settings(str(path)).transit == TransitSettings(65_536, 128, 1_048_576)
    path.write_text(common + "[transit]\nmax_items = 7\nmax_plaintext_bytes = 8\nmax_request_bytes = 9\n")
    assert load_settings(str(path)).transit == TransitSettings(8, 7, 9)


@pytest.mark.parametrize("pin", ["2026.2", "2027.2"])
def test_no_key_is_used_while_the_pin_is_older_and_the_refusal_says_so(keymanager, client, use, pin):
    path = post_key(client)
    frame = Frame(Policies(keymanager.settings.options), speaking=lambda: nullcontext(Release.parse(pin)))
    early = keymanager.client(frame=frame)
    for each in KEY_USES:
        told = use(path, each.verb, 409, client=early, plaintext="")
        assert "2028.1" in told
        assert f"the pin is {pin}" in told
    lifted = Frame(Policies(keymanager.settings.options), speaking=lambda: nullcontext(Release.parse("2028.1")))
    assert use(path, "encrypt", client=keymanager.client(frame=lifted), plaintext="")


def test_using_a_key_is_one_statement(keymanager, key, use):
    sealed = use(key, "encrypt", plaintext="")["ciphertext"]
    seen = keymanager.count_statements()
    use(key, "encrypt", items=[{"plaintext": ""}] * 20)
    use(key, "decrypt", items=[{"ciphertext": sealed}] * 20)
    use(key, "data-key")
    assert len(seen) == 3
    use(key, "rewrap", items=[{"ciphertext": sealed}] * 20)
    assert len(seen) == 4


def test_items_of_one_other_key_cost_one_statement_more(keymanager, client, key, use):
    sealed = use(key, "encrypt", plaintext="")["ciphertext"]
    target = post_key(client)
    seen = keymanager.count_statements()
    use(target, "rewrap", items=[{"ciphertext": sealed}] * 20)
    assert len(seen) == 2


def test_the_log_says_who_used_which_key_how_often_and_nothing_of_what(keymanager, client, key, use):
    with structlog.testing.capture_logs() as events:
        sealed = use(key, "encrypt", plaintext=b64(MARK), context="secret context")["ciphertext"]
        use(key, "decrypt", items=[{"ciphertext": sealed, "context": "secret context"}, {"ciphertext": "x"}])
        use(key, "decrypt", 400, ciphertext=sealed)
        use(key, "data-key", context="secret context")
    used = [event for event in events if event["event"] == "key used"]
    assert [(event["operation"], event["items"], event["refused"]) for event in used] == [
        ("encrypt", 1, 0),
        ("decrypt", 2, 1),
        ("decrypt", 1, 1),
        ("data-key", 1, 0),
    ]
    name = key.rpartition("/")[2]
    assert {(event["secret"], event["project"], event["user"]) for event in used} == {(name, "p1", "u1")}
    assert all(event["request_id"].startswith("req-") for event in used)
    told = repr(events)
    for hidden in (MARK.decode(), b64(MARK), "secret context", sealed):
        assert hidden not in told


def test_figures_count_items_by_use_and_outcome(keymanager, key, use):
    metrics = Metrics()
    client = keymanager.client(frame=Frame(Policies(keymanager.settings.options), metrics=metrics))
    use(key, "encrypt", client=client, items=[{"plaintext": ""}] * 3)
    use(key, "decrypt", 400, client=client, ciphertext="x")
    shown = metrics.render().decode()
    assert 'keymanager_key_uses_total{operation="encrypt",outcome="done"} 3.0' in shown
    assert 'keymanager_key_uses_total{operation="decrypt",outcome="refused"} 1.0' in shown
    assert 'route="/v1/bascule/secrets/{secret_id}/encrypt"' in shown
    assert key.rpartition("/")[2] not in shown


# Who may use a key of the own project, by the access that its ACL gives. Everything else is refused.
USERS = {"maker": ("maker", "own"), "mate": ("mate", "own"), "listed": ("listed", "foreign"), "other": ("x", "foreign")}
ROLES = ("", "reader", "member,reader", "admin,member,reader", "creator", "observer", "audit", "key-manager:key-user")
NEW = {
    ("open", "maker"): {"member,reader", "admin,member,reader", "key-manager:key-user"},
    ("open", "mate"): {"member,reader", "admin,member,reader", "key-manager:key-user"},
    ("private", "maker"): {"member,reader", "admin,member,reader"},
    ("private", "mate"): {"admin,member,reader"},
    ("shared", "maker"): {"member,reader", "admin,member,reader"},
    ("shared", "mate"): {"admin,member,reader"},
    ("shared", "listed"): set(ROLES),
}
OLD = {
    ("open", "maker"): {"admin,member,reader", "creator", "observer", "key-manager:key-user"},
    ("open", "mate"): {"admin,member,reader", "creator", "observer", "key-manager:key-user"},
    ("private", "maker"): {"admin,member,reader", "creator"},
    ("private", "mate"): {"admin,member,reader"},
    ("shared", "maker"): {"admin,member,reader", "creator"},
    ("shared", "mate"): {"admin,member,reader"},
    ("shared", "listed"): set(ROLES),
}


@pytest.mark.parametrize(("generation", "allowed"), [(True, NEW), (False, OLD)], ids=["new defaults", "old defaults"])
def test_roles_projects_and_acls_decide_who_uses_a_key(make_keymanager, sqlite_url, tmp_path, generation, allowed):
    path = tmp_path / "keymanager.conf"
    path.write_text(f"[oslo_policy]\nenforce_new_defaults = {generation}\n")
    keymanager = make_keymanager(sqlite_url, options=_parsed([str(path)]), access_log=False)
    maker = keymanager.client("own", "maker", "member,reader,creator,admin")
    keys = {access: post_key(maker) for access in ("open", "private", "shared")}
    for access, listed in (("private", []), ("shared", ["listed"])):
        acl = {"read": {"project-access": False, "users": listed}}
        assert maker.simulate_put(keys[access].replace("/bascule", "") + "/acl", json=acl).status_code == 200
    bodies = {access: bodies_of(maker, key) for access, key in keys.items()}
    wrong, asked = [], 0
    for (who, (user, project)), roles in itertools.product(USERS.items(), ROLES):
        client = keymanager.client(project, user, roles)
        for access, each in itertools.product(keys, KEY_USES):
            answer = client.simulate_post(f"{keys[access]}/{each.verb}", json=bodies[access][each.verb])
            asked += 1
            expected = 200 if roles in allowed.get((access, who), ()) else 403
            if answer.status_code != expected or (expected == 403 and len(answer.json) != 3):
                wrong.append((access, who, roles, each.verb, answer.status_code, expected))
    assert wrong == []
    assert asked == len(USERS) * len(ROLES) * 3 * 7


def bodies_of(client, key):
    """A body for each use of this key that does it."""
    bodies = {
        "encrypt": {"plaintext": b64(MARK)},
        "wrap": {"key": b64(MARK)},
        "data-key": {},
        "wrapped-data-key": {},
    }
    made = {verb: client.simulate_post(f"{key}/{verb}", json=body).json for verb, body in bodies.items()}
    return {
        **bodies,
        "decrypt": made["encrypt"],
        "unwrap": made["wrap"],
        "rewrap": {"ciphertext": made["encrypt"]["ciphertext"]},
    }


def test_whoever_has_the_role_for_keys_alone_uses_them_and_reads_none(keymanager, client, key, use):
    user = keymanager.client("p1", "app", "key-manager:key-user")
    sealed = use(key, "encrypt", client=user, plaintext=b64(MARK))["ciphertext"]
    assert use(key, "decrypt", client=user, ciphertext=sealed) == {"plaintext": b64(MARK)}
    secret = key.replace("/bascule", "")
    for path in (secret, secret + "/payload", "/v1/secrets", secret + "/metadata"):
        assert user.simulate_get(path).status_code == 403
    assert user.simulate_delete(secret).status_code == 403
    stranger = keymanager.client("p2", "app", "key-manager:key-user")
    assert "not allowed" in use(key, "decrypt", 403, client=stranger, ciphertext=sealed)


def test_an_operator_splits_the_uses_of_a_key(make_keymanager, sqlite_url, tmp_path, use):
    path = tmp_path / "keymanager.conf"
    path.write_text(f"[oslo_policy]\npolicy_file = {tmp_path}/policy.yaml\n")
    rules = {"key:decrypt": "role:reader and rule:secret_project_match", "secret:decrypt": "!"}
    (tmp_path / "policy.yaml").write_text(json.dumps(rules))
    keymanager = make_keymanager(sqlite_url, options=_parsed([str(path)]))
    member, reader = keymanager.client(), keymanager.client(roles="reader")
    key = post_key(member)
    sealed = use(key, "encrypt", client=member, plaintext=b64(MARK))["ciphertext"]
    assert use(key, "decrypt", client=reader, ciphertext=sealed)
    use(key, "encrypt", 403, client=reader, plaintext="")
    assert member.simulate_get(key.replace("/bascule", "") + "/payload").status_code == 403


@pytest.fixture(scope="module")
def shared(make_shared_keymanager, tmp_path_factory):
    keymanager = make_shared_keymanager(f"sqlite:///{tmp_path_factory.mktemp('keys')}/keymanager.db")
    client = keymanager.client()
    return client, post_key(client)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plain=st.binary(max_size=300), context=st.text(max_size=50), other=st.text(max_size=50))
def test_what_goes_in_comes_out_and_with_another_context_nothing_does(shared, plain, context, other):
    client, key = shared
    sealed = client.simulate_post(key + "/encrypt", json={"plaintext": b64(plain), "context": context})
    ciphertext = sealed.json["ciphertext"]
    opened = client.simulate_post(key + "/decrypt", json={"ciphertext": ciphertext, "context": context})
    assert opened.json == {"plaintext": b64(plain)}
    if other != context:
        refused = client.simulate_post(key + "/decrypt", json={"ciphertext": ciphertext, "context": other})
        assert (refused.status_code, refused.json["description"]) == (
            400,
            f"Decryption issue seen - {DOES_NOT_OPEN}.",
        )


AUDIT_MAP = """
[DEFAULT]
target_endpoint_type = None
[custom_actions]
encrypt = update/encrypt
decrypt = read/decrypt
[path_keywords]
secrets = secret
[service_endpoints]
key-manager = service/security/keymanager
"""


@pytest.mark.filterwarnings("ignore:Invalid uuid")
def test_each_use_is_audited_by_its_name_and_who_was_refused_as_well(keymanager, key, tmp_path, caplog):
    (tmp_path / "map.conf").write_text(AUDIT_MAP)
    path = tmp_path / "keymanager.conf"
    path.write_text("[audit_middleware_notifications]\nuse_oslo_messaging = False\n")
    audited = keymanager.again(options=_parsed([str(path)]), audit_map_file=str(tmp_path / "map.conf"))
    catalog = [{"type": "key-manager", "name": "keys", "endpoints": [{"publicURL": "http://falconframework.org"}]}]
    headers = {"X-Service-Catalog": json.dumps(catalog)}
    with caplog.at_level("INFO"):
        sealed = audited.client().simulate_post(f"{key}/encrypt", json={"plaintext": b64(MARK)}, headers=headers)
        stranger = audited.client("p2", "u2")
        assert stranger.simulate_post(f"{key}/decrypt", json=sealed.json, headers=headers).status_code == 403
    events = [record.getMessage() for record in caplog.records if "Event type" in record.getMessage()]
    audited.database.dispose()
    assert [("update/encrypt" in event, "read/decrypt" in event) for event in events] == [
        (True, False),
        (True, False),
        (False, True),
        (False, True),
    ]
    assert all(key.rpartition("/")[2] in event for event in events)
    assert "403" in events[3]
    assert b64(MARK) not in repr(events)
    assert sealed.json["ciphertext"] not in repr(events)
