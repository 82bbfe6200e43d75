"""Runs of Barbican's own clients: how a scenario is started, and how two of its transcripts are compared."""

import json
import os
import subprocess
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["CORPUS", "KINDS", "Intended", "Step", "compared", "load_intended", "load_steps", "run_scenario", "unmet"]

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "data" / "barbican-23-clients"
INTENDED = ROOT / "tests" / "data" / "barbican-23-clients.differences.toml"
KINDS = ("library", "commands", "castellan")
_RUN_S = 1800


@dataclass(frozen=True, slots=True)
class Intended:
    """A difference that we mean: in which step of which kind, what a client of ours is told, and why."""

    kind: str
    step: str
    ours: Mapping[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a scenario, as Barbican and as ours answered it; None where one had no such step."""

    kind: str
    name: str
    barbican: Mapping[str, Any] | None
    ours: Mapping[str, Any] | None
    intended: Intended | None = None

    @property
    def is_alike(self) -> bool:
        """Whether the client was told the same, or what we mean it to be told."""
        return self.barbican == self.ours or (self.intended is not None and self.intended.ours == self.ours)

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}\n  Barbican {_shown(self.barbican)}\n  ours     {_shown(self.ours)}"


def run_scenario(python: Path, kind: str, place: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Run one kind of client in its environment against this place, and return its transcript."""
    folder.mkdir(parents=True, exist_ok=True)
    asked, written = folder / f"{kind}.place.json", folder / f"{kind}.transcript.json"
    asked.write_text(json.dumps({**place, "people": {name: asdict(one) for name, one in place["people"].items()}}))
    # Nothing of the caller's: neither proxies nor clouds that are configured elsewhere.
    environment = {
        "HOME": str(folder), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT / "tools"),
    }  # fmt: skip
    command = [python, "-W", "ignore", "-m", "barbican_clients.run", kind, asked, written]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=_RUN_S
    )
    assert done.returncode == 0, done.stderr[-3000:]
    document: dict[str, Any] = json.loads(written.read_text())
    return document


def load_steps(kind: str) -> list[dict[str, Any]]:
    """Return the recorded steps of this kind of client."""
    document = json.loads((CORPUS / f"{kind}.json").read_text())
    steps: list[dict[str, Any]] = document["steps"]
    return steps


def load_intended(path: Path = INTENDED) -> list[Intended]:
    """Return the differences that are meant."""
    return [Intended(**entry) for entry in tomllib.loads(path.read_text()).get("difference", [])]


def compared(
    kind: str, barbican: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]], intended: Iterable[Intended]
) -> list[Step]:
    """Return the steps of both, in the order in which they were done."""
    meant = {rule.step: rule for rule in intended if rule.kind == kind}
    theirs, own = _by_name(barbican), _by_name(ours)
    names = [*theirs, *(name for name in own if name not in theirs)]
    return [Step(kind, name, theirs.get(name), own.get(name), meant.get(name)) for name in names]


def unmet(steps: Iterable[Step]) -> list[Step]:
    """Return the steps with a difference that shows no longer, or that there is not."""
    return [step for step in steps if step.intended is not None and step.barbican == step.ours]


def _by_name(steps: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {step["step"]: {name: value for name, value in step.items() if name != "step"} for step in steps}


def _shown(told: Mapping[str, Any] | None) -> str:
    return "nothing" if told is None else json.dumps(told, ensure_ascii=False)
