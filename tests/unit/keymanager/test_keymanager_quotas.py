"""Quotas are shown, set and held as Barbican's are, and cost nothing where there are none."""

import pytest

from bascule_keymanager.storage.quotas import RESOURCES, Quotas

PATH = "/v1/project-quotas/p1"
REACHED = "{} creation issue seen - Creation not allowed because a quota has been reached."


@pytest.fixture
def client(keymanager):
    return keymanager.client(roles="admin,member,reader")


def description(answer):
    return answer.status_code, answer.json["description"]


def put(client, path=PATH, **quotas):
    return client.simulate_put(path, json={"project_quotas": quotas}).status_code


def test_without_anything_set_there_is_no_limit(client):
    assert client.simulate_get("/v1/quotas").json == {"quotas": dict.fromkeys(RESOURCES, -1)}
    assert description(client.simulate_get(PATH)) == (404, "Project quotas not found.")
    assert description(client.simulate_delete(PATH)) == (404, "Project quotas not found.")
    assert client.simulate_get("/v1/project-quotas").json == {"project_quotas": [], "total": 0}


def test_quotas_are_set_changed_and_taken_away(client):
    assert put(client, secrets=3, cas=0) == 204
    unset = dict.fromkeys(RESOURCES)
    assert client.simulate_get(PATH).json == {"project_quotas": {**unset, "secrets": 3, "cas": 0}}
    assert client.simulate_get("/v1/quotas").json["quotas"] == {**dict.fromkeys(RESOURCES, -1), "secrets": 3, "cas": 0}
    assert put(client, orders=7.0) == 204
    assert client.simulate_get(PATH).json == {"project_quotas": {**unset, "secrets": 3, "cas": 0, "orders": 7}}
    assert client.simulate_delete(PATH).status_code == 204
    assert client.simulate_get(PATH).status_code == 404


def test_the_list_of_quotas_comes_in_pages_whose_links_lead_somewhere(client):
    for number in range(3):
        put(client, f"/v1/project-quotas/p{number}", secrets=number)
    first = client.simulate_get("/v1/project-quotas?limit=2").json
    assert [item["project_id"] for item in first["project_quotas"]] == ["p0", "p1"]
    assert first["total"] == 3
    last = client.simulate_get(first["next"].partition("org")[2]).json
    assert [item["project_quotas"]["secrets"] for item in last["project_quotas"]] == [2]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "'project_quotas' is a required property. Invalid property: 'None'"),
        (
            {"project_quotas": {"x": 1}},
            "Additional properties are not allowed ('x' was unexpected). Invalid property: 'project_quotas'",
        ),
        ({"project_quotas": {"secrets": "1"}}, "'1' is not of type 'integer'. Invalid property: 'project_quotas'"),
        (
            {"project_quotas": {"secrets": 2**40}},
            f"{2**40} is greater than the maximum of {2**31 - 1}. Invalid property: 'project_quotas'",
        ),
    ],
)
def test_a_body_that_breaks_the_schema_is_refused(client, body, text):
    answer = client.simulate_put(PATH, json=body)
    assert description(answer) == (400, f"Provided object does not match schema 'Project Quota': {text}")


def test_an_empty_body_has_its_own_refusal(client):
    answer = client.simulate_put(PATH, body=b"", headers={"Content-Type": "application/json"})
    assert description(answer) == (400, "Project Quotas issue seen - No data supplied to process..")
    assert client.simulate_put(PATH, body=b"{}").status_code == 415


def test_what_is_configured_holds_where_nothing_is_set(make_keymanager, sqlite_url):
    keymanager = make_keymanager(sqlite_url, quotas=Quotas(secrets=1, containers=0))
    client = keymanager.client(roles="admin,member,reader")
    assert client.simulate_get("/v1/quotas").json["quotas"]["containers"] == 0
    assert client.simulate_post("/v1/secrets", json={}).status_code == 201
    assert description(client.simulate_post("/v1/secrets", json={})) == (403, REACHED.format("Secret"))
    refused = client.simulate_post("/v1/containers", json={"type": "generic"})
    assert description(refused) == (403, REACHED.format("Container"))
    put(client, secrets=-1)
    assert client.simulate_post("/v1/secrets", json={}).status_code == 201


def test_a_quota_counts_what_is_there(client, post_secret, keymanager):
    put(client, secrets=2)
    paths = [post_secret(), post_secret(payload=None, payload_content_type=None)]
    refused = client.simulate_post("/v1/secrets", json={"payload": "x", "payload_content_type": "text/plain"})
    assert description(refused) == (403, REACHED.format("Secret"))
    assert client.simulate_get("/v1/secrets").json["total"] == 2
    client.simulate_delete(paths[0])
    paths.append(post_secret())
    with keymanager.database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE secrets SET expiration = '2001-01-01 00:00:00.000000'")
    post_secret()
    assert keymanager.client(project="p2").simulate_post("/v1/secrets", json={}).status_code == 201


def test_consumers_of_both_kinds_have_the_same_quota_each(client, post_secret):
    secret = post_secret()
    container = client.simulate_post("/v1/containers", json={"type": "generic"}).json["container_ref"]
    container = "/v1" + container.partition("/v1")[2]
    put(client, consumers=1)

    def register(number):
        of_secret = {"service": "s", "resource_type": "t", "resource_id": str(number)}
        of_container = {"name": str(number), "URL": "u"}
        return (
            client.simulate_post(secret + "/consumers", json=of_secret),
            client.simulate_post(container + "/consumers", json=of_container),
        )

    assert [answer.status_code for answer in register(1)] == [200, 200]
    one, other = register(2)
    assert description(one) == (403, REACHED.format("SecretConsumer"))
    assert description(other) == (403, REACHED.format("ContainerConsumer"))


def test_a_project_without_a_quota_pays_no_statement_for_it(client, post_secret, keymanager):
    post_secret()
    seen = keymanager.count_statements()
    post_secret()
    assert [text.split()[0] for text in seen] == [
        "BEGIN",
        "INSERT",
        "INSERT",
        "INSERT",
        "INSERT",
    ]  # the last one notes the count
    put(client, orders=5)  # a row that sets nothing for secrets
    seen.clear()
    post_secret()
    assert len(seen) == 5
    put(client, secrets=50)
    seen.clear()
    post_secret()
    assert len(seen) == 10, "a transaction more, after the one that did nothing"


def test_orders_have_a_quota(client):
    order = {"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}}
    put(client, orders=1)
    assert client.simulate_post("/v1/orders", json=order).status_code == 202
    refused = client.simulate_post("/v1/orders", json=order)
    assert description(refused) == (403, REACHED.format("Order"))
