"""What hangs on secrets and projects, on PostgreSQL and MariaDB: the SQL of each, and what two writers at once do."""

import threading

import pytest


def at_once(count, work):
    """Run `work(number)` in threads that start together, and return what they returned or raised."""
    start, results = threading.Barrier(count), [None] * count

    def run(number):
        start.wait()
        try:
            results[number] = work(number)
        except Exception as failure:  # noqa: BLE001 - the test looks at it
            results[number] = failure

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def path_of(reference):
    return "/v1" + reference.partition("/v1")[2]


@pytest.fixture
def client(keymanager):
    return keymanager.client()


@pytest.fixture
def secret(client):
    body = {"name": "s", "payload": "p", "payload_content_type": "text/plain"}
    return path_of(client.simulate_post("/v1/secrets", json=body).json["secret_ref"])


def test_user_metadata_is_kept(client, secret):
    path = secret + "/metadata"
    assert client.simulate_put(path, json={"metadata": {"a": "1", "b": "2"}}).status_code == 201
    assert client.simulate_put(path + "/a", json={"key": "a", "value": "3"}).status_code == 200
    assert client.simulate_post(path, json={"key": "b", "value": "4"}).status_code == 409
    assert client.simulate_delete(path + "/b").status_code == 204
    assert client.simulate_get(path).json == {"metadata": {"a": "3"}}


def test_of_several_who_add_the_same_key_at_once_one_wins(client, secret):
    path = secret + "/metadata"
    answers = at_once(4, lambda number: client.simulate_post(path, json={"key": "k", "value": str(number)}).status_code)
    assert sorted(answers) == [201, 409, 409, 409]
    assert client.simulate_get(path).json == {"metadata": {"k": str(answers.index(201))}}


def test_several_who_replace_all_metadata_at_once_leave_one_of_theirs(client, secret):
    path = secret + "/metadata"
    bodies = [{"metadata": {"k": str(number), f"k{number}": ""}} for number in range(4)]
    answers = at_once(4, lambda number: client.simulate_put(path, json=bodies[number]).status_code)
    assert answers == [201] * 4
    assert client.simulate_get(path).json in bodies


def test_acls_are_kept(client, secret):
    path = secret + "/acl"
    assert client.simulate_put(path, json={"read": {"users": ["a", "b"], "project-access": False}}).status_code == 200
    assert client.simulate_patch(path, json={"read": {"users": ["b", "c"]}}).status_code == 200
    read = client.simulate_get(path).json["read"]
    assert (read["project-access"], sorted(read["users"])) == (False, ["b", "c"])
    assert client.simulate_delete(path).text == "null"
    assert client.simulate_get(path).json == {"read": {"project-access": True}}


def test_several_who_write_an_acl_at_once_leave_one_of_theirs(client, secret):
    path = secret + "/acl"
    bodies = [{"read": {"users": ["all", f"u{number}"]}} for number in range(4)]
    answers = at_once(4, lambda number: client.simulate_put(path, json=bodies[number]).status_code)
    assert answers == [200] * 4
    assert sorted(client.simulate_get(path).json["read"]["users"]) in [body["read"]["users"] for body in bodies]
