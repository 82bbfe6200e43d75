import pytest
from support.killing import run_killed


@pytest.mark.parametrize("phase", ["expand", "migrate", "contract", "rollback"])
def test_a_phase_killed_at_any_statement_and_run_again_ends_as_if_never_killed(tmp_path, phase):
    result = run_killed(f"sqlite:///{tmp_path / 'service.db'}", phase, every=11)
    assert result["kills"] >= 12
    assert result["different"] == []
