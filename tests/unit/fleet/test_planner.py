import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stub_fleet import NEW, OLD, STUB

from bascule.documents.codec import canonical, from_plain, to_plain
from bascule.documents.facts import Facts, InstanceFact, NodeFact
from bascule.documents.manifest import Manifest
from bascule.documents.plan import Plan
from bascule.errors import PlanRefused
from bascule.fleet.config import PolicyConfig
from bascule.fleet.planner import PlanInputs, build_install, build_upgrade
from bascule.fleet.recipe import Recipe
from bascule.release import Release, Train

RECIPE = Recipe.load(Path(STUB) / "recipe.toml")
CHANGES = dict.fromkeys(("expand", "migrate", "contract"), ("widen",))


def inputs(*, api=2, workers=1, schema=CHANGES, running=OLD, self_draining=True, sources=(OLD,), **more):
    placement = {f"api-{n + 1}": ("api", "local") for n in range(api)}
    placement |= {f"worker-{n + 1}": ("worker", "local") for n in range(workers)}
    instances = tuple(InstanceFact(name, role, node, running) for name, (role, node) in sorted(placement.items()))
    return PlanInputs(
        facts=Facts("f", "stub", (NodeFact("local"),), instances if running else ()),
        placement=placement,
        target=Manifest("stub", NEW, upgrades_from=sources, schema=schema),
        recipe=RECIPE,
        source_recipe=RECIPE,
        policy=PolicyConfig(),
        self_draining=self_draining,
        created_at="2026-11-21T00:00:00+00:00",
        train=Train.of([OLD, NEW]),
        **more,
    )


def test_the_same_facts_give_the_same_plan():
    assert build_upgrade(inputs()) == build_upgrade(inputs())


def test_a_step_of_many_changes_has_a_short_title_and_names_them_all_in_its_document():
    ids = ("one", "two", "three", "four", "five")
    expand = next(step for step in build_upgrade(inputs(schema={"expand": ids})).steps if step.id == "expand")
    assert expand.title == "schema: expand one, two, three and 2 more"
    assert expand.args["changes"] == list(ids)


def test_a_plan_survives_being_written_and_read():
    plan = build_upgrade(inputs())
    again = from_plain(Plan, to_plain(plan))
    assert again == plan
    assert again.computed_hash() == plan.hash
    assert canonical(again) == canonical(plan)


def test_any_change_of_a_step_changes_the_hash():
    plan = build_upgrade(inputs())
    edited = dataclasses.replace(plan, steps=(dataclasses.replace(plan.steps[0], timeout_s=1.0), *plan.steps[1:]))
    assert edited.computed_hash() != plan.hash


@given(api=st.integers(1, 5), workers=st.integers(1, 4), self_draining=st.booleans())
def test_old_capacity_goes_only_after_new_capacity_is_ready(api, workers, self_draining):
    plan = build_upgrade(inputs(api=api, workers=workers, self_draining=self_draining))
    running = {(name, str(OLD)) for name in inputs(api=api, workers=workers).placement}
    for step in plan.steps:
        if step.op == "start":
            running.add((step.args["instance"], step.args["release"]))
        if step.op == "stop":
            running.remove((step.args["instance"], step.args["release"]))
            for role, least in (("api", api), ("worker", workers)):
                assert sum(name.startswith(role) for name, _ in running) >= least
    assert {release for _, release in running} == {str(NEW)}
    assert len(running) == api + workers


@given(api=st.integers(1, 4), workers=st.integers(1, 3), self_draining=st.booleans())
def test_everything_that_removes_comes_after_everything_old_has_gone(api, workers, self_draining):
    steps = build_upgrade(inputs(api=api, workers=workers, self_draining=self_draining)).steps
    position = {step.id: index for index, step in enumerate(steps)}
    stops = [position[step.id] for step in steps if step.op == "stop"]
    assert position["expand"] < position["migrate"] < min(position[step.id] for step in steps if step.op == "start")
    assert max(stops) < position["pin-lift"] < position["contract"] < position["verify"]
    assert [step.id for step in steps if step.point_of_no_return] == ["contract"]
    assert all(set(step.after) <= {before.id for before in steps[: position[step.id]]} for step in steps)


def test_a_balancer_that_needs_telling_is_told_before_a_process_stops():
    steps = [step.id for step in build_upgrade(inputs(self_draining=False)).steps]
    for name in ("api-1", "api-2"):
        order = [f"start-api:{name}", f"join:{name}", f"leave:{name}", f"stop-api:{name}"]
        assert [step for step in steps if step in order] == order


def test_without_schema_changes_it_is_an_update():
    plan = build_upgrade(inputs(schema={}))
    assert plan.kind == "update"
    assert not {"expand", "migrate", "contract"} & {step.id for step in plan.steps}


def test_history_replaces_the_recipes_estimates():
    plan = build_upgrade(inputs(durations={"expand": [1.0, 2.0, 9.0]}))
    expand = next(step for step in plan.steps if step.id == "expand")
    assert (expand.estimate.p50_s, expand.estimate.source) == (2.0, "history")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"running": None}, "nothing of this fleet runs"),
        ({"running": NEW}, "runs 2.0 already"),
        ({"running": Release.parse("3.0")}, "older than"),
        ({"sources": (Release.parse("1.5"),)}, "upgraded to from 1.5"),
    ],
)
def test_no_plan_is_made_where_there_is_no_way(changed, words):
    with pytest.raises(PlanRefused, match=words) as refusal:
        build_upgrade(inputs(**changed))
    assert refusal.value.next_command


def test_a_mixed_fleet_must_be_finished_first():
    mixed = inputs()
    twin = InstanceFact("api-1", "api", "local", NEW)
    facts = dataclasses.replace(mixed.facts, instances=(*mixed.facts.instances, twin))
    with pytest.raises(PlanRefused, match="several releases"):
        build_upgrade(dataclasses.replace(mixed, facts=facts))


def test_a_fleet_that_runs_is_not_installed_again():
    with pytest.raises(PlanRefused, match="runs already"):
        build_install(inputs())


def test_an_unknown_role_is_refused():
    strange = dataclasses.replace(inputs(), placement={"mixer-1": ("mixer", "local")})
    with pytest.raises(PlanRefused, match="no role 'mixer'"):
        build_upgrade(strange)


def adopting(**more):
    theirs = dataclasses.replace(RECIPE, file=dataclasses.replace(RECIPE.file, service="other"))
    commands = {**RECIPE.file.commands, "settle": ("true",)}
    ours = dataclasses.replace(RECIPE, file=dataclasses.replace(RECIPE.file, commands=commands))
    return dataclasses.replace(inputs(schema={}, **more), source_recipe=theirs, recipe=ours)


def test_the_workers_of_another_service_go_last_and_with_nothing_in_hand():
    plan = build_upgrade(adopting(workers=2, self_draining=False))
    steps = [step.id for step in plan.steps]
    assert plan.kind == "upgrade"
    started = [steps.index(f"start-worker:worker-{number}") for number in (1, 2)]
    apis = [steps.index(f"stop-api:api-{number}") for number in (1, 2)]
    gone = [steps.index(f"stop-worker:worker-{number}") for number in (1, 2)]
    assert started[0] < min(apis)
    assert max(apis + started) < steps.index("settle") < min(gone)
    assert "expand" in steps  # with tables of our own
    assert not {"pin-hold", "pin-lift", "migrate", "contract"} & set(steps)
    assert not any(step.point_of_no_return for step in plan.steps)


def test_so_does_whoever_else_takes_no_requests():
    """As a listener: ours is there before theirs goes, and theirs goes with the workers."""
    plain = adopting(self_draining=False)
    roles = {**plain.recipe.file.roles, "listener": plain.recipe.file.roles["worker"]}
    recipe = dataclasses.replace(plain.recipe, file=dataclasses.replace(plain.recipe.file, roles=roles))
    theirs = (*plain.facts.instances, InstanceFact("listener-1", "listener", "local", OLD))
    facts = dataclasses.replace(plain.facts, instances=theirs)
    placement = {**plain.placement, "listener-1": ("listener", "local")}
    listening = dataclasses.replace(plain, recipe=recipe, facts=facts, placement=placement)
    steps = [step.id for step in build_upgrade(listening).steps]
    apis = [place for place, step in enumerate(steps) if step.startswith("stop-api:")]
    assert steps.index("start-listener:listener-1") < min(apis)
    assert max(apis) < steps.index("settle") < steps.index("stop-listener:listener-1")


def test_within_a_service_nothing_is_settled():
    assert "settle" not in {
        step.id for step in build_upgrade(dataclasses.replace(adopting(), source_recipe=RECIPE)).steps
    }
