"""Versions of secrets: what Barbican's clients see of them is the current one, and nothing else."""

import base64
import json
from contextlib import nullcontext

import pytest
import sqlalchemy as sa

from bascule.release import Release
from bascule_keymanager.api.pipeline import Frame
from bascule_keymanager.storage.tables import encrypted_data
from bascule_keymanager.storage.version_tables import secret_labels, secret_versions, versioned_secrets

UNKNOWN = "/v1/bascule/secrets/6f1ed002-ab5c-4f1e-9f43-1ad7b6fd1f5e"


def own(path):
    """Where the versions of the secret at this path are."""
    return path.replace("/v1/", "/v1/bascule/")


def version(payload, **fields):
    return {"payload": payload, "payload_content_type": "text/plain", **fields}


def add(client, path, payload, status=201, headers=None, **fields):
    answer = client.simulate_post(own(path) + "/versions", json=version(payload, **fields), headers=headers)
    assert answer.status_code == status, answer.text
    return answer


def read(client, path, accept="text/plain"):
    return client.simulate_get(path + "/payload", headers={"Accept": accept})


def labels(client, path):
    return client.simulate_get(own(path) + "/labels").json["labels"]


def put_label(client, path, label, headers=None, **body):
    return client.simulate_put(f"{own(path)}/labels/{label}", json=body, headers=headers)


def test_a_secret_that_nobody_versioned_has_one_version(client, post_secret, keymanager):
    path = post_secret("only")
    seen = keymanager.count_statements()
    answer = client.simulate_get(own(path) + "/versions")
    assert len(seen) == 1
    [only] = answer.json["versions"]
    secret = client.simulate_get(path).json
    assert (only["version"], only["labels"], only["origin"]) == (1, ["current"], "client")
    assert (only["created"], only["creator_id"]) == (secret["created"], "u1")
    assert only["content_types"] == secret["content_types"]
    assert only["version_ref"].endswith(own(path) + "/versions/1")
    assert only["secret_ref"] == secret["secret_ref"]
    assert answer.json["total"] == 1
    assert answer.headers["ETag"] == '"1"'
    for name in ("1", "current"):
        payload = read(client, f"{own(path)}/versions/{name}")
        assert (payload.text, payload.headers["ETag"]) == ("only", '"1"')
        assert payload.headers["Content-Location"].endswith(own(path) + "/versions/1/payload")
    assert read(client, own(path) + "/versions/2").status_code == 404


def test_a_secret_without_a_payload_has_no_version_until_the_first_is_added(client, post_secret):
    path = post_secret(None, payload_content_type=None)
    assert client.simulate_get(own(path) + "/versions").json == {"versions": [], "total": 0}
    assert labels(client, path) == {}
    assert read(client, own(path) + "/versions/current").status_code == 404
    assert add(client, path, "first", labels=["pending"]).json["version"] == 1
    assert labels(client, path) == {"current": 1, "pending": 1}
    assert read(client, path).text == "first"
    put = client.simulate_put(path, body=b"second step", headers={"Content-Type": "text/plain"})
    assert put.status_code == 409


def test_what_barbicans_clients_read_is_the_current_version(client, post_secret):
    path = post_secret("one", name="n")
    before = client.simulate_get(path).json
    answer = add(client, path, "two")
    assert answer.json == {"version": 2, "version_ref": answer.headers["Location"]}
    assert answer.headers["ETag"] == '"2"'
    assert read(client, path).text == "two"
    after = client.simulate_get(path).json
    assert before.pop("updated") <= after.pop("updated")
    assert after == before
    assert labels(client, path) == {"current": 2, "previous": 1}
    for name, payload in {"1": "one", "previous": "one", "2": "two", "current": "two"}.items():
        assert read(client, f"{own(path)}/versions/{name}").text == payload
    assert client.simulate_get("/v1/secrets").json["total"] == 1


def test_the_type_of_the_secret_is_that_of_its_current_version(client, post_secret):
    path = post_secret("text")
    body = {
        "payload": base64.b64encode(b"\xff\x00").decode(),
        "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64",
    }
    assert client.simulate_post(own(path) + "/versions", json=body).status_code == 201
    assert client.simulate_get(path).json["content_types"] == {"default": "application/octet-stream"}
    assert read(client, path, "application/octet-stream").content == b"\xff\x00"
    assert read(client, path).status_code == 406
    assert put_label(client, path, "current", version=1).status_code == 200
    assert client.simulate_get(path).json["content_types"] == {"default": "text/plain"}
    assert read(client, own(path) + "/versions/2", "application/octet-stream").content == b"\xff\x00"


def test_a_version_waits_until_current_is_moved_to_it_and_moves_back(client, post_secret):
    path = post_secret("one")
    assert add(client, path, "two", labels=["pending"]).json["version"] == 2
    assert read(client, path).text == "one"
    assert labels(client, path) == {"current": 1, "pending": 2}
    moved = put_label(client, path, "current", version=2, expected_version=1)
    assert moved.json == {"label": "current", "version": 2}
    assert read(client, path).text == "two"
    assert labels(client, path) == {"current": 2, "pending": 2, "previous": 1}
    assert put_label(client, path, "current", version=1).status_code == 200
    assert [read(client, f"{own(path)}/versions/{name}").text for name in ("current", "previous")] == ["one", "two"]
    assert read(client, path).text == "one"
    assert client.simulate_delete(own(path) + "/labels/pending").status_code == 204
    assert labels(client, path) == {"current": 1, "previous": 2}


def test_an_expectation_that_no_longer_holds_changes_nothing(client, post_secret, keymanager):
    path = post_secret("one")
    add(client, path, "two", expected_version=1)
    refused = add(client, path, "three", 409, expected_version=1)
    assert refused.json == {
        "code": 409,
        "title": "Conflict",
        "description": "Secret version creation issue seen - Label 'current' is at version 2, and was expected at 1; "
        "read it and decide anew.",
    }
    refused = add(client, path, "three", 412, headers={"If-Match": '"1"'})
    assert refused.json["title"] == "Precondition Failed"
    assert 'their entity tag is "2" now' in refused.json["description"]
    assert put_label(client, path, "current", version=1, expected_version=7).status_code == 409
    assert put_label(client, path, "blue", version=1, expected_version=1).status_code == 409
    assert put_label(client, path, "blue", {"If-Match": '"1", W/"2"'}, version=1).status_code == 412
    gone = client.simulate_delete(own(path) + "/versions/1/payload", headers={"If-Match": '"9"'})
    assert gone.status_code == 412
    assert labels(client, path) == {"current": 2, "previous": 1}
    assert client.simulate_get(own(path) + "/versions").headers["ETag"] == '"2"'
    assert put_label(client, path, "blue", {"If-Match": '"1", "2"'}, version=1, expected_version=0).status_code == 200
    assert add(client, path, "three", headers={"If-Match": "*"}).json["version"] == 3


def test_a_label_that_is_there_already_stays_and_changes_no_tag(client, post_secret):
    path = post_secret("one")
    add(client, path, "two")
    tags = [put_label(client, path, "current", version=2).headers["ETag"] for _ in range(2)]
    assert tags == ['"2"', '"2"']
    assert labels(client, path) == {"current": 2, "previous": 1}


def test_labels_that_follow_others_or_are_none_are_refused(client, post_secret):
    path = post_secret("one")
    add(client, path, "two")
    assert put_label(client, path, "previous", version=2).status_code == 409
    assert put_label(client, path, "Blue", version=2).status_code == 400
    assert put_label(client, path, "7", version=2).status_code == 400
    assert put_label(client, path, "blue", version=9).status_code == 404
    assert put_label(client, path, "blue").status_code == 400
    assert add(client, path, "three", 409, labels=["previous"]).status_code == 409
    assert add(client, path, "three", 400, labels=["UPPER"]).json["description"].endswith("'labels'")
    for label, status in {"current": 409, "previous": 409, "blue": 404, "BLUE": 404}.items():
        assert client.simulate_delete(f"{own(path)}/labels/{label}").status_code == status
    assert labels(client, path) == {"current": 2, "previous": 1}


def test_a_destroyed_payload_is_gone_from_the_database_and_its_number_stays(client, post_secret, keymanager):
    path = post_secret("one")
    add(client, path, "two")
    assert put_label(client, path, "blue", version=1).status_code == 200
    used = client.simulate_delete(own(path) + "/versions/2/payload")
    assert used.status_code == 409
    assert "move label 'current'" in used.json["description"]
    assert client.simulate_delete(own(path) + "/versions/previous/payload").status_code == 204
    assert client.simulate_delete(own(path) + "/versions/1/payload").status_code == 204
    assert labels(client, path) == {"current": 2}
    gone = read(client, own(path) + "/versions/1")
    assert (gone.status_code, gone.json["description"]) == (404, "The payload of version 1 was destroyed.")
    shown = client.simulate_get(own(path) + "/versions/1").json
    assert shown["destroyed"] is not None
    assert put_label(client, path, "current", version=1).status_code == 409
    with keymanager.database.reader.connect() as connection:
        kept = connection.execute(sa.select(secret_versions.c.cypher_text)).scalars().all()
        assert kept == [None, None]
        assert len(connection.execute(sa.select(encrypted_data.c.id)).all()) == 1
    assert add(client, path, "three").json["version"] == 3


def test_the_oldest_versions_without_a_label_go(make_keymanager, sqlite_url):
    keymanager = make_keymanager(sqlite_url, max_versions=3)
    client = keymanager.client()
    path = "/v1" + client.simulate_post("/v1/secrets", json=version("one")).json["secret_ref"].partition("/v1")[2]
    put_label(client, path, "golden", version=1)
    for payload in ("two", "three", "four"):
        add(client, path, payload)
    shown = client.simulate_get(own(path) + "/versions").json["versions"]
    assert [(each["version"], each["labels"]) for each in shown] == [
        (4, ["current"]),
        (3, ["previous"]),
        (1, ["golden"]),
    ]
    put_label(client, path, "silver", version=3)
    refused = add(client, path, "five", 403)
    assert refused.json["description"].endswith("Creation not allowed because a quota has been reached.")
    assert read(client, path).text == "four"


def test_pages_of_versions(client, post_secret):
    path = post_secret("1")
    for number in range(2, 6):
        add(client, path, str(number))
    page = client.simulate_get(own(path) + "/versions?limit=2&offset=1").json
    assert [each["version"] for each in page["versions"]] == [4, 3]
    assert page["total"] == 5
    assert page["next"].endswith(own(path) + "/versions?limit=2&offset=3")
    assert page["previous"].endswith(own(path) + "/versions?limit=2&offset=0")


def test_a_deleted_secret_takes_its_versions_with_it(client, post_secret, keymanager):
    path = post_secret("one")
    add(client, path, "two")
    put_label(client, path, "blue", version=1)
    assert client.simulate_delete(path).status_code == 204
    for of_it in ("/versions", "/versions/1", "/versions/1/payload", "/labels"):
        assert client.simulate_get(own(path) + of_it).status_code == 404
    with keymanager.database.reader.connect() as connection:
        for table in (versioned_secrets, secret_versions, secret_labels):
            assert connection.execute(sa.select(table)).all() == []


def test_reading_the_current_payload_is_one_statement_as_ever(client, post_secret, keymanager):
    path = post_secret("one")
    add(client, path, "two")
    client.simulate_get(path + "/payload")  # from here on, the key is known
    for asked in (path + "/payload", own(path) + "/versions/current/payload", own(path) + "/versions/1/payload", path):
        seen = keymanager.count_statements()
        assert client.simulate_get(asked).status_code == 200
        assert len(seen) == 1, asked


def test_nothing_is_served_while_a_process_of_an_older_release_may_answer(keymanager, post_secret):
    path = own(post_secret("one"))
    frame = Frame(Frame.of(keymanager.settings).policies, speaking=lambda: nullcontext(Release.parse("2027.2")))
    client = keymanager.client(frame=frame)
    answers = [
        client.simulate_get(path + "/versions"),
        client.simulate_post(path + "/versions", json=version("two")),
        client.simulate_get(path + "/versions/1"),
        client.simulate_get(path + "/versions/1/payload"),
        client.simulate_delete(path + "/versions/1/payload"),
        client.simulate_get(path + "/labels"),
        client.simulate_put(path + "/labels/blue", json={"version": 1}),
        client.simulate_delete(path + "/labels/blue"),
    ]
    for answer in answers:
        assert answer.status_code == 409
        assert "from release 2028.1 on, and the pin is 2027.2" in answer.json["description"]


def test_bodies_that_break_a_rule_are_refused_without_the_payload_in_the_answer(client, post_secret):
    path = own(post_secret("one")) + "/versions"
    for body, status in (
        ({}, 400),
        ({"payload": "do-not-show"}, 400),
        ({"payload": 5, "payload_content_type": "text/plain"}, 400),
        ({"payload": "do-not-show", "payload_content_type": "image/png"}, 400),
        ({"payload": "", "payload_content_type": "text/plain"}, 400),
        ({"payload": "do-not-show" * 2_000, "payload_content_type": "text/plain"}, 413),
        (version("do-not-show", labels="blue"), 400),
        (version("do-not-show", expected_version=-1), 400),
        (version("do-not-show", more=1), 400),
    ):
        answer = client.simulate_post(path, json=body)
        assert answer.status_code == status, body.keys()
        assert "do-not-show" not in answer.text
    assert client.simulate_post(path, body=json.dumps(version("x"))).status_code == 415
    assert client.simulate_get(path).json["total"] == 1


def test_a_secret_that_is_not_there_is_not_found(client):
    for suffix in ("/versions", "/versions/1", "/versions/current/payload", "/labels"):
        assert client.simulate_get(UNKNOWN + suffix).json["description"] == "Secret not found."
        refused = client.simulate_get("/v1/bascule/secrets/7" + suffix)
        assert refused.json["description"] == "Not Found. Provided secret id is invalid."


def test_changes_are_written_down_without_payloads(client, post_secret, capfd):
    path = post_secret("one")
    add(client, path, "do-not-show", labels=["pending"])
    put_label(client, path, "current", version=2)
    client.simulate_delete(own(path) + "/versions/1/payload")
    written = "".join(capfd.readouterr())
    for event in ("secret version added", "secret label moved", "secret version destroyed"):
        assert event in written
    assert "do-not-show" not in written


@pytest.mark.parametrize("crypto", ["simple_crypto", "envelope"])
def test_versions_are_sealed_as_payloads_are(make_keymanager, sqlite_url, crypto):
    keymanager = make_keymanager(sqlite_url, crypto_plugins=(crypto,))
    keymanager.parts.speaking = lambda: nullcontext(Release.parse("2028.1"))
    client = keymanager.client()
    path = "/v1" + client.simulate_post("/v1/secrets", json=version("one")).json["secret_ref"].partition("/v1")[2]
    add(client, path, "two")
    put_label(client, path, "current", version=1)
    assert [read(client, f"{own(path)}/versions/{number}").text for number in (1, 2)] == ["one", "two"]
    with keymanager.database.reader.connect() as connection:
        rows = connection.execute(
            sa.select(secret_versions.c.number, secret_versions.c.kek_meta_extended).where(
                secret_versions.c.cypher_text.is_not(None)
            )
        ).all()
    assert [(row.number, row.kek_meta_extended is not None) for row in rows] == [(2, crypto == "envelope")]
