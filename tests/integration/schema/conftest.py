import pytest
import sqlalchemy as sa


@pytest.fixture(params=["postgresql", "mariadb"])
def db(request):
    """An engine on an empty database of a real server."""
    engine = sa.create_engine(request.getfixturevalue(f"{request.param}_url"), pool_pre_ping=True)
    yield engine
    engine.dispose()


@pytest.fixture
def postgresql_db(postgresql_url):
    engine = sa.create_engine(postgresql_url)
    yield engine
    engine.dispose()


@pytest.fixture
def mariadb_db(mariadb_url):
    engine = sa.create_engine(mariadb_url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def any_db(request, tmp_path):
    """As `db`, and SQLite's file too."""
    sqlite = f"sqlite:///{tmp_path / 'service.db'}"
    engine = sa.create_engine(sqlite if request.param == "sqlite" else request.getfixturevalue(f"{request.param}_url"))
    if request.param == "sqlite":
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    yield engine
    engine.dispose()
