"""The clean upgrade passes, and every deliberately bad one is refused for its own reason."""

import json
import subprocess
import sys

import pytest
from support.keymanager_fleet import NEW, OLD, RELEASES

from bascule.fleet import operations
from bascule.fleet.engine import Silent
from bascule.gate.mutants import load_mutants, pick_mutant, sabotage
from bascule.gate.prove import Rehearsal, prove

MUTANTS = load_mutants(RELEASES / str(NEW) / "mutants.toml")

# What each bad upgrade must be refused for: codes of reasons, any of which names its fault, and words of a sentence.
EXPECTED = {
    "no-drain": ({"failed-requests"}, "drain and stop"),
    "kill": ({"failed-requests"}, "drain and stop"),
    "pin-ignored": ({"pin-overridden"}, "while the pin was 2026.2"),
    "missing-trigger": ({"wrong-content", "upgrade-failed"}, "secrets"),
    "contract-too-early": ({"failed-requests"}, "500"),
}


def test_every_mutant_has_an_expectation():
    assert set(EXPECTED) == set(MUTANTS)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_bad_upgrade_is_refused_and_the_reason_names_it(new_fleet, tmp_path, name):
    database = f"sqlite:///{tmp_path / 'keymanager.sqlite'}"
    fleet = new_fleet(api=2, workers=1, drain_s=2.0, watch_s=1.5, database=database)
    mutant = pick_mutant(MUTANTS, name, OLD)
    sabotage(fleet, mutant)
    operations.install(fleet, OLD, Silent())
    rehearsal = Rehearsal(
        target=NEW,
        workload=RELEASES / str(NEW) / "workload.toml",
        directory=tmp_path / "report",
        preload=100,
        baseline_s=1.0,
        tail_s=1.0,
        mutant=mutant,
        database=database,
    )
    evidence = prove(fleet, rehearsal, Silent(), lambda text: None).evidence
    assert evidence.verdict == "REFUSE"
    codes, words = EXPECTED[name]
    named = [reason for reason in evidence.reasons if reason.code in codes]
    assert named, [reason.sentence for reason in evidence.reasons]
    assert any(words in reason.sentence for reason in named), [reason.sentence for reason in named]


def test_the_demo_passes_and_its_report_tells_everything(tmp_path):
    argv = [sys.executable, "-m", "bascule.cli", "demo", "--report", str(tmp_path / "report")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path.parent)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["verdict"] == "PASS"
    assert report["reasons"] == []
    assert report["requests"] >= 3000
    assert report["load_rate_per_s"] >= 50
    assert min(report["answers_by_release_while_mixed"][release] for release in (str(OLD), str(NEW))) >= 500
    assert (report["failed"], report["lost"], report["wrong"]) == (0, 0, 0)
    assert {part["phase"] for part in report["latency"]} >= {"before", "expand", "canary", "roll", "after"}
    assert all(step["planned_s"] > 0 and step["actual_s"] is not None for step in report["steps"])
    html = (tmp_path / "report" / "report.html").read_text()
    assert "PASS" in html
    assert "<svg" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html


def test_an_unknown_bad_upgrade_is_refused_with_a_near_match(tmp_path):
    argv = [sys.executable, "-m", "bascule.cli", "demo", "--break", "no-drian"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "did you mean 'no-drain'?" in done.stderr
