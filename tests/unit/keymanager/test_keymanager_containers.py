"""/v1/containers answers as Barbican does."""

import pytest

BASE = "http://falconframework.org"


@pytest.fixture
def refs(post_secret):
    """Three secrets, by reference."""
    return [BASE + post_secret() for _ in range(3)]


def description(answer):
    return answer.status_code, answer.json["description"]


def links(*pairs):
    return [{"name": name, "secret_ref": ref} for name, ref in pairs]


@pytest.fixture
def post(client):
    def post(kind="generic", **fields):
        answer = client.simulate_post("/v1/containers", json={"type": kind, **fields})
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"] == answer.json["container_ref"]
        return answer.json["container_ref"].removeprefix(BASE)

    return post


def test_a_container_is_made_shown_listed_and_deleted(client, post, refs):
    named = links(("a", refs[0]), ("b", refs[1]))
    path = post(name=" c1 ", secret_refs=named)
    shown = client.simulate_get(path).json
    times = {shown.pop("created"), shown.pop("updated")}
    assert len(times) == 1
    assert shown == {
        "status": "ACTIVE",
        "name": "c1",
        "type": "generic",
        "creator_id": "u1",
        "secret_refs": named,
        "consumers": [],
        "container_ref": BASE + path,
    }
    [listed] = client.simulate_get("/v1/containers").json["containers"]
    assert listed["secret_refs"] == named

    assert client.simulate_delete(path).status_code == 204
    for gone in (client.simulate_get(path), client.simulate_delete(path)):
        assert description(gone) == (404, "Secrets container not found.")
    assert client.simulate_get("/v1/containers").json == {"containers": [], "total": 0}
    assert client.simulate_get(refs[0].removeprefix(BASE)).status_code == 200


def test_lists_are_filtered_and_come_in_pages_of_a_fixed_number_of_statements(client, post, refs, keymanager):
    paths = [post(name=f"c{number}", secret_refs=links(("a", refs[0]))) for number in range(3)]
    post("rsa", name="pair", secret_refs=links(("public_key", refs[0]), ("private_key", refs[1])))
    seen = keymanager.count_statements()
    document = client.simulate_get("/v1/containers?limit=2&offset=1&name=c%25").json
    assert len(seen) == 4
    assert [item["container_ref"] for item in document["containers"]] == [BASE + path for path in paths[1:]]
    assert document["total"] == 3
    # Only the list of secrets keeps the rest of its query in the links.
    assert document["previous"] == f"{BASE}/v1/containers?limit=2&offset=0"
    assert "next" not in document
    assert client.simulate_get("/v1/containers?type=rsa").json["total"] == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "'type' is a required property. Invalid property: 'None'"),
        ({"type": "dsa"}, "'dsa' is not one of ['generic', 'rsa', 'certificate']. Invalid property: 'type'"),
        ({"type": "generic", "secret_refs": {}}, "{} is not of type 'array'. Invalid property: 'secret_refs'"),
        (
            {"type": "generic", "secret_refs": [{"name": "a"}]},
            "'secret_ref' is a required property. Invalid property: 'secret_refs'",
        ),
        (
            {"type": "generic", "secret_refs": [{"secret_ref": ""}]},
            "'' should be non-empty. Invalid property: 'secret_refs'",
        ),
        ({"type": 5, "name": 5}, "5 is not of type 'string'. Invalid property: 'type'"),
    ],
)
def test_a_body_that_breaks_the_schema_is_refused(client, body, text):
    refused = f"Provided object does not match schema 'Container': {text}"
    assert description(client.simulate_post("/v1/containers", json=body)) == (400, refused)


def test_what_the_schema_cannot_say_is_refused_too(client, refs):
    def refusal(kind, named):
        answer = client.simulate_post("/v1/containers", json={"type": kind, "secret_refs": named})
        status, text = description(answer)
        start, end = "Provided object does not match schema 'Container': ", ". Invalid property: 'secret_refs'"
        return status, text.removeprefix(start).removesuffix(end)

    twice = (400, "Duplicate reference names are not allowed")
    assert refusal("generic", links(("a", refs[0]), ("a", refs[1]))) == twice
    assert refusal("generic", [{"secret_ref": refs[0]}, {"secret_ref": refs[1]}]) == twice
    same = (400, "Duplicate secret ids are not allowed")
    assert refusal("generic", links(("a", refs[0]), ("b", refs[0] + "/"))) == same
    foreign = (400, "Provided field value is not supported")
    assert refusal("generic", links(("a", refs[0].replace(BASE, "http://elsewhere")))) == foreign
    wrong = "only 'private_key', 'public_key' and 'private_key_passphrase' reference names are allowed for RSA type"
    assert refusal("rsa", links(("x", refs[0]))) == (400, wrong)
    few = "The minimum required reference names are 'public_key' and'private_key' for RSA type"
    assert refusal("rsa", links(("public_key", refs[0]))) == (400, few)
    few = "The minimum required reference name is 'certificate' for Certificate type"
    assert refusal("certificate", links(("private_key", refs[0]))) == (400, few)
    assert refusal("certificate", links(("x", refs[0])))[1].startswith("only 'private_key', 'certificate' , ")
    missing = refs[0][:-4] + "0000"
    assert refusal("generic", links(("a", missing))) == (404, "Secret provided for 'a' doesn't exist.")
    assert client.simulate_get("/v1/containers").json["total"] == 0


def test_a_container_may_be_empty_and_nameless(client, post):
    path = post("certificate", name=None, secret_refs=[])
    assert client.simulate_get(path).json["secret_refs"] == []
    assert client.simulate_get(post("rsa")).json["name"] is None


def test_secrets_of_other_projects_are_not_there(keymanager, refs):
    other = keymanager.client(project="p2", user="u2")
    body = {"type": "generic", "secret_refs": [{"secret_ref": refs[0]}]}
    answer = other.simulate_post("/v1/containers", json=body)
    assert description(answer) == (404, "Secret provided for 'None' doesn't exist.")


def test_secrets_are_added_and_taken_away(client, post, refs):
    path = post(secret_refs=links(("a", refs[0])))
    body = {"name": "b", "secret_ref": refs[1]}
    added = client.simulate_post(path + "/secrets", json=body)
    assert (added.status_code, added.json) == (201, {"container_ref": BASE + path})
    assert added.headers["location"] == BASE + path
    again = client.simulate_post(path + "/secrets", json=body)
    assert again.status_code == 409
    assert again.json["description"].startswith("Conflict. A secret with that name and ID is already stored in this")
    assert client.simulate_get(path).json["secret_refs"] == links(("a", refs[0]), ("b", refs[1]))

    for _ in range(2):  # what was taken away can be put back
        assert client.simulate_delete(path + "/secrets", json=body).status_code == 204
        not_there = client.simulate_delete(path + "/secrets", json=body)
        assert description(not_there) == (404, "Secret provided is not in the container")
        assert client.simulate_post(path + "/secrets", json=body).status_code == 201
    nameless = {"secret_ref": refs[1]}
    assert client.simulate_post(path + "/secrets", json=nameless).status_code == 201
    assert client.simulate_post(path + "/secrets", json=nameless).status_code == 409
    assert client.simulate_delete(path + "/secrets", json=nameless).status_code == 204

    missing = refs[0][:-4] + "0000"
    unknown = client.simulate_post(path + "/secrets", json={"secret_ref": missing})
    assert description(unknown) == (404, "Secret provided doesn't exist.")
    unknown = client.simulate_delete(path + "/secrets", json={"secret_ref": missing})
    assert description(unknown) == (404, f"Secret 'None' with reference '{missing}' doesn't exist.")
    without = client.simulate_post(path + "/secrets", json={})
    text = "Provided object does not match schema 'ContainerSecret': 'secret_ref' is a required property. "
    assert description(without) == (400, text + "Invalid property: 'None'")


def test_only_generic_containers_take_more_secrets(client, post, refs):
    answer = client.simulate_post(post("rsa") + "/secrets", json={"secret_ref": refs[0]})
    assert description(answer) == (400, "Only 'generic' containers can be modified.")


def test_a_deleted_secret_leaves_its_containers(client, post, refs):
    path = post(secret_refs=links(("a", refs[0]), ("b", refs[1])))
    client.simulate_delete(refs[0].removeprefix(BASE))
    assert client.simulate_get(path).json["secret_refs"] == links(("b", refs[1]))


def test_a_deleted_container_leaves_no_link_and_no_acl(client, post, refs, keymanager):
    path = post(secret_refs=links(("a", refs[0])))
    client.simulate_put(path + "/acl", json={"read": {"users": ["u2"]}})
    client.simulate_post(path + "/consumers", json={"name": "n", "URL": "u"})
    client.simulate_delete(path)
    with keymanager.database.reader.connect() as connection:
        for table in ("container_secret", "container_acls", "container_acl_users"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0
        left = "SELECT deleted, deleted_at IS NOT NULL FROM {}"
        for table in ("containers", "container_consumer_metadata"):
            assert connection.exec_driver_sql(left.format(table)).all() == [(1, 1)]


def test_the_acl_of_a_container_is_its_own(client, post):
    path = post()
    assert client.simulate_get(path + "/acl").json == {"read": {"project-access": True}}
    put = client.simulate_put(path + "/acl", json={"read": {"users": ["u2"]}})
    assert put.json == {"acl_ref": f"{BASE}{path}/acl"}
    assert client.simulate_patch(path + "/acl", json={"read": {"project-access": False}}).status_code == 200
    read = client.simulate_get(path + "/acl").json["read"]
    assert (read["users"], read["project-access"]) == (["u2"], False)
    assert client.simulate_delete(path + "/acl").text == "null"


def test_ids_that_are_none_are_not_looked_up(client, keymanager):
    seen = keymanager.count_statements()
    for path in ("", "/acl", "/consumers"):
        answer = client.simulate_get(f"/v1/containers/x{path}")
        assert description(answer) == (404, "Not Found. Provided container id is invalid.")
    assert seen == []
