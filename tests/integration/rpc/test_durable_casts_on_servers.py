"""Casts that are not lost, on real database servers."""

import pytest
import sqlalchemy as sa
from support.durable_cases import CASES


@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
@pytest.mark.parametrize("case", CASES)
def test_durable_casts_on_servers(case, server, request):
    engine = sa.create_engine(request.getfixturevalue(f"{server}_url"))
    try:
        case(engine)
    finally:
        engine.dispose()
