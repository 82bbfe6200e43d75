"""A recorded corpus of real Barbican: its pairs of request and answer, how they are masked, and how they are replayed.

A corpus is a folder of JSON files, one per area. Nothing that differs between two runs stands in it: an id that an
answer gives gets a name (`names` of a pair says where it is found), and from then on `{name}` stands for it in
requests and answers; times, hosts and generated keys are masked by their shape. Recording and replaying use the same
masks, so that what is compared is what Barbican promises.
"""

import base64
import datetime as dt
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEADERS = (
    "Content-Type",
    "Location",
    "OpenStack-API-Version",
    "Vary",
    "WWW-Authenticate",
    "X-Openstack-Request-Id",
)
NOWHERE = "11111111-1111-4111-8111-111111111111"  # an id that nothing has
NO_TOKEN, BAD_TOKEN = "no token", "bad token"

_TIMES = re.compile(r"\{(\d+) times ([^}]+)\}")
_REPEATED = re.compile(r"([^0-9])\1{35,}")
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9 _-]*)\}")
_REQUEST_ID = re.compile(r"\breq-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(\.\d{1,6})?")
_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----\n[A-Za-z0-9+/=\n]+-----END \1-----\n?")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it is sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Pair:
    """One recorded request with Barbican's answer; `request` and `answer` are as in the file."""

    area: str
    name: str
    actor: str
    request: Mapping[str, Any]
    answer: Mapping[str, Any]
    names: Mapping[str, str]
    after: str | None = None
    generated: bool = False
    unordered: str | None = None

    @property
    def id(self) -> str:
        """The sentence that stands for this pair in lists and in test names."""
        return f"{self.area}: {self.name}"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: what an identity service says of the token."""

    project: str
    user: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Area:
    """One file of the corpus."""

    name: str
    about: str
    configuration: Mapping[str, Mapping[str, str]]
    actors: Mapping[str, Actor]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as Barbican answers it."""

    where: str
    barbican: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.where}: Barbican {_shown(self.barbican)}, ours {_shown(self.ours)}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one pair."""

    pair: Pair
    differences: tuple[Difference, ...]
    status: int | None = None  # what we answered; None where the request could not be asked

    @property
    def matches(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        asked = f"{self.pair.request['method']} {self.pair.request['path']} as {self.pair.actor}"
        return "\n  ".join((f"{self.pair.id} ({asked})", *map(str, self.differences)))


class MissingName(LookupError):
    """A request needs an id that no earlier answer gave."""


@dataclass
class Masks:
    """What the names stand for in one run; names are learnt as answers come."""

    base: str
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values["nowhere"] = NOWHERE

    def learn(self, names: Mapping[str, str], answer: Answer) -> list[str]:
        """Learn the ids that this answer gives; return the names that it does not give."""
        missing = []
        for name, where in names.items():
            found = _UUID.findall(_text_at(where, answer))
            if found:
                self.values[name] = found[-1]
            else:
                missing.append(name)
        return missing

    def fill(self, value: Any) -> Any:
        """Return a request's text or JSON with every name replaced by what it stands for. Raises MissingName."""
        if isinstance(value, str):
            return _PLACEHOLDER.sub(self._value, _TIMES.sub(lambda m: m[2] * int(m[1]), value))
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        return value

    def hide(self, value: Any) -> Any:
        """Return an answer's text or JSON with names in the place of what differs between runs."""
        if isinstance(value, str):
            return self._hide_text(value)
        if isinstance(value, list):
            return [self.hide(item) for item in value]
        if isinstance(value, dict):
            return {self.hide(key): _hide_time(key, self.hide(item)) for key, item in value.items()}
        return value

    def hide_answer(self, answer: Answer, *, generated: bool = False) -> dict[str, Any]:
        """Return an answer as a corpus holds it."""
        given = {name.lower(): value for name, value in answer.headers.items()}
        headers = {name: self.hide(given[name.lower()]) for name in HEADERS if name.lower() in given}
        masked: dict[str, Any] = {"status": answer.status, "headers": headers}
        if generated and answer.status == 200:
            masked["generated"] = _shape(answer.body)
        elif answer.body:
            masked |= self._hide_body(answer)
        return masked

    def _hide_body(self, answer: Answer) -> dict[str, Any]:
        try:
            text = answer.body.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(answer.body).decode()}
        kind = {name.lower(): value for name, value in answer.headers.items()}.get("content-type", "")
        if kind.startswith("application/json"):
            try:
                return {"json": self.hide(json.loads(text))}
            except ValueError:
                pass  # not JSON after all: compared as the text that it is
        return {"text": self.hide(text)}

    def _value(self, match: re.Match[str]) -> str:
        name = match[1]
        if name == "base":
            return self.base
        if name.startswith("soon") and name not in self.values:
            soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
            self.values[name] = soon.replace(tzinfo=None).isoformat(timespec="seconds")
        if name not in self.values:
            raise MissingName(name)
        return self.values[name]

    def _hide_text(self, text: str) -> str:
        text = _REQUEST_ID.sub("req-{id}", text).replace(self.base, "{base}")
        text = text.replace(self.base.partition("://")[2], "{host}")  # of another scheme than ours
        for name, value in self.values.items():
            text = text.replace(value, f"{{{name}}}")
        text = _UUID.sub("{unnamed}", text)
        return _REPEATED.sub(lambda m: f"{{{len(m[0])} times {m[1]}}}", text)


def load(folder: Path) -> list[Area]:
    """Return the areas of a corpus, in the order of their names."""
    return [_area(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]


def replay(
    area: Area,
    ask: Callable[[Request, str], Answer],
    masks: Masks,
    settle: Callable[[], None],
    *,
    any_order: bool = False,
) -> Iterator[Outcome]:
    """Ask everything that Barbican was asked, in that order, and yield what is answered differently.

    `ask` sends a request as the actor of that name. `settle` is called after each answer, and returns when the work
    that was accepted is done. With `any_order`, no list is compared by its order.
    """
    for pair in area.pairs:
        if pair.after is not None:
            wait_until(masks.values.get(pair.after))
        try:
            request = request_of(pair.request, masks)
        except MissingName as missing:
            reason = f"cannot ask: no earlier answer gave {{{missing}}}"
            yield Outcome(pair, (Difference("request", "answers", reason),))
            continue
        answer = ask(request, pair.actor)
        missing_names = masks.learn(pair.names, answer)
        ours = masks.hide_answer(answer, generated=pair.generated)
        differences = [Difference(f"id {name}", "given", "missing") for name in missing_names]
        expected = pair.answer
        if any_order:
            expected, ours = sorted_throughout(expected), sorted_throughout(ours)
        differences += compare(expected, ours, pair.unordered)
        settle()
        yield Outcome(pair, tuple(differences), answer.status)


def request_of(recorded: Mapping[str, Any], masks: Masks) -> Request:
    """Return a corpus' request as it is sent. Raises MissingName."""
    headers = {name: masks.fill(value) for name, value in recorded.get("headers", {}).items()}
    body: bytes | None = None
    if "json" in recorded:
        body = json.dumps(masks.fill(recorded["json"])).encode()
    elif "text" in recorded:
        body = masks.fill(recorded["text"]).encode()
    elif "base64" in recorded:
        body = base64.b64decode(recorded["base64"])
    return Request(recorded["method"], masks.fill(recorded["path"]), headers, body)


def compare(barbican: Mapping[str, Any], ours: Mapping[str, Any], unordered: str | None = None) -> list[Difference]:
    """Return what differs between two masked answers; `unordered` names a list whose order says nothing."""
    if unordered:
        barbican, ours = sorted_within(barbican, unordered), sorted_within(ours, unordered)
    return list(_differences("", barbican, ours))


def wait_until(moment: str | None) -> None:
    """Return when this moment, which a name stands for, has passed."""
    if moment is None:
        return
    end = dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC) + dt.timedelta(milliseconds=50)
    while (left := (end - dt.datetime.now(dt.UTC)).total_seconds()) > 0:
        time.sleep(left)


def _area(document: dict[str, Any]) -> Area:
    actors = {
        name: Actor(actor["project"], actor["user"], tuple(actor["roles"]))
        for name, actor in document["actors"].items()
    }
    area = document["area"]
    pairs = tuple(
        Pair(
            area,
            pair["name"],
            pair["as"],
            pair["request"],
            pair["answer"],
            pair.get("names", {}),
            pair.get("after"),
            pair.get("generated", False),
            pair.get("unordered"),
        )
        for pair in document["pairs"]
    )
    return Area(area, document["about"], document["configuration"], actors, pairs)


def _differences(where: str, barbican: Any, ours: Any) -> Iterator[Difference]:
    if isinstance(barbican, dict) and isinstance(ours, dict):
        for key in (*barbican, *(key for key in ours if key not in barbican)):
            inner = f"{where}.{key}" if where else str(key)
            yield from _differences(inner, barbican.get(key, _ABSENT), ours.get(key, _ABSENT))
    elif isinstance(barbican, list) and isinstance(ours, list) and len(barbican) == len(ours):
        for number, (theirs, our) in enumerate(zip(barbican, ours, strict=True)):
            yield from _differences(f"{where}.{number}", theirs, our)
    elif type(barbican) is not type(ours) or barbican != ours:
        yield Difference(where, barbican, ours)


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


_ABSENT = _Absent()


def _shown(value: Any) -> str:
    text = value if isinstance(value, _Absent) else json.dumps(value)
    return repr(text) if isinstance(text, _Absent) else text


def sorted_within(answer: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the answer with the list at this place of its JSON sorted, if there is one."""

    def sorted_at(value: Any, steps: list[str]) -> Any:
        if not steps:
            return sorted(value, key=_as_text) if isinstance(value, list) else value
        if not isinstance(value, dict) or steps[0] not in value:
            return value
        return {**value, steps[0]: sorted_at(value[steps[0]], steps[1:])}

    return sorted_at(dict(answer), ["json", *where.split(".")])


def sorted_throughout(value: Any) -> Any:
    """Return the JSON with every list in it sorted."""
    if isinstance(value, dict):
        return {key: sorted_throughout(item) for key, item in value.items()}
    return sorted(map(sorted_throughout, value), key=_as_text) if isinstance(value, list) else value


def _as_text(item: Any) -> str:
    return json.dumps(item, sort_keys=True)


def _hide_time(key: str, value: Any) -> Any:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None or key not in ("created", "updated", "created_at", "updated_at"):
        return value
    return "{time}" if found[1] == "T" else "{time with a space}"


def _shape(body: bytes) -> str:
    pem = _PEM.fullmatch(body)
    if pem:
        return f"PEM {pem[1].decode()}"
    return "DER sequence" if body[:2] == b"\x30\x82" else f"{len(body)} bytes"


def _text_at(where: str, answer: Answer) -> str:
    try:
        found = json.loads(answer.body)
        for step in where.split("."):
            if isinstance(found, list) and step.startswith("name="):
                found = next(item for item in found if item["name"] == step.removeprefix("name="))
            else:
                found = found[int(step)] if isinstance(found, list) else found[step]
    except (ValueError, LookupError, TypeError, StopIteration):
        return ""  # the caller says that the name is missing
    return found if isinstance(found, str) else ""
