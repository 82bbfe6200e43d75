"""The registry and the embedded transport on every database that a service may have."""

import pytest
import sqlalchemy as sa
from support.registry_cases import CASES as REGISTRY_CASES
from support.transport_cases import CASES as TRANSPORT_CASES


@pytest.fixture
def check_on():
    engines = []

    def check(case, url):
        engines.append(sa.create_engine(url, pool_size=10))
        case(engines[-1])

    yield check
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize("case", REGISTRY_CASES)
def test_the_registry_on_sqlite(case, check_on, tmp_path):
    check_on(case, f"sqlite:///{tmp_path}/service.db")


@pytest.mark.parametrize("case", REGISTRY_CASES + TRANSPORT_CASES)
def test_registry_and_transport_on_postgresql(case, check_on, postgresql_url):
    check_on(case, postgresql_url)


@pytest.mark.parametrize("case", REGISTRY_CASES + TRANSPORT_CASES)
def test_registry_and_transport_on_mariadb(case, check_on, mariadb_url):
    check_on(case, mariadb_url)
