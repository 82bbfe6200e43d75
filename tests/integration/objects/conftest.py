import pytest
import sqlalchemy as sa


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def any_db(request, tmp_path):
    """An engine on an empty database: SQLite's file, and real servers."""
    sqlite = f"sqlite:///{tmp_path / 'service.db'}"
    engine = sa.create_engine(sqlite if request.param == "sqlite" else request.getfixturevalue(f"{request.param}_url"))
    yield engine
    engine.dispose()
