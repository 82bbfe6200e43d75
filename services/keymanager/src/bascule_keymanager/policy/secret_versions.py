"""The policies of secret versions. Each asks the secret's own policy too: whoever closed that has closed these."""

from bascule_keymanager.policy.policy import Policy, old_write_rule, write_rule

__all__ = ["SECRET_VERSION_POLICIES"]

_SECRET = "/v1/bascule/secrets/{secret_id}"  # noqa: S105 - a path
_VERSION, _LABEL = _SECRET + "/versions/{version}", _SECRET + "/labels/{label}"
_ROTATION = _SECRET + "/rotation"
_SHOWN = "rule:secret:get"


def _changing(rule: str) -> tuple[str, str]:
    """Allow who may change what hangs on a secret, and may do to the secret itself what `rule` names."""
    return f"rule:{rule} and ({write_rule('secret')})", f"rule:{rule} and ({old_write_rule('secret')})"


SECRET_VERSION_POLICIES = (
    Policy(
        "secret_versions:get",
        _SHOWN,
        _SHOWN,
        (("GET", _SECRET + "/versions"), ("GET", _VERSION), ("GET", _SECRET + "/labels")),
    ),
    Policy("secret_versions:post", *_changing("secret:put"), (("POST", _SECRET + "/versions"),)),
    Policy("secret_version:decrypt", "rule:secret:decrypt", "rule:secret:decrypt", (("GET", _VERSION + "/payload"),)),
    Policy("secret_version:delete", *_changing("secret:delete"), (("DELETE", _VERSION + "/payload"),)),
    Policy("secret_labels:put", *_changing("secret:put"), (("PUT", _LABEL),)),
    Policy("secret_labels:delete", *_changing("secret:put"), (("DELETE", _LABEL),)),
    Policy("secret_rotation:get", _SHOWN, _SHOWN, (("GET", _ROTATION),)),
    Policy("secret_rotation:put", *_changing("secret:put"), (("PUT", _ROTATION),)),
    Policy("secret_rotation:post", *_changing("secret:put"), (("POST", _ROTATION),)),
    Policy("secret_rotation:delete", *_changing("secret:put"), (("DELETE", _ROTATION),)),
)
