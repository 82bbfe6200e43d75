"""From facts to a plan. Pure: the same facts, manifests and history give the same steps."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bascule.documents.facts import Facts
from bascule.documents.manifest import Manifest
from bascule.documents.plan import Estimate, Op, Plan, Step
from bascule.errors import PlanRefused
from bascule.fleet.config import PolicyConfig
from bascule.fleet.recipe import Recipe
from bascule.release import Release, Train

__all__ = ["PlanInputs", "build_install", "build_upgrade"]

_DEFAULT_ESTIMATES_S = {
    "stage": 20.0,
    "install": 5.0,
    "check": 2.0,
    "expand": 2.0,
    "migrate": 5.0,
    "contract": 2.0,
    "start": 3.0,
    "join": 1.0,
    "leave": 2.0,
    "stop": 8.0,
    "pin-hold": 1.0,
    "pin-lift": 2.0,
    "settle": 5.0,
    "verify": 2.0,
}
_NAMED = 3  # changes in the title of a step
_LONGEST_S = {"stage": 900.0, "migrate": 7 * 86_400.0, "expand": 3_600.0, "contract": 3_600.0}


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """All that planning looks at.

    `placement` maps an instance to its role and node; `durations` maps an estimate's key to seconds seen before;
    `self_draining` is true when the balancer needs no join and leave.
    """

    facts: Facts
    placement: Mapping[str, tuple[str, str]]
    target: Manifest
    recipe: Recipe
    source_recipe: Recipe | None
    policy: PolicyConfig
    self_draining: bool
    created_at: str
    train: Train = field(default_factory=lambda: Train(()))
    durations: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def adopts(self) -> bool:
        """Whether what runs is another service, whose place the target takes."""
        return self.source_recipe is not None and self.source_recipe.file.service != self.target.service

    def estimate(self, key: str) -> Estimate:
        """Return what a step of this kind took before, or else what the recipe or experience says."""
        seen = sorted(self.durations.get(key, ()))
        if seen:
            return Estimate(round(statistics.median(seen), 2), round(seen[int(0.9 * (len(seen) - 1))], 2), "history")
        op = key.split("-", maxsplit=1)[0] if key not in _DEFAULT_ESTIMATES_S else key
        seconds = self.recipe.file.estimates.get(key, self.recipe.file.estimates.get(op))
        if seconds is not None:
            return Estimate(seconds, 2 * seconds, "recipe")
        return Estimate(_DEFAULT_ESTIMATES_S[op], 3 * _DEFAULT_ESTIMATES_S[op], "default")


def build_upgrade(inputs: PlanInputs) -> Plan:
    """Plan the way from the release that runs to the target. Raises PlanRefused with the reason."""
    source = _source(inputs)
    builder = _Builder(inputs, source)
    steps = [*builder.prepare(), *builder.roll(), *builder.finish()]
    changes = any(inputs.target.schema.get(phase) for phase in ("expand", "migrate", "contract"))
    return _sealed(inputs, "upgrade" if changes or inputs.adopts else "update", source, steps)


def build_install(inputs: PlanInputs) -> Plan:
    """Plan the first start of a fleet in which nothing runs. Raises PlanRefused."""
    if inputs.facts.instances:
        running = ", ".join(f"{instance.name} ({instance.release})" for instance in inputs.facts.instances)
        raise PlanRefused(f"the fleet runs already: {running}", next_command="bascule fleet status")
    builder = _Builder(inputs, None)
    steps = [*builder.stage(), *builder.install(), *builder.start_all(), builder.verify()]
    return _sealed(inputs, "install", None, steps)


def _sealed(
    inputs: PlanInputs, kind: Literal["install", "upgrade", "update"], source: Release | None, steps: list[Step]
) -> Plan:
    chained = [steps[0]]
    for step in steps[1:]:
        chained.append(_after(step, chained[-1].id))
    return Plan(
        service=inputs.target.service,
        fleet=inputs.facts.fleet,
        kind=kind,
        source=source,
        target=inputs.target.release,
        fleet_fingerprint=inputs.facts.fingerprint,
        steps=tuple(chained),
        created_at=inputs.created_at,
    ).sealed()


def _after(step: Step, before: str) -> Step:
    return replace(step, after=(before,))


def _source(inputs: PlanInputs) -> Release:
    running, target = inputs.facts.releases(), inputs.target.release
    if not running:
        raise PlanRefused(
            "nothing of this fleet runs, so there is nothing to upgrade", next_command=f"bascule fleet start {target}"
        )
    if len(running) > 1:
        raise PlanRefused(
            f"the fleet runs several releases ({', '.join(map(str, running))}); finish or roll back what was begun",
            next_command="bascule upgrade status",
        )
    source = running[0]
    if source == target:
        raise PlanRefused(f"the fleet runs {target} already", next_command="bascule fleet status")
    if target < source:
        raise PlanRefused(
            f"{target} is older than {source}, which runs; going back is the way of the run that brought it",
            next_command="bascule upgrade roll-back",
        )
    if source not in inputs.target.upgrades_from:
        allowed = ", ".join(map(str, inputs.target.upgrades_from)) or "no release"
        between = [release for release in inputs.train.between(source, target) if release != target]
        first = between[0] if between else target
        raise PlanRefused(
            f"{target} can be upgraded to from {allowed}, and the fleet runs {source}",
            next_command=f"bascule plan create --to {first}" if between else "bascule fleet releases",
        )
    return source


def _listed(changes: Sequence[str]) -> str:
    """Name a few changes, and count the others: the plan's document has them all."""
    few = ", ".join(changes[:_NAMED])
    return few if len(changes) <= _NAMED else f"{few} and {len(changes) - _NAMED} more"


class _Builder:
    """The phases of a plan, each a few steps."""

    def __init__(self, inputs: PlanInputs, source: Release | None) -> None:
        self.inputs = inputs
        self.source = source
        self.target = inputs.target.release

    def prepare(self) -> Iterator[Step]:
        """Stage, check, hold the pin, expand and migrate: nothing that the old release notices.

        A change whose two sides are kept equal by triggers is migrated before the roll: the new release reads
        the new side only, so it may start when that is complete (docs/decisions/0003).
        """
        yield from self.stage()
        if "check" in self.inputs.recipe.file.commands:
            yield self._step("check", "check", "check", f"ask {self.target} whether it can take over")
        if "pin_hold" in self.inputs.recipe.file.commands and not self.inputs.adopts:
            title = f"hold the pin at {self.source}"
            yield self._step("pin-hold", "pin", "pin-hold", title, args={"pin": str(self.source)})
        for phase in ("expand", "migrate"):
            yield from self._schema(phase)

    def stage(self) -> Iterator[Step]:
        """One environment of the release per node."""
        for node in sorted({node for _, node in self.inputs.placement.values()}):
            yield self._step(f"stage:{node}", "stage", "stage", f"build the environment of {self.target}", target=node)

    def install(self) -> Iterator[Step]:
        """Bring an empty database to the release's schema."""
        commands = self.inputs.recipe.file.commands
        for name in ["install"] if "install" in commands else ["expand", "migrate", "contract"]:
            if name in commands:
                yield self._step(name, "install", "schema", f"schema of {self.target}: {name}", args={"command": name})

    def start_all(self) -> Iterator[Step]:
        """Start every instance."""
        for name, role, node in self._instances():
            yield from self._arrive(name, role, node, "start")

    def roll(self) -> Iterator[Step]:
        """Replace the first instance of each role, watch, then replace the others.

        Where another service is adopted, its workers go last (docs/decisions/0012): ours are there from the first
        step on, and theirs are given nothing more once all that takes requests is ours.
        """
        instances = self._instances()
        canaries = [
            next(item for item in instances if item[1] == role)
            for role in dict.fromkeys(role for _, role, _ in instances)
        ]
        for name, role, node in canaries:
            yield from self._replace(name, role, node, "canary")
        yield self._soak("soak:canary", "canary", self.inputs.policy.canary_s)
        for name, role, node in instances:
            if (name, role, node) not in canaries:
                yield from self._replace(name, role, node, "roll")
        for fact in self.inputs.facts.instances:
            if fact.name not in self.inputs.placement:
                yield self._depart(fact.name, fact.role, fact.node, "roll")
        yield from self._dismiss([item for item in instances if self._goes_last(item[1])])

    def _dismiss(self, instances: Sequence[tuple[str, str, str]]) -> Iterator[Step]:
        """Stop the workers of an adopted service, when they have nothing left in hand."""
        if instances and "settle" in self.inputs.recipe.file.commands:
            yield self._step(
                "settle", "roll", "settle", f"wait until the workers of {self.source} have nothing in hand"
            )
        for name, role, node in instances:
            if any(fact.name == name for fact in self.inputs.facts.instances):
                yield self._depart(name, role, node, "roll")

    def _goes_last(self, role: str) -> bool:
        return self.inputs.adopts and not self.inputs.recipe.file.roles[role].listens

    def finish(self) -> Iterator[Step]:
        """Lift the pin, watch once more, contract (the point of no return), verify."""
        if "pin_release" in self.inputs.recipe.file.commands and not self.inputs.adopts:
            title = f"lift the pin to {self.target}"
            args = {"pin": str(self.target), "from": str(self.source)}
            yield self._step("pin-lift", "pin", "pin-lift", title, args=args)
        yield self._soak("soak:final", "soak", self.inputs.policy.soak_s)
        yield from self._schema("contract")
        yield self.verify()

    def verify(self) -> Step:
        """Versions, schema, pin and rows."""
        return self._step("verify", "verify", "verify", f"verify that all of the fleet is {self.target}")

    def _instances(self) -> list[tuple[str, str, str]]:
        orders = {role: recipe.order for role, recipe in self.inputs.recipe.file.roles.items()}
        for role in {role for role, _ in self.inputs.placement.values()}:
            if role not in orders:
                raise PlanRefused(
                    f"the recipe has no role {role!r}; it has {', '.join(sorted(orders))}",
                    next_command="edit the roles in fleet.toml",
                )
        found = [(name, role, node) for name, (role, node) in self.inputs.placement.items()]
        return sorted(found, key=lambda item: (orders[item[1]], item[1], int(item[0].rsplit("-", 1)[1])))

    def _replace(self, name: str, role: str, node: str, phase: str) -> Iterator[Step]:
        yield from self._arrive(name, role, node, phase)
        if self._goes_last(role):
            return
        if any(fact.name == name for fact in self.inputs.facts.instances):
            if self._needs_balancer(role):
                yield self._instance_step("leave", name, role, node, phase, self.source, "drain the old")
            yield self._depart(name, role, node, phase)

    def _arrive(self, name: str, role: str, node: str, phase: str) -> Iterator[Step]:
        yield self._instance_step("start", name, role, node, phase, self.target, "start")
        if self._needs_balancer(role):
            yield self._instance_step("join", name, role, node, phase, self.target, "give traffic to the new")

    def _depart(self, name: str, role: str, node: str, phase: str) -> Step:
        return self._instance_step("stop", name, role, node, phase, self.source, "drain and stop the old")

    def _needs_balancer(self, role: str) -> bool:
        return self.inputs.recipe.file.roles[role].listens and not self.inputs.self_draining

    def _instance_step(
        self, op: Op, name: str, role: str, node: str, phase: str, release: Release | None, verb: str
    ) -> Step:
        key = f"{op}-{role}" if op in ("start", "stop") else op
        args = {"instance": name, "role": role, "node": node, "release": str(release)}
        wanted = self.inputs.recipe.file.roles[role]
        timeout = wanted.ready_timeout_s if op == "start" else wanted.stop_timeout_s
        # A start may have to wait for a predecessor that is still stopping.
        timeout = timeout + wanted.stop_timeout_s if op == "start" else timeout
        return self._step(
            f"{key}:{name}", phase, op, f"{verb} {name} ({release})", target=name, args=args, key=key, timeout_s=timeout
        )

    def _schema(self, phase: str) -> Iterator[Step]:
        changes = self.inputs.target.schema.get(phase, ())
        own_tables = self.inputs.adopts and phase == "expand"
        if not (changes or own_tables) or phase not in self.inputs.recipe.file.commands:
            return
        contract = phase == "contract"
        undo = (
            "rollback" if changes and phase == "expand" and "rollback" in self.inputs.recipe.file.commands else "keep"
        )
        yield self._step(
            phase,
            phase,
            "schema",
            f"schema: {phase} {_listed(changes) or 'with tables of our own, beside those that are there'}",
            args={"command": phase, "changes": list(changes), "undo": undo},
            timeout_s=_LONGEST_S[phase],
            reversible=not contract,
            point_of_no_return=contract,
        )

    def _soak(self, step: str, phase: str, seconds: float) -> Step:
        return self._step(
            step,
            phase,
            "soak",
            f"watch for {seconds:g} s",
            args={"seconds": seconds},
            estimate=Estimate(seconds, seconds + 1, "policy"),
        )

    def _step(
        self,
        step: str,
        phase: str,
        op: Op,
        title: str,
        *,
        target: str = "service",
        args: Mapping[str, object] | None = None,
        key: str | None = None,
        estimate: Estimate | None = None,
        timeout_s: float | None = None,
        reversible: bool = True,
        point_of_no_return: bool = False,
    ) -> Step:
        return Step(
            id=step,
            title=title,
            phase=phase,
            op=op,
            target=target,
            args={"target_release": str(self.target), **(args or {})},
            timeout_s=timeout_s if timeout_s is not None else _LONGEST_S.get(step.split(":", maxsplit=1)[0], 300.0),
            estimate=estimate or self.inputs.estimate(key or step.split(":", maxsplit=1)[0]),
            reversible=reversible,
            point_of_no_return=point_of_no_return,
        )
