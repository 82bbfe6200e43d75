"""What a policy is, and the rules that many of them are made of, in either generation."""

from dataclasses import dataclass

__all__ = ["Policy", "old_read_rule", "old_write_rule", "read_rule", "write_rule"]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy: what it allows in either generation, and the requests (method, path) that ask for it."""

    name: str
    new: str
    old: str
    operations: tuple[tuple[str, str], ...]


def write_rule(kind: str) -> str:
    """Allow administrators of the project, a member who made it, and any member while it is not private."""
    return (
        f"rule:{kind}_project_admin or"
        f" (rule:{kind}_project_member and (rule:{kind}_owner or rule:{kind}_is_not_private))"
    )


def read_rule(kind: str) -> str:
    """Allow who may write, and whom the ACL names."""
    return f"{write_rule(kind)} or rule:{kind}_acl_read"


def old_read_rule(kind: str, public: str) -> str:
    """Allow the shared rule `public`, who made it as a creator, administrators, and whom the ACL names."""
    return f"rule:{public} or rule:{kind}_project_creator or rule:{kind}_project_admin or rule:{kind}_acl_read"


def old_write_rule(kind: str) -> str:
    """Allow administrators of the project, who made it as a creator, and any creator while it is not private."""
    return (
        f"rule:{kind}_project_admin or rule:{kind}_project_creator or"
        f" (rule:{kind}_project_creator_role and rule:{kind}_non_private_read)"
    )
