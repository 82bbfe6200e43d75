"""Access control lists of secrets and containers: how they are kept, and what they allow."""

from collections.abc import Iterator
from typing import Any

from barbican_recording.asks import Ask, Scenario, delete, get, patch, post, put, secret, send

REFUSED: dict[str, Any] = {
    "a list": [],
    "text": {"read": "all"},
    "null": {"read": None},
    "the operation write": {"write": {"users": []}},
    "the operation delete": {"delete": {"users": []}},
    "the operation list": {"list": {"users": []}},
    "an operation that nobody knows": {"juggle": {"users": []}},
    "users that are text": {"read": {"users": "me"}},
    "users that are null": {"read": {"users": None}},
    "a user that is a number": {"read": {"users": [1]}},
    "a flag that is text": {"read": {"project-access": "false"}},
    "a flag that is null": {"read": {"project-access": None}},
    "a field that nobody knows": {"read": {"users": [], "groups": []}},
    "a flag with an underscore": {"read": {"project_access": False}},
    "a user of 256 characters": {"read": {"users": ["{256 times u}"]}},
}


def asks(kind: str, path: str, missing: str, make: Ask) -> Iterator[Ask]:
    """Keep lists on a secret or a container."""
    acl = f"{path}/acl"
    yield make
    yield get(f"a new {kind} lets its project in", acl)
    yield put("users are let in", acl, {"read": {"users": ["user-one", "user-two"]}})
    yield get("the users are shown", acl, unordered="read.users")
    yield patch("the flag alone is changed", acl, {"read": {"project-access": False}})
    yield get("the users are left as they were", acl, unordered="read.users")
    yield patch("the users alone are changed", acl, {"read": {"users": ["user-three"]}})
    yield get("the flag is left as it was", acl)
    yield patch("the users are emptied", acl, {"read": {"users": []}})
    yield get("the emptied users are shown", acl)
    yield put("all is replaced by the flag", acl, {"read": {"project-access": False}})
    yield get("what was replaced by the flag is shown", acl)
    yield put("all is replaced by the users", acl, {"read": {"users": ["user-four"]}})
    yield get("what was replaced by the users is shown", acl)
    yield put("the same user twice", acl, {"read": {"users": ["twin", "twin"]}})
    yield get("the same user twice is shown", acl)
    yield put("an operation that is empty", acl, {"read": {}})
    yield get("what an empty operation left is shown", acl)
    yield put("no operation at all", acl, {})
    yield get("what no operation left is shown", acl)
    yield patch("an empty change", acl, {})
    yield get("what an empty change left is shown", acl)
    yield delete("the list is removed", acl)
    yield get("the removed list is shown", acl)
    yield delete("the removed list is removed again", acl)
    yield patch("a change makes the list again", acl, {"read": {"users": ["user-five"]}})
    yield get("the list that was made again is shown", acl)
    yield delete("the list that was made again is removed", acl)
    yield patch("a change of the flag makes the list too", acl, {"read": {"project-access": False}})
    yield get("the list made by its flag is shown", acl)
    for words, body in REFUSED.items():
        yield put(f"a list of {words}", acl, body)
        yield patch(f"a change to {words}", acl, body)
    yield get("what of that was kept", acl)
    yield send("a list that is no JSON", "PUT", acl, "application/json", "x")
    yield send("a list of another type", "PUT", acl, "text/plain", "x")
    yield send("a change that is no JSON", "PATCH", acl, "application/json", "")
    yield send("a change of another type", "PATCH", acl, "text/plain", "x")
    yield post("a list takes no POST", acl, {"read": {}})
    yield get("a part of a list", f"{acl}/nothing")
    yield get(f"a list of a {kind} that does not exist", f"{missing}/{{nowhere}}/acl")
    yield put(f"a list for a {kind} that does not exist", f"{missing}/{{nowhere}}/acl", {})
    yield get("a list of what is no id", f"{missing}/no-id/acl")
    mixed = {"read": {"users": ["a", 1]}}
    yield put("a list of a second user that is a number", acl, mixed)
    yield patch("a change to a second user that is a number", acl, mixed)


def secret_lists() -> Iterator[Ask]:
    """Keep lists on a secret."""
    yield from asks("secret", "/v1/secrets/{guarded}", "/v1/secrets", secret("guarded"))


def container_lists() -> Iterator[Ask]:
    """Keep lists on a container."""
    make = post("a container is made", "/v1/containers", {"type": "generic"}, names={"guarded": "container_ref"})
    yield from asks("container", "/v1/containers/{guarded}", "/v1/containers", make)


PEOPLE = ("member", "second member", "admin", "reader", "other member", "other admin")


def effects() -> Iterator[Ask]:
    """Try who may do what with a private secret, with one that names users, and with containers alike."""
    yield secret("guarded")
    body = {
        "type": "generic",
        "name": "guarded",
        "secret_refs": [{"name": "s", "secret_ref": "{base}/v1/secrets/{guarded}"}],
    }
    yield post("a container is made", "/v1/containers", body, names={"box": "container_ref"})
    lists: dict[str, Any] = {
        "without a list": None,
        "when private": {"read": {"project-access": False}},
        "when private with a user of the project": {
            "read": {"project-access": False, "users": ["{user of second member}"]}
        },
        "when private with a user of another project": {
            "read": {"project-access": False, "users": ["{user of other member}", "{user of reader}"]}
        },
        "when open with a user of another project": {"read": {"users": ["{user of other member}"]}},
    }
    for words, acl in lists.items():
        for kind, path in (("secret", "/v1/secrets/{guarded}"), ("container", "/v1/containers/{box}")):
            if acl is not None:
                yield put(f"the {kind} {words} gets its list", f"{path}/acl", acl)
            for actor in PEOPLE:
                yield get(f"the {actor} describes the {kind} {words}", path, actor)
                yield get(f"the {actor} reads the list of the {kind} {words}", f"{path}/acl", actor)
                if kind == "secret":
                    yield get(f"the {actor} reads the payload {words}", f"{path}/payload", actor)
                    yield get(f"the {actor} reads the metadata {words}", f"{path}/metadata", actor)
                yield get(f"the {actor} lists the consumers of the {kind} {words}", f"{path}/consumers", actor)
    for actor in ("second member", "reader", "other member", "other admin"):
        for kind, path in (("secret", "/v1/secrets/{guarded}"), ("container", "/v1/containers/{box}")):
            open_ = {"read": {"project-access": True}}
            yield put(f"the {actor} replaces the list of the {kind}", f"{path}/acl", open_, actor)
            yield patch(f"the {actor} changes the list of the {kind}", f"{path}/acl", open_, actor)
            yield delete(f"the {actor} removes the list of the {kind}", f"{path}/acl", actor=actor)
    yield put("the secret is private once more", "/v1/secrets/{guarded}/acl", {"read": {"project-access": False}})
    yield delete("another member does not delete a private secret", "/v1/secrets/{guarded}", actor="second member")
    yield get("another member lists a private secret all the same", "/v1/secrets", "second member")
    yield delete("an admin deletes a private secret", "/v1/secrets/{guarded}", actor="admin")


SCENARIOS = (
    Scenario("acls-of-secrets", "Access control lists of secrets.", secret_lists),
    Scenario("acls-of-containers", "Access control lists of containers.", container_lists),
    Scenario("acls-at-work", "What access control lists allow, and to whom.", effects),
)
