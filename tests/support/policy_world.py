"""Every situation that a policy can be asked about: roles, and how what is asked for relates to who asks.

Needs nothing but the standard library, since real Barbican's environment imports it, too.
"""

import itertools

PROJECT, USER, OTHER = "p", "u", "somebody else's"
ROLES = ("reader", "member", "admin", "creator", "observer", "audit", "key-manager:service-admin")
_SETS = ((), *((role,) for role in ROLES), ("member", "reader"), ("admin", "member", "reader"), ("audit", "creator"))
_ANY = (True, False)


def situations():
    """All of them, in an order that never changes: roles, and the facts of the target."""
    for roles in _SETS:
        for kind in ("secret", "container"):
            for own, made, public, listed in itertools.product(_ANY, repeat=4):
                yield roles, facts(kind, own, made) | access(kind, public, listed)
        for own, made in itertools.product(_ANY, repeat=2):
            yield roles, facts("order", own, made)
        yield roles, {}


def facts(kind, own, made):
    """Who owns a target and who made it: the caller, or somebody else."""
    return {
        f"target.{kind}.project_id": PROJECT if own else OTHER,
        f"target.{kind}.creator_id": USER if made else OTHER,
    }


def access(kind, public, listed):
    """What the ACL of a target says."""
    told = {f"target.{kind}.read_project_access": public}
    return told | ({f"target.{kind}.read": "read"} if listed else {})


def written(answers):
    """Answers as text: one bit each."""
    return f"{int('1' + ''.join('01'[bool(answer)] for answer in answers), 2):x}"
