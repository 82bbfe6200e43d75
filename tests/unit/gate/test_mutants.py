import pytest

from bascule.errors import GateError
from bascule.gate.mutants import load_mutants, pick_mutant
from bascule.release import Release

WRITTEN = """
[kill]
what = "processes are killed"
stop_signal = "KILL"

[missing-trigger]
what = "one trigger is missing"
after = "expand"
upgrades_from = ["1.0", "1.1"]
sql = { sqlite = ["DROP TRIGGER one"] }
"""
OLD, NEWER = Release.parse("1.0"), Release.parse("2.0")


@pytest.fixture
def mutants(tmp_path):
    path = tmp_path / "mutants.toml"
    path.write_text(WRITTEN)
    return load_mutants(path)


def test_a_bad_upgrade_that_names_no_release_spoils_every_one(mutants):
    assert pick_mutant(mutants, "kill", OLD) == pick_mutant(mutants, "kill", NEWER) == mutants["kill"]


def test_a_bad_upgrade_that_would_spoil_nothing_is_not_run(mutants):
    assert pick_mutant(mutants, "missing-trigger", OLD).sql == {"sqlite": ("DROP TRIGGER one",)}
    with pytest.raises(GateError, match=r"spoils one from 1\.0 or 1\.1; one from 2\.0 has nothing") as refusal:
        pick_mutant(mutants, "missing-trigger", NEWER)
    assert refusal.value.next_command == "bascule demo --from 1.0 --break missing-trigger"


def test_an_unknown_bad_upgrade_is_refused_with_a_near_match(mutants):
    with pytest.raises(GateError, match="did you mean 'kill'"):
        pick_mutant(mutants, "killl", OLD)
