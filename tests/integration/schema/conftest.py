import pytest
import sqlalchemy as sa


@pytest.fixture(scope="session")
def _the_same_postgresql_url(postgresql):
    return postgresql.new_database()


@pytest.fixture
def postgresql_url(_the_same_postgresql_url):
    """The SQLAlchemy URL of an empty database: every test's, and emptied, which is far quicker than a new one."""
    yield _the_same_postgresql_url
    engine = sa.create_engine(_the_same_postgresql_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        ours = "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity {ours}")
        for schema in sa.inspect(connection).get_schema_names():
            if schema != "information_schema":
                connection.exec_driver_sql(f'DROP SCHEMA "{schema}" CASCADE')
        connection.exec_driver_sql("CREATE SCHEMA public")
        connection.exec_driver_sql("GRANT USAGE ON SCHEMA public TO PUBLIC")


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
