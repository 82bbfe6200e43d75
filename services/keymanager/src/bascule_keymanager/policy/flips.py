"""Which policies answer otherwise once the new defaults are enforced: what an operator must know before."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from bascule_keymanager.policy.credentials import Credentials
from bascule_keymanager.policy.defaults import POLICIES
from bascule_keymanager.policy.policies import GENERATION, Policies, declare_options

__all__ = ["Flip", "find_flips", "generation_is_chosen"]

_SECTION = "oslo_policy"
# Keystone gives a token every role that the role implies.
_HOLDERS = {
    "admin": ("admin", "member", "reader"),
    "member": ("member", "reader"),
    "reader": ("reader",),
    "creator": ("creator",),
    "observer": ("observer",),
    "audit": ("audit",),
    "key-manager:service-admin": ("key-manager:service-admin",),
}
_ANY = (True, False)


@dataclass(frozen=True, slots=True)
class Flip:
    """One policy that changes, with the roles that can do less or more than before in some situation."""

    rule: str
    loses: tuple[str, ...]
    gains: tuple[str, ...]


def generation_is_chosen(options: cfg.ConfigOpts) -> bool:
    """Whether the operator says which generation holds, rather than oslo.policy's release deciding it."""
    declare_options(options)
    location = options.get_location(GENERATION, _SECTION)
    return location is not None and location.location.is_user_controlled


def find_flips(options: cfg.ConfigOpts) -> list[Flip]:
    """Compare the defaults of both generations under the operator's own files. Raises PolicyRefused.

    What the files define themselves does not flip; what they leave to the defaults may.
    """
    old, new = (Policies(_with_generation(options, generation)) for generation in (False, True))
    flips = []
    for policy in POLICIES:
        loses, gains = [], []
        for role, roles in _HOLDERS.items():
            before, after = _answers(old, policy.name, roles), _answers(new, policy.name, roles)
            if any(was and not is_ for was, is_ in zip(before, after, strict=True)):
                loses.append(role)
            if any(is_ and not was for was, is_ in zip(before, after, strict=True)):
                gains.append(role)
        if loses or gains:
            flips.append(Flip(policy.name, tuple(loses), tuple(gains)))
    return flips


def _answers(policies: Policies, rule: str, roles: tuple[str, ...]) -> list[bool]:
    who = Credentials.of({"project_id": "own", "user_id": "self"}, roles)
    fixed = {GENERATION: policies.generation}
    return [policies.allows(rule, who, {**facts, **fixed}) for facts in _situations()]


def _situations() -> Iterator[Mapping[str, Any]]:  # Any: as the policies' facts
    yield {}
    for kind, own, made, public, listed in itertools.product(("secret", "container", "order"), _ANY, _ANY, _ANY, _ANY):
        facts: dict[str, Any] = {
            f"target.{kind}.project_id": "own" if own else "other",
            f"target.{kind}.creator_id": "self" if made else "other",
        }
        if kind != "order":
            facts[f"target.{kind}.read_project_access"] = public
            if listed:
                facts[f"target.{kind}.read"] = "read"
        yield facts


def _with_generation(options: cfg.ConfigOpts, generation: bool) -> cfg.ConfigOpts:
    """Return the same files, read once more, with one option decided."""
    again = cfg.ConfigOpts()
    again(
        args=[],
        project=options.project,
        default_config_files=options.default_config_files,
        default_config_dirs=[],
    )
    declare_options(again)
    again.set_override(GENERATION, generation, _SECTION)
    return again
