"""Run the program that kills a schema phase, and return what it prints."""

import json
import os
import pathlib
import subprocess
import sys

TESTS = pathlib.Path(__file__).parents[1]


def run_killed(url, phase, *, every):
    """Kill the phase at every n-th statement; return {"kills": ..., "different": [...]}."""
    done = subprocess.run(
        [sys.executable, str(TESTS / "support" / "killed_phase.py"), url, phase],
        env={**os.environ, "PYTHONPATH": str(TESTS), "BASCULE_TEST_KILL_EVERY": str(every)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
