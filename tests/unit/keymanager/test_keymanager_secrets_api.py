"""/v1/secrets answers as Barbican does."""

import base64
import json

import pytest


def post(client, **body):
    return client.simulate_post("/v1/secrets", json=body)


def test_a_secret_is_made_described_read_and_deleted(client):
    made = post(client, name=" n ", payload=" pay ", payload_content_type="text/plain; charset=UTF-8")
    assert made.status_code == 201
    assert made.headers["location"] == made.json["secret_ref"]
    path = "/v1" + made.json["secret_ref"].partition("/v1")[2]

    shown = client.simulate_get(path).json
    assert shown["name"] == "n"
    assert shown["status"] == "ACTIVE"
    assert shown["secret_type"] == "opaque"
    assert shown["content_types"] == {"default": "text/plain"}
    assert shown["creator_id"] == "u1"
    assert shown["secret_ref"] == made.json["secret_ref"]
    assert "payload" not in shown

    payload = client.simulate_get(path + "/payload", headers={"Accept": "text/plain"})
    assert payload.text == "pay"
    assert payload.headers["content-type"] == "text/plain; charset=UTF-8"

    assert client.simulate_delete(path).status_code == 204
    for gone in (client.simulate_get(path), client.simulate_get(path + "/payload"), client.simulate_delete(path)):
        assert gone.status_code == 404
        assert gone.json == {"code": 404, "title": "Not Found", "description": "Secret not found."}


def test_answers_say_who_gave_them(client, monkeypatch, keymanager):
    monkeypatch.setenv("BASCULE_INSTANCE", "api-7")
    headers = keymanager.client().simulate_get("/v1/nothing").headers
    assert headers["x-bascule-instance"] == "api-7"
    assert headers["x-bascule-release"]
    assert headers["x-openstack-request-id"].startswith("req-")
    assert headers["openstack-api-version"] == "key-manager 1.0"


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ({"name": 5}, "5 is not of type 'string', 'null'", "name"),
        ({"name": "x" * 256}, f"{'x' * 256!r} is too long", "name"),
        ({"bit_length": 0}, "0 is less than the minimum of 1", "bit_length"),
        ({"bit_length": True}, "True is not of type 'integer'", "bit_length"),
        ({"secret_type": "x"}, "'x' is not one of", "secret_type"),
        ({"payload": None, "payload_content_type": "text/plain"}, "None is not of type 'string'", "payload"),
        ({"payload": 5, "payload_content_type": "text/plain"}, "the value is not of type 'string'", "payload"),
        (
            {"payload": " ", "payload_content_type": "text/plain"},
            "If 'payload' specified, must be non empty",
            "payload",
        ),
        (
            {"payload": "x"},
            "If 'payload' is supplied, 'payload_content_type' must also be supplied.",
            "payload_content_type",
        ),
        ({"payload_content_type": "text/plain"}, "payload must be provided when payload_content_type is", "payload"),
        ({"payload": "x", "payload_content_type": "a/b"}, "payload_content_type is not one of", "payload_content_type"),
        (
            {"payload": "x", "payload_content_type": "application/octet-stream"},
            "payload_content_encoding is not one of ['base64', 'binary']",
            "payload_content_encoding",
        ),
        (
            {"payload": "eA==", "payload_content_type": "text/plain", "payload_content_encoding": "base64"},
            "payload_content_encoding is not one of None",
            "payload_content_encoding",
        ),
        (
            {"payload": "a", "payload_content_type": "application/pkcs8", "payload_content_encoding": "base64"},
            "Invalid payload for payload_content_encoding",
            "payload",
        ),
        ({"expiration": "soon"}, "Invalid date for 'expiration'", "expiration"),
        ({"expiration": "2001-01-01T00:00:00"}, "'expiration' is before current time", "expiration"),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_with_the_rule(client, body, reason, field):
    answer = post(client, **body)
    assert answer.status_code == 400
    description = answer.json["description"]
    assert description.startswith(f"Provided object does not match schema 'Secret': {reason}")
    assert description.endswith(f"Invalid property: '{field}'")
    assert client.simulate_get("/v1/secrets").json["total"] == 0


def test_a_refused_payload_is_not_repeated_in_the_answer(client):
    answer = post(client, payload={"key": "hunter2"}, payload_content_type="text/plain")
    assert answer.status_code == 400
    assert "hunter2" not in answer.text


def test_bodies_that_are_not_json_are_refused(client):
    plain = client.simulate_post("/v1/secrets", body="{}", headers={"Content-Type": "text/plain"})
    assert plain.status_code == 415
    assert plain.json["description"] == "Unexpected content type. Expected content types are: ['application/json']"
    for body in (b"", b"{", b'"\xff"', json.dumps({"name": "x" * 30_000}).encode()):
        cut = client.simulate_post("/v1/secrets", body=body, headers={"Content-Type": "application/json; a=b"})
        assert (cut.status_code, cut.json["description"]) == (400, "Malformed JSON")


def test_a_payload_over_the_limit_is_too_large(client):
    assert post(client, payload="x" * 20_000, payload_content_type="text/plain").status_code == 201
    answer = post(client, payload="x" * 20_001, payload_content_type="text/plain")
    assert (answer.status_code, answer.json["description"]) == (413, "Provided information too large to process")


def test_binary_payloads_go_in_as_base64_and_come_out_as_bytes(client, post_secret):
    raw = bytes(range(256))
    path = post_secret(
        base64.b64encode(raw).decode(),
        payload_content_type="application/octet-stream",
        payload_content_encoding="base64",
    )
    for accept in ("application/octet-stream", "application/pkcs8"):
        answer = client.simulate_get(path + "/payload", headers={"Accept": accept})
        assert answer.content == raw
        assert answer.headers["content-type"] == accept
    assert client.simulate_get(path + "/payload").headers["content-type"] == "application/octet-stream"
    for accept in ("text/plain", "text/plain;charset=utf-8"):
        refused = client.simulate_get(path + "/payload", headers={"Accept": accept})
        assert refused.status_code == 406


def test_a_known_type_in_a_spelling_of_the_client_is_not_understood(client, post_secret):
    answer = client.simulate_get(post_secret("abc") + "/payload", headers={"Accept": "TEXT/PLAIN"})
    assert answer.status_code == 400
    text = "Secret payload retrieval issue seen - content-type of 'TEXT/PLAIN' not supported."
    assert answer.json["description"] == text


@pytest.mark.parametrize("query", ["", "&transport_key_id=11111111-1111-4111-8111-111111111111"])
def test_no_payload_is_wrapped_in_a_key_of_the_client(client, post_secret, query):
    answer = client.simulate_get(f"{post_secret('abc')}/payload?trans_wrapped_session_key=key{query}")
    assert answer.status_code == 400
    assert "abc" not in answer.text


def test_accept_is_compared_as_one_text(client, post_secret):
    path = post_secret("abc")
    anything = client.simulate_get(path + "/payload", headers={"Accept": "*/*"})
    assert (anything.text, anything.headers["content-type"]) == ("abc", "*/*")
    for accept in ("text/*", "text/plain, application/octet-stream", "application/json", "image/png"):
        answer = client.simulate_get(path + "/payload", headers={"Accept": accept})
        assert answer.status_code == 406
        assert answer.json["description"] == "Secret payload retrieval issue seen - Wrong payload content-type."
    assert client.simulate_get(path, headers={"Accept": "text/plain"}).text == "abc"


def test_a_secret_may_get_its_payload_in_a_second_step_and_only_once(client):
    path = "/v1" + post(client, name="later").json["secret_ref"].partition("/v1")[2]
    assert "content_types" not in client.simulate_get(path).json
    none = client.simulate_get(path + "/payload")
    assert none.json["description"] == "Not Found. Sorry but your secret has no payload."

    def put(body, content_type, **headers):
        return client.simulate_put(path, body=body, headers={"Content-Type": content_type, **headers})

    assert put(b"x", "application/pkcs8").status_code == 415
    assert put(b"", "text/plain").json["description"] == "Secret update issue seen - No data supplied to process.."
    assert put(b"x" * 20_001, "text/plain").status_code == 413
    assert put(b"eA==", "application/octet-stream", **{"Content-Encoding": "gzip"}).status_code == 400
    assert put(b"eHl6", "application/octet-stream", **{"Content-Encoding": "base64"}).status_code == 204
    assert client.simulate_get(path + "/payload").content == b"xyz"
    again = put(b"abc", "text/plain")
    assert (again.status_code, again.json["description"]) == (409, "Secret already has data, cannot modify it.")
    assert client.simulate_get(path + "/payload").content == b"xyz"


def test_lists_come_in_pages_in_the_order_of_making(client, post_secret):
    paths = [post_secret() for _ in range(5)]

    def page(query):
        document = client.simulate_get("/v1/secrets", query_string=query).json
        return document, ["/v1" + item["secret_ref"].partition("/v1")[2] for item in document["secrets"]]

    first, shown = page("limit=2&alg=%25")
    assert (first, shown) == ({"secrets": [], "total": 0}, [])  # no secret here has an algorithm
    first, shown = page("limit=2&name=s%25")
    assert shown == paths[:2]
    assert first["total"] == 5
    assert "previous" not in first
    assert first["next"].endswith("/v1/secrets?limit=2&offset=2&name=s%25")
    last, shown = page("limit=2&offset=4")
    assert shown == paths[4:]
    assert "next" not in last
    assert last["previous"].endswith("/v1/secrets?limit=2&offset=2")
    assert page("limit=2&offset=9")[0] == {"secrets": [], "total": 5}
    assert page("limit=junk&offset=-3")[1] == paths
    assert page("limit=0")[1] == paths[:1]
    assert page(f"offset={10**30}")[1] == []
    assert page("name=s3")[1] == paths[3:4]


def test_a_project_sees_and_touches_only_its_own_secrets(keymanager, post_secret):
    path, other = post_secret(), keymanager.client(project="p2")
    assert other.simulate_get("/v1/secrets").json == {"secrets": [], "total": 0}
    for answer, operation in (
        (other.simulate_get(path), "Secret retrieval"),
        (other.simulate_get(path + "/payload"), "Secret payload retrieval"),
        (other.simulate_delete(path), "Secret deletion"),
    ):
        assert answer.status_code == 403
        text = f"{operation} attempt not allowed - please review your user/project privileges"
        assert answer.json["description"] == text
    assert keymanager.client().simulate_get(path).status_code == 200


def test_without_an_identity_nothing_is_served_unless_configured(make_keymanager, sqlite_url):
    strict = make_keymanager(sqlite_url)
    refused = strict.client(project=None).simulate_get("/v1/secrets")
    assert refused.status_code == 401
    assert refused.json["error"]["title"] == "Unauthorized"
    assert "openstack-api-version" not in refused.headers
    assert strict.client(project=None).simulate_get("/healthcheck").text == "OK"
    assert strict.client(project=None).simulate_get("/").status_code == 300
    open_to_all = strict.again(allow_anonymous_access=True)
    assert open_to_all.client(project=None).simulate_get("/v1/secrets").json["total"] == 0
    open_to_all.database.dispose()


def test_expired_secrets_are_gone(client, post_secret, keymanager):
    path = post_secret(expiration="2999-01-01T00:00:00+02:00")
    assert client.simulate_get(path).json["expiration"] == "2998-12-31T22:00:00"
    with keymanager.database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE secrets SET expiration = '2001-01-01 00:00:00.000000'")
    assert client.simulate_get(path).status_code == 404
    assert client.simulate_get(path + "/payload").status_code == 404
    assert client.simulate_get("/v1/secrets").json["total"] == 0


def test_ids_that_are_no_uuid4_are_not_looked_up(client, keymanager):
    seen = keymanager.count_statements()
    for name in ("x", "1" * 36, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"):
        answer = client.simulate_get(f"/v1/secrets/{name}")
        assert (answer.status_code, answer.json["description"]) == (404, "Not Found. Provided secret id is invalid.")
    assert seen == []


def test_unknown_paths_methods_and_versions_are_refused_in_barbicans_shape(client):
    assert client.simulate_get("/v1/cas").json == {"code": 404, "title": "Not Found", "description": ""}
    assert client.simulate_patch("/v1/secrets").json == {"code": 405, "title": "Method Not Allowed", "description": ""}
    odd = client.simulate_get("/v1", headers={"OpenStack-API-Version": "key-manager 9.9"})
    assert odd.status_code == 406
    latest = client.simulate_get("/v1/", headers={"OpenStack-API-Version": "key-manager latest"})
    assert latest.json["version"]["id"] == "v1"


def test_references_follow_the_request_or_the_configuration(make_keymanager, sqlite_url):
    keymanager = make_keymanager(sqlite_url)
    answer = keymanager.client().simulate_get("/", headers={"X-Forwarded-Proto": "https"}, host="keys.example")
    assert answer.json["versions"]["values"][0]["links"][0]["href"] == "https://keys.example/v1/"
    fixed = keymanager.again(host_href="https://fixed:9")
    made = post(fixed.client(), name="x")
    assert made.json["secret_ref"].startswith("https://fixed:9/v1/secrets/")
    fixed.database.dispose()


def test_reads_cost_one_statement_and_writes_few(client, post_secret, keymanager):
    path = post_secret()
    seen = keymanager.count_statements()

    def cost(request):
        seen.clear()
        assert request().status_code < 300
        return len(seen)

    assert cost(lambda: client.simulate_get(path)) == 1
    assert cost(lambda: client.simulate_get(path + "/payload")) == 2  # the first that this process opens with its key
    assert cost(lambda: client.simulate_get(path + "/payload")) == 1
    assert cost(lambda: client.simulate_get("/v1/secrets")) == 2
    assert cost(lambda: post(client, payload="x", payload_content_type="text/plain")) == 5  # BEGIN, 3 inserts, a note


def test_a_failure_tells_the_client_nothing_and_logs_no_payload(client, keymanager, capsys):
    with keymanager.database.writer.begin() as connection:
        connection.exec_driver_sql("DROP TABLE encrypted_data")
    answer = post(client, payload="hunter2", payload_content_type="text/plain")
    assert answer.status_code == 500
    description = "Secret creation failure seen - please contact site administrator."
    assert answer.json == {"code": 500, "title": "Internal Server Error", "description": description}
    printed = "".join(capsys.readouterr())
    assert "request failed" in printed
    assert "hunter2" not in printed
    assert client.simulate_get("/v1/secrets").json["total"] == 0


def test_text_that_is_none_is_not_readable_as_text(client):
    path = "/v1" + post(client).json["secret_ref"].partition("/v1")[2]
    client.simulate_put(path, body=b"\xff", headers={"Content-Type": "text/plain"})
    for accept in ("*/*", "text/plain", "text/plain;charset=utf-8"):
        assert client.simulate_get(path + "/payload", headers={"Accept": accept}).status_code == 406
    assert client.simulate_get(path + "/payload").content == b"\xff"


def test_transport_keys_serve_nobody(keymanager, client):
    def refusal(**body):
        answer = post(client, **body)
        return answer.status_code, answer.json["description"]

    payload = {"payload": "x", "payload_content_type": "text/plain"}
    missing = (400, "Secret creation issue seen - Provided transport key was not found..")
    assert refusal(**payload, transport_key_id="x") == missing
    admin = keymanager.client(roles="admin")
    known = admin.simulate_post("/v1/transport_keys", json={"plugin_name": "p", "transport_key": "k"})
    key_id = known.json["transport_key_ref"].rpartition("/")[2]
    unused = (400, "Secret creation issue seen - Secret store supported plugin not found..")
    assert refusal(**payload, transport_key_id=key_id) == unused
    needed = (400, "Secret creation issue seen - No plugin was found that could support your request.")
    assert refusal(transport_key_needed="true") == needed
    assert post(client, transport_key_needed="false").status_code == 201


def test_of_several_faults_barbicans_choice_is_named(client):
    answer = post(client, bit_length=0, algorithm=1, payload={"key": "hunter2"}, name="\0")
    assert "the value is not of type 'string'" in answer.json["description"]
    assert post(client, bit_length=0, algorithm=1).json["description"].endswith("Invalid property: 'bit_length'")
    assert "'\\x00' contains a NUL character" in post(client, name="\0").json["description"]


def test_bodies_that_break_parsers_are_malformed(client):
    for body in (b"[" * 20_000, b'{"name": "\\ud800"}', b'{"bit_length": 1' + b"0" * 5_000 + b"}"):
        answer = client.simulate_post("/v1/secrets", body=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json["description"]) == (400, "Malformed JSON")


@pytest.mark.parametrize(("moment", "payload"), [("2001-01-01", "earlier"), ("2999-01-01", "abc")])
def test_of_several_payloads_the_one_that_was_stored_first_is_read(client, keymanager, post_secret, moment, payload):
    kept, other = post_secret(), post_secret(payload="earlier")
    moved = "UPDATE encrypted_data SET secret_id = ?, created_at = ? WHERE secret_id = ?"
    with keymanager.database.writer.begin() as connection:
        values = (kept.rpartition("/")[2], f"{moment} 00:00:00.000000", other.rpartition("/")[2])
        assert connection.exec_driver_sql(moved, values).rowcount == 1
    assert client.simulate_get(kept + "/payload", headers={"Accept": "text/plain"}).text == payload
