"""Secrets: made in one and in two steps, described, expired, deleted; and what is refused."""

from collections.abc import Iterator
from typing import Any

from barbican_recording.asks import Ask, Scenario, delete, get, post, put, secret, send, text_secret

SECRETS = "/v1/secrets"
MISSING = "/v1/secrets/{nowhere}"
BINARY = {
    "payload": "AAECA//+",
    "payload_content_type": "application/octet-stream",
    "payload_content_encoding": "base64",
}
BYTES, TEXT, BASE64 = "application/octet-stream", "text/plain", {"Content-Encoding": "base64"}
LONG = "{256 times n}"

ACCEPTED: dict[str, dict[str, Any]] = {
    "only a payload": {"payload": "p", "payload_content_type": "text/plain"},
    "nothing at all": {},
    "every field": text_secret(
        "everything",
        algorithm="aes",
        bit_length=256,
        mode="cbc",
        secret_type="symmetric",
        expiration="2999-12-31T23:59:59",
    ),
    "a name of null": {**text_secret("x"), "name": None},
    "an empty name": text_secret(""),
    "a name of 255 characters": text_secret("{255 times n}"),
    "a name with spaces around": text_secret("  spaced  "),
    "a name in another script": text_secret("секрет"),
    "a payload with spaces around": text_secret("stripped", "  padded  "),
    "a payload of letters beyond ASCII": text_secret("beyond", "päylöad ✓"),
    "a payload that looks like JSON": text_secret("json", '{"a": 1}'),
    "text with a charset": {**text_secret("charset"), "payload_content_type": "text/plain;charset=utf-8"},
    "text with a charset and a space": {**text_secret("space"), "payload_content_type": "text/plain; charset=utf-8"},
    "text with a charset in capitals": {**text_secret("capitals"), "payload_content_type": "TEXT/PLAIN;CHARSET=UTF-8"},
    "bytes": {"name": "bytes", **BINARY},
    "a private key as bytes": {"name": "pkcs8", **BINARY, "payload_content_type": "application/pkcs8"},
    "an expiration with a zone": text_secret("zone", expiration="2999-01-01T12:00:00+02:00"),
    "an expiration in UTC with a Z": text_secret("z", expiration="2999-01-01T12:00:00Z"),
    "an expiration with a fraction": text_secret("fraction", expiration="2999-01-01T12:00:00.123456"),
    "an expiration that is a day": text_secret("day", expiration="2999-01-01"),
    "an empty expiration": text_secret("never", expiration=""),
    "an algorithm that nobody knows": text_secret("free", algorithm="rot13", mode="backwards"),
    "an empty algorithm": text_secret("empty algorithm", algorithm="", mode=""),
    "the largest bit length": text_secret("bits", bit_length=32767),
    "a bit length of one": text_secret("bit", bit_length=1),
    "a bit length that is whole though not an integer": text_secret("float", bit_length=256.0),
    "a field that nobody knows": text_secret("more", colour="green"),
    "a transport key that is not needed": {"name": "no key", "transport_key_needed": "false"},
    "the largest payload": text_secret("largest", "{20000 times x}"),
    "a payload of zeros in base64": {"name": "zeros", **BINARY, "payload": "AAAA"},
    "base64 with a line break": {"name": "lines", **BINARY, "payload": "AAEC\nA//+"},
    **{
        f"the type {kind}": text_secret(kind, secret_type=kind)
        for kind in ("symmetric", "passphrase", "private", "public", "certificate", "opaque")
    },
}
REFUSED: dict[str, Any] = {
    "a list": [],
    "a word": "secret",
    "null in the place of a payload": {"payload": None, "payload_content_type": "text/plain"},
    "an empty payload": text_secret("x", ""),
    "a payload of spaces": text_secret("x", "   "),
    "a payload that is a number": {"payload": 5, "payload_content_type": "text/plain"},
    "a payload without a type": {"payload": "p"},
    "a payload whose type is null": {"payload": "p", "payload_content_type": None},
    "a payload whose type is empty": {"payload": "p", "payload_content_type": ""},
    "a type without a payload": {"name": "x", "payload_content_type": "text/plain"},
    "bytes without a payload": {
        "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64",
    },
    "an encoding alone": {"payload_content_encoding": "base64"},
    "a type that nobody knows": {"payload": "p", "payload_content_type": "image/png"},
    "a type that is a number": {"payload": "p", "payload_content_type": 1},
    "text in another charset": {"payload": "p", "payload_content_type": "text/plain;charset=latin-1"},
    "a type of 256 characters": {"payload": "p", "payload_content_type": LONG},
    "bytes without an encoding": {"payload": "p", "payload_content_type": "application/octet-stream"},
    "a private key without an encoding": {"payload": "p", "payload_content_type": "application/pkcs8"},
    "text with an encoding": {**text_secret("x"), "payload_content_encoding": "base64"},
    "an encoding that nobody knows": {**BINARY, "payload_content_encoding": "base85"},
    "the encoding binary": {**BINARY, "payload_content_encoding": "binary"},
    "an encoding of null": {**BINARY, "payload_content_encoding": None},
    "base64 that is none": {**BINARY, "payload": "not base64!"},
    "base64 that is cut": {**BINARY, "payload": "AAECA"},
    "base64 of another alphabet": {**BINARY, "payload": "AAECA__-"},
    "a payload that is too large": text_secret("x", "{20001 times x}"),
    "a payload that is too large in bytes alone": text_secret("x", "{10001 times ä}"),
    "a name of 256 characters": text_secret(LONG),
    "a name that is a number": text_secret("x") | {"name": 5},
    "a name that is a list": text_secret("x") | {"name": ["a"]},
    "an algorithm of 256 characters": text_secret("x", algorithm=LONG),
    "an algorithm of null": text_secret("x", algorithm=None),
    "an algorithm that is a number": text_secret("x", algorithm=1),
    "a mode of 256 characters": text_secret("x", mode=LONG),
    "a mode of null": text_secret("x", mode=None),
    "a bit length of zero": text_secret("x", bit_length=0),
    "a negative bit length": text_secret("x", bit_length=-8),
    "a bit length that is too large": text_secret("x", bit_length=32768),
    "a bit length that is text": text_secret("x", bit_length="256"),
    "a bit length that is a fraction": text_secret("x", bit_length=25.6),
    "a bit length of null": text_secret("x", bit_length=None),
    "a bit length of true": text_secret("x", bit_length=True),
    "an expiration in the past": text_secret("x", expiration="2001-01-01T00:00:00"),
    "an expiration that is no time": text_secret("x", expiration="tomorrow"),
    "an expiration that is a number": text_secret("x", expiration=5),
    "an expiration of null": text_secret("x", expiration=None),
    "an expiration of 256 characters": text_secret("x", expiration=LONG),
    "a secret type that nobody knows": text_secret("x", secret_type="secret"),
    "a secret type of null": text_secret("x", secret_type=None),
    "a secret type in capitals": text_secret("x", secret_type="OPAQUE"),
    "a transport key that is needed, as a boolean": {"name": "x", "transport_key_needed": True},
    "a transport key that nobody knows": text_secret("x", transport_key_id="{nowhere}"),
    "a transport key that is a number": text_secret("x", transport_key_id=1),
    "a transport key that is needed": {"name": "x", "transport_key_needed": "true"},
    "a transport key that is needed, with a payload": text_secret("x", transport_key_needed="true"),
    "two things wrong": text_secret("x", bit_length=0, algorithm=1),
}


def creation() -> Iterator[Ask]:
    """Make secrets with every kind of body."""
    for number, (words, body) in enumerate(ACCEPTED.items()):
        alias = f"secret {number}"
        yield post(f"a secret of {words} is made", SECRETS, body, names={alias: "secret_ref"})
        yield get(f"a secret of {words} is described", f"/v1/secrets/{{{alias}}}")
        if "payload" in body:
            yield get(f"a secret of {words} has its payload", f"/v1/secrets/{{{alias}}}/payload")
    for words, body in REFUSED.items():
        yield post(f"a secret of {words} is refused", SECRETS, body)
    yield from _bodies_that_are_not_read()


def _bodies_that_are_not_read() -> Iterator[Ask]:
    json_kind = "application/json"
    yield send("JSON with a charset is read", "POST", SECRETS, "application/json; charset=utf-8", '{"name": "c"}',
               names={"charset": "secret_ref"})  # fmt: skip
    yield send("JSON in capitals", "POST", SECRETS, "Application/JSON", '{"name": "c"}')
    yield send("no body at all", "POST", SECRETS, json_kind, "")
    yield send("a body that is no JSON", "POST", SECRETS, json_kind, "name=x")
    yield send("a body that is cut", "POST", SECRETS, json_kind, '{"name": ')
    yield send("a body of spaces", "POST", SECRETS, json_kind, "  ")
    yield send("a body of null", "POST", SECRETS, json_kind, "null")
    yield send("a body with the same key twice", "POST", SECRETS, json_kind, '{"name": "a", "name": "b"}',
               names={"twice": "secret_ref"})  # fmt: skip
    yield get("the last of two equal keys counts", "/v1/secrets/{twice}")
    yield send("a body that is too long is cut", "POST", SECRETS, json_kind, '{"name": "x", "more": "{25001 times y}"}')
    yield send("a body without a type", "POST", SECRETS, None, '{"name": "x"}')
    yield send("a body of text", "POST", SECRETS, "text/plain", '{"name": "x"}')
    yield send("a body of a form", "POST", SECRETS, "application/x-www-form-urlencoded", "name=x")
    bad = Ask(name="a body that is not UTF-8", method="POST", path=SECRETS,
              headers={"Content-Type": json_kind}, body={"base64": "eyJuYW1lIjogIv//In0="})  # fmt: skip
    yield bad


def two_steps() -> Iterator[Ask]:
    """Make secrets without a payload, and give it later, or never."""
    yield from _first_payload()
    yield from _payloads_of_every_kind()
    yield from _whose_payload()


def _empty(alias: str, **fields: Any) -> Ask:
    body = {"name": alias, **fields}
    return post(f"the secret {alias} is made without a payload", SECRETS, body, names={alias: "secret_ref"})


def _first_payload() -> Iterator[Ask]:
    yield _empty("first")
    yield get("without a payload no content types are told", "/v1/secrets/{first}")
    yield get("without a payload there is none to read", "/v1/secrets/{first}/payload")
    yield get("without a payload none is read in the old way either", SECRETS + "/{first}", headers={"Accept": TEXT})
    yield send("no payload at all is refused", "PUT", "/v1/secrets/{first}", TEXT, "")
    yield send("a payload without a type is refused", "PUT", "/v1/secrets/{first}", None, "x")
    yield send("a payload of JSON is refused", "PUT", "/v1/secrets/{first}", "application/json", '"x"')
    yield send("a payload of pkcs8 is refused", "PUT", "/v1/secrets/{first}", "application/pkcs8", "x")
    yield send("a payload that is too large is refused", "PUT", "/v1/secrets/{first}", TEXT, "{20001 times x}")
    yield send("bytes that are too many are refused", "PUT", "/v1/secrets/{first}", BYTES, "{20001 times x}")
    gzip = {"Content-Encoding": "gzip"}
    yield send("an encoding that nobody knows is refused", "PUT", "/v1/secrets/{first}", BYTES, "x", headers=gzip)
    yield send("base64 that is none is refused", "PUT", "/v1/secrets/{first}", BYTES, "no base64!", headers=BASE64)
    yield get("after refusals there is still no payload", "/v1/secrets/{first}")
    yield send("text is given", "PUT", "/v1/secrets/{first}", TEXT, "  unstripped  ")
    yield get("text that was given is described", "/v1/secrets/{first}")
    yield get("text that was given is read", "/v1/secrets/{first}/payload", headers={"Accept": TEXT})
    yield send("a second payload is refused", "PUT", "/v1/secrets/{first}", TEXT, "again")


def _payloads_of_every_kind() -> Iterator[Ask]:
    yield _empty("bytes")
    raw = Ask(name="raw bytes are given", method="PUT", path="/v1/secrets/{bytes}",
              headers={"Content-Type": BYTES}, body={"base64": "AAEC/f7/"})  # fmt: skip
    yield raw
    yield get("raw bytes are described", "/v1/secrets/{bytes}")
    yield get("raw bytes are read", "/v1/secrets/{bytes}/payload", headers={"Accept": BYTES})
    yield get("bytes that are no text are not read as text", "/v1/secrets/{bytes}/payload", headers={"Accept": TEXT})
    yield _empty("encoded")
    yield send("base64 is given", "PUT", "/v1/secrets/{encoded}", BYTES, "AAEC/f7/", headers=BASE64)
    yield get("base64 is read as bytes", "/v1/secrets/{encoded}/payload", headers={"Accept": BYTES})
    yield _empty("capitals")
    capitals = {"Content-Encoding": "BASE64"}
    yield send("base64 in capitals is given", "PUT", "/v1/secrets/{capitals}", BYTES, "AAEC", headers=capitals)
    yield get("base64 in capitals is described", "/v1/secrets/{capitals}")
    yield _empty("texts")
    yield send("text with an encoding is given", "PUT", "/v1/secrets/{texts}", TEXT, "AAEC", headers=BASE64)
    yield get("text with an encoding is described", "/v1/secrets/{texts}")
    yield get("text with an encoding is read", "/v1/secrets/{texts}/payload", headers={"Accept": TEXT})
    yield _empty("charset")
    yield send("text with a charset is given", "PUT", "/v1/secrets/{charset}", "text/plain; charset=utf-8", "ä")
    yield get("text with a charset is described", "/v1/secrets/{charset}")
    yield _empty("typed", secret_type="passphrase", algorithm="aes", bit_length=128, mode="cbc")
    yield send("a payload is given to a secret of a type", "PUT", "/v1/secrets/{typed}", TEXT, "t")
    yield get("a secret of a type is described", "/v1/secrets/{typed}")
    yield _empty("largest")
    yield send("the largest payload is given", "PUT", "/v1/secrets/{largest}", TEXT, "{20000 times x}")
    yield send("a payload for a secret that does not exist", "PUT", MISSING, TEXT, "x")
    yield send("a payload for what is no id", "PUT", "/v1/secrets/no-id", TEXT, "x")
    yield _empty("not text")
    wrong = Ask(name="bytes that are no UTF-8 given as text", method="PUT", path="/v1/secrets/{not text}",
                headers={"Content-Type": TEXT}, body={"base64": "//79"})  # fmt: skip
    yield wrong
    yield get("bytes given as text are described", "/v1/secrets/{not text}")
    yield get("bytes given as text are read", "/v1/secrets/{not text}/payload")


def _whose_payload() -> Iterator[Ask]:
    yield _empty("foreign")
    yield send("another project gives no payload", "PUT", "/v1/secrets/{foreign}", TEXT, "x", "other member")
    yield send("a reader gives no payload", "PUT", "/v1/secrets/{foreign}", TEXT, "x", "reader")
    yield send("another member of the project gives the payload", "PUT", "/v1/secrets/{foreign}", TEXT, "x",
               "second member")  # fmt: skip


def lifetime() -> Iterator[Ask]:
    """Describe, expire and delete secrets, and name ones that are not there."""
    yield secret("kept")
    yield get("a slash at the end changes nothing", "/v1/secrets/{kept}/")
    yield get("a query that nobody knows changes nothing", "/v1/secrets/{kept}?colour=green")
    yield get("a transport key is asked for, and there is none", "/v1/secrets/{kept}?transport_key_needed=true")
    yield get("a secret that does not exist", MISSING)
    yield get("a payload that does not exist", f"{MISSING}/payload")
    yield delete("a secret that does not exist is not deleted", MISSING)
    yield get("what is no id", "/v1/secrets/no-id")
    yield get("a payload of what is no id", "/v1/secrets/no-id/payload")
    yield delete("what is no id is not deleted", "/v1/secrets/no-id")
    yield get("an id of another version", "/v1/secrets/11111111-1111-1111-8111-111111111111")
    yield get("an id without dashes", "/v1/secrets/11111111111141118111111111111111")
    yield get("an id in capitals", "/v1/secrets/AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA")
    yield get("a part of a secret that does not exist", "/v1/secrets/{kept}/nothing")
    yield get("a part of a payload", "/v1/secrets/{kept}/payload/nothing")
    for method in ("POST", "PATCH"):
        yield Ask(name=f"a secret takes no {method}", method=method, path="/v1/secrets/{kept}")
        yield Ask(name=f"a payload takes no {method}", method=method, path="/v1/secrets/{kept}/payload")
    for method in ("PUT", "DELETE"):
        yield Ask(name=f"a payload takes no {method}", method=method, path="/v1/secrets/{kept}/payload")
        yield Ask(name=f"the secrets take no {method}", method=method, path=SECRETS)
    yield Ask(name="the secrets take no PATCH", method="PATCH", path=SECRETS)
    yield Ask(name="the head of a secret", method="HEAD", path="/v1/secrets/{kept}")
    yield get("a secret of another project is not described", "/v1/secrets/{kept}", "other member")
    yield get("a payload of another project is not read", "/v1/secrets/{kept}/payload", "other member")
    yield get("an admin of another project describes it", "/v1/secrets/{kept}", "other admin")
    yield get("an admin of another project does not read it", "/v1/secrets/{kept}/payload", "other admin")
    yield delete("another project does not delete it", "/v1/secrets/{kept}", actor="other member")
    yield delete("a reader does not delete it", "/v1/secrets/{kept}", actor="reader")
    yield secret("foreign admin")
    yield delete("an admin of another project deletes it", "/v1/secrets/{foreign admin}", actor="other admin")
    yield delete("a secret is deleted", "/v1/secrets/{kept}")
    yield get("a deleted secret is not described", "/v1/secrets/{kept}")
    yield get("a deleted payload is not read", "/v1/secrets/{kept}/payload")
    yield send("a deleted secret takes no payload", "PUT", "/v1/secrets/{kept}", "text/plain", "x")
    yield delete("a deleted secret is not deleted again", "/v1/secrets/{kept}")
    yield get("a deleted secret has no metadata", "/v1/secrets/{kept}/metadata")
    yield get("a deleted secret has no ACL", "/v1/secrets/{kept}/acl")
    yield get("a deleted secret has no consumers", "/v1/secrets/{kept}/consumers")
    yield post("a secret that expires soon is made", SECRETS, text_secret("brief", expiration="{soon}"),
               names={"brief": "secret_ref"})  # fmt: skip
    yield get("before it expires it is described", "/v1/secrets/{brief}")
    yield get("before it expires it is listed", "/v1/secrets?name=brief")
    yield get("after it expired it is not described", "/v1/secrets/{brief}", after="soon")
    yield get("after it expired its payload is not read", "/v1/secrets/{brief}/payload")
    yield get("after it expired it is not listed", "/v1/secrets?name=brief")
    yield get("after it expired it has no metadata", "/v1/secrets/{brief}/metadata")
    yield get("after it expired its ACL", "/v1/secrets/{brief}/acl")
    yield put("after it expired no metadata is given", "/v1/secrets/{brief}/metadata", {"metadata": {"a": "b"}})
    yield send("after it expired it takes no payload", "PUT", "/v1/secrets/{brief}", "text/plain", "x")
    yield delete("after it expired it is not deleted", "/v1/secrets/{brief}")


SCENARIOS = (
    Scenario("secrets-made", "Secrets made in one step, and bodies that are refused.", creation),
    Scenario("secrets-in-two-steps", "Secrets made first and given a payload later.", two_steps),
    Scenario("secrets-lifetime", "Secrets described, expired and deleted; ids that lead nowhere.", lifetime),
)
