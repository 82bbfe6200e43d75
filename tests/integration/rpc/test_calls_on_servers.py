"""Calls over the embedded transport on real database servers."""

import pytest
import sqlalchemy as sa
from support.call_cases import CASES, EmbeddedWorld


@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
@pytest.mark.parametrize("case", CASES)
def test_calls_on_servers(case, server, request):
    engine = sa.create_engine(request.getfixturevalue(f"{server}_url"))
    try:
        case(EmbeddedWorld(engine))
    finally:
        engine.dispose()
