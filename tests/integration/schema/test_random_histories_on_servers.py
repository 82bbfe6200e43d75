import pytest
from support.schema_fuzz_search import search
from support.schema_fuzz_world import World


@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
def test_no_history_of_writers_and_killed_engines_loses_or_alters_what_anyone_wrote(request, server):
    with World(request.getfixturevalue(f"{server}_url")) as world:
        found = search(world, 2, plays=100, at_least=1, at_most=5, quick=True)
    assert found is None, f"{found.why}\nagain: make fuzz-schema ARGS='--database {server} --replay {found.word}'"
    assert world.counts["kills"] >= 3
