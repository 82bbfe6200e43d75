"""Barbican's own clients, unchanged, against our key manager: they hear what real Barbican 23 told them."""

import base64
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from support.client_runs import CORPUS, KINDS, Intended, compared, load_intended, load_steps, run_scenario, unmet
from support.keymanager_servers import authtoken, keymanager_servers
from support.keystone_stub import running

REGION = "ours"
# Who asks, and the roles that real Keystone gave them: an admin has those that the role implies.
PEOPLE = {
    "admin": ("project", ("admin", "manager", "member", "reader")),
    "member": ("project", ("member", "reader")),
    "second member": ("project", ("member", "reader")),
    "reader": ("project", ("reader",)),
    "creator": ("project", ("creator",)),
    "observer": ("project", ("observer",)),
    "audit": ("project", ("audit",)),
    "other admin": ("other project", ("admin", "manager", "member", "reader")),
    "other member": ("other project", ("member", "reader")),
}


@dataclass(frozen=True)
class Known:
    """A person as a scenario knows them."""

    user: str
    username: str
    password: str
    project: str
    project_name: str


def ask_ours(folder):
    """Let every kind of client tell its scenario to one new key manager, all at once; return their steps."""
    kek = base64.urlsafe_b64encode(os.urandom(32)).decode()
    with running() as keystone:
        auth_url = f"{keystone.url}/v3"
        with keymanager_servers(folder / "ours", kek, authtoken(auth_url)) as url, ThreadPoolExecutor() as pool:
            keystone.key_managers[REGION] = url
            asked = {}
            for number, kind in enumerate(KINDS):
                place = {"auth_url": auth_url, "region": REGION, "url": url, "people": enrol(keystone, 1000 * number)}
                asked[kind] = pool.submit(run_scenario, Path(sys.executable), kind, place, folder)
            return {kind: future.result()["steps"] for kind, future in asked.items()}


def enrol(keystone, first):
    """Let there be all these people in projects of their own; their ids are numbers from the first on."""
    projects = {name: f"{first + number:032x}" for number, name in enumerate(("project", "other project"))}
    people = {}
    for number, (name, (project, roles)) in enumerate(PEOPLE.items(), start=first + 10):
        username = f"the {name} {number}"
        people[name] = Known(f"{number:032x}", username, f"password {number}", projects[project], project)
        keystone.enrol(username, f"password {number}", project=projects[project], user=f"{number:032x}", roles=roles)
    return people


def test_every_client_hears_what_barbican_told_it(tmp_path):
    intended, told = load_intended(), ask_ours(tmp_path)  # one test, so that the clients ask once
    steps = [step for kind in KINDS for step in compared(kind, load_steps(kind), told[kind], intended)]
    different = [step for step in steps if not step.is_alike]
    assert different == [], "\n".join((*map(str, different), *map(hint, KINDS)))
    assert unmet(steps) == []
    assert {(rule.kind, rule.step) for rule in intended} <= {(step.kind, step.name) for step in steps}


def hint(kind):
    """Say which versions were recorded and which are here, since another one may say things in other words."""
    recorded = json.loads((CORPUS / f"{kind}.json").read_text())["client"]
    here = {name: version(name) for name in recorded}
    return f"{kind} was recorded with {recorded}, here is {here}; to record: make clients ARGS='{kind} --record'"


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_scenario_was_recorded(kind):
    assert not [step["step"] for step in load_steps(kind) if step["step"].endswith("stops here")]


def test_another_answer_is_a_difference_until_it_is_meant():
    theirs, ours = [{"step": "s", "returns": 1}], [{"step": "s", "raises": "E", "says": "no"}]
    meant = Intended("library", "s", {"raises": "E", "says": "no"}, "because")
    [step] = compared("library", theirs, ours, [])
    assert not step.is_alike
    assert str(step) == 'library: s\n  Barbican {"returns": 1}\n  ours     {"raises": "E", "says": "no"}'
    [step] = compared("library", theirs, ours, [meant])
    assert step.is_alike
    [other] = compared("library", theirs, [{"step": "s", "returns": 2}], [meant])
    assert not other.is_alike
    [gone] = compared("library", theirs, theirs, [meant])
    assert unmet([gone]) == [gone]
    assert not compared("library", theirs, [], [])[0].is_alike
    assert not compared("library", [], ours, [])[0].is_alike
