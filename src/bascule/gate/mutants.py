"""Deliberately bad upgrades, as data: a gate that has not refused them proves nothing."""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bascule.documents.codec import from_plain
from bascule.documents.plan import Step
from bascule.errors import DocumentError, GateError
from bascule.fleet.drivers.process import ProcessRuntime
from bascule.fleet.engine import Reporter
from bascule.fleet.fleet import Fleet
from bascule.fleet.runtime import InstanceName, Stopped
from bascule.release import Release

__all__ = ["Mutant", "Saboteur", "load_mutants", "pick_mutant", "sabotage"]

# Run by the release's own interpreter, which has the driver of its database. The URL comes by the environment.
_RUN_SQL = """
import json, os, sqlalchemy
engine = sqlalchemy.create_engine(os.environ["MUTANT_DATABASE"], isolation_level="AUTOCOMMIT")
with engine.connect() as connection:
    for statement in json.loads(os.environ["MUTANT_SQL"]):
        connection.exec_driver_sql(statement)
"""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way to upgrade badly.

    `environment` is given to every process; `stop_signal` replaces the recipe's; `sql` (by dialect) is run on the
    service's database after the step `after`, as a hasty human would. `upgrades_from` names the releases whose upgrade
    it spoils, where that is not every one: a trigger can only be missing where there must be one.
    """

    what: str
    environment: dict[str, str] = field(default_factory=dict)
    stop_signal: str | None = None
    after: str | None = None
    sql: dict[str, tuple[str, ...]] = field(default_factory=dict)
    upgrades_from: tuple[Release, ...] = ()


def load_mutants(path: Path) -> dict[str, Mutant]:
    """Read mutants.toml. Raises DocumentError."""
    try:
        data = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as broken:
        raise DocumentError(f"{path} cannot be read: {broken}") from broken
    return {name: from_plain(Mutant, item, strict=True, where=f"{path.name}: {name}") for name, item in data.items()}


def pick_mutant(mutants: Mapping[str, Mutant], name: str, source: Release) -> Mutant:
    """Return the mutant of that name. Raises UnknownMutant with a near match, SpoilsNothing."""
    if name not in mutants:
        raise UnknownMutant(name, list(mutants))
    mutant = mutants[name]
    if mutant.upgrades_from and source not in mutant.upgrades_from:
        raise SpoilsNothing(name, mutant, source)
    return mutant


class UnknownMutant(GateError):
    """Nobody has written such a mutant."""

    def __init__(self, name: str, known: list[str]) -> None:
        self.name, self.known = name, known
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        super().__init__(f"there is no bad upgrade called {name!r}; {hint}", next_command="bascule demo --help")


class SpoilsNothing(GateError):
    """The mutant would change nothing about this upgrade, so that a PASS of it would say nothing."""

    def __init__(self, name: str, mutant: Mutant, source: Release) -> None:
        self.name, self.source = name, source
        spoils = " or ".join(map(str, mutant.upgrades_from))
        super().__init__(
            f"the bad upgrade {name!r} spoils one from {spoils}; one from {source} has nothing that it could spoil",
            next_command=f"bascule demo --from {mutant.upgrades_from[0]} --break {name}",
        )


def sabotage(fleet: Fleet, mutant: Mutant) -> None:
    """Make the fleet's processes bad, before any of them starts."""
    fleet.extra_env.update(mutant.environment)
    if mutant.stop_signal:
        for node in fleet.nodes.values():
            node.runtime = _Brutal(node.directory / "run", mutant.stop_signal)


class _Brutal(ProcessRuntime):
    """A runtime that ends processes by another signal than their recipe asks for."""

    def __init__(self, root: Path, signal_name: str) -> None:
        super().__init__(root)
        self._signal_name = signal_name

    def stop(self, instance: InstanceName, *, signal_name: str, timeout_s: float) -> Stopped:
        """Stop it, badly: the whole group at once when the signal cannot be caught."""
        del signal_name
        if self._signal_name == "KILL":
            return super().stop(instance, signal_name="KILL", timeout_s=0.0)
        return super().stop(instance, signal_name=self._signal_name, timeout_s=timeout_s)


class Saboteur:
    """A reporter that does the mutant's SQL when its step has ended, and passes everything on."""

    def __init__(self, inner: Reporter, fleet: Fleet, mutant: Mutant, database: str) -> None:
        self._inner, self._fleet, self._mutant, self._database = inner, fleet, mutant, database

    def began(self, step: Step, number: int, total: int, *, undoing: bool) -> None:
        """Pass it on."""
        self._inner.began(step, number, total, undoing=undoing)

    def progressed(self, step: Step, text: str) -> None:
        """Pass it on."""
        self._inner.progressed(step, text)

    def ended(self, step: Step, seconds: float, *, how: str) -> None:
        """Pass it on, then spoil what the step has built."""
        self._inner.ended(step, seconds, how=how)
        if step.id == self._mutant.after and how != "failed":
            self._inner.progressed(step, f"warning: sabotage: {self._mutant.what}")
            self._run_sql(step)

    def _run_sql(self, step: Step) -> None:
        dialect = self._database.partition(":")[0].partition("+")[0]
        dialect = {"mariadb": "mysql"}.get(dialect, dialect)
        statements = self._mutant.sql.get(dialect)
        if not statements:
            raise GateError(f"the bad upgrade says nothing for {dialect}", next_command="bascule demo")
        node = self._fleet.first_node
        release = str(step.args["target_release"])
        folder = self._fleet.releases.get(release)
        done = node.transport.run(
            [str(node.artefacts.path(folder.release) / "bin" / "python"), "-c", _RUN_SQL],
            env={"MUTANT_DATABASE": self._database, "MUTANT_SQL": json.dumps(statements)},
            timeout_s=60.0,
        )
        if done.returncode != 0:
            raise GateError(f"the sabotage itself failed: {done.stderr.strip().splitlines()[-1]}")
