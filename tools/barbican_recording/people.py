"""The people of the scenario, as Keystone knows them: two projects, and one user for every role that policies name."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from barbican_recording.servers import ask_json

PROJECT, OTHER_PROJECT = "project", "other project"
# Who asks: their project and the one role that they are given; Keystone adds the roles that one implies.
ACTORS = {
    "admin": (PROJECT, "admin"),
    "member": (PROJECT, "member"),
    "second member": (PROJECT, "member"),
    "reader": (PROJECT, "reader"),
    "creator": (PROJECT, "creator"),
    "second creator": (PROJECT, "creator"),
    "observer": (PROJECT, "observer"),
    "audit": (PROJECT, "audit"),
    "service admin": (PROJECT, "key-manager:service-admin"),
    "other admin": (OTHER_PROJECT, "admin"),
    "other member": (OTHER_PROJECT, "member"),
    "other creator": (OTHER_PROJECT, "creator"),
}


@dataclass(frozen=True, slots=True)
class Person:
    """One actor with a token that is good for the whole recording."""

    project: str
    user: str
    roles: tuple[str, ...]
    token: str = field(repr=False)
    username: str
    password: str = field(repr=False)


def service_user(url: str, password: str) -> dict[str, str]:
    """Make the user that Barbican checks tokens as, and return its [keystone_authtoken]."""
    admin = _token(url, "admin", password, "admin")[1]
    project = _create(url, admin, "project", name="service", domain_id="default")
    own = secrets.token_urlsafe(12)
    user = _create(url, admin, "user", name="barbican", domain_id="default", password=own)
    _grant(url, admin, project, user, "admin")
    _grant(url, admin, project, user, "service")
    return {
        "auth_url": url,
        "www_authenticate_uri": url,
        "auth_type": "password",
        "username": "barbican",
        "password": own,
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
        "service_token_roles_required": "True",
    }


def make_people(url: str, password: str) -> dict[str, Person]:
    """Make the projects, roles and users, and let everybody log in."""
    admin = _token(url, "admin", password, "admin")[1]
    projects = {
        name: _create(url, admin, "project", name=name, domain_id="default") for name in (PROJECT, OTHER_PROJECT)
    }
    known = _roles(url, admin)
    people = {}
    for name, (project, role) in ACTORS.items():
        if role not in known:
            known[role] = _create(url, admin, "role", name=role)
        own = secrets.token_urlsafe(12)
        user = _create(url, admin, "user", name=f"the {name}", domain_id="default", password=own)
        _grant(url, admin, projects[project], user, role)
        document, token = _token(url, f"the {name}", own, project)
        roles = sorted(role["name"] for role in document["roles"])
        people[name] = Person(projects[project], user, tuple(roles), token, f"the {name}", own)
    return people


def make_tenant(url: str, password: str, name: str) -> tuple[str, str]:
    """Make one more project, whose member the administrator is; return its id, and the administrator's token for it."""
    admin = admin_token(url, password)
    project, user = _create(url, admin, "project", name=name, domain_id="default"), _user_id(url, admin)
    _grant(url, admin, project, user, "member")
    return project, _token(url, "admin", password, name)[1]


def admin_token(url: str, password: str) -> str:
    """Return a token of the administrator's."""
    return _token(url, "admin", password, "admin")[1]


def delete_project(url: str, token: str, project: str) -> None:
    """Delete a project, as its administrator's token allows."""
    ask_json("DELETE", f"{url}/projects/{project}", token=token)


def make_endpoint(url: str, password: str, service: str, region: str, address: str) -> None:
    """Put the address of a service into the catalogue, in a region of its own."""
    admin = _token(url, "admin", password, "admin")[1]
    ask_json("PUT", f"{url}/regions/{region}", {"region": {}}, admin)
    made = _create(url, admin, "service", type=service, name=f"{service} of {region}")
    for interface in ("public", "internal", "admin"):
        _create(url, admin, "endpoint", service_id=made, interface=interface, url=address, region_id=region)


def _token(url: str, user: str, password: str, project: str) -> tuple[dict[str, Any], str]:
    domain = {"id": "default"}
    identity = {"methods": ["password"], "password": {"user": {"name": user, "domain": domain, "password": password}}}
    scope = {"project": {"name": project, "domain": domain}}
    document, token = ask_json("POST", f"{url}/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
    found: Any = document["token"]
    return found, token


def _create(at: str, token: str, kind: str, **fields: str) -> str:
    document: Mapping[str, Any] = ask_json("POST", f"{at}/{kind}s", {kind: fields}, token)[0]
    return str(document[kind]["id"])


def _user_id(url: str, token: str) -> str:
    document: Mapping[str, Any] = ask_json("GET", f"{url}/users?name=admin", token=token)[0]
    return str(document["users"][0]["id"])


def _roles(url: str, token: str) -> dict[str, str]:
    document: Mapping[str, Any] = ask_json("GET", f"{url}/roles", token=token)[0]
    return {role["name"]: role["id"] for role in document["roles"]}


def _grant(url: str, token: str, project: str, user: str, role: str) -> None:
    ask_json("PUT", f"{url}/projects/{project}/users/{user}/roles/{_roles(url, token)[role]}", token=token)
