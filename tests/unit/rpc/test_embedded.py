"""The embedded transport on SQLite."""

import pytest
import sqlalchemy as sa
from support.transport_cases import CASES


@pytest.mark.parametrize("case", CASES)
def test_the_embedded_transport_on_sqlite(case, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/service.db")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    case(engine)
    engine.dispose()
