"""What a client was told, step by step, with names in the place of what differs between two runs."""

import base64
import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Json = Any
T = TypeVar("T")

_REQUEST = re.compile(r"\breq-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(\+00:00)?")
_RECENT = dt.timedelta(days=1)


class Transcript:
    """The steps so far. An id is called after the step that first showed it, a time of this run `{time}`."""

    def __init__(self, known: Mapping[str, str]) -> None:
        # The longest first: one address may begin another.
        self._known = dict(sorted(known.items(), key=lambda item: -len(item[0])))
        self._ids: dict[str, str] = {}
        self._shown: Counter[str] = Counter()
        self.steps: list[dict[str, Json]] = []

    def step(self, name: str, act: Callable[[], T], shown: Callable[[T], Json] | None = None) -> T | None:
        """Do this, write down what it returned, as `shown` shows it, or raised, and return it; None if it raised."""
        assert all(name != step["step"] for step in self.steps), f"two steps are called {name!r}"
        try:
            result = act()
            told = {"returns": self._masked(_plain(shown(result) if shown else result), name)}
        except Exception as failure:  # noqa: BLE001 - what a client raises is what is compared
            self.steps.append(
                {"step": name, "raises": type(failure).__name__, "says": self._masked(str(failure), name)}
            )
            return None
        self.steps.append({"step": name, **told})
        return result

    def chapter(self, tell: Callable[["Transcript"], None]) -> None:
        """Tell a part of the scenario; where a step of it fails that others build on, the rest goes on after it."""
        try:
            tell(self)
        except Exception as failure:  # noqa: BLE001 - shown as the step that it is
            said = f"{type(failure).__name__}: {failure}"
            self.steps.append({"step": f"{tell.__name__} stops here", "raises": self._masked(said, tell.__name__)})

    def _masked(self, value: Json, step: str) -> Json:
        if isinstance(value, str):
            return self._masked_text(value, step)
        if isinstance(value, list):
            items = [self._masked(item, step) for item in value]
            return sorted(items) if isinstance(value, _Unordered) else items
        if isinstance(value, dict):
            return {self._masked(key, step): self._masked(item, step) for key, item in value.items()}
        return value

    def _masked_text(self, text: str, step: str) -> str:
        text = _REQUEST.sub("{request}", text)
        for literal, name in self._known.items():
            text = text.replace(literal, name)
        return _TIME.sub(_time, _UUID.sub(lambda found: self._name(found[0], step), text))

    def _name(self, uuid: str, step: str) -> str:
        if uuid not in self._ids:
            self._shown[step] += 1
            count = self._shown[step]
            self._ids[uuid] = f"{{{step}}}" if count == 1 else f"{{{step}, {count}}}"
        return self._ids[uuid]


class _Unordered(list[Json]):
    """Texts whose order says nothing; they are sorted by the names that stand for them."""


def _time(found: re.Match[str]) -> str:
    moment = dt.datetime.fromisoformat(found[0])
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return "{time}" if abs(moment - dt.datetime.now(dt.UTC)) < _RECENT else found[0]


def _plain(value: Json) -> Json:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return _Unordered(map(_plain, value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)  # the text that the client shows a person
