import pytest
import sqlalchemy as sa


@pytest.fixture
def db(tmp_path):
    """A plain SQLite engine, as any service would create it."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'service.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    yield engine
    engine.dispose()
