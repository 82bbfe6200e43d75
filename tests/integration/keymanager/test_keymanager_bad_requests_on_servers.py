"""Whatever is asked, PostgreSQL and MariaDB make no failure of it either: their text, their lengths, their numbers.

BAD_REQUESTS says how many requests are made up for each; 120 where it says nothing.
"""

import importlib.util
import os
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings

# The requests are the unit tests' own.
_PATH = Path(__file__).parent.parent.parent / "unit" / "keymanager" / "test_keymanager_bad_requests.py"
_SPEC = importlib.util.spec_from_file_location("keymanager_bad_requests", _PATH)
_BAD = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_BAD)

listener = _BAD.listener


def test_no_request_fails_or_is_answered_otherwise_than_described(make_keymanager, server_url, listener):
    world = _BAD.World(make_keymanager(server_url, secret_stores=(_BAD.STORE,)))

    @settings(
        max_examples=int(os.environ.get("BAD_REQUESTS", "120")),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    @given(request=_BAD.requests())
    def ask(request):
        _BAD.judge(world, listener, request)

    ask()


def test_text_that_no_server_takes_is_the_fault_of_the_request(keymanager):
    client = keymanager.client(roles="admin,member,reader")
    secret = client.simulate_post("/v1/secrets", json={"name": "✓😀"})
    assert secret.status_code in (201, 400)  # 400 where the database was made for a smaller character set
    for name in ("✓😀", "é"):
        assert client.simulate_get("/v1/secrets", params={"name": name}).status_code in (200, 400)
        assert client.simulate_get(f"/v1/orders?meta={name}").status_code in (200, 400)
    for path in ("/v1/orders/é✓😀", "/v1/project-quotas/é✓😀", "/v1/secret-stores/é✓😀"):
        assert client.simulate_get(path).status_code in (404, 400)
    assert client.simulate_put("/v1/project-quotas/" + "x" * 256, json={"project_quotas": {}}).status_code == 400
    assert client.simulate_get("/v1/orders/" + "x" * 5_000).status_code == 404


@pytest.mark.parametrize("charset", ["utf8mb3", "latin1"])
def test_a_database_of_a_smaller_character_set_is_no_reason_to_fail(make_keymanager, mariadb_url, charset):
    """As Barbican's installers made them for years."""
    url = sa.make_url(mariadb_url).set(drivername="mysql+pymysql")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE `{url.database}` CHARACTER SET {charset}")
    engine.dispose()
    client = make_keymanager(mariadb_url).client(roles="admin,member,reader")
    for name, kept in (("a", True), ("é", True), ("😀", False)):
        assert client.simulate_post("/v1/secrets", json={"name": name}).status_code == (201 if kept else 400)
        assert client.simulate_get("/v1/secrets", params={"name": name}).status_code == (200 if kept else 400)
        assert client.simulate_get("/v1/containers", params={"name": name}).status_code == (200 if kept else 400)
        container = client.simulate_post("/v1/containers", json={"type": "generic"}).json["container_ref"]
        path = "/v1" + container.partition("/v1")[2]
        consumer = {"name": name, "URL": "u"}
        assert client.simulate_post(path + "/consumers", json=consumer).status_code == (200 if kept else 400)
        assert client.simulate_delete(path + "/consumers", json=consumer).status_code == (200 if kept else 400)
        assert client.simulate_put(path + "/acl", json={"read": {"users": [name]}}).status_code == (
            200 if kept else 400
        )
