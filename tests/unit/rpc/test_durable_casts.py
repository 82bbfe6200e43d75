"""Casts that are not lost, on SQLite."""

import pytest
import sqlalchemy as sa
from support.durable_cases import CASES

from bascule.rpc import current_message


@pytest.mark.parametrize("case", CASES)
def test_durable_casts_on_sqlite(case, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/service.db")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    try:
        case(engine)
    finally:
        engine.dispose()


def test_outside_of_a_handler_there_is_no_current_message():
    with pytest.raises(AssertionError, match="no handler runs here"):
        current_message()
