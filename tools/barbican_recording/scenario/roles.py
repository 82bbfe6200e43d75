"""Every role against every operation, under the new defaults of the policy and under the old ones."""

from collections.abc import Iterator

from barbican_recording.asks import Ask, Scenario, delete, get, patch, post, put, secret, text_secret
from barbican_recording.people import ACTORS

CONSUMER = {"service": "image", "resource_type": "image", "resource_id": "1"}
URL = {"name": "x", "URL": "http://x.example"}
ORDER = {"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}}


def matrix(owner: str) -> Iterator[Ask]:
    """Let the owner make things, and every actor try every operation on them."""
    yield secret("known", owner)
    inside = [{"name": "first", "secret_ref": "{base}/v1/secrets/{known}"}]
    box = {"type": "generic", "name": "box", "secret_refs": inside}
    yield post("the container that all try is made", "/v1/containers", box, owner, names={"box": "container_ref"})
    yield post("the key that all see is ordered", "/v1/orders", ORDER, owner, names={"order": "order_ref"})
    yield get("the key that all see is there", "/v1/orders/{order}", owner, names={"ordered": "secret_ref"})
    for actor in ACTORS:
        yield from _tries(actor)


def _tries(actor: str) -> Iterator[Ask]:
    known, box = "/v1/secrets/{known}", "/v1/containers/{box}"
    key = actor.replace(" ", "-")
    yield get(f"the {actor} asks for the version", "/v1", actor)
    yield get(f"the {actor} describes a secret", known, actor)
    yield get(f"the {actor} reads a payload", f"{known}/payload", actor)
    yield get(f"the {actor} reads a payload in the old way", known, actor, headers={"Accept": "text/plain"})
    yield get(f"the {actor} reads metadata", f"{known}/metadata", actor)
    yield put(f"the {actor} gives metadata", f"{known}/metadata", {"metadata": {"a": "b"}}, actor)
    yield post(f"the {actor} adds a key to the metadata", f"{known}/metadata", {"key": key, "value": "1"}, actor)
    yield delete(f"the {actor} removes a key of the metadata", f"{known}/metadata/a", actor=actor)
    yield post(f"the {actor} registers a consumer of a secret", f"{known}/consumers", CONSUMER, actor)
    yield get(f"the {actor} lists consumers of a secret", f"{known}/consumers", actor)
    yield delete(f"the {actor} removes a consumer of a secret", f"{known}/consumers", CONSUMER, actor)
    yield get(f"the {actor} reads the list of a secret", f"{known}/acl", actor)
    yield patch(f"the {actor} changes the list of a secret", f"{known}/acl", {}, actor)
    yield delete(f"the {actor} removes the list of a secret", f"{known}/acl", actor=actor)
    yield get(f"the {actor} describes a container", box, actor)
    yield post(f"the {actor} puts a secret into a container", f"{box}/secrets",
               {"name": key, "secret_ref": "{base}/v1/secrets/{known}"}, actor)  # fmt: skip
    yield delete(f"the {actor} takes a secret out of a container", f"{box}/secrets",
                 {"name": key, "secret_ref": "{base}/v1/secrets/{known}"}, actor)  # fmt: skip
    yield post(f"the {actor} registers a consumer of a container", f"{box}/consumers", URL, actor)
    yield get(f"the {actor} lists consumers of a container", f"{box}/consumers", actor)
    yield delete(f"the {actor} removes a consumer of a container", f"{box}/consumers", URL, actor)
    yield get(f"the {actor} reads the list of a container", f"{box}/acl", actor)
    yield patch(f"the {actor} changes the list of a container", f"{box}/acl", {}, actor)
    yield get(f"the {actor} sees an order", "/v1/orders/{order}", actor)
    yield get(f"the {actor} sees quotas", "/v1/quotas", actor)
    yield get(f"the {actor} lists the quotas of projects", "/v1/project-quotas", actor)
    yield get(f"the {actor} lists secret stores", "/v1/secret-stores", actor)
    yield get(f"the {actor} lists transport keys", "/v1/transport_keys", actor)
    yield get(f"the {actor} lists secrets", "/v1/secrets?name=nothing", actor)
    yield get(f"the {actor} lists containers", "/v1/containers?name=nothing", actor)
    yield get(f"the {actor} lists orders", "/v1/orders?meta=nothing", actor)


def makes() -> Iterator[Ask]:
    """Let every actor make things, and everybody else delete them."""
    for actor in ACTORS:
        yield post(f"the {actor} makes a secret", "/v1/secrets", text_secret(actor), actor)
        yield post(f"the {actor} makes a container", "/v1/containers", {"type": "generic", "name": actor}, actor)
        yield post(f"the {actor} orders a key", "/v1/orders", ORDER, actor)
        yield post(f"the {actor} keeps a transport key", "/v1/transport_keys", {}, actor)
        yield put(f"the {actor} gives quotas", "/v1/project-quotas/elsewhere", {}, actor)


def deletions(owner: str) -> Iterator[Ask]:
    """Let every actor delete what the owner made for it."""
    for actor in ACTORS:
        alias = f"of {actor}"
        yield post(
            f"a secret is made for the {actor}", "/v1/secrets", {"name": "x"}, owner, names={alias: "secret_ref"}
        )
        path = f"/v1/secrets/{{{alias}}}"
        give = {"headers": {"Content-Type": "text/plain"}, "body": {"text": "given"}}
        yield Ask(name=f"the {actor} gives the payload", method="PUT", path=path, actor=actor, **give)  # type: ignore[arg-type]
        yield delete(f"the {actor} deletes the secret", path, actor=actor)
        yield post(f"a container is made for the {actor}", "/v1/containers", {"type": "generic"}, owner,
                   names={f"box {alias}": "container_ref"})  # fmt: skip
        yield delete(f"the {actor} deletes the container", f"/v1/containers/{{box {alias}}}", actor=actor)
        yield post(
            f"a key is ordered for the {actor}", "/v1/orders", ORDER, owner, names={f"order {alias}": "order_ref"}
        )
        yield delete(f"the {actor} deletes the order", f"/v1/orders/{{order {alias}}}", actor=actor)


def new() -> Iterator[Ask]:
    """Try everything on what a member made, under the new defaults."""
    yield from matrix("member")
    yield from makes()
    yield from deletions("member")


def old() -> Iterator[Ask]:
    """Try everything on what a creator made, under the old defaults."""
    yield from matrix("creator")
    yield from makes()
    yield from deletions("creator")


OLD = {"oslo_policy": {"enforce_new_defaults": "False"}}
SCENARIOS = (
    Scenario("roles", "Every role against every operation, under the new defaults.", new),
    Scenario("roles-before", "Every role against every operation, under the old defaults.", old, OLD),
)
