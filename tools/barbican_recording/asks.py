"""What a scenario consists of: requests, each with the sentence that names it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Body = Any  # JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request; `{name}` in it stands for an id that an earlier answer gave.

    `names` says which ids the answer gives, and where in its JSON; `after` is the name of a moment to wait for;
    `generated` is a payload that a machine made, of which only the shape is kept; `unordered` is a list in the answer
    whose order Barbican does not promise.
    """

    name: str
    method: str
    path: str
    actor: str = "member"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Body] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    after: str | None = None
    generated: bool = False
    unordered: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that is asked of one new Barbican."""

    area: str
    about: str
    asks: Callable[[], Iterator[Ask]]
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def get(name: str, path: str, actor: str = "member", **more: Any) -> Ask:
    """Return a GET."""
    return _ask(name, "GET", path, actor, **more)


def post(name: str, path: str, body: Body = None, actor: str = "member", **more: Any) -> Ask:
    """Return a POST of JSON."""
    return _ask(name, "POST", path, actor, body, **more)


def put(name: str, path: str, body: Body = None, actor: str = "member", **more: Any) -> Ask:
    """Return a PUT of JSON."""
    return _ask(name, "PUT", path, actor, body, **more)


def patch(name: str, path: str, body: Body = None, actor: str = "member", **more: Any) -> Ask:
    """Return a PATCH of JSON."""
    return _ask(name, "PATCH", path, actor, body, **more)


def delete(name: str, path: str, body: Body = None, actor: str = "member", **more: Any) -> Ask:
    """Return a DELETE, which may have a body of JSON."""
    return _ask(name, "DELETE", path, actor, body, **more)


def send(name: str, method: str, path: str, kind: str | None, text: str, actor: str = "member", **more: Any) -> Ask:
    """Return a request whose body is this text, with this Content-Type."""
    headers = ({"Content-Type": kind} if kind else {}) | dict(more.pop("headers", {}))
    return Ask(name=name, method=method, path=path, actor=actor, headers=headers, body={"text": text}, **more)


def version(number: str) -> dict[str, str]:
    """Return the header that asks for this version of the API."""
    return {"OpenStack-API-Version": f"key-manager {number}"}


def text_secret(name: str, payload: str = "the payload", **fields: Body) -> dict[str, Body]:
    """Return the body of a secret of text."""
    return {"name": name, "payload": payload, "payload_content_type": "text/plain", **fields}


def secret(alias: str, actor: str = "member", **fields: Body) -> Ask:
    """Return the POST of a secret of text that later requests call `{alias}`."""
    body = text_secret(alias) | fields
    return post(f"{_article(actor)} makes the secret {alias}", "/v1/secrets", body, actor, names={alias: "secret_ref"})


def _article(actor: str) -> str:
    return f"the {actor}"


def _ask(name: str, method: str, path: str, actor: str, body: Body = None, **more: Any) -> Ask:
    if body is None:
        return Ask(name=name, method=method, path=path, actor=actor, **more)
    headers = {"Content-Type": "application/json"} | dict(more.pop("headers", {}))
    return Ask(name=name, method=method, path=path, actor=actor, headers=headers, body={"json": body}, **more)
