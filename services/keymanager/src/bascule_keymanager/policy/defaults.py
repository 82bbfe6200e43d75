"""Every policy of the API with both generations of its default, and the shared rules that operators' files refer to.

The new generation knows the roles reader, member and admin; the old one knew admin, creator, observer, audit and
key-manager:service-admin. Which of them counts is oslo.policy's option enforce_new_defaults: every new default asks for
it first, and the old default joins in when it is off.
"""

from oslo_policy import policy

from bascule_keymanager.policy.own import OWN_POLICIES, OWN_SHARED
from bascule_keymanager.policy.policy import Policy, read_rule, write_rule
from bascule_keymanager.policy.policy import old_read_rule as _old_read
from bascule_keymanager.policy.policy import old_write_rule as _old_write

__all__ = ["POLICIES", "SHARED", "list_rules"]

_SCOPES = ["project"]
_SINCE, _REASON = "2021.1", "the key manager's roles are Keystone's own since then"

# What operators' files call `rule:NAME`. The names are Barbican's and stay, whoever still uses them here.
SHARED = {
    "admin": "role:admin",
    "audit": "role:audit",
    "creator": "role:creator",
    "observer": "role:observer",
    "service_admin": "role:key-manager:service-admin",
    "admin_or_creator": "rule:admin or rule:creator",
    "all_but_audit": "rule:admin or rule:creator or rule:observer",
    "all_users": "rule:all_but_audit or rule:audit or rule:service_admin",
    "order_project_match": "project_id:%(target.order.project_id)s",
    "order_project_member": "role:member and rule:order_project_match",
    "secret_project_reader": "role:reader and rule:secret_project_match",
    "secret_decrypt_non_private_read": (
        "rule:all_but_audit and rule:secret_project_match and not rule:secret_private_read"
    ),
}
for _kind in ("secret", "container"):
    SHARED |= {
        f"{_kind}_project_match": f"project_id:%(target.{_kind}.project_id)s",
        f"{_kind}_project_member": f"role:member and rule:{_kind}_project_match",
        f"{_kind}_project_admin": f"role:admin and rule:{_kind}_project_match",
        f"{_kind}_owner": f"user_id:%(target.{_kind}.creator_id)s",
        f"{_kind}_is_not_private": f"True:%(target.{_kind}.read_project_access)s",
        f"{_kind}_acl_read": f"'read':%(target.{_kind}.read)s",
        f"{_kind}_creator_user": f"user_id:%(target.{_kind}.creator_id)s",
        f"{_kind}_private_read": f"'False':%(target.{_kind}.read_project_access)s",
        f"{_kind}_project_creator_role": f"rule:creator and rule:{_kind}_project_match",
        f"{_kind}_project_creator": f"rule:{_kind}_project_creator_role and rule:{_kind}_creator_user",
        f"{_kind}_non_private_read": (
            f"rule:all_users and rule:{_kind}_project_match and not rule:{_kind}_private_read"
        ),
    }
SHARED |= OWN_SHARED


def _old_changeable(kind: str) -> str:
    return f"rule:all_but_audit and rule:{kind}_project_match"


_SECRET, _CONTAINER, _ORDER = "/v1/secrets/{secret_id}", "/v1/containers/{container_id}", "/v1/orders/{order_id}"
_QUOTA, _STORE, _KEY = "/v1/project-quotas/{project_id}", "/v1/secret-stores/{store_id}", "/v1/transport_keys/{key_id}"
_OLD_SECRET_READ = _old_read("secret", "secret_non_private_read")
_OLD_CONTAINER_READ = _old_read("container", "container_non_private_read")

POLICIES = (
    Policy("secrets:post", "role:member", "rule:admin_or_creator", (("POST", "/v1/secrets"),)),
    Policy("secrets:get", "role:member", "rule:all_but_audit", (("GET", "/v1/secrets"),)),
    Policy("secret:get", f"role:admin or {read_rule('secret')}", _OLD_SECRET_READ, (("GET", _SECRET),)),
    Policy(
        "secret:decrypt",
        read_rule("secret"),
        _old_read("secret", "secret_decrypt_non_private_read"),
        (("GET", f"{_SECRET}/payload"),),
    ),
    Policy(
        "secret:put", write_rule("secret"), "rule:admin_or_creator and rule:secret_project_match", (("PUT", _SECRET),)
    ),
    Policy(
        "secret:delete",
        f"role:admin or {write_rule('secret')}",
        "rule:secret_project_admin or rule:secret_project_creator or"
        " (rule:secret_project_creator_role and not rule:secret_private_read)",
        (("DELETE", _SECRET),),
    ),
    Policy(
        "secret_meta:get",
        read_rule("secret"),
        _OLD_SECRET_READ,
        (("GET", f"{_SECRET}/metadata"), ("GET", f"{_SECRET}/metadata/{{key}}")),
    ),
    Policy("secret_meta:post", write_rule("secret"), _old_write("secret"), (("POST", f"{_SECRET}/metadata"),)),
    Policy(
        "secret_meta:put",
        write_rule("secret"),
        _old_write("secret"),
        (("PUT", f"{_SECRET}/metadata"), ("PUT", f"{_SECRET}/metadata/{{key}}")),
    ),
    Policy(
        "secret_meta:delete", write_rule("secret"), _old_write("secret"), (("DELETE", f"{_SECRET}/metadata/{{key}}"),)
    ),
    Policy("secret_acls:get", write_rule("secret"), _old_changeable("secret"), (("GET", f"{_SECRET}/acl"),)),
    Policy(
        "secret_acls:put_patch",
        write_rule("secret"),
        _old_write("secret"),
        (("PUT", f"{_SECRET}/acl"), ("PATCH", f"{_SECRET}/acl")),
    ),
    Policy("secret_acls:delete", write_rule("secret"), _old_write("secret"), (("DELETE", f"{_SECRET}/acl"),)),
    Policy("secret_consumers:get", read_rule("secret"), _OLD_SECRET_READ, (("GET", f"{_SECRET}/consumers"),)),
    Policy("secret_consumers:post", read_rule("secret"), _OLD_SECRET_READ, (("POST", f"{_SECRET}/consumers"),)),
    Policy("secret_consumers:delete", read_rule("secret"), _OLD_SECRET_READ, (("DELETE", f"{_SECRET}/consumers"),)),
    Policy("containers:post", "role:member", "rule:admin_or_creator", (("POST", "/v1/containers"),)),
    Policy("containers:get", "role:member", "rule:all_but_audit", (("GET", "/v1/containers"),)),
    Policy("container:get", read_rule("container"), _OLD_CONTAINER_READ, (("GET", _CONTAINER),)),
    Policy(
        "container:delete",
        write_rule("container"),
        "rule:container_project_admin or rule:container_project_creator",
        (("DELETE", _CONTAINER),),
    ),
    Policy(
        "container_secret:post", write_rule("container"), _old_write("container"), (("POST", f"{_CONTAINER}/secrets"),)
    ),
    Policy(
        "container_secret:delete",
        write_rule("container"),
        _old_write("container"),
        (("DELETE", f"{_CONTAINER}/secrets"),),
    ),
    Policy(
        "container_acls:get", write_rule("container"), _old_changeable("container"), (("GET", f"{_CONTAINER}/acl"),)
    ),
    Policy(
        "container_acls:put_patch",
        write_rule("container"),
        _old_write("container"),
        (("PUT", f"{_CONTAINER}/acl"), ("PATCH", f"{_CONTAINER}/acl")),
    ),
    Policy(
        "container_acls:delete", write_rule("container"), _old_write("container"), (("DELETE", f"{_CONTAINER}/acl"),)
    ),
    Policy(
        "container_consumers:get", read_rule("container"), _OLD_CONTAINER_READ, (("GET", f"{_CONTAINER}/consumers"),)
    ),
    Policy(
        "container_consumers:post", read_rule("container"), _OLD_CONTAINER_READ, (("POST", f"{_CONTAINER}/consumers"),)
    ),
    Policy(
        "container_consumers:delete",
        read_rule("container"),
        _OLD_CONTAINER_READ,
        (("DELETE", f"{_CONTAINER}/consumers"),),
    ),
    Policy(
        "consumer:get",
        "role:admin or (rule:container_project_member and (rule:container_owner or rule:container_is_not_private))"
        " or rule:container_acl_read",
        f"rule:admin or rule:observer or rule:creator or rule:audit or {_OLD_CONTAINER_READ}",
        (
            ("GET", f"{_CONTAINER}/consumers/{{consumer_id}}"),
            ("GET", f"{_SECRET}/consumers/{{consumer_id}}"),
        ),
    ),
    Policy("orders:get", "role:member", "rule:all_but_audit", (("GET", "/v1/orders"),)),
    Policy("orders:post", "role:member", "rule:admin_or_creator", (("POST", "/v1/orders"),)),
    Policy("orders:put", "role:member", "rule:admin_or_creator", (("PUT", "/v1/orders"),)),
    Policy("order:get", "rule:order_project_member", "rule:all_users and rule:order_project_match", (("GET", _ORDER),)),
    Policy(
        "order:delete", "rule:order_project_member", "rule:admin and rule:order_project_match", (("DELETE", _ORDER),)
    ),
    Policy("quotas:get", "role:reader", "rule:all_users", (("GET", "/v1/quotas"),)),
    Policy(
        "project_quotas:get",
        "role:admin",
        "rule:service_admin",
        (("GET", "/v1/project-quotas"), ("GET", _QUOTA)),
    ),
    Policy("project_quotas:put", "role:admin", "rule:service_admin", (("PUT", _QUOTA),)),
    Policy("project_quotas:delete", "role:admin", "rule:service_admin", (("DELETE", _QUOTA),)),
    Policy("secretstores:get", "role:reader", "rule:all_users", (("GET", "/v1/secret-stores"),)),
    Policy(
        "secretstores:get_global_default",
        "role:reader",
        "rule:all_users",
        (("GET", "/v1/secret-stores/global-default"),),
    ),
    Policy("secretstores:get_preferred", "role:reader", "rule:all_users", (("GET", "/v1/secret-stores/preferred"),)),
    Policy("secretstore:get", "role:reader", "rule:all_users", (("GET", _STORE),)),
    Policy("secretstore_preferred:post", "role:admin", "rule:admin", (("POST", f"{_STORE}/preferred"),)),
    Policy("secretstore_preferred:delete", "role:admin", "rule:admin", (("DELETE", f"{_STORE}/preferred"),)),
    Policy("transport_keys:get", "role:reader", "rule:all_users", (("GET", "/v1/transport_keys"),)),
    Policy("transport_keys:post", "role:admin", "rule:service_admin", (("POST", "/v1/transport_keys"),)),
    Policy("transport_key:get", "role:reader", "rule:all_users", (("GET", _KEY),)),
    Policy("transport_key:delete", "role:admin", "rule:service_admin", (("DELETE", _KEY),)),
    *OWN_POLICIES,
)


def list_rules() -> list[policy.RuleDefault]:
    """Return the rules as oslo.policy registers them; its sample generator asks here, too."""
    shared = [policy.RuleDefault(name, check) for name, check in SHARED.items()]
    return [*shared, *map(_registered, POLICIES)]


def _registered(one: Policy) -> policy.RuleDefault:
    return policy.DocumentedRuleDefault(
        one.name,
        f"True:%(enforce_new_defaults)s and ({one.new})",
        description=", ".join(f"{method} {path}" for method, path in one.operations),
        operations=[{"method": method, "path": path} for method, path in one.operations],
        scope_types=_SCOPES,
        deprecated_rule=policy.DeprecatedRule(one.name, one.old, deprecated_reason=_REASON, deprecated_since=_SINCE),
    )
