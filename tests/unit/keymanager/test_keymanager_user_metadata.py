"""/v1/secrets/{id}/metadata answers as Barbican does."""

import pytest

from bascule_keymanager.storage.rows import Gone


@pytest.fixture
def path(post_secret):
    return post_secret() + "/metadata"


def description(answer):
    return answer.status_code, answer.json["description"]


def test_metadata_is_replaced_as_a_whole(client, path):
    assert client.simulate_get(path).json == {"metadata": {}}
    put = client.simulate_put(path, json={"metadata": {"Geo": " 12 ", "b_-1": ""}})
    assert put.status_code == 201
    assert put.json["metadata_ref"].endswith(path)
    assert "location" not in put.headers
    assert client.simulate_get(path).json == {"metadata": {"geo": "12", "b_-1": ""}}
    client.simulate_put(path, json={"metadata": {"c": "d"}})
    assert client.simulate_get(path).json == {"metadata": {"c": "d"}}
    client.simulate_put(path, json={"metadata": {}})
    assert client.simulate_get(path).json == {"metadata": {}}


def test_one_key_is_added_shown_changed_and_removed(client, path):
    added = client.simulate_post(path, json={"key": "Geo", "value": "12"})
    assert (added.status_code, added.json) == (201, {"key": "geo", "value": "12"})
    assert added.headers["location"].endswith(path + "/geo")
    again = client.simulate_post(path, json={"key": "geo", "value": "13"})
    assert description(again) == (409, "Conflict. Key in request is already in the secret metadata")
    assert client.simulate_get(path + "/geo").json == {"key": "geo", "value": "12"}

    changed = client.simulate_put(path + "/geo", json={"key": "geo", "value": "14"})
    assert (changed.status_code, changed.json) == (200, {"key": "geo", "value": "14"})
    assert client.simulate_get(path + "/geo").json["value"] == "14"
    other = client.simulate_put(path + "/geo", json={"key": "other", "value": "14"})
    assert description(other) == (409, "Key in request data does not match key in the ")
    unknown = client.simulate_put(path + "/x", json={"key": "x", "value": "14"})
    assert description(unknown) == (404, "Secret metadata not found.")

    for _ in range(2):
        assert client.simulate_delete(path + "/geo").status_code == 204
    assert description(client.simulate_get(path + "/geo")) == (404, "Secret metadata not found.")
    assert client.simulate_post(path + "/geo", json={"key": "geo", "value": "1"}).status_code == 405


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "'metadata' is a required property. Invalid property: 'metadata'"),
        ({"metadata": 1}, "1 is not of type 'object'. Invalid property: 'metadata'"),
        ({"metadata": {"k": "v" * 256}}, "a key or value is too long. Invalid property: 'metadata'"),
        ({"metadata": {"k": "a\0"}}, "a value contains a NUL character. Invalid property: 'metadata'"),
    ],
)
def test_metadata_that_breaks_its_schema_is_refused(client, path, body, text):
    refused = f"Provided object does not match schema 'SecretMetadata': {text}"
    assert description(client.simulate_put(path, json=body)) == (400, refused)
    assert client.simulate_get(path).json == {"metadata": {}}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"key": "k"}, "'value' is a required property. Invalid property: 'value'"),
        ({"key": "k", "value": 1}, "1 is not of type 'string'. Invalid property: 'value'"),
        ({"key": 1}, "'value' is a required property. Invalid property: 'value'"),
        ({"value": 1}, "1 is not of type 'string'. Invalid property: 'value'"),
        (
            {"key": 1, "x": 1, "y": 2},
            "Additional properties are not allowed ('x', 'y' were unexpected). Invalid property: 'None'",
        ),
        ({"key": "k", "value": "v" * 256}, f"{'v' * 256!r} is too long. Invalid property: 'value'"),
    ],
)
def test_a_pair_that_breaks_its_schema_is_refused(client, path, body, text):
    refused = f"Provided object does not match schema 'SecretMetadatum': {text}"
    assert description(client.simulate_post(path, json=body)) == (400, refused)


def test_keys_are_safe_in_urls_and_values_are_text(client, path):
    unsafe = client.simulate_post(path, json={"key": "a/b", "value": "1"})
    assert description(unsafe) == (400, "Invalid Key. Key must be URL safe.")
    number = client.simulate_put(path, json={"metadata": {"a": 1}})
    assert description(number) == (400, "Invalid Metadata. Keys and Values must be Strings.")


def test_metadata_of_a_deleted_secret_cannot_be_written(keymanager, client, path):
    """A secret that goes between the look at its owner and the write."""
    secret_id = path.split("/")[3]
    client.simulate_delete(path.removesuffix("/metadata"))
    store = keymanager.parts.holdings.user_metadata
    for write in (
        lambda: store.replace(secret_id, {"a": "b"}),
        lambda: store.add(secret_id, "a", "b"),
        lambda: store.change(secret_id, "a", "b"),
    ):
        with pytest.raises(Gone):
            write()
    assert description(client.simulate_get(path)) == (404, "Secret not found.")


def test_another_project_cannot_see_or_change_it(keymanager, path):
    other = keymanager.client(project="p2", user="u2")
    for answer in (other.simulate_get(path), other.simulate_put(path, json={"metadata": {}})):
        assert answer.status_code == 403
