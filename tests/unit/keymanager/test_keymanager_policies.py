"""Policies answer as oslo.policy does, and the defaults as Barbican's do.

POLICY_FILES says how many files of operators are made up; 60 where it says nothing (`make fuzz-requests`).
"""

import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_policy import policy
from support.policy_world import PROJECT, USER, situations, written

from bascule_keymanager.policy import policies as module
from bascule_keymanager.policy.credentials import Credentials
from bascule_keymanager.policy.defaults import POLICIES, SHARED, list_rules
from bascule_keymanager.policy.own import OWN_POLICIES, OWN_SHARED
from bascule_keymanager.policy.policies import GENERATION, Policies, PolicyRefused, open_enforcer

# A file that fails is small already, and reading it hundreds of times more takes minutes.
NO_SHRINKING = (Phase.explicit, Phase.generate)
FILES_MADE_UP = int(os.environ.get("POLICY_FILES", "60"))
RECORDED = json.loads((Path(__file__).parents[2] / "data" / "barbican-23.policies.json").read_text())


def options(folder=None, *, new=True, **more):
    """A configuration with its files in this folder."""
    lines = [f"{name} = {value}" for name, value in {"enforce_new_defaults": new, **more}.items()]
    files = []
    if folder is not None:
        files = [str(folder / "keymanager.conf")]
        Path(files[0]).write_text("\n".join(["[oslo_policy]", *lines, ""]))
    conf = cfg.ConfigOpts()
    conf(args=[], project="keymanager", default_config_files=files, default_config_dirs=[])
    if folder is None:
        policy.opts._register(conf)
        conf.set_override("enforce_new_defaults", new, "oslo_policy")
    return conf


def caller(*roles, **values):
    return Credentials.of({"project_id": PROJECT, "user_id": USER, **values}, roles)


@pytest.mark.parametrize("generation", ["new", "old"])
def test_the_defaults_answer_as_barbicans_own_in_every_situation(generation):
    policies = Policies(options(new=generation == "new"))
    fixed = {GENERATION: policies.generation}
    asked = [(caller(*roles), facts | fixed) for roles, facts in situations()]
    for rule, bits in RECORDED[generation].items():
        assert written(policies.allows(rule, who, facts) for who, facts in asked) == bits, rule


def test_every_name_of_barbicans_is_there_and_no_other_but_ours():
    ours = {policy.name for policy in OWN_POLICIES} | OWN_SHARED.keys()
    assert RECORDED["new"].keys() == RECORDED["old"].keys()
    assert not ours & RECORDED["new"].keys()
    assert {rule.name for rule in list_rules()} == RECORDED["new"].keys() | ours
    assert len(RECORDED["new"]) + len(ours) == len(POLICIES) + len(SHARED)


# What operators write: every form of the language, names that exist and names that do not, and nonsense.
NAMES = ["secret:get", "secrets:post", "order:get", "secret_owner", "all_users", "mine", "yours", "default", "nowhere"]
_LEAVES = st.sampled_from(
    [
        "@",
        "!",
        "role:member",
        "role:MEMBER",
        "role:%(target.secret.project_id)s",
        "role:%(nothing)s",
        "project_id:%(target.secret.project_id)s",
        "project_id:p",
        "user_id:%(target.secret.creator_id)s",
        "user_id:x%(target.secret.creator_id)s",
        "domain_id:None",
        "is_admin_project:True",
        "roles:member",
        "service_roles:service",
        "user.id:u",
        "None:%(user_id)s",
        "'read':%(target.secret.read)s",
        "True:%(target.secret.read_project_access)s",
        "False:%(enforce_new_defaults)s",
        "True:%(enforce_new_defaults)s",
        "2:2",
        "fortytwo:anything",
        "old:anything",
        "missing:anything",
        *(f"rule:{name}" for name in NAMES),
    ]
)
_RULES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda three: f"({' '.join(three)})"),
        _LEAVES.map(lambda leaf: f"not {leaf}"),
        st.lists(inner, min_size=3, max_size=4).map(" or ".join).map("({})".format),
    ),
    max_leaves=6,
)
_LISTS = st.lists(st.lists(_LEAVES, max_size=2), max_size=3)  # what files were made of long ago
FILES = st.dictionaries(st.sampled_from(NAMES), st.one_of(_RULES, _LISTS, st.just("")), max_size=6)
CALLERS = st.builds(
    lambda roles, **values: Credentials.of(values, roles),
    st.lists(st.sampled_from(["member", "Reader", "admin", "creator", "p"]), max_size=3),
    project_id=st.sampled_from(["p", "q", None]),
    user_id=st.sampled_from(["u", None]),
    domain_id=st.sampled_from([None, "d"]),
    system_scope=st.sampled_from([None, None, "all"]),
    is_admin_project=st.booleans(),
    service_roles=st.sampled_from([[], ["service", "admin"]]),
    user=st.sampled_from([{"id": "u"}, {"id": ["x", "u"]}, {}]),
)


class FortyTwo(policy.Check):
    """A check of the operator's own, which oslo.policy tells the rule that is asked for."""

    def __call__(self, target, creds, enforcer, current_rule=None):
        return current_rule in {"secret:get", "mine"} and "member" in creds["roles"]


class Old(policy.Check):
    """One from before checks were told that."""

    def __call__(self, target, creds, enforcer):
        return bool(target)


class Missing(policy.Check):
    def __call__(self, target, creds, enforcer, current_rule=None):
        raise KeyError("what a plugin forgot to catch")


@pytest.fixture(scope="module")
def own_checks():
    registered = policy._checks.registered_checks
    before = dict(registered)
    for name, check in {"fortytwo": FortyTwo, "old": Old, "missing": Missing}.items():
        policy.register(name, check)
    yield
    registered.clear()
    registered.update(before)


@settings(max_examples=FILES_MADE_UP, deadline=None, suppress_health_check=list(HealthCheck), phases=NO_SHRINKING)
@given(
    file=FILES, who=CALLERS, facts=st.sampled_from([facts for _roles, facts in situations()][:37]), new=st.booleans()
)
def test_whatever_an_operator_writes_is_answered_as_oslo_policy_answers_it(
    file, who, facts, new, own_checks, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("policies")
    (folder / "policy.yaml").write_text(json.dumps(file))
    conf = options(folder, new=new)
    policies, peer = Policies(conf), open_enforcer(conf)
    facts = facts | {GENERATION: new}
    for rule in ("secret:get", "secrets:post", "order:get", "secret_owner", "all_users", "secret:decrypt"):
        ours = theirs = "KeyError"
        with contextlib.suppress(KeyError):
            try:
                theirs = bool(peer.authorize(rule, facts, dict(who.values)))
            except (RecursionError, TypeError):  # a circle, which inspect reports as the second
                theirs = False  # oslo.policy fails, and we deny
        with contextlib.suppress(KeyError):
            ours = policies.allows(rule, who, facts)
        assert ours == theirs, (rule, file)


def test_a_rule_that_refers_to_itself_still_answers_what_it_can(tmp_path):
    (tmp_path / "policy.yaml").write_text(
        '"secret:get": "role:member or rule:secret:get"\n"all_users": "not rule:all_users"'
    )
    policies = Policies(options(tmp_path))
    assert policies.allows("secret:get", caller("member"), {GENERATION: True})
    assert not policies.allows("secret:get", caller("reader"), {GENERATION: True})
    assert not policies.allows("all_users", caller("reader"), {GENERATION: True})


def test_a_policy_that_nobody_defined_is_a_bug_and_not_an_answer():
    with pytest.raises(AssertionError, match="secret:paint"):
        Policies(options()).allows("secret:paint", caller("admin"), {})


@pytest.mark.parametrize("scope", [{"system_scope": "all"}, {"domain_id": "d"}])
def test_only_tokens_of_projects_are_let_in(scope):
    policies = Policies(options())
    assert policies.allows("secrets:post", caller("member"), {GENERATION: True})
    assert not policies.allows("secrets:post", caller("member", "admin", **scope), {GENERATION: True})


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_changed_file_is_in_force_within_a_second_and_a_broken_one_is_not(tmp_path):
    clock, file = Clock(), tmp_path / "policy.yaml"
    policies = Policies(options(tmp_path), clock=clock)

    def allowed():
        return policies.allows("secrets:post", caller("painter"), {GENERATION: True})

    assert not allowed()
    file.write_text('"secrets:post": "role:painter"')
    assert not allowed()  # nobody looks at the file at every request
    clock.now += 1.1
    assert allowed()
    file.write_text('"secrets:post": "rule: [')
    clock.now += 1.1
    assert allowed()
    file.write_text("- a list\n- of words")
    clock.now += 1.1
    assert allowed()
    file.unlink()
    clock.now += 1.1
    assert not allowed()


def test_a_file_among_policy_dirs_stands_above_the_main_one(tmp_path):
    clock, more = Clock(), tmp_path / "policy.d"
    more.mkdir()
    (tmp_path / "policy.yaml").write_text('"secrets:post": "role:painter"')
    policies = Policies(options(tmp_path), clock=clock)
    assert policies.allows("secrets:post", caller("painter"), {GENERATION: True})
    (more / "own.json").write_text('{"secrets:post": "role:sculptor"}')
    clock.now += 1.1
    assert not policies.allows("secrets:post", caller("painter"), {GENERATION: True})
    assert policies.allows("secrets:post", caller("sculptor"), {GENERATION: True})
    os.utime(more / "own.json", ns=(1, 1))
    (more / "own.json").write_text('{"secrets:post": "!"}')
    clock.now += 1.1
    assert not policies.allows("secrets:post", caller("sculptor"), {GENERATION: True})


@pytest.mark.parametrize("text", ['"secrets:post": "rule: [', "- a list", "just words", '"secrets:post": 5'])
def test_a_file_that_is_none_of_policies_is_refused_at_the_start(tmp_path, text):
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(PolicyRefused, match=r"policy\.yaml"):
        Policies(options(tmp_path))


def test_a_policy_file_that_is_named_and_missing_is_warned_about(tmp_path, monkeypatch):
    warned = []
    monkeypatch.setattr(
        module.log, "warning", lambda event, **more: warned.append((event, more["file"])), raising=False
    )
    Policies(options(tmp_path))
    assert warned == []
    Policies(options(tmp_path, policy_file="elsewhere.yaml"))
    assert warned == [("policy file not found", "elsewhere.yaml")]
