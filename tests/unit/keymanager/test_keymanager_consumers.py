"""Consumers of secrets and of containers answer as Barbican's do."""

import hashlib

import pytest

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
    """A consumer that a third project registered, seen by a caller whom the policy lets in."""
    path, body = kind
    client.simulate_post(path + "/consumers", json=body)
    other = keymanager.projects.get_or_create("p9").id
    owner = keymanager.projects.get_or_create("p8").id
    with keymanager.database.writer.begin() as connection:
        for table in ("secret_consumer_metadata", "container_consumer_metadata"):
            connection.exec_driver_sql(f"UPDATE {table} SET project_id = '{other}'")
    assert client.simulate_delete(path + "/consumers", json=body).status_code == 200  # the owner
    client.simulate_post(path + "/consumers", json=body)
    entity = "secrets" if "service" in body else "containers"
    with keymanager.database.writer.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {entity} SET project_id = '{owner}'")
    doors = keymanager.parts.holdings
    store = doors.secret_consumers if entity == "secrets" else doors.container_consumers
    consumer = store.find(path.rpartition("/")[2], body)
    assert consumer.project == "p9"
    answer = client.simulate_delete(path + "/consumers", json=body)
    assert answer.status_code == 403  # by the policy, or by the rule of consumers where the policy lets p1 in


def test_a_deleted_secret_takes_its_consumers_along(client, post_secret, keymanager):
    path = post_secret()
    client.simulate_post(path + "/consumers", json=OF_SECRET)
    assert client.simulate_delete(path).status_code == 204
    with keymanager.database.reader.connect() as connection:
        assert connection.exec_driver_sql("SELECT deleted FROM secret_consumer_metadata").scalar() == 1
