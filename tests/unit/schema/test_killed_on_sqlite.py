import pytest
from support.killing import KILLS, PHASES, run_killed


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_killed_at_any_statement_and_run_again_ends_as_if_never_killed(tmp_path, phase):
    result = run_killed(f"sqlite:///{tmp_path / 'service.db'}", phase)
    assert result["kills"] >= (KILLS or result["statements"]) - 2
    assert result["different"] == []
