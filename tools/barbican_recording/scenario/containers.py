"""Containers of every type, the secrets in them and their consumers."""

from collections.abc import Iterator
from typing import Any

from barbican_recording.asks import Ask, Scenario, delete, get, patch, post, put, secret, send, version

ALL = "/v1/containers"
MISSING = "/v1/containers/{nowhere}"


def ref(alias: str, name: str | None = None) -> dict[str, Any]:
    """Return an entry of `secret_refs`."""
    reference = {"secret_ref": f"{{base}}/v1/secrets/{{{alias}}}"}
    return reference if name is None else {"name": name, **reference}


KEYS = [ref("a", "public_key"), ref("b", "private_key")]
ACCEPTED: dict[str, dict[str, Any]] = {
    "nothing": {"type": "generic"},
    "no secrets": {"name": "empty", "type": "generic", "secret_refs": []},
    "one secret": {"name": "one", "type": "generic", "secret_refs": [ref("a", "first")]},
    "two secrets": {"name": "two", "type": "generic", "secret_refs": [ref("a", "first"), ref("b", "second")]},
    "a secret without a name": {"type": "generic", "secret_refs": [ref("a")]},
    "a secret with a name of null": {"type": "generic", "secret_refs": [{**ref("a"), "name": None}]},
    "a name of null": {"name": None, "type": "generic"},
    "a name of 255 characters": {"name": "{255 times n}", "type": "generic"},
    "a field that nobody knows": {"name": "more", "type": "generic", "colour": "green"},
    "a pair of keys": {"name": "pair", "type": "rsa", "secret_refs": KEYS},
    "a pair of keys and a passphrase": {"type": "rsa", "secret_refs": [*KEYS, ref("c", "private_key_passphrase")]},
    "a pair of keys without keys": {"type": "rsa", "secret_refs": []},
    "a pair of keys without a list": {"type": "rsa"},
    "a certificate": {"name": "certificate", "type": "certificate", "secret_refs": [ref("a", "certificate")]},
    "a certificate with everything": {
        "type": "certificate",
        "secret_refs": [
            ref("a", "certificate"),
            ref("b", "private_key"),
            ref("c", "private_key_passphrase"),
            ref("d", "intermediates"),
        ],
    },
    "a certificate without secrets": {"type": "certificate", "secret_refs": []},
}
REFUSED: dict[str, Any] = {
    "a list": [],
    "no type": {"name": "x"},
    "a type that nobody knows": {"type": "basket"},
    "a type in capitals": {"type": "GENERIC"},
    "a type of null": {"type": None},
    "a name that is a number": {"name": 5, "type": "generic"},
    "a name of 256 characters": {"name": "{256 times n}", "type": "generic"},
    "secrets that are no list": {"type": "generic", "secret_refs": "a"},
    "secrets that are null": {"type": "generic", "secret_refs": None},
    "a secret that is text": {"type": "generic", "secret_refs": ["a"]},
    "a secret without a reference": {"type": "generic", "secret_refs": [{"name": "a"}]},
    "an empty reference": {"type": "generic", "secret_refs": [{"name": "a", "secret_ref": ""}]},
    "a reference of null": {"type": "generic", "secret_refs": [{"name": "a", "secret_ref": None}]},
    "a name of 256 characters within": {"type": "generic", "secret_refs": [ref("a", "{256 times n}")]},
    "a field within that nobody knows": {"type": "generic", "secret_refs": [{**ref("a", "x"), "colour": "green"}]},
    "two secrets of one name": {"type": "generic", "secret_refs": [ref("a", "x"), ref("b", "x")]},
    "two secrets without a name": {"type": "generic", "secret_refs": [ref("a"), ref("b")]},
    "one secret twice": {"type": "generic", "secret_refs": [ref("a", "x"), ref("a", "y")]},
    "a reference of another host": {
        "type": "generic",
        "secret_refs": [{"name": "x", "secret_ref": "http://elsewhere.example/v1/secrets/{a}"}],
    },
    "a reference that is an id alone": {"type": "generic", "secret_refs": [{"name": "x", "secret_ref": "{a}"}]},
    "a secret that does not exist": {
        "type": "generic",
        "secret_refs": [{"name": "x", "secret_ref": "{base}/v1/secrets/{nowhere}"}],
    },
    "a secret of another project": {"type": "generic", "secret_refs": [ref("foreign", "x")]},
    "a secret of another project without a name": {"type": "generic", "secret_refs": [ref("foreign")]},
    "a pair with one key": {"type": "rsa", "secret_refs": [ref("a", "public_key")]},
    "a pair with another name": {"type": "rsa", "secret_refs": [*KEYS, ref("c", "colour")]},
    "a pair without names": {"type": "rsa", "secret_refs": [ref("a"), ref("b", "private_key")]},
    "a pair with a key twice": {"type": "rsa", "secret_refs": [ref("a", "public_key"), ref("b", "public_key")]},
    "a pair with too many": {
        "type": "rsa",
        "secret_refs": [*KEYS, ref("c", "private_key_passphrase"), ref("d", "more")],
    },
    "a certificate without a certificate": {"type": "certificate", "secret_refs": [ref("a", "private_key")]},
    "a certificate with another name": {
        "type": "certificate",
        "secret_refs": [ref("a", "certificate"), ref("b", "colour")],
    },
}
QUERIES = {
    "by name": "name=two",
    "by a name with a wildcard": "name=t%25",
    "by type": "type=rsa",
    "by a type that nobody knows": "type=basket",
    "by name and type": "name=pair&type=rsa",
    "of a page": "limit=3&offset=2",
    "of a page that filters": "type=generic&limit=2&offset=1",
    "of a page after the end": "offset=100",
    "of a page of words": "limit=x&offset=y",
    "of a page that is too long": "limit=1000",
    "of a page of none": "limit=0",
    "with a sort that is not looked at": "sort=name:desc",
}


def asks() -> Iterator[Ask]:
    """Make, list, describe and delete containers."""
    for alias in "abcd":
        yield secret(alias)
    yield secret("foreign", "other member")
    yield get("a project without containers lists none", ALL)
    for number, (words, body) in enumerate(ACCEPTED.items()):
        alias = f"container {number}"
        yield post(f"a container of {words} is made", ALL, body, names={alias: "container_ref"})
        yield get(f"a container of {words} is described", f"{ALL}/{{{alias}}}")
    for words, body in REFUSED.items():
        yield post(f"a container of {words} is refused", ALL, body)
    yield send("a container that is no JSON", "POST", ALL, "application/json", "x")
    yield send("a container of another type", "POST", ALL, "text/plain", "x")
    yield get("containers are listed", ALL)
    for words, query in QUERIES.items():
        yield get(f"containers {words}", f"{ALL}?{query}")
    yield get("containers at 1.1", f"{ALL}?limit=1", headers=version("1.1"))
    yield get("another project lists none", ALL, "other member")
    yield get("a container with a slash", f"{ALL}/{{container 3}}/")
    yield get("a container that does not exist", MISSING)
    yield get("a container that is no id", f"{ALL}/no-id")
    yield delete("a container that does not exist is not deleted", MISSING)
    yield get("a part of a container that does not exist", f"{ALL}/{{container 3}}/nothing")
    for method in ("PUT", "PATCH", "POST"):
        yield Ask(name=f"a container takes no {method}", method=method, path=f"{ALL}/{{container 3}}")
    for method in ("PUT", "PATCH", "DELETE"):
        yield Ask(name=f"the containers take no {method}", method=method, path=ALL)
    for actor in ("second member", "reader", "admin", "other member", "other admin"):
        yield get(f"the {actor} describes a container, or not", f"{ALL}/{{container 3}}", actor)
    for actor in ("reader", "other member", "other admin", "second member"):
        yield delete(f"the {actor} deletes a container, or not", f"{ALL}/{{container 4}}", actor=actor)
    yield delete("a secret in a container is deleted", "/v1/secrets/{b}")
    yield get("the container is there without it", f"{ALL}/{{container 3}}")
    yield delete("a container is deleted", f"{ALL}/{{container 3}}")
    yield get("a deleted container is not described", f"{ALL}/{{container 3}}")
    yield delete("a deleted container is not deleted again", f"{ALL}/{{container 3}}")
    yield get("the secrets of a deleted container stay", "/v1/secrets/{a}")


def contents() -> Iterator[Ask]:
    """Put secrets into containers and take them out."""
    for alias in "abc":
        yield secret(alias)
    yield secret("foreign", "other member")
    yield post("a container is made", ALL, {"type": "generic", "name": "box"}, names={"box": "container_ref"})
    yield post("a pair is made", ALL, {"type": "rsa", "secret_refs": KEYS}, names={"pair": "container_ref"})
    inside = f"{ALL}/{{box}}/secrets"
    yield post("a secret is put in", inside, ref("a", "first"))
    yield post("a secret is put in without a name", inside, ref("b"))
    yield post("the same secret under another name", inside, ref("a", "second"))
    yield post("another secret under the same name", inside, ref("c", "first"))
    yield post("the same secret under the same name", inside, ref("a", "first"))
    yield get("what is inside is described", f"{ALL}/{{box}}")
    refused: dict[str, Any] = {
        "a list": [],
        "nothing": {},
        "a name alone": {"name": "x"},
        "a reference that is a number": {"secret_ref": 5},
        "an empty reference": {"secret_ref": ""},
        "a name that is a number": {**ref("a"), "name": 5},
        "a name of 256 characters": ref("a", "{256 times n}"),
        "a field that nobody knows": {**ref("a", "x"), "colour": "green"},
        "a reference of another host": {"name": "x", "secret_ref": "http://elsewhere.example/v1/secrets/{a}"},
        "a secret that does not exist": {"secret_ref": "{base}/v1/secrets/{nowhere}"},
        "a secret of another project": ref("foreign", "x"),
    }
    for words, body in refused.items():
        yield post(f"{words} is not put in", inside, body)
        yield delete(f"{words} is not taken out", inside, body)
    yield post("nothing is put into a pair", f"{ALL}/{{pair}}/secrets", ref("c", "private_key_passphrase"))
    yield delete("nothing is taken out of a pair", f"{ALL}/{{pair}}/secrets", ref("a", "public_key"))
    yield delete("a secret under another name is not taken out", inside, ref("b", "other"))
    yield delete("a secret that is not inside is not taken out", inside, ref("c", "other"))
    yield delete("a secret is taken out", inside, ref("a", "first"))
    yield delete("a secret is not taken out twice", inside, ref("a", "first"))
    yield delete("a secret without a name is taken out", inside, ref("b"))
    yield get("what is left is described", f"{ALL}/{{box}}")
    yield get("what is inside takes no GET", inside)
    yield put("what is inside takes no PUT", inside, ref("a"))
    yield send("what is no JSON is not put in", "POST", inside, "application/json", "x")
    yield send("another type is not put in", "POST", inside, "text/plain", "x")
    yield post("a container that does not exist takes nothing", f"{MISSING}/secrets", ref("a"))
    yield delete("a container that does not exist gives nothing", f"{MISSING}/secrets", ref("a"))
    for actor in ("second member", "admin", "reader", "other member", "other admin"):
        body = ref("c", actor.replace(" ", "-"))
        yield post(f"the {actor} puts a secret in, or not", inside, body, actor)
        yield delete(f"the {actor} takes a secret out, or not", inside, body, actor)


CONSUMER = {"name": "balancer", "URL": "http://balancer.example/1"}
REFUSED_CONSUMERS: dict[str, Any] = {
    "a list": [],
    "nothing": {},
    "no name": {"URL": "http://x.example"},
    "no URL": {"name": "x"},
    "an empty name": {**CONSUMER, "name": ""},
    "an empty URL": {**CONSUMER, "URL": ""},
    "a name that is a number": {**CONSUMER, "name": 5},
    "a name of 37 characters": {**CONSUMER, "name": "{37 times n}"},
    "a name of 256 characters": {**CONSUMER, "name": "{256 times n}"},
    "a URL of 256 characters": {**CONSUMER, "URL": "{256 times u}"},
    "a URL in small letters": {"name": "x", "url": "http://x.example"},
}


def consumers() -> Iterator[Ask]:
    """Register and remove consumers of a container."""
    path = f"{ALL}/{{box}}/consumers"
    yield secret("a")
    body = {"type": "generic", "name": "box", "secret_refs": [ref("a", "first")]}
    yield post("a container is made", ALL, body, names={"box": "container_ref"})
    yield get("a new container has no consumers", path)
    yield post("a consumer is registered", path, CONSUMER)
    yield post("a consumer is registered twice", path, CONSUMER)
    yield post("a second consumer is registered", path, {"name": "balancer-2", "URL": "http://balancer.example/2"})
    yield post("a third consumer is registered", path, {**CONSUMER, "name": "other"})
    yield post("a consumer with a field that nobody knows", path, {**CONSUMER, "name": "more", "colour": "green"})
    yield post("a consumer with a name of 36 characters", path, {**CONSUMER, "name": "{36 times n}"})
    yield get("consumers are listed", path)
    yield get("a page of consumers", f"{path}?limit=1&offset=1")
    yield get("a page after the end", f"{path}?limit=1&offset=10")
    yield get("consumers by name", f"{path}?name=other")
    yield get("the container names them", f"{ALL}/{{box}}")
    yield get("the list of containers names them", ALL)
    for words, refused in REFUSED_CONSUMERS.items():
        yield post(f"a consumer of {words} is refused", path, refused)
        yield delete(f"a consumer of {words} is not removed", path, refused)
    yield delete("a consumer is removed", path, CONSUMER)
    yield delete("a removed consumer is not removed again", path, CONSUMER)
    yield post("a removed consumer is registered again", path, CONSUMER)
    yield get("consumers after that", path, unordered="consumers")
    yield get("a consumer that does not exist", f"{path}/{{nowhere}}")
    yield get("a consumer that is no id", f"{path}/no-id")
    yield put("consumers take no PUT", path, CONSUMER)
    yield patch("consumers take no PATCH", path, CONSUMER)
    yield send("a consumer that is no JSON", "POST", path, "application/json", "x")
    yield send("a consumer of another type", "POST", path, "text/plain", "x")
    yield get("consumers of a container that does not exist", f"{MISSING}/consumers")
    yield post("a consumer of a container that does not exist", f"{MISSING}/consumers", CONSUMER)
    yield get("consumers of what is no id", f"{ALL}/no-id/consumers")
    for actor in ("second member", "admin", "reader", "other member", "other admin"):
        own = {**CONSUMER, "name": actor.replace(" ", "-")}
        yield post(f"the {actor} registers a consumer, or not", path, own, actor)
        yield get(f"the {actor} lists the consumers, or not", path, actor)
        yield delete(f"the {actor} removes a consumer, or not", path, own, actor)
    yield put(
        "a user of another project is let in", f"{ALL}/{{box}}/acl", {"read": {"users": ["{user of other member}"]}}
    )
    yield post("who is let in registers a consumer", path, {**CONSUMER, "name": "foreign"}, "other member")
    yield delete("who is let in does not remove another's consumer", path, CONSUMER, "other member")
    yield delete("the owner removes a consumer of who is let in", path, {**CONSUMER, "name": "foreign"})
    yield delete("a container with consumers is deleted", f"{ALL}/{{box}}")
    yield get("a deleted container has no consumers", path)


SCENARIOS = (
    Scenario("containers", "Containers of every type, made, listed and deleted.", asks),
    Scenario("contents-of-containers", "Secrets put into containers and taken out.", contents),
    Scenario("consumers-of-containers", "Consumers of containers.", consumers),
)
