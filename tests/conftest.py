"""Real servers for the tests that ask for them: started once per run, stopped at its end, skipped out loud."""

import functools
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bascule.testing.servers import HAProxy, MariaDB, PostgreSQL, RabbitMQ, clean_stale
from bascule.testing.servers.skipping import or_skip


@pytest.fixture(scope="session")
def no_stale_servers() -> None:
    """Stop what an earlier, killed run left behind, before the first server of this run starts."""
    clean_stale()


@pytest.fixture(scope="session")
def postgresql(no_stale_servers) -> Iterator[PostgreSQL]:
    with or_skip(PostgreSQL) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(no_stale_servers) -> Iterator[MariaDB]:
    with or_skip(MariaDB) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq(no_stale_servers) -> Iterator[RabbitMQ]:
    with or_skip(RabbitMQ) as server:
        yield server


@pytest.fixture(scope="session")
def haproxy_factory(no_stale_servers) -> Callable[..., AbstractContextManager[HAProxy]]:
    """`with haproxy_factory(config) as haproxy:` runs one; it is stopped at the end of the block."""

    return lambda config=None: or_skip(lambda: HAProxy(config))


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory) -> Callable[[str], Path]:
    """`unpacked(release)` is a folder with all of its wheels: what is imported from archives is compiled each time."""

    @functools.cache
    def unpack(release: str) -> Path:
        folder = tmp_path_factory.mktemp(release)
        for wheel in (Path(__file__).parents[1] / "releases" / release).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
        return folder

    return unpack


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
