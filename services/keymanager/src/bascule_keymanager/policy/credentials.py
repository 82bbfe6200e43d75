"""What policies know of a caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["NOBODY", "Credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """A caller in oslo.policy's names; roles once more in lower case, since that is how they are compared."""

    values: Mapping[str, Any]  # Any: what policies compare is text, None, a list of roles, or a flag
    roles: frozenset[str]
    scope: str

    @classmethod
    def of(cls, values: Mapping[str, Any], roles: Sequence[str]) -> "Credentials":  # Any: as above
        """Return the credentials of somebody with these values, as oslo.context would name them, and these roles."""
        known = {**values, "roles": list(roles)}
        if known.get("system_scope"):
            known["system"] = known["system_scope"]
        scope = "system" if known.get("system") else "domain" if known.get("domain_id") else "project"
        return cls(known, frozenset(role.lower() for role in roles), scope)


NOBODY = Credentials.of({}, ())
