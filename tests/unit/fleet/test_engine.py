import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from support.stub_fleet import NEW, OLD, looks, releases_running, service_state, starts

from bascule.errors import PlanRefused
from bascule.fleet import operations
from bascule.fleet.engine import Silent, StepStopped, Stopped
from bascule.fleet.preflight import preflight

STEPS_BEFORE_CONTRACT = [
    "stage:local",
    "check",
    "pin-hold",
    "expand",
    "migrate",
    "start-worker:worker-1",
    "stop-worker:worker-1",
    "start-api:api-1",
    "stop-api:api-1",
    "soak:canary",
    "start-api:api-2",
    "stop-api:api-2",
    "pin-lift",
    "soak:final",
]


def bascule(fleet, *arguments, **options):
    argv = [sys.executable, "-m", "bascule.cli", "--fleet", str(fleet.config.path), *arguments]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def test_an_upgrade_ends_with_every_process_at_the_new_release(planned):
    fleet, path = planned
    document = operations.apply(fleet, path, Silent())
    assert document.mode == "finished"
    assert [step.id for step in document.steps] == [*STEPS_BEFORE_CONTRACT, "contract", "verify"]
    assert releases_running(fleet) == ["2.0"]
    assert service_state(fleet)["effects"] == ["expand", "migrate", "contract"]
    with urllib.request.urlopen(fleet.config.url) as answer:
        assert answer.headers["X-Bascule-Release"] == "2.0"


def test_the_service_is_asked_once_for_each_thing_that_must_be_seen(planned):
    fleet, path = planned
    before = looks(fleet)
    operations.apply(fleet, path, Silent())
    # The fleet as it was planned for, the hold, three phases of the schema, the lifted pin, the end.
    assert looks(fleet) - before == 7


def test_an_applied_plan_is_refused_when_it_is_applied_again(planned):
    fleet, path = planned
    operations.apply(fleet, path, Silent())
    with pytest.raises(operations.StalePlan, match="the fleet has changed"):
        operations.apply(fleet, path, Silent())


@pytest.mark.parametrize("until", STEPS_BEFORE_CONTRACT)
def test_roll_back_after_any_step_before_contract_ends_at_the_old_release(planned, until):
    fleet, path = planned
    with pytest.raises(Stopped):
        operations.apply(fleet, path, Silent(), until=until)
    document = operations.roll_back(fleet, Silent())
    assert document.mode == "rolled-back"
    assert releases_running(fleet) == ["1.0"]
    assert service_state(fleet)["phase"] == "planned"
    assert service_state(fleet)["hold"] is None
    lifted = STEPS_BEFORE_CONTRACT.index(until) >= STEPS_BEFORE_CONTRACT.index("pin-lift")
    assert service_state(fleet).get("lowered", []) == (["1.0"] if lifted else [])
    assert {fact.name for fact in fleet.observe().instances} == {"api-1", "api-2", "worker-1"}


def test_no_old_process_starts_before_what_it_does_not_read_is_rewritten(planned):
    fleet, path = planned
    with pytest.raises(Stopped):
        operations.apply(fleet, path, Silent(), until="soak:final")
    fleet.extra_env["STUB_BREAK"] = "lower"
    with pytest.raises(StepStopped, match="one row resists"):
        operations.roll_back(fleet, Silent())
    assert releases_running(fleet) == ["2.0"]
    del fleet.extra_env["STUB_BREAK"]
    assert operations.roll_back(fleet, Silent()).mode == "rolled-back"
    assert service_state(fleet)["lowered"] == ["1.0"]


def test_roll_back_after_contract_refuses_and_says_what_would_be_lost(planned):
    fleet, path = planned
    operations.apply(fleet, path, Silent())
    with pytest.raises(operations.PastReturn) as refusal:
        operations.roll_back(fleet, Silent())
    assert "things (widen, 3 rows)" in refusal.value.sentence
    assert releases_running(fleet) == ["2.0"]


def test_killed_at_random_instants_it_ends_the_same_and_does_nothing_twice(planned):
    fleet, _ = planned
    seed = int(os.environ.get("BASCULE_SEED", "1"))
    chance = random.Random(seed)
    for _ in range(12):
        process = bascule(fleet, "upgrade", "apply", "--yes")
        try:
            process.communicate(timeout=chance.uniform(0.25, 1.2))
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    last = bascule(fleet, "upgrade", "apply", "--yes")
    said, _ = last.communicate(timeout=60)
    assert last.returncode == 0 or "the fleet has changed" in said, said
    assert operations.run_document(fleet).mode == "finished"
    assert service_state(fleet)["effects"] == ["expand", "migrate", "contract"]
    assert starts(fleet) == {
        f"{name}@{release}": 1 for name in ("api-1", "api-2", "worker-1") for release in ("1.0", "2.0")
    }
    assert releases_running(fleet) == ["2.0"]


def test_killed_on_the_way_back_it_still_gets_back(planned):
    fleet, path = planned
    with pytest.raises(Stopped):
        operations.apply(fleet, path, Silent(), until="pin-lift")
    chance = random.Random(2)
    for _ in range(6):
        process = bascule(fleet, "upgrade", "roll-back", "--yes")
        try:
            process.communicate(timeout=chance.uniform(0.3, 0.8))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    if operations.run_document(fleet).mode != "rolled-back":
        operations.roll_back(fleet, Silent())
    assert releases_running(fleet) == ["1.0"]
    assert service_state(fleet)["phase"] == "planned"


def test_a_process_that_dies_while_starting_stops_the_run_and_the_old_ones_serve_on(planned):
    fleet, path = planned
    fleet.extra_env["STUB_BREAK"] = "dies"
    with pytest.raises(StepStopped, match="cannot find my settings"):
        operations.apply(fleet, path, Silent())
    assert releases_running(fleet) == ["1.0"]
    assert operations.roll_back(fleet, Silent()).mode == "rolled-back"


def test_a_process_that_never_gets_ready_stops_the_run_and_names_its_log(planned):
    fleet, path = planned
    fleet.extra_env["STUB_BREAK"] = "hangs"
    with pytest.raises(StepStopped, match="not ready after 3 s.*waiting for something"):
        operations.apply(fleet, path, Silent())
    fleet.extra_env.clear()
    assert operations.roll_back(fleet, Silent()).mode == "rolled-back"
    assert releases_running(fleet) == ["1.0"]


def test_a_release_that_says_no_stops_the_run_before_anything_is_migrated(planned):
    fleet, path = planned
    fleet.extra_env["STUB_BREAK"] = "check"
    with pytest.raises(StepStopped, match="the configuration lacks a key"):
        operations.apply(fleet, path, Silent())
    assert service_state(fleet)["phase"] == "planned"


def test_a_release_that_only_warns_is_rolled_to_and_the_warning_is_shown(planned):
    fleet, _ = planned
    fleet.extra_env["STUB_BREAK"] = "warns"
    for until in ("check", "expand"):  # the second time the release is staged, so that preflight asks it too
        plan, facts = operations.create_plan(fleet, NEW)
        with pytest.raises(Stopped):
            operations.apply(fleet, operations.save_plan(fleet, plan, facts), Silent(), until=until)
        if until == "check":
            operations.roll_back(fleet, Silent())
    own = next(finding for finding in preflight(fleet, NEW) if finding.name == "service")
    assert own.result == "passed"
    assert own.seen.endswith("can take over, and warns: tidy: 3 rows are untidy; whole: a part is loose")
    fleet.extra_env["STUB_BREAK"] = "refuses"
    own = next(finding for finding in preflight(fleet, NEW) if finding.name == "service")
    assert own.result == "failed"
    assert own.seen.endswith("failed with 2: whole: a part is loose")


def test_pause_resume_abort_and_roll_back_are_durable(planned):
    fleet, path = planned
    with pytest.raises(Stopped, match="paused"):
        operations.apply(fleet, path, Silent(), until="expand")
    with pytest.raises(PlanRefused, match="is paused"):
        operations.apply(fleet, path, Silent())
    with pytest.raises(Stopped):
        operations.resume(fleet, Silent(), until="migrate")
    operations.abort(fleet)
    with pytest.raises(PlanRefused, match="only goes back"):
        operations.resume(fleet, Silent())
    with pytest.raises(PlanRefused, match="aborted"):
        operations.apply(fleet, path, Silent())
    assert operations.roll_back(fleet, Silent()).mode == "rolled-back"
    assert releases_running(fleet) == ["1.0"]


def test_pause_reaches_an_apply_that_runs(planned):
    fleet, _ = planned
    process = bascule(fleet, "upgrade", "apply", "--yes")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        document = operations.run_document(fleet)
        if document.source is not None and any(step.state == "running" for step in document.steps):
            break
    operations.pause(fleet)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 3, said
    assert "bascule --fleet" in said
    assert "upgrade resume" in said
    assert operations.resume(fleet, Silent()).mode == "finished"


def test_the_journal_is_a_chain_that_shows_an_edited_line(planned):
    fleet, path = planned
    document = operations.apply(fleet, path, Silent())
    from bascule.documents.codec import canonical
    from bascule.fleet.journal import chain_of

    before = document.events[0].chain
    for event in document.events[1:]:
        assert event.chain == chain_of(before, event.at, event.step, event.what, canonical(event.data))
        before = event.chain
    forged = chain_of(document.events[0].chain, 0.0, "stage:local", "done", canonical({}))
    assert forged != document.events[1].chain


def test_durations_of_the_last_run_become_the_next_estimates(planned):
    fleet, path = planned
    first = json.loads(path.read_text())
    sources = {step["estimate"]["source"] for step in first["steps"] if step["op"] == "start"}
    assert sources == {"history"}
    operations.apply(fleet, path, Silent())
    with operations.open_journal(fleet) as journal:
        assert len(journal.durations()["stop-api"]) == 2


def test_the_old_release_is_where_we_began(running):
    assert releases_running(running) == [str(OLD)]
    with pytest.raises(PlanRefused, match="already"):
        operations.create_plan(running, OLD)
    assert NEW > OLD
