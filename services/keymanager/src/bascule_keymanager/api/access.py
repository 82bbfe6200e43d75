"""May the caller do this to that: the one question that every responder asks before it answers."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import falcon

from bascule_keymanager.api.context import Caller, caller_of, policies_of
from bascule_keymanager.api.errors import NotAllowed
from bascule_keymanager.policy.policies import GENERATION

__all__ = ["Target", "authorize"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about, as far as policies ask: a secret, a container or an order.

    `project_id` is the identity service's id of the project that owns it. `read_project_access` is the flag of its
    read ACL, True when it has none; `acl_users` are the users of that ACL, of whatever project. `kind` is secret,
    container or order; without it, it is what the rule is named for.
    """

    project_id: str | None
    creator_id: str | None = None
    read_project_access: bool = True
    acl_users: Collection[str] = ()
    kind: str | None = None


def authorize(req: falcon.Request, rule: str, target: Target | None = None) -> None:
    """Let the caller go on when `rule`, one of the policies by Barbican's name, allows it. Raises NotAllowed.

    A rule about one secret, container or order needs its target; rules about collections have none.
    """
    caller, policies = caller_of(req), policies_of(req)
    facts = {GENERATION: policies.generation}
    if target is not None:
        facts |= _facts(target.kind or _kind_of(rule), target, caller)
    if not policies.allows(rule, caller.credentials, facts):
        raise NotAllowed


def _kind_of(rule: str) -> str:
    """Return what a rule's target is called in policies."""
    if rule.startswith("order"):
        return "order"
    return "container" if rule.startswith("con") else "secret"


def _facts(kind: str, target: Target, caller: Caller) -> dict[str, Any]:  # Any: as the policies' facts
    prefix = f"target.{kind}."
    facts: dict[str, Any] = {prefix + "project_id": target.project_id, prefix + "creator_id": target.creator_id}
    if kind != "order":
        facts[prefix + "read_project_access"] = target.read_project_access
        if caller.user in target.acl_users:
            facts[prefix + "read"] = "read"
    return facts
