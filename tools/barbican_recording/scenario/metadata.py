"""User metadata of a secret, as a whole and key by key."""

from collections.abc import Iterator
from typing import Any

from barbican_recording.asks import Ask, Scenario, delete, get, patch, post, put, secret, send

ALL = "/v1/secrets/{described}/metadata"
MISSING = "/v1/secrets/{nowhere}/metadata"

REFUSED: dict[str, Any] = {
    "a list": [],
    "nothing": {},
    "null": {"metadata": None},
    "a list within": {"metadata": []},
    "text": {"metadata": "a"},
    "a number as a value": {"metadata": {"a": 1}},
    "null as a value": {"metadata": {"a": None}},
    "an object as a value": {"metadata": {"a": {"b": "c"}}},
    "a key with a space": {"metadata": {"a b": "c"}},
    "a key with a dot": {"metadata": {"a.b": "c"}},
    "a key with a slash": {"metadata": {"a/b": "c"}},
    "a key beyond ASCII": {"metadata": {"ä": "c"}},
    "a key with spaces around": {"metadata": {" a ": "c"}},
}
REFUSED_ONE: dict[str, Any] = {
    "nothing": {},
    "no value": {"key": "a"},
    "no key": {"value": "a"},
    "more than a key and a value": {"key": "a", "value": "b", "more": "c"},
    "a number as a value": {"key": "a", "value": 1},
    "null as a value": {"key": "a", "value": None},
    "a number as a key": {"key": 1, "value": "a"},
    "a key with a space": {"key": "a b", "value": "c"},
    "a key of 256 characters": {"key": "{256 times k}", "value": "v"},
    "a value of 256 characters": {"key": "a", "value": "{256 times v}"},
}


def asks() -> Iterator[Ask]:
    """Replace, add, change and remove metadata."""
    yield secret("described")
    yield get("a new secret has no metadata", ALL)
    yield put("metadata are given", ALL, {"metadata": {"Colour": "Green", "size-1": "large", "under_score": " kept? "}})
    yield get("metadata are shown with keys in small letters", ALL)
    yield put("metadata are replaced", ALL, {"metadata": {"only": "this"}})
    yield get("replaced metadata are shown", ALL)
    yield put("no metadata replace all", ALL, {"metadata": {}})
    yield get("no metadata are shown", ALL)
    for words, body in REFUSED.items():
        yield put(f"metadata of {words}", ALL, body)
    yield get("what of that was kept", ALL)
    yield put("metadata with keys that differ in case", ALL, {"metadata": {"Twin": "a", "twin": "b"}})
    yield get("keys that differed in case are shown", ALL)
    yield put("an empty key and an empty value", ALL, {"metadata": {"": ""}})
    yield get("an empty key is shown", ALL)
    yield put("metadata for keys one by one", ALL, {"metadata": {"first": "1"}})
    yield post("a key is added", ALL, {"key": "Second", "value": "2"})
    yield get("an added key is shown with the others", ALL)
    yield get("one key is shown", f"{ALL}/second")
    yield get("a key is found in capitals too", f"{ALL}/SECOND")
    yield get("a key that is not there", f"{ALL}/third")
    yield post("a key that is there is not added", ALL, {"key": "first", "value": "2"})
    for words, body in REFUSED_ONE.items():
        yield post(f"a key of {words} is refused", ALL, body)
    yield put("a key is changed", f"{ALL}/first", {"key": "first", "value": "changed"})
    yield get("a changed key is shown", f"{ALL}/first")
    yield put("a key in capitals is changed", f"{ALL}/first", {"key": "FIRST", "value": "x"})
    yield put("a key that is not there is not changed", f"{ALL}/third", {"key": "third", "value": "x"})
    yield put("a key is not renamed", f"{ALL}/first", {"key": "second", "value": "x"})
    yield put("a key is not changed without a value", f"{ALL}/first", {"key": "first"})
    yield put("a key is not changed to a number", f"{ALL}/first", {"key": "first", "value": 5})
    yield delete("a key is removed", f"{ALL}/first")
    yield get("a removed key is not there", f"{ALL}/first")
    yield delete("a removed key is removed again", f"{ALL}/first")
    yield get("what is left", ALL)
    yield send("metadata that are no JSON", "PUT", ALL, "application/json", "x")
    yield send("metadata of another type", "PUT", ALL, "text/plain", "x")
    yield send("a key that is no JSON", "POST", ALL, "application/json", "x")
    yield send("a key of another type", "POST", ALL, "text/plain", "x")
    yield delete("metadata take no DELETE", ALL)
    yield patch("metadata take no PATCH", ALL, {})
    yield post("a key takes no POST", f"{ALL}/second", {"key": "second", "value": "x"})
    yield get("metadata of a secret that does not exist", MISSING)
    yield get("metadata of what is no id", "/v1/secrets/no-id/metadata")
    yield put("metadata for a secret that does not exist", MISSING, {"metadata": {"a": "b"}})
    yield get("a part of a key", f"{ALL}/second/nothing")
    yield from _of_others()


def _of_others() -> Iterator[Ask]:
    for actor in ("reader", "second member", "admin", "other member", "other admin"):
        yield get(f"metadata are shown to the {actor}, or not", ALL, actor)
        body = {"metadata": {"by": actor.replace(" ", "-")}}
        yield put(f"metadata are given by the {actor}, or not", ALL, body, actor)
        yield post(f"a key is added by the {actor}, or not", ALL, {"key": actor.replace(" ", "-"), "value": "1"}, actor)
        yield delete(f"a key is removed by the {actor}, or not", f"{ALL}/by", actor=actor)
    yield secret("long")
    for words, body in (("value", {"a": "{256 times v}"}), ("key", {"{256 times k}": "v"})):
        yield put(f"metadata of a {words} of 256 characters", "/v1/secrets/{long}/metadata", {"metadata": body})


SCENARIOS = (Scenario("metadata", "User metadata of a secret, as a whole and key by key.", asks),)
