"""Run the program that kills a schema phase, and return what it prints.

BASCULE_TEST_KILLS says at how many statements and commits; 0 means at every single one. BASCULE_TEST_KILL_CHANGES=2
leaves all but the first two changes out, a split and a rename.
"""

import json
import os
import pathlib
import subprocess
import sys

TESTS = pathlib.Path(__file__).parents[1]
PHASES = ("expand", "migrate", "fence", "contract", "purge", "rollback", "restore")
KILLS = int(os.environ.get("BASCULE_TEST_KILLS", "2"))


def run_killed(url, phase, **environment):
    """Kill the phase again and again; return {"statements": ..., "kills": ..., "different": [...]}."""
    done = subprocess.run(
        [sys.executable, str(TESTS / "support" / "killed_phase.py"), url, phase],
        env={**os.environ, "PYTHONPATH": str(TESTS), "BASCULE_TEST_KILLS": str(KILLS), **environment},
        capture_output=True,
        text=True,
        timeout=300 if KILLS else 7_200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    kills, statements, wrong = result["kills"], result["statements"], len(result["different"])
    print(f"{phase} on {url.partition(':')[0]}: {kills} kills in {statements} statements, {wrong} ended otherwise")
    return result
