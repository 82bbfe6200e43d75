"""May the caller do this to that: the one question that every responder asks before it answers."""

from collections.abc import Collection
from dataclasses import dataclass

import falcon

from bascule_keymanager.api.context import caller_of
from bascule_keymanager.api.errors import NotAllowed

__all__ = ["Target", "authorize"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about, as far as policies ask: a secret, a container or an order.

    `project_id` is the identity service's id of the project that owns it. `read_project_access` is the flag of its
    read ACL, True when it has none; `acl_users` are the users of that ACL, of whatever project.
    """

    project_id: str | None
    creator_id: str | None = None
    read_project_access: bool = True
    acl_users: Collection[str] = ()


def authorize(req: falcon.Request, rule: str, target: Target | None = None) -> None:  # noqa: ARG001 - filled in next
    """Let the caller go on when `rule`, one of the policies by Barbican's name, allows it. Raises NotAllowed.

    A rule about one secret, container or order needs its target; rules about collections have none.
    """
    if target is not None and target.project_id != caller_of(req).project:
        raise NotAllowed
