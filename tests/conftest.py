"""Real servers for the tests that ask for them: started once per run, stopped at its end, skipped out loud."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from bascule.testing.servers import HAProxy, MariaDB, PackageMissing, PostgreSQL, RabbitMQ, clean_stale


@pytest.fixture(scope="session")
def no_stale_servers() -> None:
    """Stop what an earlier, killed run left behind, before the first server of this run starts."""
    clean_stale()


@pytest.fixture(scope="session")
def postgresql(no_stale_servers) -> Iterator[PostgreSQL]:
    with _loud(PostgreSQL) as server, server:
        yield server


@pytest.fixture(scope="session")
def mariadb(no_stale_servers) -> Iterator[MariaDB]:
    with _loud(MariaDB) as server, server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq(no_stale_servers) -> Iterator[RabbitMQ]:
    with _loud(RabbitMQ) as server, server:
        yield server


@pytest.fixture(scope="session")
def haproxy_factory(no_stale_servers) -> Callable[..., AbstractContextManager[HAProxy]]:
    """`with haproxy_factory(config) as haproxy:` runs one; it is stopped at the end of the block."""

    @contextmanager
    def make(config: str | None = None) -> Iterator[HAProxy]:
        with _loud(lambda: HAProxy(config)) as server, server:
            yield server

    return make


@pytest.fixture
def postgresql_url(postgresql) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database of this test's own."""
    url = postgresql.new_database()
    yield url
    postgresql.drop_database(url)


@pytest.fixture
def mariadb_url(mariadb) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database of this test's own."""
    url = mariadb.new_database()
    yield url
    mariadb.drop_database(url)


@contextmanager
def _loud(make):
    """Skip with one line when the server cannot be had; in CI that is a failure, since nothing would be proven."""
    try:
        server = make()
    except PackageMissing as missing:
        reason = f"NOT TESTED: {missing}; try: {missing.next_command}"
        if os.environ.get("CI"):
            pytest.fail(f"{reason} (a skip of this is a failure in CI)", pytrace=False)
        pytest.skip(reason)
    yield server
