"""Consumers of secrets: registered, listed, removed, and in the way of a deletion."""

from collections.abc import Iterator
from typing import Any

from barbican_recording.asks import Ask, Scenario, delete, get, patch, post, put, secret, send, version

ALL = "/v1/secrets/{used}/consumers"
MISSING = "/v1/secrets/{nowhere}"
IMAGE = {"service": "image", "resource_type": "image", "resource_id": "image-1"}

REFUSED: dict[str, Any] = {
    "a list": [],
    "nothing": {},
    "no service": {"resource_type": "image", "resource_id": "1"},
    "no type": {"service": "image", "resource_id": "1"},
    "no id": {"service": "image", "resource_type": "image"},
    "an empty service": {**IMAGE, "service": ""},
    "an empty type": {**IMAGE, "resource_type": ""},
    "an empty id": {**IMAGE, "resource_id": ""},
    "a service that is a number": {**IMAGE, "service": 1},
    "a service of null": {**IMAGE, "service": None},
    "a service of 256 characters": {**IMAGE, "service": "{256 times s}"},
    "a type of 256 characters": {**IMAGE, "resource_type": "{256 times s}"},
}


def asks() -> Iterator[Ask]:
    """Register and remove consumers."""
    yield secret("used")
    yield get("a new secret has no consumers", ALL)
    yield post("a consumer is registered", ALL, IMAGE)
    yield get("a registered consumer is listed", ALL)
    yield post("a consumer is registered twice", ALL, IMAGE)
    yield post("a consumer is registered at 1.1", ALL, {**IMAGE, "resource_id": "image-2"}, headers=version("1.1"))
    yield post("a consumer is registered at 1.2", ALL, {**IMAGE, "resource_id": "image-3"}, headers=version("1.2"))
    yield post("another service uses the same", ALL, {**IMAGE, "service": "compute"})
    yield post("a consumer with a field that nobody knows", ALL, {**IMAGE, "resource_id": "more", "colour": "green"})
    yield post("a consumer with spaces around", ALL, {**IMAGE, "resource_id": "  spaced  "})
    yield get("consumers are listed in their order", ALL)
    yield get("consumers are listed at 1.1", ALL, headers=version("1.1"))
    yield get("a page of consumers", f"{ALL}?limit=2&offset=1")
    yield get("a page of consumers after the end", f"{ALL}?limit=2&offset=20")
    yield get("a page of a word", f"{ALL}?limit=x&offset=y")
    for words, body in REFUSED.items():
        yield post(f"a consumer of {words} is refused", ALL, body)
        yield delete(f"a consumer of {words} is not removed", ALL, body)
    for number in ("1.0", "1.1", "1.2", "latest"):
        yield get(f"the secret is described at {number}", "/v1/secrets/{used}", headers=version(number))
        yield get(f"the secret is listed at {number}", "/v1/secrets", headers=version(number))
    yield delete("a consumer is removed", ALL, {**IMAGE, "service": "compute"})
    yield delete("a removed consumer is not removed again", ALL, {**IMAGE, "service": "compute"})
    yield delete("a consumer that never was is not removed", ALL, {**IMAGE, "resource_id": "never"})
    yield post("a removed consumer is registered again", ALL, {**IMAGE, "service": "compute"})
    yield get("the list after that", ALL, unordered="consumers")
    yield get("a consumer that does not exist", f"{ALL}/{{nowhere}}")
    yield get("a consumer that is no id", f"{ALL}/no-id")
    yield post("a consumer of a secret that does not exist", f"{MISSING}/consumers", IMAGE)
    yield get("consumers of a secret that does not exist", f"{MISSING}/consumers")
    yield delete("no consumer is removed of a secret that does not exist", f"{MISSING}/consumers", IMAGE)
    yield get("consumers of what is no id", "/v1/secrets/no-id/consumers")
    yield put("consumers take no PUT", ALL, IMAGE)
    yield patch("consumers take no PATCH", ALL, IMAGE)
    yield send("a consumer that is no JSON", "POST", ALL, "application/json", "x")
    yield send("a consumer of another type", "POST", ALL, "text/plain", "x")
    yield send("a removal that is no JSON", "DELETE", ALL, "application/json", "x")
    yield delete("a removal without a body", ALL)
    yield from _people()
    yield from _deletion()


def _people() -> Iterator[Ask]:
    people = ("second member", "reader", "admin", "other member", "other admin")
    for actor in people:
        body = {**IMAGE, "resource_id": actor.replace(" ", "-")}
        yield post(f"the {actor} registers a consumer, or not", ALL, body, actor)
        yield get(f"the {actor} lists the consumers, or not", ALL, actor)
    yield put(
        "a user of another project is let in", "/v1/secrets/{used}/acl", {"read": {"users": ["{user of other member}"]}}
    )
    foreign = {**IMAGE, "resource_id": "foreign"}
    yield post("who is let in registers a consumer", ALL, foreign, "other member")
    yield delete("who is let in does not remove another's consumer", ALL, IMAGE, "other member")
    yield delete("who is let in removes a consumer of its own", ALL, foreign, "other member")
    yield post("who is let in registers a consumer once more", ALL, foreign, "other member")
    yield delete("the owner of the secret removes it", ALL, foreign)


def _deletion() -> Iterator[Ask]:
    for alias, number in (("plain", "1.0"), ("older", "1.1")):
        yield secret(alias)
        yield post(f"{alias} is used", f"/v1/secrets/{{{alias}}}/consumers", IMAGE)
        name = f"a secret with consumers is deleted at {number}"
        yield delete(name, f"/v1/secrets/{{{alias}}}", headers=version(number))
        yield get(f"consumers of a secret deleted at {number}", f"/v1/secrets/{{{alias}}}/consumers")
    used, newer = "/v1/secrets/{used}", version("1.2")
    yield delete("a secret with consumers is not deleted at 1.2", used, headers=newer)
    yield delete("nor without force", f"{used}?force=false", headers=newer)
    yield delete("nor with a force that is no boolean", f"{used}?force=perhaps", headers=newer)
    yield delete("nor with an empty force", f"{used}?force=", headers=newer)
    yield delete("nor by another project with force", f"{used}?force=true", actor="other member", headers=newer)
    yield get("it is still there", used, headers=newer)
    yield delete("it is deleted with force", f"{used}?force=true", headers=newer)
    yield get("it is gone", used, headers=newer)
    yield secret("unused")
    yield delete("a secret without consumers needs no force at 1.2", "/v1/secrets/{unused}", headers=newer)
    yield secret("forced")
    yield delete("force that is no boolean matters without consumers too", "/v1/secrets/{forced}?force=perhaps",
                 headers=newer)  # fmt: skip
    yield delete("force is not looked at before 1.2", "/v1/secrets/{forced}?force=perhaps")
    yield secret("yes")
    yield post("yes is used", "/v1/secrets/{yes}/consumers", IMAGE)
    yield delete("yes is as good as true", "/v1/secrets/{yes}?force=yes", headers=newer)


SCENARIOS = (Scenario("consumers-of-secrets", "Consumers of secrets, and deletions that they stop.", asks),)
