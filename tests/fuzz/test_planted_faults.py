"""The judge judged: with each fault planted into the engine's process, the histories find it. Takes minutes."""

import pytest
from support.schema_fuzz_faults import FAULTS
from support.schema_fuzz_search import search
from support.schema_fuzz_world import World

WITHIN = 400  # histories
PLANTED = [(database, name) for name, fault in FAULTS.items() for database in fault.databases]


@pytest.mark.parametrize(("database", "fault"), PLANTED)
def test_a_planted_fault_is_found(request, tmp_path, database, fault):
    sqlite = f"sqlite:///{tmp_path / 'service.db'}"
    with World(sqlite if database == "sqlite" else request.getfixturevalue(f"{database}_url"), fault=fault) as world:
        found = search(world, 7, plays=WITHIN)
    assert found is not None
    assert "crashed" not in found.why  # a fault that does not fit the engine any more is none
