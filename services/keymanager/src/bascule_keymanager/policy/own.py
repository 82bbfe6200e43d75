"""The policies of what is ours and not Barbican's; they come after Barbican's in POLICIES and in the sample file."""

from bascule_keymanager.policy.policy import Policy, old_read_rule, read_rule
from bascule_keymanager.policy.secret_versions import SECRET_VERSION_POLICIES

__all__ = ["OWN_POLICIES", "OWN_SHARED"]

# What operators' files call `rule:NAME`, beside Barbican's names.
OWN_SHARED: dict[str, str] = {
    # Somebody of the project who uses its keys, and is given none of them: see docs/reference/keymanager-transit.md.
    "secret_key_user": ("role:key-manager:key-user and rule:secret_project_match and rule:secret_is_not_private"),
}

_SECRET = "/v1/bascule/secrets/{secret_id}"  # noqa: S105 - a path


def _key_use(name: str, verb: str) -> Policy:
    """Allow who may read the secret, and who has the role for using keys alone."""
    return Policy(
        f"key:{name}",
        f"{read_rule('secret')} or rule:secret_key_user",
        f"{old_read_rule('secret', 'secret_decrypt_non_private_read')} or rule:secret_key_user",
        (("POST", f"{_SECRET}/{verb}"),),
    )


OWN_POLICIES: tuple[Policy, ...] = (
    _key_use("encrypt", "encrypt"),
    _key_use("decrypt", "decrypt"),
    _key_use("wrap", "wrap"),
    _key_use("unwrap", "unwrap"),
    _key_use("data_key", "data-key"),
    _key_use("wrapped_data_key", "wrapped-data-key"),
    _key_use("rewrap", "rewrap"),
    *SECRET_VERSION_POLICIES,
)
