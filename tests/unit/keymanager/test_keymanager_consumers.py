"""Consumers of secrets and of containers answer as Barbican's do."""

import hashlib

import pytest

from bascule_keymanager.storage.secrets import SecretInUse

BASE = "http://falconframework.org"
OF_SECRET = {"service": "image", "resource_type": "image", "resource_id": "i1"}
OF_CONTAINER = {"name": "lb", "URL": "http://lb/1"}


@pytest.fixture
def container(client):
    answer = client.simulate_post("/v1/containers", json={"type": "generic"})
    return answer.json["container_ref"].removeprefix(BASE)


@pytest.fixture(params=["secret", "container"])
def kind(request, post_secret, container):
    """The path of a secret or container, what registers a consumer of it, and its field in the entity's JSON."""
    return (post_secret(), OF_SECRET) if request.param == "secret" else (container, OF_CONTAINER)


def description(answer):
    return answer.status_code, answer.json["description"]


def test_a_consumer_is_registered_shown_and_removed(client, kind):
    path, body = kind
    added = client.simulate_post(path + "/consumers", json={**body, "ignored": 1})
    assert added.status_code == 200
    assert added.json["consumers"] == [body]
    assert added.headers["location"] == f"{BASE}/v1/consumers/{path.rpartition('/')[2]}/consumers"

    listed = client.simulate_get(path + "/consumers").json
    [shown] = listed["consumers"]
    assert listed["total"] == 1
    assert {"created", "updated"} < set(shown)
    assert {name: value for name, value in shown.items() if name not in ("created", "updated")} == {
        "status": "ACTIVE",
        **body,
    }

    removed = client.simulate_delete(path + "/consumers", json=body)
    assert (removed.status_code, removed.json["consumers"]) == (200, [])
    assert client.simulate_get(path + "/consumers").json == {"consumers": [], "total": 0}
    assert description(client.simulate_delete(path + "/consumers", json=body)) == (404, "Consumer not found.")


def test_the_same_consumer_again_is_one_and_a_removed_one_comes_back(client, kind):
    path, body = kind
    for _ in range(2):
        assert client.simulate_post(path + "/consumers", json=body).json["consumers"] == [body]
    client.simulate_delete(path + "/consumers", json=body)
    assert client.simulate_post(path + "/consumers", json=body).json["consumers"] == [body]
    assert client.simulate_get(path + "/consumers").json["total"] == 1


def test_lists_come_in_pages(client, kind):
    path, body = kind
    field = "resource_id" if "service" in body else "name"
    for number in range(3):
        client.simulate_post(path + "/consumers", json={**body, field: f"n{number}"})
    page = client.simulate_get(path + "/consumers?limit=2").json
    assert [item[field] for item in page["consumers"]] == ["n0", "n1"]
    assert page["next"] == f"{BASE}{path}/consumers?limit=2&offset=2"
    assert page["total"] == 3


def test_one_consumer_is_shown_by_its_id_below_its_own_entity_only(kind, keymanager, post_secret, container):
    client = keymanager.client(roles="admin,member")  # the policy knows the containers of others only, as Barbican's
    path, body = kind
    client.simulate_post(path + "/consumers", json=body)
    table = "secret_consumer_metadata" if "service" in body else "container_consumer_metadata"
    with keymanager.database.reader.connect() as connection:
        consumer_id = connection.exec_driver_sql(f"SELECT id FROM {table}").scalar()
    shown = client.simulate_get(f"{path}/consumers/{consumer_id}").json
    assert {name: shown[name] for name in body} == body
    other = post_secret() if "service" in body else "/v1/containers/" + _another_container(client)
    assert description(client.simulate_get(f"{other}/consumers/{consumer_id}")) == (404, "Consumer not found.")
    invalid = client.simulate_get(path + "/consumers/x")
    assert description(invalid) == (404, "Not Found. Provided consumer id is invalid.")


def _another_container(client):
    return client.simulate_post("/v1/containers", json={"type": "generic"}).json["container_ref"].rpartition("/")[2]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"name": "n"}, "'URL' is a required property. Invalid property: 'None'"),
        ({"name": "", "URL": "u"}, "'' should be non-empty. Invalid property: 'name'"),
        ({"name": "n" * 37, "URL": "u"}, f"{'n' * 37!r} is too long. Invalid property: 'name'"),
        ({"name": "n\0", "URL": "u"}, "'n\\x00' contains a NUL character. Invalid property: 'name'"),
    ],
)
def test_a_container_consumer_that_breaks_the_schema_is_refused(client, container, body, text):
    answer = client.simulate_post(container + "/consumers", json=body)
    assert description(answer) == (400, f"Provided object does not match schema 'Consumer': {text}")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"service": None}, "None is not of type 'string'. Invalid property: 'service'"),
        ({"resource_type": ""}, "'' should be non-empty. Invalid property: 'resource_type'"),
        ({"resource_id": "i" * 37}, f"{'i' * 37!r} is too long. Invalid property: 'resource_id'"),
    ],
)
def test_a_secret_consumer_that_breaks_the_schema_is_refused(client, post_secret, change, text):
    answer = client.simulate_post(post_secret() + "/consumers", json={**OF_SECRET, **change})
    assert description(answer) == (400, f"Provided object does not match schema 'Secret Consumer': {text}")


def test_registering_changes_the_time_of_update_of_what_is_used(client, kind, keymanager):
    path, body = kind
    with keymanager.database.writer.begin() as connection:
        for table in ("secrets", "containers"):
            connection.exec_driver_sql(f"UPDATE {table} SET updated_at = '2020-01-01 00:00:00.000000'")
    assert client.simulate_post(path + "/consumers", json=body).json["updated"] > "2021"


def test_container_consumers_are_stored_with_barbicans_hash(client, container, keymanager):
    client.simulate_post(container + "/consumers", json=OF_CONTAINER)
    container_id = container.rpartition("/")[2]
    with keymanager.database.reader.connect() as connection:
        stored = connection.exec_driver_sql("SELECT data_hash FROM container_consumer_metadata").scalar()
    assert stored == hashlib.sha256(f"{container_id}lbhttp://lb/1".encode()).hexdigest()


def test_only_who_registered_or_who_owns_may_remove(client, kind, keymanager):
    """A user of another project, whom the ACL lets in, and a consumer that the owner registered."""
    path, body = kind
    client.simulate_post(path + "/consumers", json=body)
    client.simulate_put(path + "/acl", json={"read": {"users": ["u2"]}})
    other = keymanager.client(project="p2", user="u2")
    refused = other.simulate_delete(path + "/consumers", json=body)
    assert description(refused) == (403, "Not Allowed. Sorry, only the creator of a consumer can delete it.")
    theirs = {**body, "resource_id": "i2"} if "service" in body else {**body, "name": "other"}
    for remover in (other, client):
        assert other.simulate_post(path + "/consumers", json=theirs).status_code == 200
        assert remover.simulate_delete(path + "/consumers", json=theirs).json["consumers"] == [body]


def test_from_1_1_on_a_secret_shows_its_consumers(client, post_secret, keymanager):
    path, version = post_secret(), {"OpenStack-API-Version": "key-manager 1.1"}
    used, unused = client.simulate_get(path).json, BASE + post_secret()
    client.simulate_post(path + "/consumers", json=OF_SECRET)
    assert "consumers" not in client.simulate_get(path).json
    seen = keymanager.count_statements()
    shown = client.simulate_get(path, headers=version)
    assert len(seen) == 1
    assert shown.headers["openstack-api-version"] == "key-manager 1.1"
    assert shown.json["consumers"] == [OF_SECRET]
    listed = client.simulate_get("/v1/secrets", headers=version).json["secrets"]
    assert {item["secret_ref"]: item["consumers"] for item in listed} == {used["secret_ref"]: [OF_SECRET], unused: []}


def test_from_1_2_on_a_used_secret_is_deleted_by_force_only(client, post_secret):
    path, version = post_secret(), {"OpenStack-API-Version": "key-manager 1.2"}
    client.simulate_post(path + "/consumers", json=OF_SECRET)
    in_use = (400, "Secret deletion issue seen - Secret cannot be deleted as it has consumers..")
    for query in ("", "?force=false", "?force=0"):
        assert description(client.simulate_delete(path + query, headers=version)) == in_use
    junk = client.simulate_delete(path + "?force=perhaps", headers=version)
    assert description(junk) == (400, "URI provided invalid query string parameters.")
    assert client.simulate_delete(path + "?force=Yes", headers=version).status_code == 204
    assert client.simulate_delete(post_secret(), headers=version).status_code == 204
    older = post_secret()
    client.simulate_post(older + "/consumers", json=OF_SECRET)
    assert client.simulate_delete(older).status_code == 204


def test_a_consumer_that_comes_between_the_look_and_the_deletion_holds_the_secret(client, post_secret, keymanager):
    path = post_secret()
    client.simulate_post(path + "/consumers", json=OF_SECRET)
    with pytest.raises(SecretInUse):
        keymanager.secrets.delete(path.rpartition("/")[2], unless_used=True)
    assert client.simulate_get(path + "/payload").text == "abc"


def test_a_deleted_secret_takes_its_consumers_along(client, post_secret, keymanager):
    path = post_secret()
    client.simulate_post(path + "/consumers", json=OF_SECRET)
    assert client.simulate_delete(path).status_code == 204
    with keymanager.database.reader.connect() as connection:
        assert connection.exec_driver_sql("SELECT deleted FROM secret_consumer_metadata").scalar() == 1
