"""Versions of secrets on every database: what is compared and changed at once has one winner."""

import base64

import pytest
import sqlalchemy as sa
from support.at_once import at_once

from bascule_keymanager.storage.rows import deleted
from bascule_keymanager.storage.tables import encrypted_data, kek_data, secret_store_metadata, secrets
from bascule_keymanager.storage.version_ends import VersionEnds
from bascule_keymanager.storage.version_tables import secret_labels, secret_versions, versioned_secrets

OURS = (versioned_secrets, secret_versions, secret_labels)

pytestmark = pytest.mark.parametrize("server_url", ["sqlite", "postgresql", "mariadb"], indirect=True)


@pytest.fixture
def client(keymanager):
    return keymanager.client()


@pytest.fixture
def path(client):
    body = {"payload": "payload 1", "payload_content_type": "text/plain"}
    return "/v1" + client.simulate_post("/v1/secrets", json=body).json["secret_ref"].partition("/v1")[2]


def own(path):
    return path.replace("/v1/", "/v1/bascule/")


def add(client, path, number, **fields):
    body = {"payload": f"payload {number}", "payload_content_type": "text/plain", **fields}
    return client.simulate_post(own(path) + "/versions", json=body)


def read(client, path):
    return client.simulate_get(path + "/payload", headers={"Accept": "text/plain"}).text


def rows_of(keymanager, table):
    with keymanager.database.reader.connect() as connection:
        return connection.execute(sa.select(table)).all()


def test_of_many_that_expect_the_same_version_one_wins(keymanager, client, path):
    others = [keymanager.again(keks=keymanager.settings.keks) for _ in range(6)]
    clients = [other.client() for other in others]
    for expected in (1, 2, 3):
        answers = at_once(
            6, lambda number, at=expected: add(clients[number], path, f"{at}.{number}", expected_version=at)
        )
        statuses = [answer.status_code for answer in answers]
        assert sorted(statuses) == [201, 409, 409, 409, 409, 409]
        assert read(client, path) == f"payload {expected}.{statuses.index(201)}"
    for other in others:
        other.database.dispose()
    shown = client.simulate_get(own(path) + "/versions").json["versions"]
    assert [each["version"] for each in shown] == [4, 3, 2, 1]
    assert client.simulate_get(own(path) + "/labels").json["labels"] == {"current": 4, "previous": 3}


def test_of_many_that_expect_a_label_somewhere_one_moves_it(keymanager, client, path):
    for number in range(2, 8):
        assert add(client, path, number).status_code == 201

    def move(number):
        body = {"version": number + 1, "expected_version": 7}
        return client.simulate_put(own(path) + "/labels/current", json=body)

    answers = at_once(6, move)
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
    winner = statuses.index(200) + 1
    assert read(client, path) == f"payload {winner}"
    assert client.simulate_get(own(path) + "/labels").json["labels"] == {"current": winner, "previous": 7}
    for number in range(1, 8):
        assert read(client, f"{own(path)}/versions/{number}") == f"payload {number}"


def test_versions_added_at_once_without_expectation_are_all_there(keymanager, client, path):
    answers = at_once(6, lambda number: add(client, path, f"of {number}"))
    assert sorted(answer.json["version"] for answer in answers) == [2, 3, 4, 5, 6, 7]
    for number, answer in enumerate(answers):
        assert read(client, f"{own(path)}/versions/{answer.json['version']}") == f"payload of {number}"
    assert len(rows_of(keymanager, encrypted_data)) == 1


def test_whoever_reads_while_current_moves_reads_one_version_or_the_other(keymanager, client, path):
    add(client, path, 2)
    wrong, finished = [], []

    def work(number):
        if number == 0:
            for turn in range(30):
                body = {"version": turn % 2 + 1}
                assert client.simulate_put(own(path) + "/labels/current", json=body).status_code == 200
            finished.append(True)
            return
        while not finished:
            wrong.extend(text for text in [read(client, path)] if text not in ("payload 1", "payload 2"))
            wrong.extend(
                (version, text)
                for version in (1, 2)
                for text in [read(client, f"{own(path)}/versions/{version}")]
                if text != f"payload {version}"
            )

    assert at_once(3, work) == [None, None, None]
    assert wrong == []


def test_a_secret_that_is_deleted_while_versions_are_added_leaves_nothing(keymanager, client, path):
    def work(number):
        if number == 0:
            return client.simulate_delete(path).status_code
        return add(client, path, number).status_code

    statuses = at_once(5, work)
    assert statuses[0] == 204
    assert set(statuses[1:]) <= {201, 404}
    assert [rows_of(keymanager, table) for table in OURS] == [[], [], []]


def test_what_barbican_stored_as_bytes_moves_with_its_version(keymanager, client, path):
    with keymanager.database.writer.begin() as connection:
        [text] = connection.execute(sa.select(encrypted_data.c.cypher_text)).scalars()
        shown = "\\x" + text.encode().hex() if keymanager.database.dialect == "postgresql" else text
        connection.execute(encrypted_data.update().values(cypher_text=shown))
    assert read(client, path) == "payload 1"
    add(client, path, 2)
    assert read(client, own(path) + "/versions/1") == "payload 1"
    assert client.simulate_put(own(path) + "/labels/current", json={"version": 1}).status_code == 200
    [row] = rows_of(keymanager, encrypted_data)
    base64.b64decode(row.cypher_text, validate=True)


def test_an_older_release_may_delete_a_secret_and_clean_up_for_good(keymanager, client, path):
    add(client, path, 2)
    with keymanager.database.writer.begin() as connection:  # all that a release without versions does
        for table in (secrets, encrypted_data, secret_store_metadata):
            connection.execute(table.update().values(deleted()))
    assert client.simulate_get(own(path) + "/versions").status_code == 404
    with keymanager.database.writer.begin() as connection:
        for table in (encrypted_data, secret_store_metadata, secrets, kek_data):
            connection.execute(table.delete())
    if keymanager.database.dialect == "sqlite":  # which keeps no foreign keys: the upkeep finds what is left
        VersionEnds(keymanager.database, keymanager.stores).upkeep()
    assert [rows_of(keymanager, table) for table in OURS] == [[], [], []]
