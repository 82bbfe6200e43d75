"""Orders for keys and for pairs of keys: accepted, done, failed, listed, refused."""

from collections.abc import Iterator
from typing import Any

from barbican_recording.asks import Ask, Scenario, delete, get, patch, post, put, send, version

ALL = "/v1/orders"
MISSING = "/v1/orders/{nowhere}"


def key(**fields: Any) -> dict[str, Any]:
    """Return an order of a key."""
    return {"type": "key", "meta": {"name": "ordered", "algorithm": "aes", "bit_length": 256, "mode": "cbc", **fields}}


def pair(**fields: Any) -> dict[str, Any]:
    """Return an order of a pair of keys."""
    return {"type": "asymmetric", "meta": {"name": "pair", "algorithm": "rsa", "bit_length": 2048, **fields}}


def without(order: dict[str, Any], field: str) -> dict[str, Any]:
    """Return the order without this field of its meta."""
    return {**order, "meta": {name: value for name, value in order["meta"].items() if name != field}}


KEYS: dict[str, dict[str, Any]] = {
    "an AES key of 256 bits": key(),
    "an AES key of 128 bits": key(bit_length=128, mode="gcm"),
    "an AES key of 192 bits": key(bit_length=192),
    "an AES key for XTS": key(mode="xts"),
    "a key without a name": without(key(), "name"),
    "a key without a mode": without(key(), "mode"),
    "a key of DES": key(algorithm="des", bit_length=64),
    "an HMAC key": key(algorithm="hmacsha256", bit_length=256),
    "an algorithm in capitals": key(algorithm="AES"),
    "a key as bytes": key(payload_content_type="application/octet-stream"),
    "a key as text": key(payload_content_type="text/plain"),
    "a key that expires": key(expiration="2999-01-01T00:00:00"),
    "a key whose expiration has a zone": key(expiration="2999-01-01T12:00:00+02:00"),
    "a field that nobody knows": key(colour="green"),
    "a name with spaces around": key(name="  spaced  "),
}
FAILING: dict[str, dict[str, Any]] = {
    "an algorithm that nobody knows": key(algorithm="rot13"),
    "a length that no key has": key(bit_length=264),
    "a length too short for AES": key(bit_length=8),
    "a key of 3DES": key(algorithm="3des", bit_length=192),
    "RSA as one key": key(algorithm="rsa", bit_length=2048),
    "a pair of AES": pair(algorithm="aes", bit_length=256),
    "a pair of an elliptic curve": pair(algorithm="ec", bit_length=256),
    "a pair of a length that no pair has": pair(bit_length=1032),
}
REFUSED: dict[str, Any] = {
    "a list": [],
    "nothing": {},
    "no meta": {"type": "key"},
    "no type": {"meta": {}},
    "a type that nobody knows": {**key(), "type": "padlock"},
    "a type of null": {**key(), "type": None},
    "a certificate": {"type": "certificate", "meta": {"subject_dn": "cn=x"}},
    "a meta that is text": {"type": "key", "meta": "aes"},
    "an empty meta": {"type": "key", "meta": {}},
    "no algorithm": without(key(), "algorithm"),
    "no bit length": without(key(), "bit_length"),
    "a pair without an algorithm": without(pair(), "algorithm"),
    "a pair without a bit length": without(pair(), "bit_length"),
    "a payload": key(payload="x"),
    "a payload of null": key(payload=None),
    "a payload for a pair": pair(payload="x"),
    "an empty algorithm": key(algorithm=""),
    "an algorithm that is a number": key(algorithm=5),
    "a bit length that is text": key(bit_length="256"),
    "a bit length of zero": key(bit_length=0),
    "a bit length that is too large": key(bit_length=32768),
    "a bit length that is no multiple of eight": key(bit_length=250),
    "a pair whose bit length is no multiple of eight": pair(bit_length=2047),
    "a curve that nobody knows": pair(algorithm="ec", bit_length=264),
    "a content type that nobody knows": key(payload_content_type="image/png"),
    "an expiration in the past": key(expiration="2001-01-01T00:00:00"),
    "an expiration that is no time": key(expiration="tomorrow"),
    "a name that is a number": key(name=5),
    "a name of 256 characters": key(name="{256 times n}"),
    "a mode of null": key(mode=None),
    "a mode that is a number": key(mode=5),
}
BINARY = {"Accept": "application/octet-stream"}


def asks() -> Iterator[Ask]:
    """Order what can be had and what cannot."""
    yield get("a project without orders lists none", ALL)
    for number, (words, body) in enumerate(KEYS.items()):
        order, made = f"order {number}", f"made {number}"
        yield post(f"{words} is ordered", ALL, body, names={order: "order_ref"})
        yield get(f"{words} is made", f"{ALL}/{{{order}}}", names={made: "secret_ref"})
        yield get(f"{words} is a secret", f"/v1/secrets/{{{made}}}")
        yield get(f"{words} has a payload", f"/v1/secrets/{{{made}}}/payload", headers=BINARY, generated=True)
    for number, (words, body) in enumerate(FAILING.items()):
        order = f"failing {number}"
        yield post(f"{words} is ordered", ALL, body, names={order: "order_ref"})
        yield get(f"{words} has failed", f"{ALL}/{{{order}}}")
    for words, body in REFUSED.items():
        yield post(f"an order of {words} is refused", ALL, body)
    yield send("an order that is no JSON", "POST", ALL, "application/json", "x")
    yield send("an order of another type", "POST", ALL, "text/plain", "x")
    yield get("orders are listed", f"{ALL}?limit=5")
    yield get("the next page of orders", f"{ALL}?limit=5&offset=5")
    yield get("orders by meta", f"{ALL}?meta=hmacsha256")
    yield get("orders by what no meta has", f"{ALL}?meta=nothing")
    yield get("orders after the end", f"{ALL}?offset=1000")
    yield get("orders of another project", ALL, "other member")
    yield get("an order with a slash", f"{ALL}/{{order 0}}/")
    yield get("an order at 1.1", f"{ALL}/{{order 0}}", headers=version("1.1"))
    yield get("an order that does not exist", MISSING)
    yield get("an order that is no id", f"{ALL}/no-id")
    yield delete("an order that does not exist is not deleted", MISSING)
    yield get("a part of an order", f"{ALL}/{{order 0}}/nothing")
    yield put("the orders take no PUT", ALL, key())
    yield put("an order takes no PUT", f"{ALL}/{{order 0}}", key())
    yield post("an order takes no POST", f"{ALL}/{{order 0}}", key())
    yield patch("an order takes no PATCH", f"{ALL}/{{order 0}}", key())
    yield delete("the orders take no DELETE", ALL)
    for actor in ("second member", "reader", "admin", "other member", "other admin"):
        yield get(f"the {actor} sees an order, or not", f"{ALL}/{{order 0}}", actor)
    for actor in ("reader", "other member", "other admin", "second member"):
        yield delete(f"the {actor} deletes an order, or not", f"{ALL}/{{order 1}}", actor=actor)
    yield delete("an order is deleted", f"{ALL}/{{order 0}}")
    yield get("a deleted order is not seen", f"{ALL}/{{order 0}}")
    yield delete("a deleted order is not deleted again", f"{ALL}/{{order 0}}")
    yield get("what was ordered stays", "/v1/secrets/{made 0}")


PAIRS: dict[str, dict[str, Any]] = {
    "a pair of RSA": pair(),
    "a pair of RSA with a passphrase": pair(passphrase="pass phrase"),
    "a pair of RSA in capitals": pair(algorithm="RSA", bit_length=1024),
    "a pair of DSA": pair(algorithm="dsa", bit_length=1024),
    "a pair of RSA that expires": pair(bit_length=1024, expiration="2999-01-01T00:00:00"),
    "a pair of RSA as bytes": pair(bit_length=1024, payload_content_type="application/octet-stream"),
}


def pairs() -> Iterator[Ask]:
    """Order pairs of keys, and look at the container with its secrets."""
    for number, (words, body) in enumerate(PAIRS.items()):
        order, box = f"order {number}", f"box {number}"
        yield post(f"{words} is ordered", ALL, body, names={order: "order_ref"})
        yield get(f"{words} is made", f"{ALL}/{{{order}}}", names={box: "container_ref"})
        parts = ["private_key", "public_key"]
        if "passphrase" in body["meta"]:
            parts.append("private_key_passphrase")
        names = {f"{part} {number}": f"secret_refs.name={part}.secret_ref" for part in parts}
        in_box = get(f"{words} is in a container", f"/v1/containers/{{{box}}}", names=names, unordered="secret_refs")
        yield in_box
        for part in parts:
            path = f"/v1/secrets/{{{part} {number}}}"
            yield get(f"the {part} of {words} is a secret", path)
            made = part.endswith("key")
            yield get(f"the {part} of {words} has a payload", f"{path}/payload", headers=BINARY, generated=made)
    yield get("the parts are secrets of the project", "/v1/secrets?sort=created&limit=3")


SCENARIOS = (
    Scenario("orders", "Orders for keys, and orders that fail or are refused.", asks),
    Scenario("orders-of-pairs", "Orders for pairs of keys.", pairs),
)
