"""The fleet as the engine sees it: the file, the releases, and the drivers that the file asks for."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bascule.documents.codec import fingerprint, from_plain
from bascule.documents.facts import Facts, InstanceFact, NodeFact
from bascule.documents.status import ServiceStatus
from bascule.errors import FleetError
from bascule.fleet.balancer import Balancer
from bascule.fleet.config import FleetConfig, NodeConfig
from bascule.fleet.drivers.haproxy import HAProxy
from bascule.fleet.drivers.local import LocalTransport, last_line
from bascule.fleet.drivers.process import ProcessRuntime
from bascule.fleet.drivers.shared_socket import SharedSocket
from bascule.fleet.drivers.venv import VenvArtefacts
from bascule.fleet.recipe import Recipe, builtin_recipes
from bascule.fleet.releases import Releases
from bascule.fleet.transport import CommandFailed, Completed, OnLine
from bascule.release import Release

__all__ = ["Fleet", "Node"]

_STATUS_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Node:
    """One machine and its drivers."""

    name: str
    directory: Path
    transport: LocalTransport
    runtime: ProcessRuntime
    artefacts: VenvArtefacts

    @classmethod
    def open(cls, config: NodeConfig, state: Path) -> Self:
        """Make the drivers of a node; nothing is touched yet."""
        directory = Path(config.directory).absolute() if config.directory else state / "nodes" / config.name
        transport = LocalTransport(config.name)
        return cls(
            config.name,
            directory,
            transport,
            ProcessRuntime(directory / "run"),
            VenvArtefacts(directory / "venvs", transport),
        )


@dataclass(slots=True)
class Fleet:
    """Everything that steps act upon."""

    config: FleetConfig
    releases: Releases
    fallback_recipe: Path | None
    nodes: dict[str, Node]
    balancer: Balancer
    extra_env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, config: FleetConfig) -> Self:
        """Read the releases and make the drivers. Changes nothing. Raises FleetError."""
        section = config.file.fleet
        fallback = _find_recipe(config, section.recipe) if section.recipe else None
        brought = fallback.parent / "releases" if fallback else None
        folders = [config.resolve(section.releases)] if section.releases else []
        if brought is not None and brought.is_dir():
            folders.append(brought)  # beside our own: they are what a fleet is adopted from
        if not folders:
            raise FleetError(
                f"{config.path} says neither where releases are nor a recipe that brings its own",
                next_command="set releases in the [fleet] section of fleet.toml",
            )
        releases = Releases.load(*folders)
        nodes = {node.name: Node.open(node, config.state) for node in config.file.nodes}
        return cls(config, releases, fallback, nodes, _open_balancer(config), dict(config.file.environment))

    def recipe(self, release: Release) -> Recipe:
        """Return the recipe by which this release is handled."""
        return self.releases.get(release).recipe(self.fallback_recipe)

    @property
    def name(self) -> str:
        """Return the fleet's name."""
        return self.config.file.fleet.name

    @property
    def first_node(self) -> Node:
        """Return the node where commands of the whole service run."""
        return next(iter(self.nodes.values()))

    def placement(self) -> dict[str, tuple[str, str]]:
        """Return where instances belong: instance name to (role, node name)."""
        placed = {}
        for role, wanted in self.config.file.roles.items():
            names = wanted.nodes or tuple(self.nodes)
            for index in range(wanted.count):
                placed[f"{role}-{index + 1}"] = (role, names[index % len(names)])
        return placed

    def variables(self, node: Node, release: Release, **more: str) -> dict[str, str]:
        """Return what ${...} in the recipe stands for on this node and release."""
        recipe = self.recipe(release)
        of_release = recipe.file.releases.get(str(release))
        return {
            **self.config.file.variables,
            **(of_release.variables if of_release else {}),
            "venv": str(node.artefacts.path(release)),
            "release": str(release),
            "node_dir": str(node.directory),
            "recipe_dir": str(recipe.path.parent),
            **more,
        }

    def environment(self, recipe: Recipe, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the recipe's commands and processes."""
        return {
            **{key: recipe.fill(value, variables) for key, value in recipe.file.environment.items()},
            **self.extra_env,
        }

    def has_command(self, release: Release, name: str) -> bool:
        """Whether the release's recipe has this command."""
        return name in self.recipe(release).file.commands

    def command(
        self,
        release: Release,
        name: str,
        *,
        timeout_s: float,
        exclusive: bool = True,
        on_line: OnLine | None = None,
        **more: str,
    ) -> Completed:
        """Run one of the recipe's commands on the first node, from the release's own environment.

        Raises CommandFailed when it does not end with 0.
        """
        recipe = self.recipe(release)
        return self._run(recipe, recipe.file.commands[name], release, timeout_s, exclusive, on_line, more)

    def probe_says(self, release: Release, phase: str) -> bool | None:
        """Ask the recipe's own probe of a phase; None when the recipe has none."""
        recipe = self.recipe(release)
        probe = recipe.file.probes.get(phase)
        if probe is None:
            return None
        done = self._run(recipe, probe.command, release, _STATUS_TIMEOUT_S, False, None, {})
        return recipe.fill(probe.expect, self.variables(self.first_node, release)) in done.stdout + done.stderr

    def _run(
        self,
        recipe: Recipe,
        words: tuple[str, ...],
        release: Release,
        timeout_s: float,
        exclusive: bool,
        on_line: OnLine | None,
        more: Mapping[str, str],
    ) -> Completed:
        node = self.first_node
        variables = self.variables(node, release, **more)
        argv = recipe.expand(words, variables)
        done = node.transport.run(
            argv,
            env=self.environment(recipe, variables),
            timeout_s=timeout_s,
            exclusive=node.directory / "command.lock" if exclusive else None,
            on_line=on_line,
        )
        if done.returncode != 0:
            raise CommandFailed(argv, done.returncode, last_line(done.stderr) or last_line(done.stdout))
        return done

    def service_status(self, release: Release) -> ServiceStatus | None:
        """Ask the service what it says of itself; None when it cannot say. Raises CommandFailed."""
        if not self.has_command(release, "status"):
            return None
        done = self.command(release, "status", timeout_s=_STATUS_TIMEOUT_S, exclusive=False)
        return from_plain(ServiceStatus, _json(done.stdout, release))

    def alive(self) -> dict[str, dict[Release, str]]:
        """Return the running instances: name to release to node name."""
        found: dict[str, dict[Release, str]] = {}
        for node in self.nodes.values():
            for instance in node.runtime.alive():
                found.setdefault(instance.name, {})[instance.release] = node.name
        return found

    def observe(self) -> Facts:
        """Look at the fleet and change nothing. Raises NodeUnreachable, CommandFailed."""
        nodes, instances = [], []
        for node in self.nodes.values():
            free = node.transport.reach(node.directory)
            nodes.append(NodeFact(node.name, node.artefacts.staged(), free))
            for instance, role in node.runtime.alive().items():
                instances.append(InstanceFact(instance.name, role, node.name, instance.release))
        instances.sort(key=lambda instance: (instance.name, instance.release))
        running = sorted({instance.release for instance in instances})
        # The newest release that runs knows every table there is; with none running, the service cannot be asked.
        status = self.service_status(running[-1]) if running and running[-1] in self.releases.folders else None
        return Facts(
            fleet=self.name,
            service=self._service(running),
            nodes=tuple(nodes),
            instances=tuple(instances),
            pin=status.pin if status else None,
            pin_hold=status.pin_hold if status else None,
            phases={change.id: change.phase for change in status.changes} if status else {},
            config_sha256=fingerprint(self.config.file),
            releases_sha256={str(name): folder.fingerprint for name, folder in self.releases.folders.items()},
        )

    def _service(self, running: Sequence[Release]) -> str:
        """Return what runs; with nothing running, what the oldest release is one of."""
        known = [release for release in running if release in self.releases.folders]
        manifests = [self.releases.get(release).manifest for release in known or self.releases.train.releases]
        return manifests[-1 if known else 0].service if manifests else ""


def _json(text: str, release: Release) -> object:

    try:
        return json.loads(text)
    except ValueError as broken:
        raise FleetError(f"the status command of release {release} did not print JSON: {text[:80]!r}") from broken


def _find_recipe(config: FleetConfig, name: str) -> Path:
    builtin = builtin_recipes()
    if name in builtin:
        return builtin[name]
    path = config.resolve(name)
    if path.is_dir():
        path /= "recipe.toml"
    if not path.exists():
        raise FleetError(
            f"{name!r} is neither a recipe file nor one that ships with bascule ({', '.join(builtin)})",
            next_command="set recipe in the [fleet] section of fleet.toml",
        )
    return path


def _open_balancer(config: FleetConfig) -> Balancer:
    wanted = config.file.balancer
    if wanted.kind == "haproxy":
        return HAProxy(
            wanted.socket if ":" in wanted.socket else os.fspath(config.resolve(wanted.socket)), wanted.backend
        )
    return SharedSocket(wanted.bind, config.state / "balancer")
