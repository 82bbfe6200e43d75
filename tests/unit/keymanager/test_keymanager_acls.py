"""/v1/secrets/{id}/acl answers as Barbican does, and what it says reaches the policy check."""

import pytest

from bascule_keymanager.storage.acls import container_acl_store, secret_acl_store
from bascule_keymanager.storage.owners import Owners
from bascule_keymanager.storage.rows import Gone


@pytest.fixture
def secret(post_secret):
    return post_secret()


@pytest.fixture
def path(secret):
    return secret + "/acl"


def shown(client, path):
    """Return the ACL without its times."""
    read = client.simulate_get(path).json["read"]
    return {name: value for name, value in read.items() if name not in ("created", "updated")}


def test_without_an_acl_the_project_has_access(client, path):
    assert client.simulate_get(path).json == {"read": {"project-access": True}}
    gone = client.simulate_delete(path)
    assert (gone.status_code, gone.text) == (200, "null")


def test_put_replaces_and_fills_in(client, path):
    put = client.simulate_put(path, json={"read": {"users": ["u2", " u3 ", "u2"], "project-access": False}})
    assert put.status_code == 200
    assert put.json["acl_ref"].endswith(path)
    assert {"created", "updated"} <= set(client.simulate_get(path).json["read"])
    assert shown(client, path) == {"project-access": False, "users": ["u2", "u3"]}
    client.simulate_put(path, json={"read": {"users": ["u3", "u4"]}})
    assert shown(client, path) == {"project-access": True, "users": ["u3", "u4"]}
    client.simulate_put(path, json={"read": {"project-access": False}})
    assert shown(client, path) == {"project-access": False, "users": []}


@pytest.mark.parametrize("nothing", [{}, {"read": {}}])
def test_what_put_does_not_name_is_removed(client, path, nothing):
    client.simulate_put(path, json={"read": {"users": ["u2"]}})
    assert client.simulate_put(path, json=nothing).status_code == 200
    assert client.simulate_get(path).json == {"read": {"project-access": True}}


def test_patch_changes_what_it_names(client, path):
    assert client.simulate_patch(path, json={"read": {"users": ["u2"]}}).json["acl_ref"].endswith(path)
    assert shown(client, path) == {"project-access": True, "users": ["u2"]}
    client.simulate_patch(path, json={"read": {"project-access": False}})
    assert shown(client, path) == {"project-access": False, "users": ["u2"]}
    client.simulate_patch(path, json={"read": {"users": []}})
    assert shown(client, path) == {"project-access": False, "users": []}
    client.simulate_patch(path, json={})
    assert shown(client, path) == {"project-access": False, "users": []}
    client.simulate_delete(path)
    assert client.simulate_get(path).json == {"read": {"project-access": True}}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"write": {"users": []}},
            "Additional properties are not allowed ('write' was unexpected). Invalid property: 'None'",
        ),
        (
            {"read": {"x": 1}},
            "Additional properties are not allowed ('x' was unexpected). Invalid property: 'read'",
        ),
        ({"read": {"users": "u2"}}, "'u2' is not of type 'array'. Invalid property: 'read'"),
        ({"read": {"users": [5]}}, "5 is not of type 'string'. Invalid property: 'read'"),
        ({"read": {"project-access": "yes"}}, "'yes' is not of type 'boolean'. Invalid property: 'read'"),
        ([], "[] is not of type 'object'. Invalid property: 'None'"),
    ],
)
def test_a_body_that_breaks_the_schema_is_refused(client, path, body, text):
    refused = client.simulate_put(path, json=body)
    assert refused.status_code == 400
    assert refused.json["description"] == f"Provided object does not match schema 'ACL': {text}"


def test_a_changed_acl_changes_the_secrets_time_of_update(client, keymanager, secret, path):
    with keymanager.database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE secrets SET updated_at = '2020-01-01 00:00:00.000000'")
    client.simulate_patch(path, json={"read": {"users": ["u2"]}})
    assert client.simulate_get(secret).json["updated"] > "2021"


def test_the_policy_check_learns_the_acl_in_the_statement_that_reads_the_secret(client, keymanager, secret, path):
    client.simulate_put(path, json={"read": {"users": ["u2"], "project-access": False}})
    secret_id = secret.split("/")[3]
    keymanager.secrets.sealed_payload(secret_id, None)  # from here on, the key is known
    seen = keymanager.count_statements()
    for user, listed in (("u2", True), ("u1", False), (None, False)):
        _, owner = keymanager.secrets.get(secret_id, user)
        assert owner == keymanager.secrets.sealed_payload(secret_id, user).owner
        assert owner == Owners(keymanager.database).of_secret(secret_id, user)
        assert (owner.project, owner.creator_id, owner.project_access) == ("p1", "u1", False)
        assert owner.is_listed is listed
    assert len(seen) == 9


def test_acls_die_with_their_secret(client, keymanager, secret, path):
    client.simulate_put(path, json={"read": {"users": ["u2"]}})
    client.simulate_delete(secret)
    with keymanager.database.reader.connect() as connection:
        for table in ("secret_acls", "secret_acl_users"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


def test_the_acl_of_what_was_deleted_meanwhile_cannot_be_written(client, keymanager, secret):
    client.simulate_delete(secret)
    with pytest.raises(Gone):
        secret_acl_store(keymanager.database).write(secret.split("/")[3], project_access=True, users=[])
    with pytest.raises(Gone):
        container_acl_store(keymanager.database).write("no such container", project_access=True, users=[])
