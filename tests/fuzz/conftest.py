"""The servers that the judge is judged on: one of each for all its faults, since a world needs but a database."""

import pytest

from bascule.testing.servers import MariaDB, PostgreSQL
from bascule.testing.servers.skipping import or_skip


@pytest.fixture(scope="module")
def postgresql_url():
    with or_skip(PostgreSQL) as server:
        yield server.new_database()


@pytest.fixture(scope="module")
def mariadb_url():
    with or_skip(MariaDB) as server:
        yield server.new_database()
