"""The same key manager as in the unit tests, on real servers."""

import importlib.util
import sys
from pathlib import Path

import pytest

# The parts are the unit tests' own: one description of a key manager under test.
_PATH = Path(__file__).parent.parent.parent / "unit" / "keymanager" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("keymanager_parts", _PATH)
_PARTS = importlib.util.module_from_spec(_SPEC)
sys.modules["keymanager_parts"] = _PARTS  # dataclasses look their module up
_SPEC.loader.exec_module(_PARTS)

make_keymanager, sqlite_url = _PARTS.make_keymanager, _PARTS.sqlite_url


@pytest.fixture(params=["postgresql", "mariadb"])
def server_url(request):
    """An empty database of this test's own on each server; on SQLite, too, for a file that parametrizes it so."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def keymanager(make_keymanager, server_url):
    return make_keymanager(server_url)
