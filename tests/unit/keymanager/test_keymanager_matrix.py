"""Roles x projects x endpoints: nobody reads or changes what the policies do not give them, in either generation.

The endpoints come from the table of policies, and every route of the application must be in it.
"""

import itertools
import json

import falcon.inspect
import pytest

from bascule_keymanager.config import _parsed
from bascule_keymanager.policy.credentials import Credentials
from bascule_keymanager.policy.defaults import POLICIES
from bascule_keymanager.policy.policies import GENERATION, Policies

ROLES = (
    "",
    "reader",
    "member,reader",
    "admin,member,reader",
    "creator",
    "observer",
    "audit",
    "key-manager:service-admin",
    "painter",
)
OWN, FOREIGN = "own-project", "foreign-project"
MAKER, LISTED, STRANGER = "maker", "listed", "stranger"
MARK = "do-not-read"
# Routes without a policy of their own: the description of the API, and Barbican's own wrong link to a list.
WITHOUT = {("GET", "/v1"), ("GET", "/v1/project_quotas")}
# The answer to a method that Barbican knows, and refuses for everybody.
NEVER = {("PUT", "/v1/orders")}
BODIES = {
    "/v1/secrets": {"name": "n"},
    "/v1/secrets/{secret_id}/metadata": {"metadata": {"k": "changed"}, "key": "other", "value": "v"},
    "/v1/secrets/{secret_id}/metadata/{key}": {"key": "k", "value": "changed"},
    "/v1/secrets/{secret_id}/consumers": {"service": "s", "resource_type": "t", "resource_id": MARK},
    "/v1/containers/{container_id}/consumers": {"name": "n", "URL": MARK},
    "/v1/containers": {"type": "generic"},
    "/v1/orders": {"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}},
    "/v1/project-quotas/{project_id}": {"project_quotas": {"secrets": 5}},
    "/v1/transport_keys": {"plugin_name": "p", "transport_key": "k"},
    "/v1/bascule/secrets/{secret_id}/versions": {"payload": "changed", "payload_content_type": "text/plain"},
    "/v1/bascule/secrets/{secret_id}/labels/{label}": {"version": 1},
    "/v1/bascule/secrets/{secret_id}/rotation": {"interval_s": 60},
}


class World:
    """What a member of the own project made: open, private and shared, and everything that hangs on it."""

    def __init__(self, keymanager):
        self.keymanager = keymanager
        self.maker = keymanager.client(OWN, MAKER, "member,reader,creator")
        self.secrets, self.containers = {}, {}
        for access in ("open", "private", "shared"):
            self.secrets[access] = self.add("secrets", **self._payload(access))
            link = {"name": "s", "secret_ref": f"http://falconframework.org/v1/secrets/{self.secrets[access]}"}
            self.containers[access] = self.add(
                "containers", type="generic", name=f"{access} {MARK}", secret_refs=[link]
            )
            for path in (f"/v1/secrets/{self.secrets[access]}", f"/v1/containers/{self.containers[access]}"):
                self._equip(path, access)
        self.order = self.add("orders", 202, type="key", meta={"name": MARK, "algorithm": "aes", "bit_length": 256})
        self.admin = keymanager.client(OWN, MAKER, "admin,key-manager:service-admin")
        self.transport_key = self.add("transport_keys", client=self.admin, plugin_name="p", transport_key=MARK)
        self.admin.simulate_put(f"/v1/project-quotas/{OWN}", json={"project_quotas": {"secrets": 4711}})

    def _payload(self, access):
        return {"name": f"{access} {MARK}", "payload": MARK, "payload_content_type": "text/plain"}

    def add(self, collection, status=201, *, client=None, **body):
        answer = (client or self.maker).simulate_post(f"/v1/{collection}", json=body)
        assert answer.status_code == status, answer.text
        [reference] = answer.json.values()
        return reference.rpartition("/")[2]

    def _equip(self, path, access):
        is_secret = "secrets" in path
        consumer = BODIES[("/v1/secrets/{secret_id}" if is_secret else "/v1/containers/{container_id}") + "/consumers"]
        assert self.maker.simulate_post(path + "/consumers", json=consumer).status_code == 200
        if is_secret:
            assert self.maker.simulate_put(path + "/metadata", json={"metadata": {"k": MARK}}).status_code == 201
            own = path.replace("/v1/", "/v1/bascule/")
            waiting = {"payload": MARK, "payload_content_type": "text/plain", "labels": [MARK]}
            assert self.maker.simulate_post(own + "/versions", json=waiting).status_code == 201
        if access != "open":
            acl = {"project-access": access == "shared", "users": [LISTED] if access == "shared" else []}
            assert self.maker.simulate_put(path + "/acl", json={"read": acl}).status_code == 200

    def consumer(self, kind, entity):
        table = f"{kind}_consumer_metadata"
        with self.keymanager.database.reader.connect() as connection:
            return connection.exec_driver_sql(f"SELECT id FROM {table} WHERE {kind}_id = '{entity}'").scalar()

    def things(self, path):
        """Every thing that a path may name: its kind, its access, and the path that names it."""
        if "{secret_id}" in path or "{container_id}" in path:
            kind, things = ("secret", self.secrets) if "{secret_id}" in path else ("container", self.containers)
            for access, name in things.items():
                consumer = self.consumer(kind, name)
                names = {f"{kind}_id": name, "key": "k", "consumer_id": consumer, "version": "1", "label": MARK}
                yield kind, access, path.format(**names)
        elif "{order_id}" in path:
            yield "order", "open", path.format(order_id=self.order)
        else:
            yield None, "open", path.format(project_id=OWN, store_id="s", key_id=self.transport_key)

    def picture(self):
        """All that is there, to see that nobody changed it."""
        paths = [f"/v1/secrets/{name}{part}" for name in self.secrets.values() for part in ("", "/metadata", "/acl")]
        paths += [f"/v1/bascule/secrets/{name}/versions" for name in self.secrets.values()]
        paths += [f"/v1/containers/{name}{part}" for name in self.containers.values() for part in ("", "/acl")]
        paths += [f"/v1/orders/{self.order}", "/v1/secrets", "/v1/containers", "/v1/orders", "/v1/quotas"]
        client = self.keymanager.client(OWN, MAKER, "admin,member,reader,creator,observer,audit")
        return {path: client.simulate_get(path).text for path in paths}


def facts(kind, access, user):
    """What the policies are told of a thing that the maker made."""
    if kind is None:
        return {}
    told = {f"target.{kind}.project_id": OWN, f"target.{kind}.creator_id": MAKER}
    if kind != "order":
        told[f"target.{kind}.read_project_access"] = access != "private"
        if access == "shared" and user == LISTED:
            told[f"target.{kind}.read"] = "read"
    return told


@pytest.fixture
def world(make_keymanager, sqlite_url, tmp_path, request):
    path = tmp_path / "keymanager.conf"
    path.write_text(f"[oslo_policy]\nenforce_new_defaults = {request.param}\n")
    keymanager = make_keymanager(sqlite_url, options=_parsed([str(path)]), access_log=False)
    return World(keymanager), Policies(keymanager.settings.options)


def routes(keymanager):
    """Every method and path that the application answers."""
    app = keymanager.client().app._app._public
    for route in falcon.inspect.inspect_routes(app):
        for method in route.methods:
            if method.method not in ("OPTIONS", "HEAD") and not method.internal:
                yield method.method, route.path


def test_every_route_of_the_api_has_its_policy_and_every_policy_its_route(keymanager):
    named = {operation for policy in POLICIES for operation in policy.operations}
    there = {(method, path) for method, path in routes(keymanager) if path.startswith("/v1")}
    assert there - named - WITHOUT - NEVER == set()
    assert named - there - NEVER == set()


def ask(client, method, path, document):
    if method == "GET":
        return client.simulate_get(path)
    body = json.dumps(document).encode()
    return client.simulate_request(method, path, body=body, headers={"Content-Type": "application/json"})


def is_theirs(policy, kind, project):
    """Whether an allowed answer may show something of the own project: of lists, only quotas go across projects."""
    return kind is not None or project == OWN or policy.startswith(("project_quotas:", "transport_key"))


@pytest.mark.parametrize("world", [True, False], indirect=True, ids=["new defaults", "old defaults"])
def test_nobody_reads_or_changes_what_the_policies_do_not_give_them(world):
    world, policies = world
    before = world.picture()
    asked, wrong = 0, []
    people = [
        (roles, project, user, world.keymanager.client(project, user, roles))
        for roles, project, user in itertools.product(ROLES, (OWN, FOREIGN), (MAKER, LISTED, STRANGER))
    ]
    for policy in POLICIES:
        for method, template in policy.operations:
            if (method, template) in NEVER:
                continue
            for kind, access, path in world.things(template):
                for roles, project, user, client in people:
                    who = Credentials.of({"project_id": project, "user_id": user}, roles.split(","))
                    told = {GENERATION: policies.generation, **facts(kind, access, user)}
                    allowed = policies.allows(policy.name, who, told)
                    if allowed and method != "GET":
                        continue  # it would change the world; recorded pairs of Barbican show what is allowed
                    answer = ask(client, method, path, BODIES.get(template, {"read": {}}))
                    asked += 1
                    leaks = MARK in answer.text or "4711" in answer.text
                    expected = answer.status_code in ((200, 404) if allowed else (403, 404))
                    if not expected or (leaks and not (allowed and is_theirs(policy.name, kind, project))):
                        wrong.append((method, path, access, roles, project, user, allowed, answer.status_code))
    assert wrong == []
    assert asked > 5_000
    assert world.picture() == before


@pytest.mark.parametrize("world", [True, False], indirect=True, ids=["new defaults", "old defaults"])
def test_a_list_shows_nothing_of_another_project_and_a_payload_opens_to_whom_the_acl_names_alone(world):
    world, _policies = world
    for roles, user in itertools.product(ROLES, (MAKER, LISTED, STRANGER)):
        client = world.keymanager.client(FOREIGN, user, roles)
        for path in ("/v1/secrets", "/v1/containers", "/v1/orders", "/v1/secrets?limit=100&name=%25"):
            assert MARK not in client.simulate_get(path).text
        listed = client.simulate_get("/v1/secrets?acl_only=true")
        if listed.status_code == 200:
            assert [entry["name"] for entry in listed.json["secrets"]] == ([f"shared {MARK}"] if user == LISTED else [])
        for access, secret in world.secrets.items():
            payload = client.simulate_get(f"/v1/secrets/{secret}/payload", headers={"Accept": "text/plain"})
            opens = access == "shared" and user == LISTED
            assert (payload.status_code, payload.text == MARK) == ((200, True) if opens else (403, False))
