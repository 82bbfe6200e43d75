"""Kills and ways back, under load, from the released wheels: nobody may notice."""

import os
import random

import pytest
from support.keymanager_fleet import NEW, OLD, RELEASES, apply_until_killed, releases_running, starts

from bascule.fleet import operations
from bascule.fleet.engine import Silent, Stopped
from bascule.gate.process import LoadProcess
from bascule.gate.verdict import Limits, judge

SEED = int(os.environ.get("BASCULE_SEED", "1"))
KILLS = int(os.environ.get("BASCULE_KILLS", "8"))
ROUNDS = int(os.environ.get("BASCULE_ROUNDS", "1"))
LENIENT = Limits(mixed_answers=20, requests=200, rate_per_s=20)
# Steps from which the short form goes back, over all that came before; `make fuzz-roll-back` takes every one.
WAYS_BACK = ("start-api:api-1", "soak:canary", "soak:final")
EVERY_STEP = os.environ.get("BASCULE_EVERY_STEP") == "1"


def load_on(fleet, directory, seed=SEED):
    directory.mkdir(exist_ok=True)
    workload = RELEASES / str(NEW) / "workload.toml"
    return LoadProcess(workload, fleet.config.url, directory, rate=40, seed=seed, preload=60, idle_max_s=1.5)


def nothing_was_noticed(load, fleet, *, modes=("finished",), limits=LENIENT):
    status = fleet.service_status(NEW if str(NEW) in releases_running(fleet) else OLD)
    chosen = Limits(limits.mixed_answers, limits.requests, limits.rate_per_s, modes)
    document = operations.run_document(fleet)
    evidence = judge(load.history, document, [status], source=OLD, target=NEW, limits=chosen)
    refusals = [reason.sentence for reason in evidence.reasons if reason.verdict == "REFUSE"]
    assert refusals == []
    assert (evidence.failed, evidence.lost, evidence.wrong, evidence.resurrected) == (0, 0, 0, 0)
    assert evidence.orders.lost == evidence.orders.doubled == 0
    assert evidence.read_back > 0
    return evidence


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_killed_at_seeded_instants_the_upgrade_ends_the_same_and_nobody_notices(new_fleet, tmp_path, round_number):
    fleet = new_fleet()
    operations.install(fleet, OLD, Silent())
    plan, facts = operations.create_plan(fleet, NEW)
    path = operations.save_plan(fleet, plan, facts)
    chance = random.Random(SEED * 1000 + round_number)
    with load_on(fleet, tmp_path / "load", SEED + round_number) as load:
        load.wait_ready()
        kills = 0
        while kills < KILLS:
            code, said = apply_until_killed(fleet, chance.uniform(0.2, 4.0))
            if code is not None:
                assert code == 0, said
                break
            kills += 1
        document = operations.run_document(fleet)
        if document.target != NEW or document.mode != "finished":
            operations.apply(fleet, path, Silent())
        load.stop()
    print(f"apply was killed {kills} times in round {round_number}")
    assert kills >= 4  # eight rounds are the 30 instants at least
    assert operations.run_document(fleet).mode == "finished"
    assert releases_running(fleet) == [str(NEW)]
    assert starts(fleet) == dict.fromkeys((f"{n}@{r}" for n in ("api-1", "api-2", "worker-1") for r in (OLD, NEW)), 1)
    phases = {change.phase for change in fleet.service_status(NEW).changes if change.release > OLD}
    assert phases == {"contracted"}
    nothing_was_noticed(load, fleet)
    roll_back_is_refused(fleet)


def roll_back_is_refused(fleet):
    """After contract there is no way back, and the refusal says what would be lost."""
    with pytest.raises(operations.PastReturn) as refusal:
        operations.roll_back(fleet, Silent())
    assert "secrets" in refusal.value.sentence
    assert "orders" in refusal.value.sentence
    assert releases_running(fleet) == [str(NEW)]


def test_roll_back_after_every_step_before_contract_and_nobody_notices(running, tmp_path):
    """One fleet under one load goes forward to each step in turn, and back."""
    fleet = running
    plan, _ = operations.create_plan(fleet, NEW)
    steps = [step.id for step in plan.steps]
    before = steps[: steps.index("contract")]
    assert set(before) > set(WAYS_BACK)
    with load_on(fleet, tmp_path / "load") as load:
        load.wait_ready()
        for step in before if EVERY_STEP else WAYS_BACK:
            plan, facts = operations.create_plan(fleet, NEW)
            path = operations.save_plan(fleet, plan, facts)
            with pytest.raises(Stopped):
                operations.apply(fleet, path, Silent(), until=step)
            assert operations.roll_back(fleet, Silent()).mode == "rolled-back"
            assert releases_running(fleet) == [str(OLD)], step
            assert fleet.service_status(OLD).pin_hold is None
        load.stop()
    nothing_was_noticed(load, fleet, modes=("rolled-back",))
