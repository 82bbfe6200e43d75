"""Whether the run was an exercise at all: both releases answering side by side, and reading each other's rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bascule.gate.history import Operation

__all__ = ["Exercise", "exercise"]


@dataclass(frozen=True, slots=True)
class Exercise:
    """Answers per release while source and target both answered, and reads across releases ("old -> new")."""

    answers: dict[str, int] = field(default_factory=dict)
    mixed: dict[str, int] = field(default_factory=dict)
    mixed_s: float = 0.0
    read_across: dict[str, int] = field(default_factory=dict)


def exercise(operations: Sequence[Operation], source: str, target: str) -> Exercise:
    """Return what both releases did. Mixed is from the first answer of the target to the last of the source."""
    answered = [each for each in operations if each.release is not None and each.status is not None]
    answers = Counter(each.release or "" for each in answered)
    first = min((each.end for each in answered if each.release == target), default=None)
    last = max((each.end for each in answered if each.release == source), default=None)
    if first is None or last is None or first > last:
        return Exercise(answers=_sorted(answers), read_across=_read_across(answered))
    mixed = Counter(each.release or "" for each in answered if first <= each.end <= last)
    return Exercise(_sorted(answers), _sorted(mixed), round(last - first, 3), _read_across(answered))


def _read_across(answered: Sequence[Operation]) -> dict[str, int]:
    writers = {each.key: each.release for each in answered if each.kind == "create" and each.outcome == "ok"}
    across: Counter[str] = Counter()
    for each in answered:
        writer = writers.get(each.key) if each.kind in {"read", "describe"} and each.state == "present" else None
        if writer is not None and writer != each.release and each.phase != "preload":
            across[f"{writer} -> {each.release}"] += 1
    return _sorted(across)


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))
