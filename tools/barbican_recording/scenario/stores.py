"""Secret stores with one that is preferred, and transport keys."""

from collections.abc import Iterator
from typing import Any

from barbican_recording.asks import Ask, Scenario, delete, get, post, put, secret, send

ALL = "/v1/secret-stores"
MISSING = f"{ALL}/{{nowhere}}"
PEOPLE = ("member", "reader", "admin", "service admin", "other admin", "audit")


def several() -> Iterator[Ask]:
    """Choose among stores."""
    yield get("stores are listed", ALL, names={"store": "secret_stores.0.secret_store_ref"})
    yield get("a store is described", f"{ALL}/{{store}}")
    yield get("the store of everybody is described", f"{ALL}/global-default")
    yield get("no store is preferred yet", f"{ALL}/preferred")
    yield post("a member prefers no store", f"{ALL}/{{store}}/preferred")
    yield delete("what is not preferred is not taken back", f"{ALL}/{{store}}/preferred", actor="admin")
    yield post("an admin prefers a store", f"{ALL}/{{store}}/preferred", actor="admin")
    yield post("an admin prefers it twice", f"{ALL}/{{store}}/preferred", actor="admin")
    yield get("the preferred store is described", f"{ALL}/preferred")
    yield get("another project prefers none", f"{ALL}/preferred", "other member")
    yield secret("stored")
    yield get("a secret in the preferred store is read", "/v1/secrets/{stored}/payload")
    yield delete("a member takes no preference back", f"{ALL}/{{store}}/preferred")
    yield delete("an admin takes the preference back", f"{ALL}/{{store}}/preferred", actor="admin")
    yield get("no store is preferred any more", f"{ALL}/preferred")
    for actor in PEOPLE:
        yield get(f"the {actor} lists stores, or not", ALL, actor)
        yield get(f"the {actor} sees a store, or not", f"{ALL}/{{store}}", actor)
        yield get(f"the {actor} sees the store of everybody, or not", f"{ALL}/global-default", actor)
    yield get("a store that does not exist", MISSING)
    yield get("a store that is no id", f"{ALL}/no-id")
    yield post("a store that does not exist is not preferred", f"{MISSING}/preferred", actor="admin")
    yield delete("a store that does not exist is not taken back", f"{MISSING}/preferred", actor="admin")
    yield get("whether a store is preferred takes no GET", f"{ALL}/{{store}}/preferred", "admin")
    yield post("stores take no POST", ALL, {}, "admin")
    yield delete("stores take no DELETE", ALL, actor="admin")
    yield put("a store takes no PUT", f"{ALL}/{{store}}", {}, "admin")
    yield delete("a store takes no DELETE", f"{ALL}/{{store}}", actor="admin")
    yield get("a part of a store", f"{ALL}/{{store}}/nothing")


def one() -> Iterator[Ask]:
    """Ask for stores where there is no choice."""
    yield get("there are no stores to list", ALL)
    yield get("there is no store of everybody", f"{ALL}/global-default")
    yield get("there is no preferred store", f"{ALL}/preferred")
    yield get("there is no store", MISSING)
    yield post("there is no store to prefer", f"{MISSING}/preferred", actor="admin")
    yield get("who may not ask for stores", ALL, "creator")


KEY = {"plugin_name": "a plugin", "transport_key": "a public key"}
REFUSED: dict[str, Any] = {
    "a list": [],
    "nothing": {},
    "no plugin": {"transport_key": "k"},
    "no key": {"plugin_name": "p"},
    "an empty plugin": {**KEY, "plugin_name": ""},
    "a plugin that is a number": {**KEY, "plugin_name": 5},
    "a key of null": {**KEY, "transport_key": None},
}


def transport_keys() -> Iterator[Ask]:
    """Keep transport keys."""
    path = "/v1/transport_keys"
    yield get("there are no transport keys", path)
    yield post("a transport key is kept", path, KEY, "admin", names={"first": "transport_key_ref"})
    yield post("a second transport key is kept", path, {**KEY, "plugin_name": "another"}, "admin",
               names={"second": "transport_key_ref"})  # fmt: skip
    yield post("a transport key with a field that nobody knows", path, {**KEY, "colour": "green"}, "admin",
               names={"third": "transport_key_ref"})  # fmt: skip
    yield get("transport keys are listed", path)
    yield get("transport keys by plugin", f"{path}?plugin_name=another")
    yield get("transport keys by a plugin that nobody knows", f"{path}?plugin_name=nothing")
    yield get("a page of transport keys", f"{path}?limit=1&offset=1")
    yield get("transport keys after the end", f"{path}?offset=10")
    yield get("a transport key is described", f"{path}/{{first}}")
    yield get("a transport key that does not exist", f"{path}/{{nowhere}}")
    yield get("a transport key that is no id", f"{path}/no-id")
    for words, body in REFUSED.items():
        yield post(f"a transport key of {words} is refused", path, body, "admin")
    yield send("a transport key that is no JSON", "POST", path, "application/json", "x", "admin")
    yield send("a transport key of another type", "POST", path, "text/plain", "x", "admin")
    for actor in ("member", "reader", "service admin", "creator", "other admin"):
        yield get(f"the {actor} lists transport keys, or not", path, actor)
        yield get(f"the {actor} sees a transport key, or not", f"{path}/{{first}}", actor)
    for actor in ("member", "reader", "service admin"):
        yield post(f"the {actor} keeps no transport key", path, KEY, actor)
        yield delete(f"the {actor} deletes no transport key", f"{path}/{{first}}", actor=actor)
    yield delete("a transport key is deleted", f"{path}/{{first}}", actor="admin")
    yield get("a deleted transport key is not described", f"{path}/{{first}}")
    yield delete("a deleted transport key is not deleted again", f"{path}/{{first}}", actor="admin")
    yield get("transport keys after that", path)
    yield put("transport keys take no PUT", path, KEY, "admin")
    yield put("a transport key takes no PUT", f"{path}/{{second}}", KEY, "admin")
    yield post("a transport key takes no POST", f"{path}/{{second}}", KEY, "admin")


SEVERAL = {
    "secretstore": {"enable_multiple_secret_stores": "True", "stores_lookup_suffix": "software"},
    "secretstore:software": {
        "secret_store_plugin": "store_crypto",
        "crypto_plugin": "simple_crypto",
        "global_default": "True",
    },
}
SCENARIOS = (
    Scenario("secret-stores", "Secret stores, and the one that a project prefers.", several, SEVERAL),
    Scenario("secret-stores-without-choice", "Secret stores where only one is configured.", one),
    Scenario("transport-keys", "Transport keys.", transport_keys),
)
