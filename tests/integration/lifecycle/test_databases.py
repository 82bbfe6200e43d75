"""The registry and the embedded transport on every database that a service may have."""

import pytest
import sqlalchemy as sa
from support.registry_cases import CASES as REGISTRY_CASES
from support.transport_cases import CASES as TRANSPORT_CASES


@pytest.fixture
def run_on():
    engines = []

    def run(case, url):
        engines.append(sa.create_engine(url, pool_size=10))
        case(engines[-1])

    yield run
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize("case", REGISTRY_CASES)
def test_the_registry_on_sqlite(case, run_on, tmp_path):
    run_on(case, f"sqlite:///{tmp_path}/service.db")


@pytest.mark.parametrize("case", REGISTRY_CASES + TRANSPORT_CASES)
def test_registry_and_transport_on_postgresql(case, run_on, postgresql_url):
    run_on(case, postgresql_url)


@pytest.mark.parametrize("case", REGISTRY_CASES + TRANSPORT_CASES)
def test_registry_and_transport_on_mariadb(case, run_on, mariadb_url):
    run_on(case, mariadb_url)
