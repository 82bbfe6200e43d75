"""GET /v1/secrets: which secrets are listed, in which order, and what of them from 1.1 on."""

import pytest

BASE = "http://falconframework.org"


@pytest.fixture
def names(client):
    def names(query):
        answer = client.simulate_get("/v1/secrets?" + query)
        assert answer.status_code == 200, answer.text
        return [item["name"] for item in answer.json["secrets"]]

    return names


@pytest.fixture
def three(post_secret, keymanager):
    """Secrets b, a and c, made and changed on the first three days of 2020, that end in 2990, 2995 and never."""
    for name, end in (("b", "2990-01-01"), ("a", "2995-01-01"), ("c", None)):
        post_secret(name=name, expiration=end)
    with keymanager.database.writer.begin() as connection:
        for day, name in enumerate("bac", start=1):
            moment = f"2020-01-0{day} 00:00:00.000000"
            text = "UPDATE secrets SET created_at = '{0}', updated_at = '{0}' WHERE name = '{1}'"
            connection.exec_driver_sql(text.format(moment, name))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("created=gt:2020-01-01", "ac"),
        ("created=gte:2020-01-02", "ac"),
        ("updated=lt:2020-01-02T00:00:00", "b"),
        ("updated=lte:2020-01-02T00:00:00Z", "ba"),
        ("created=2020-01-02", "a"),
        ("created=2020-01-02T01:00:00%2B01:00", "a"),
        ("created=gt:2020-01-01,lt:2020-01-03", "a"),
        ("created=2020-01-02,gt:2020-01-01", "a"),
        ("created=gte:2020,lt:2020-02", "bac"),
        ("created=", "bac"),
        ("expiration=lt:2993", "b"),
        ("expiration=gte:2993", "a"),
        ("bits=junk", "bac"),
        ("bits=-5", "bac"),
        ("bits=99999999999999999999", ""),
        ("secret_type=&name=&alg=&mode=", "bac"),
        ("secret_type=private", ""),
        ("sort=name", "abc"),
        ("sort=name:desc", "cba"),
        ("sort=created:desc", "cab"),
        ("sort=secret_type,name:asc", "abc"),
        ("sort=", "bac"),
        ("sort=name&limit=1&offset=1", "b"),
        ("name=%2561", "a"),  # unquoted once more
    ],
)
@pytest.mark.usefixtures("three")
def test_the_query_chooses_and_sorts(names, query, found):
    assert "".join(names(query)) == found


@pytest.mark.parametrize(
    "query",
    [
        "created=yesterday",
        "created=gt:",
        "created=ne:2020-01-01",
        "created=0001-01-01T00:00:00%2B10:00",
        "updated=gt:2020-01-01,gte:2020-01-01",
        "updated=lt:2020-01-01,lte:2020-01-01",
        "expiration=2020-01-01,gte:2020-01-01",
        "expiration=gte:2020-01-01,2020-01-01",
        "created=2020-01-01,2020-01-01",
        "sort=colour",
        "sort=name:down",
        "sort=name:",
        "sort=name,name:desc",
        "sort=name,",
        "name=a%00",
    ],
)
def test_a_query_that_cannot_be_read_is_refused(client, query):
    answer = client.simulate_get("/v1/secrets?" + query)
    assert answer.status_code == 400
    assert answer.json["description"] == "URI provided invalid query string parameters."


@pytest.mark.usefixtures("three")
def test_links_keep_the_query(client):
    document = client.simulate_get("/v1/secrets?sort=name&limit=1&offset=1").json
    assert document["next"] == f"{BASE}/v1/secrets?limit=1&offset=2&sort=name"
    assert document["previous"] == f"{BASE}/v1/secrets?limit=1&offset=0&sort=name"


def test_acl_only_lists_what_acls_name_the_caller_for_in_any_project(keymanager, client, post_secret):
    shared, _own = post_secret(name="shared"), post_secret(name="own")
    client.simulate_put(shared + "/acl", json={"read": {"users": ["u2"]}})
    other = keymanager.client(project="p2", user="u2")
    assert other.simulate_get("/v1/secrets").json["total"] == 0
    for query in ("acl_only=true", "acl_only=TRUE"):
        listed = other.simulate_get("/v1/secrets?" + query).json
        assert [item["name"] for item in listed["secrets"]] == ["shared"]
        assert listed["total"] == 1
    assert client.simulate_get("/v1/secrets?acl_only=true").json["total"] == 0
    assert client.simulate_get("/v1/secrets?acl_only=false").json["total"] == 2
