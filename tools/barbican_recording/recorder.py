"""Ask a Barbican what a scenario asks, and write its answers down as a corpus holds them."""

import http.client
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.barbican_corpus import (
    BAD_TOKEN,
    NO_TOKEN,
    Answer,
    Masks,
    MissingName,
    Request,
    request_of,
    sorted_within,
    wait_until,
)

from barbican_recording.asks import Ask, Scenario
from barbican_recording.people import OTHER_PROJECT, PROJECT, Person
from barbican_recording.servers import BARBICAN, KEYSTONE


class ScenarioRefused(ValueError):
    """The scenario does not fit what Barbican answers: an id has no name, or a name no id."""

    def __init__(self, area: str, problems: Sequence[str]) -> None:
        self.area, self.problems = area, tuple(problems)
        super().__init__("\n  ".join((f"{area} is not recorded; put right in its scenario:", *problems)))


def record(scenario: Scenario, url: str, identity_url: str, people: Mapping[str, Person]) -> dict[str, Any]:
    """Return the area's document. Raises ScenarioRefused with all that is wrong at once."""
    masks = Masks(url, _people_names(people))
    masks.values["identity"] = identity_url
    pairs: list[dict[str, Any]] = []
    problems: list[str] = []
    for ask in scenario.asks():
        if any(pair["name"] == ask.name for pair in pairs):
            problems.append(f"{ask.name}: there are two of this name")
        try:
            pairs.append(_pair(ask, url, people, masks))
        except MissingName as missing:
            problems.append(f"{ask.name}: nothing has given {{{missing}}}")
            continue
        unnamed = [name for name in ask.names if name not in masks.values]
        if unnamed or "{unnamed}" in json.dumps(pairs[-1]["answer"]):
            problems.append(f"{ask.name}: gives {unnamed or 'an id without a name'}: {pairs[-1]['answer']}")
    if problems:
        raise ScenarioRefused(scenario.area, problems)
    used = {pair["as"] for pair in pairs} - {NO_TOKEN, BAD_TOKEN}
    return {
        "barbican": BARBICAN,
        "keystone": KEYSTONE,
        "area": scenario.area,
        "about": scenario.about,
        "configuration": {section: dict(values) for section, values in scenario.options.items()},
        "actors": {name: _actor(name, people[name], masks) for name in people if name in used},
        "pairs": pairs,
    }


def write(folder: Path, document: Mapping[str, Any]) -> None:
    """Write one area, readable and in a stable form."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (folder / f"{document['area']}.json").write_text(text + "\n")


def _pair(ask: Ask, url: str, people: Mapping[str, Person], masks: Masks) -> dict[str, Any]:
    if ask.after is not None:
        wait_until(masks.values[ask.after])
    recorded: dict[str, Any] = {"method": ask.method, "path": ask.path}
    if ask.headers:
        recorded["headers"] = dict(ask.headers)
    recorded |= ask.body
    answer = _send(url, request_of(recorded, masks), _token(ask.actor, people))
    names = ask.names or _spare_name(answer, masks)
    masks.learn(names, answer)
    masked = masks.hide_answer(answer, generated=ask.generated)
    if ask.unordered:
        masked = sorted_within(masked, ask.unordered)  # so that two recordings are the same
    pair: dict[str, Any] = {"name": ask.name, "as": ask.actor, "request": recorded, "answer": masked}
    for key in ("after", "generated", "unordered"):
        if getattr(ask, key):
            pair[key] = getattr(ask, key)
    if names:
        pair["names"] = dict(names)
    return pair


def _spare_name(answer: Answer, masks: Masks) -> dict[str, str]:
    # What is made and never asked for again needs no name of the scenario's own.
    if answer.status not in (201, 202):
        return {}
    made = [key for key in json.loads(answer.body) if key.endswith("_ref")]
    return {f"spare {len(masks.values)}": made[0]} if made and "{unnamed}" in masks.hide(answer.body.decode()) else {}


def _send(url: str, request: Request, token: str | None) -> Answer:
    headers = dict(request.headers) | ({"X-Auth-Token": token} if token else {})
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=120)
    try:
        connection.putrequest(request.method, request.path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if request.body is not None:
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def _token(actor: str, people: Mapping[str, Person]) -> str | None:
    if actor == NO_TOKEN:
        return None
    return "this-is-no-token" if actor == BAD_TOKEN else people[actor].token


def _people_names(people: Mapping[str, Person]) -> dict[str, str]:
    names = {PROJECT: people["member"].project, OTHER_PROJECT: people["other member"].project}
    return names | {f"user of {name}": person.user for name, person in people.items()}


def _actor(name: str, person: Person, masks: Masks) -> dict[str, Any]:
    return {"project": masks.hide(person.project), "user": f"{{user of {name}}}", "roles": list(person.roles)}
