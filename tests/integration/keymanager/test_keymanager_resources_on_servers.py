"""What hangs on secrets and projects, on PostgreSQL and MariaDB: the SQL of each, and what two writers at once do."""

import pytest
from support.at_once import at_once

from bascule_keymanager.config_stores import ConfiguredStore


def path_of(reference):
    return "/v1" + reference.partition("/v1")[2]


@pytest.fixture
def client(keymanager):
    return keymanager.client(roles="admin,member,reader")


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


@pytest.fixture
def container(client, secret):
    body = {"type": "generic", "secret_refs": [{"name": "a", "secret_ref": "http://falconframework.org" + secret}]}
    return path_of(client.simulate_post("/v1/containers", json=body).json["container_ref"])


def test_containers_are_kept(client, container, secret):
    reference = {"secret_ref": "http://falconframework.org" + secret}
    assert client.simulate_post(container + "/secrets", json=reference).status_code == 201
    assert client.simulate_post(container + "/secrets", json=reference).status_code == 409
    assert len(client.simulate_get(container).json["secret_refs"]) == 2
    assert client.simulate_delete(container + "/secrets", json=reference).status_code == 204
    assert client.simulate_get("/v1/containers?type=generic&name=%25").json == {"containers": [], "total": 0}
    assert client.simulate_get("/v1/containers?type=generic").json["total"] == 1
    assert client.simulate_put(container + "/acl", json={"read": {"users": ["u2"]}}).status_code == 200
    assert client.simulate_post(container + "/consumers", json={"name": "n", "URL": "u"}).status_code == 200
    assert client.simulate_delete(container).status_code == 204
    assert client.simulate_get(container).status_code == 404


def test_several_who_add_the_same_secret_to_a_container_at_once_add_it_once(client, container, secret):
    body = {"name": "b", "secret_ref": "http://falconframework.org" + secret}
    answers = at_once(4, lambda _: client.simulate_post(container + "/secrets", json=body).status_code)
    assert sorted(answers) == [201, 409, 409, 409]
    assert len(client.simulate_get(container).json["secret_refs"]) == 2


def test_a_secret_that_is_deleted_while_containers_take_it_up_is_in_none(client, secret):
    body = {"type": "generic", "secret_refs": [{"name": "a", "secret_ref": "http://falconframework.org" + secret}]}

    def work(number):
        if number == 0:
            return client.simulate_delete(secret).status_code
        return client.simulate_post("/v1/containers", json=body).status_code

    first, *others = at_once(5, work)
    assert first == 204
    assert set(others) <= {201, 404}
    for container in client.simulate_get("/v1/containers").json["containers"]:
        assert container["secret_refs"] == []


def test_consumers_are_kept_and_the_same_one_at_once_is_one(client, secret, container):
    for path, body in (
        (secret, {"service": "s", "resource_type": "t", "resource_id": "i"}),
        (container, {"name": "n", "URL": "u"}),
    ):
        answers = at_once(4, lambda _: client.simulate_post(path + "/consumers", json=body))  # noqa: B023 - used here
        assert [answer.status_code for answer in answers] == [200] * 4
        assert client.simulate_get(path + "/consumers").json["total"] == 1
        assert client.simulate_delete(path + "/consumers", json=body).json["consumers"] == []
        assert client.simulate_post(path + "/consumers", json=body).json["consumers"] == [body]


def test_creations_at_once_do_not_exceed_a_quota(client):
    assert client.simulate_put("/v1/project-quotas/p1", json={"project_quotas": {"secrets": 3}}).status_code == 204
    body = {"payload": "p", "payload_content_type": "text/plain"}
    answers = at_once(8, lambda _: client.simulate_post("/v1/secrets", json=body).status_code)
    assert sorted(answers) == [201] * 3 + [403] * 5
    assert client.simulate_get("/v1/secrets").json["total"] == 3
    assert client.simulate_get("/v1/project-quotas").json["total"] == 1
    assert client.simulate_delete("/v1/project-quotas/p1").status_code == 204


def test_quotas_that_are_set_at_once_are_one_row(client):
    body = {"project_quotas": {"secrets": 3}}
    answers = at_once(4, lambda _: client.simulate_put("/v1/project-quotas/p1", json=body).status_code)
    assert answers == [204] * 4
    assert client.simulate_get("/v1/project-quotas").json["total"] == 1


def test_processes_that_start_at_once_agree_on_the_stores(keymanager):
    stores = keymanager.parts.holdings.secret_stores
    configured = [ConfiguredStore("soft", "store_crypto", "simple_crypto", global_default=True)]
    assert at_once(4, lambda _: stores.sync(configured)) == [None] * 4
    [store] = stores.all()
    project = keymanager.projects.get_or_create("p1").id
    assert at_once(4, lambda _: stores.prefer(project, store.id)) == [None] * 4
    assert stores.preferred(project) == stores.default() == store
    assert stores.prefer_none(project) is True


def test_transport_keys_are_kept(client):
    body = {"plugin_name": "p", "transport_key": "k" * 10_000}
    path = path_of(client.simulate_post("/v1/transport_keys", json=body).json["transport_key_ref"])
    assert client.simulate_get(path).json["transport_key"] == "k" * 10_000
    assert client.simulate_get("/v1/transport_keys?plugin_name=p").json["total"] == 1
    assert client.simulate_delete(path).status_code == 204
    assert client.simulate_get("/v1/transport_keys").json["total"] == 0


def test_first_requests_of_a_new_project_at_once_all_succeed(keymanager):
    others = [keymanager.again() for _ in range(6)]
    clients = [process.client(project="new", roles="admin,member,reader") for process in others]
    asked = [
        lambda client: client.simulate_post("/v1/secrets", json={"payload": "p", "payload_content_type": "text/plain"}),
        lambda client: client.simulate_post("/v1/containers", json={"type": "generic"}),
        lambda client: client.simulate_get("/v1/quotas"),
    ]
    answers = at_once(6, lambda number: asked[number % 3](clients[number]))
    for process in others:
        process.database.dispose()
    assert [answer.status_code for answer in answers] == [201, 201, 200] * 2
    with keymanager.database.reader.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM projects").scalar() == 1
        assert connection.exec_driver_sql("SELECT count(*) FROM kek_data").scalar() == 1


def test_of_several_who_delete_the_same_at_once_one_does(client, secret, container):
    for path in (container, secret):
        answers = at_once(4, lambda _: client.simulate_delete(path).status_code)  # noqa: B023 - used here
        assert sorted(answers) == [204, 404, 404, 404]


def test_a_secret_is_not_deleted_from_under_who_registers_at_that_moment(client, secret):
    version = {"OpenStack-API-Version": "key-manager 1.2"}
    consumer = {"service": "s", "resource_type": "t", "resource_id": "i"}

    def work(number):
        if number == 0:
            return client.simulate_delete(secret, headers=version).status_code
        return client.simulate_post(secret + "/consumers", json=consumer).status_code

    deleted, registered = at_once(2, work)
    # Whoever registered keeps the secret; whoever came too late is told that it is gone.
    assert (deleted, registered) in ((400, 200), (204, 404))
    assert client.simulate_get(secret).status_code == (200 if registered == 200 else 404)
