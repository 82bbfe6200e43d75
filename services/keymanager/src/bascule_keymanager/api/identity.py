"""Who asks, from the headers that keystonemiddleware sets, or that a developer sets in its place."""

import functools
from collections.abc import Mapping
from typing import Any

from bascule_keymanager.api.context import Caller
from bascule_keymanager.api.wsgi import Environ
from bascule_keymanager.policy.credentials import Credentials

__all__ = ["ANONYMOUS", "caller_in", "developer_in"]

# Somebody without a token, where the operator lets them in: policies know nothing of them.
ANONYMOUS = Caller("default", None)

# oslo.context's names of what policies may ask, and the headers that say it, the first that is there.
_VALUES: Mapping[str, tuple[str, ...]] = {
    "user_id": ("HTTP_X_USER_ID", "HTTP_X_USER"),
    "user_domain_id": ("HTTP_X_USER_DOMAIN_ID",),
    "system_scope": ("HTTP_OPENSTACK_SYSTEM_SCOPE",),
    "domain_id": ("HTTP_X_DOMAIN_ID",),
    "project_id": ("HTTP_X_PROJECT_ID", "HTTP_X_TENANT_ID", "HTTP_X_TENANT"),
    "project_domain_id": ("HTTP_X_PROJECT_DOMAIN_ID",),
    "service_user_id": ("HTTP_X_SERVICE_USER_ID",),
    "service_user_domain_id": ("HTTP_X_SERVICE_USER_DOMAIN_ID",),
    "service_project_id": ("HTTP_X_SERVICE_PROJECT_ID",),
    "service_project_domain_id": ("HTTP_X_SERVICE_PROJECT_DOMAIN_ID",),
}
_ROLES, _ROLE, _SERVICE_ROLES = "HTTP_X_ROLES", "HTTP_X_ROLE", "HTTP_X_SERVICE_ROLES"
_ADMIN_PROJECT = "HTTP_X_IS_ADMIN_PROJECT"
_SPOKEN = (*dict.fromkeys(name for names in _VALUES.values() for name in names), _ROLES, _ROLE, _SERVICE_ROLES)

# What a developer may do who names no roles: as much as an ordinary user of either generation of policies.
_DEVELOPER = "reader,member,creator"


def caller_in(environ: Environ) -> Caller | None:
    """Return who asks by the headers in this environment, or None where they name no project."""
    return _caller(tuple(environ.get(name) for name in _SPOKEN), environ.get(_ADMIN_PROJECT, "true").lower() == "true")


def developer_in(environ: Environ) -> Caller | None:
    """Return who asks in the no-auth mode, in which everybody is who they say."""
    return caller_in({_ROLES: _DEVELOPER, **environ} if _ROLES not in environ else environ)


@functools.lru_cache(maxsize=1024)
def _caller(spoken: tuple[str | None, ...], is_admin_project: bool) -> Caller | None:
    said = {name: value for name, value in zip(_SPOKEN, spoken, strict=True) if value is not None}
    values: dict[str, Any] = {  # Any: as Credentials
        key: next((said[name] for name in names if name in said), None) for key, names in _VALUES.items()
    }
    project = values["project_id"]
    if not project:
        return None
    values["is_admin_project"] = is_admin_project
    values["service_roles"] = _names(said.get(_SERVICE_ROLES))
    roles = _names(said.get(_ROLES, said.get(_ROLE)))
    return Caller(project, values["user_id"], Credentials.of(values, roles))


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",")] if text else []
