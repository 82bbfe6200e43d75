"""Quotas: what a project may have, what an administrator of the service gives it, and what they stop."""

from collections.abc import Iterator
from typing import Any

from barbican_recording.asks import Ask, Scenario, delete, get, patch, post, put, secret, send, text_secret

OWN, ALL = "/v1/quotas", "/v1/project-quotas"
PROJECT, OTHER = f"{ALL}/{{project}}", f"{ALL}/{{other project}}"

REFUSED: dict[str, Any] = {
    "a list": [],
    "nothing": {},
    "null": {"project_quotas": None},
    "a list within": {"project_quotas": []},
    "text": {"project_quotas": {"secrets": "many"}},
    "a fraction": {"project_quotas": {"secrets": 1.5}},
    "null within": {"project_quotas": {"secrets": None}},
    "a boolean": {"project_quotas": {"secrets": True}},
    "a resource that nobody knows": {"project_quotas": {"umbrellas": 5}},
    "a field beside that nobody knows": {"project_quotas": {"secrets": 5}, "colour": "green"},
}


def asks() -> Iterator[Ask]:
    """Give quotas and take them away."""
    yield get("a project has the default quotas", OWN)
    yield get("a reader sees the quotas", OWN, "reader")
    yield get("a project without quotas of its own", PROJECT, "admin")
    yield get("no project has quotas of its own", ALL, "admin")
    yield put("a project gets quotas", PROJECT, {"project_quotas": {"secrets": 3, "containers": 1}}, "admin")
    yield get("the quotas of a project are shown", PROJECT, "admin")
    yield get("a project sees its own", OWN)
    yield get("the quotas of all projects are shown", ALL, "admin")
    yield put("quotas are replaced", PROJECT, {"project_quotas": {"orders": 1, "consumers": 0, "cas": 7}}, "admin")
    yield get("replaced quotas are shown", PROJECT, "admin")
    yield get("a project sees the replaced ones", OWN)
    yield put("another project gets quotas", OTHER, {"project_quotas": {"secrets": -1}}, "admin")
    yield put("quotas below minus one", OTHER, {"project_quotas": {"secrets": -5}}, "admin")
    yield get("quotas below minus one are shown", OTHER, "admin")
    yield put("no quota at all", OTHER, {"project_quotas": {}}, "admin")
    yield get("no quota at all is shown", OTHER, "admin")
    yield put("a project that Keystone does not know", f"{ALL}/unknown", {"project_quotas": {"secrets": 5}}, "admin")
    yield get("quotas of all projects are listed", ALL, "admin")
    yield get("a page of quotas", f"{ALL}?limit=1", "admin")
    yield get("the next page of quotas", f"{ALL}?limit=1&offset=1", "admin")
    yield get("quotas after the end", f"{ALL}?offset=50", "admin")
    for words, body in REFUSED.items():
        yield put(f"quotas of {words}", PROJECT, body, "admin")
    yield get("what of that was kept", PROJECT, "admin")
    yield send("quotas that are no JSON", "PUT", PROJECT, "application/json", "x", "admin")
    yield send("quotas of another type", "PUT", PROJECT, "text/plain", "x", "admin")
    yield delete("quotas are taken away", OTHER, actor="admin")
    yield get("quotas that were taken away", OTHER, "admin")
    yield delete("quotas are not taken away twice", OTHER, actor="admin")
    yield delete("quotas of a project that never was", f"{ALL}/never", actor="admin")
    for actor in ("member", "reader", "service admin", "other admin"):
        yield get(f"the {actor} lists quotas, or not", ALL, actor)
        yield get(f"the {actor} sees a project's quotas, or not", PROJECT, actor)
        yield put(f"the {actor} gives quotas, or not", PROJECT, {"project_quotas": {"secrets": 100}}, actor)
    yield delete("the member takes no quotas away", PROJECT)
    for method in ("POST", "PUT", "DELETE"):
        yield Ask(name=f"one's own quotas take no {method}", method=method, path=OWN)
    yield post("the list of quotas takes no POST", ALL, {}, "admin")
    yield post("a project's quotas take no POST", PROJECT, {}, "admin")
    yield patch("a project's quotas take no PATCH", PROJECT, {}, "admin")
    yield get("a part of a project's quotas", f"{PROJECT}/nothing", "admin")
    yield get("a part of one's own quotas", f"{OWN}/nothing")


def limits() -> Iterator[Ask]:
    """Run into each quota."""
    order = {"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}}
    consumer = {"service": "image", "resource_type": "image", "resource_id": "1"}
    yield secret("first")
    yield put("a quota of one secret", PROJECT, {"project_quotas": {"secrets": 1}}, "admin")
    yield post("a second secret is too many", "/v1/secrets", text_secret("second"))
    yield post("a second secret without a payload is too many", "/v1/secrets", {"name": "second"})
    yield post("another member meets the same quota", "/v1/secrets", text_secret("second"), "second member")
    yield post("a body that is wrong is told first", "/v1/secrets", {"bit_length": 0})
    yield post("a key is ordered beyond the quota of secrets", "/v1/orders", order, names={"order": "order_ref"})
    yield get("the order beyond the quota of secrets", "/v1/orders/{order}", names={"ordered": "secret_ref"})
    yield secret("elsewhere", "other member")
    yield delete("a secret is deleted", "/v1/secrets/{first}")
    yield delete("the ordered secret is deleted", "/v1/secrets/{ordered}")
    yield secret("again")
    quotas = {"secrets": 100, "containers": 1, "orders": 1, "consumers": 1}
    yield put("quotas for the others", PROJECT, {"project_quotas": quotas}, "admin")
    yield post("a first container", "/v1/containers", {"type": "generic"}, names={"box": "container_ref"})
    yield post("a second container is too many", "/v1/containers", {"type": "generic"})
    yield post("a second order is too many", "/v1/orders", order)
    yield post("a first consumer", "/v1/secrets/{again}/consumers", consumer)
    yield post("the first consumer again", "/v1/secrets/{again}/consumers", consumer)
    yield post("a second consumer is too many", "/v1/secrets/{again}/consumers", {**consumer, "resource_id": "2"})
    url = {"name": "x", "URL": "http://x.example"}
    yield post("a first consumer of a container", "/v1/containers/{box}/consumers", url)
    yield post("a second consumer of a container", "/v1/containers/{box}/consumers", {**url, "name": "y"})
    yield put("a quota of nothing", PROJECT, {"project_quotas": {"secrets": 0, "orders": 0}}, "admin")
    yield post("no secret is allowed", "/v1/secrets", text_secret("none"))
    yield post("no order is allowed", "/v1/orders", order)
    yield get("a project sees that it may have nothing", OWN)


def configured() -> Iterator[Ask]:
    """Look at quotas that the configuration gives to everybody."""
    yield get("the configured quotas are everybody's", OWN)
    yield secret("only")
    yield post("the configured quota stops a second secret", "/v1/secrets", text_secret("second"))
    yield put("a project gets more than others", PROJECT, {"project_quotas": {"secrets": 5}}, "admin")
    yield get("the configured quotas stand where none is given", OWN)
    yield secret("more")
    yield delete("what a project was given is taken away", PROJECT, actor="admin")
    yield get("the configured quotas stand again", OWN)


OPTIONS = {"quotas": {"quota_secrets": "1", "quota_orders": "4", "quota_cas": "0"}}
SCENARIOS = (
    Scenario("quotas", "Quotas of projects, given and taken away.", asks),
    Scenario("quotas-at-work", "What quotas stop.", limits),
    Scenario("quotas-of-everybody", "Quotas that the configuration gives to everybody.", configured, OPTIONS),
)
