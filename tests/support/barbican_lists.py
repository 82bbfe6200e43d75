"""Which pairs of the corpus are not matched: those that are not yet, and those that are meant to differ."""

import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from support.barbican_corpus import Difference, Outcome

DATA = Path(__file__).parent.parent / "data"
NOT_YET = DATA / "barbican-23.not-yet.txt"
INTENDED = DATA / "barbican-23.differences.toml"


@dataclass(frozen=True, slots=True)
class Intended:
    """A difference that we mean: where it shows, in which pairs, what we answer, with which status, and why."""

    where: str
    pairs: tuple[str, ...]
    reason: str
    ours: Any = None
    status: int | None = None
    databases: tuple[str, ...] = ("sqlite", "postgresql", "mysql")

    def covers(self, outcome: Outcome, difference: Difference) -> bool:
        """Whether this is that difference."""
        if not fnmatchcase(difference.where, self.where):
            return False
        if not any(fnmatchcase(outcome.pair.id, name) for name in self.pairs):
            return False
        return self.ours in (None, difference.ours) and self.status in (None, outcome.status)


def load_not_yet(path: Path = NOT_YET) -> set[str]:
    """Return the pairs that do not match yet."""
    return {line for line in path.read_text().splitlines() if line and not line.startswith("#")}


def write_not_yet(pairs: Collection[str], path: Path = NOT_YET) -> None:
    """Write the list anew, one pair a line in the order of the alphabet."""
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    path.write_text("\n".join([*head, *sorted(pairs)]) + "\n")


def load_intended(database: str = "sqlite", path: Path = INTENDED) -> list[Intended]:
    """Return the differences that are meant on this database."""
    entries = tomllib.loads(path.read_text()).get("difference", [])
    tuples = ("pairs", "databases")
    rules = [
        Intended(**{name: tuple(value) if name in tuples else value for name, value in entry.items()})
        for entry in entries
    ]
    return [rule for rule in rules if database in rule.databases]


def unintended(outcome: Outcome, intended: Iterable[Intended]) -> tuple[Difference, ...]:
    """Return the differences of this pair that nobody means."""
    rules = list(intended)
    return tuple(
        difference for difference in outcome.differences if not any(rule.covers(outcome, difference) for rule in rules)
    )


def idle(intended: Iterable[Intended], outcomes: Collection[Outcome]) -> list[str]:
    """Return what of the intended differences no longer shows: whole entries, or single pairs of one."""
    found = []
    for rule in intended:
        for pattern in rule.pairs:
            alone = replace(rule, pairs=(pattern,))
            if not any(alone.covers(o, difference) for o in outcomes for difference in o.differences):
                found.append(f"{rule.where} of {pattern}")
    return found
