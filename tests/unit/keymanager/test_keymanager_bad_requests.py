"""Whatever is asked, the answer is one that the description has, no failure, and no payload is logged.

BAD_REQUESTS says how many requests are made up; 250 where it says nothing.
"""

import base64
import json
import logging
import os
import re
import urllib.parse

import falcon.testing
import pytest
import structlog
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from bascule_keymanager.api.description.components import COMPONENTS
from bascule_keymanager.api.description.document import statuses_of
from bascule_keymanager.api.description.operations import OPERATIONS
from bascule_keymanager.api.schema import Schema
from bascule_keymanager.config_stores import ConfiguredStore

EXAMPLES = int(os.environ.get("BAD_REQUESTS", "250"))
MARK = "hunter2"  # in every payload, and nowhere else
KEY = {
    "secret_type": "symmetric",
    "payload_content_type": "application/octet-stream",
    "payload_content_encoding": "base64",
}
BASE = "http://falconframework.org"
STORE = ConfiguredStore("Software Only Crypto", "store_crypto", "simple_crypto", global_default=True)

TEXTS = st.one_of(
    st.sampled_from(["", " ", "\0", "a", "é✓😀", "\ud800", "%00", "%", "'; --", "x" * 256, "1", "-1", "true", "null"]),
    st.text(max_size=20),
)
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([2**31, 2**63, 10**400, 1e300]))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
QUERIES = {
    "limit": st.one_of(st.integers().map(str), TEXTS),
    "offset": st.one_of(st.integers().map(str), TEXTS),
    "bits": st.one_of(st.integers().map(str), TEXTS),
    "sort": st.one_of(st.sampled_from(["name", "name:desc,mode", "created:x", "name,name", ","]), TEXTS),
    "created": st.one_of(st.sampled_from(["gt:2020", "2020-01-01T00:00:00+23:59", "0001-01-01T00:00:00+23:59"]), TEXTS),
    "expiration": st.one_of(st.sampled_from(["lte:9999-12-31T23:59:59-23:59", "lt:1,lte:2", "2990-01-01"]), TEXTS),
    "acl_only": st.sampled_from(["true", "TRUE", "x", ""]),
    "force": st.sampled_from(["true", "no", "x", ""]),
}
HEADERS = {
    "Content-Type": st.sampled_from(
        ["application/json", "application/json; a=b", "text/plain", "application/octet-stream", "x", "", ";", "a/b"]
    ),
    "Accept": st.sampled_from(
        ["*/*", "application/json", "text/plain", "text/html", "application/octet-stream", "a/b", "", ",;q=x", "é"]
    ),
    "If-Match": st.sampled_from(['"1"', '"2", "3"', "*", 'W/"2"', '"x', '"99999999999"', ""]),
    "Content-Encoding": st.sampled_from(["base64", "BASE64", "gzip", "", "binary"]),
    "OpenStack-API-Version": st.sampled_from(
        [
            "key-manager 1.0",
            "key-manager 1.1",
            "key-manager 1.2",
            "key-manager latest",
            "key-manager 9.9",
            "x",
            "",
            "a b c",
        ]
    ),
}


@pytest.fixture(scope="module")
def world(make_shared_keymanager, tmp_path_factory):
    """A key manager with one of everything, and the ids of what it has."""
    url = f"sqlite:///{tmp_path_factory.mktemp('bad')}/keymanager.db"
    return World(make_shared_keymanager(url, secret_stores=(STORE,)))


class World:
    def __init__(self, keymanager):
        self.keymanager = keymanager
        self.keymanager.parts.holdings.secret_stores.sync((STORE,))
        self.admin = self.keymanager.client(roles="admin,member,reader")
        self.reader = self.keymanager.client(user="u9", roles="reader")
        self.ids = {}
        self.renew()

    def renew(self):
        """Make one of everything; called again when a request has deleted some of it."""
        self.admin.simulate_delete("/v1/project-quotas/p1")
        secret = self._made("/v1/secrets", {"payload": MARK, "payload_content_type": "text/plain"})
        empty = self._made("/v1/secrets", {"name": "empty"})
        key = self._made("/v1/secrets", {**KEY, "payload": base64.b64encode((MARK * 5).encode()[:32]).decode()})
        container = self._made("/v1/containers", {"type": "generic"})
        consumer = {"service": "s", "resource_type": "t", "resource_id": "i"}
        self.admin.simulate_post(f"/v1/secrets/{secret}/consumers", json=consumer)
        self.admin.simulate_post(f"/v1/secrets/{secret}/metadata", json={"key": "k", "value": "v"})
        self.ids = {
            "secret_id": [secret, empty, key],
            "container_id": [container],
            "order_id": [self._made("/v1/orders", {"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}})],
            "key_id": [self._made("/v1/transport_keys", {"plugin_name": "p", "transport_key": "k"})],
            "store_id": [self.keymanager.parts.holdings.secret_stores.all()[0].id],
            "project_id": ["p1", "p2"],
            "consumer_id": [self.keymanager.parts.holdings.secret_consumers.page(secret, limit=1, offset=0)[0][0].id],
            "key": ["k"],
            "version": ["1", "current", "blue"],
            "label": ["blue", "current"],
        }
        versions = f"/v1/bascule/secrets/{secret}/versions"
        waiting = {"payload": MARK, "payload_content_type": "text/plain", "labels": ["blue"]}
        assert self.admin.simulate_post(versions, json=waiting).status_code == 201

    def _made(self, path, body):
        [reference] = self.admin.simulate_post(path, json=body).json.values()
        return reference.rpartition("/")[2]


def good_value(rules):
    """Values that a schema allows, more or less."""
    kind = rules.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if "enum" in rules:
        return st.sampled_from(rules["enum"])
    if rules.get("writeOnly"):
        return st.sampled_from([MARK, f" {MARK}\n", MARK * 40, f"{MARK}=="])
    if kind == "object":
        return good_object(rules)
    if kind == "array":
        return st.lists(good_value(rules.get("items", {})), max_size=2)
    if kind == "integer":
        return st.integers(rules.get("minimum", -10), rules.get("maximum", 10))
    return {"boolean": st.booleans()}.get(kind, st.sampled_from(["a", "text/plain", "2999-01-01", "x" * 36]))


def good_object(rules):
    properties = {name: good_value(below) for name, below in rules.get("properties", {}).items()}
    required = {name: properties.pop(name) for name in rules.get("required", ())}
    return st.fixed_dictionaries(required, optional=properties)


@st.composite
def bodies(draw, operation):
    """A body that is right, or wrong in a few places, or no JSON at all."""
    if operation.body is None:
        return draw(st.sampled_from([None, b"", MARK.encode(), b"\xff" + MARK.encode(), b"{}", MARK.encode() * 4_000]))
    form = draw(st.sampled_from(["right", "changed", "changed", "changed", "other", "raw"]))
    event(form)
    if form == "raw":
        text = '{"payload": "' + MARK + '"'
        odd = [b"", b"{", b"[" * 9_000, b"\xff", text.encode(), b'"\\ud800"', b"null", b"9" * 5_000, b"{}" * 20_000]
        return draw(st.sampled_from(odd))
    if form == "other":
        return json.dumps(draw(JSON)).encode()
    body = draw(good_object(operation.body.rules))
    for _ in range(draw(st.integers(0, 3)) if form == "changed" else 0):
        body[draw(st.sampled_from([*operation.body.rules["properties"], "other"]))] = draw(JSON)
    return json.dumps(body).encode()


@st.composite
def requests(draw):
    operation = draw(st.sampled_from(OPERATIONS))
    names = re.findall(r"{(\w+)}", operation.path)
    chosen = {name: draw(st.one_of(st.integers(0, 2), st.integers(0, 2), TEXTS)) for name in names}
    query = {name: draw(QUERIES.get(name, TEXTS)) for name in operation.query if draw(st.booleans())}
    headers = {name: draw(values) for name, values in HEADERS.items() if draw(st.booleans())}
    if operation.body is not None and draw(st.integers(0, 4)):
        headers["Content-Type"] = "application/json"
    return operation, chosen, query, headers, draw(bodies(operation)), draw(st.integers(0, 9)) == 0


def quoted(text):
    return urllib.parse.quote(text.encode("utf-8", "surrogatepass"), safe="")


def resolved(rules):
    if isinstance(rules, dict):
        if "$ref" in rules:
            return resolved(COMPONENTS[rules["$ref"].rpartition("/")[2]])
        return {name: resolved(below) for name, below in rules.items()}
    return [resolved(below) for below in rules] if isinstance(rules, list) else rules


ANSWERS = {name: Schema(name, resolved(rules)) for name, rules in COMPONENTS.items()}


def check_answer(operation, answer):
    assert answer.status_code in statuses_of(operation), f"{answer.status_code} is not described: {answer.text[:300]}"
    good = dict(operation.answers)
    if answer.status_code in good:
        shows = good[answer.status_code]
        if shows in (None, "Payload", "Text") or (shows == "Secret" and "json" not in answer.headers["content-type"]):
            return
        ANSWERS[shows].check(answer.json)
    elif "json" in answer.headers["content-type"] and "message" not in answer.json:
        ANSWERS["Unauthorized" if answer.status_code == 401 else "Problem"].check(answer.json)
        assert answer.json["code"] == answer.status_code
    else:
        assert answer.status_code in (400, 406)  # of the version, in the words of Barbican's framework


class Listener(logging.Handler):
    """Keeps every record of the standard library's loggers, with what it was made of."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.seen = []

    def emit(self, record):
        self.seen.append(repr(vars(record)))


@pytest.fixture(scope="module")
def listener():
    handler, root = Listener(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(request=requests())
def test_no_request_fails_or_is_answered_otherwise_than_described(world, listener, request):
    judge(world, listener, request)


def judge(world, listener, request):
    """Ask, and look at the answer and at what was logged."""
    operation, chosen, query, headers, body, weak = request
    path = operation.path
    for name, choice in chosen.items():
        ids = world.ids[name]
        path = path.replace(f"{{{name}}}", quoted(ids[choice % len(ids)] if isinstance(choice, int) else choice))
    text = "&".join(f"{name}={quoted(value)}" for name, value in query.items())
    listener.seen.clear()
    with structlog.testing.capture_logs() as events:
        client = world.reader if weak else world.admin
        answer = ask(client, operation.method, path, text, headers, body)
    if all(choice != "" and "/" not in str(choice) for choice in chosen.values()):  # else it is another path
        check_answer(operation, answer)
    assert answer.status_code < 500, answer.text
    assert MARK not in repr(events)
    assert MARK not in "".join(listener.seen)
    event(f"status {answer.status_code}")
    if answer.status_code == 204 and operation.method in ("DELETE", "PUT"):
        world.renew()


def ask(client, method, path, query, headers, body):
    """Send a request as a client on the wire would, however wrong it is."""
    latin = {name: value.encode("utf-8").decode("latin-1") for name, value in headers.items()}
    return client.simulate_request(method, path, query_string=query, headers=latin, body=body)


def test_a_failure_would_be_seen(world, listener):
    """The check itself: an answer that is not described, and a payload in a log line."""
    operation = next(one for one in OPERATIONS if one.method == "GET" and one.path == "/v1/secrets")
    assert 500 not in statuses_of(operation)
    failed = falcon.testing.Result([b"{}"], "500 Internal Server Error", [("content-type", "application/json")])
    with pytest.raises(AssertionError, match="500 is not described"):
        check_answer(operation, failed)
    listener.seen.clear()
    logging.getLogger("keymanager").warning("a payload", extra={"payload": MARK})
    assert MARK in "".join(listener.seen)
