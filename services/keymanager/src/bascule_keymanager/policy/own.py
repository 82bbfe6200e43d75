"""The policies of what is ours and not Barbican's; they come after Barbican's in POLICIES and in the sample file."""

from bascule_keymanager.policy.policy import Policy

__all__ = ["OWN_POLICIES", "OWN_SHARED"]

# What operators' files call `rule:NAME`, beside Barbican's names.
OWN_SHARED: dict[str, str] = {}

OWN_POLICIES: tuple[Policy, ...] = ()
