"""Before an upgrade, the operator hears what will become of tokens and of policies."""

import pytest
from cryptography.fernet import Fernet

from bascule.checks import Code, run_checks
from bascule_keymanager.config import load_settings
from bascule_keymanager.identity_checks import identity_checks
from bascule_keymanager.policy.flips import find_flips
from bascule_keymanager.service import Parts
from bascule_keymanager.upgrade_checks import upgrade_checks


@pytest.fixture
def configured(tmp_path):
    """Settings of a file with these lines added."""

    def configure(*lines):
        path = tmp_path / "keymanager.conf"
        kek = Fernet.generate_key().decode()
        own = f"[database]\nconnection = sqlite:///{tmp_path}/x.db\n[simple_crypto_plugin]\nkek = {kek}\n"
        path.write_text(own + "\n".join([*lines, ""]))
        return load_settings(str(path))

    return configure


def outcome(settings, name):
    [found] = [outcome for outcome in run_checks(identity_checks(settings)) if outcome.name == name]
    return found


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ((), Code.FAILURE),
        (("[keystone_authtoken]", "auth_url = http://identity"), Code.FAILURE),
        (("[keystone_authtoken]", "auth_type = password"), Code.SUCCESS),
        (("[keystone_authtoken]", "auth_plugin = password"), Code.SUCCESS),
        (("[keystone_authtoken]", "auth_section = service_user"), Code.SUCCESS),
        (("[DEFAULT]", "auth_strategy = noauth"), Code.SUCCESS),
    ],
)
def test_a_file_that_does_not_say_how_tokens_are_checked_stops_the_upgrade(configured, lines, code):
    found = outcome(configured(*lines), "tokens can be checked")
    assert found.code is code
    assert ("[keystone_authtoken] auth_type" in found.details) == (code is Code.FAILURE)


def test_defaults_that_flip_are_told_until_the_operator_says_which_hold(configured):
    found = outcome(configured(), "policies mean what they meant")
    assert found.code is Code.WARNING
    assert "audit, creator, key-manager:service-admin, observer can do less" in found.details
    assert "enforce_new_defaults" in found.details
    for chosen in ("True", "False"):
        settings = configured("[oslo_policy]", f"enforce_new_defaults = {chosen}")
        assert outcome(settings, "policies mean what they meant").code is Code.SUCCESS


def test_what_the_operator_defines_does_not_flip(configured, tmp_path):
    flips = {flip.rule: flip for flip in find_flips(configured().options)}
    assert flips["secrets:post"].loses == ("creator",)
    assert flips["secrets:post"].gains == ("member",)
    assert flips["secret:get"].gains[0] == "admin"  # of any project
    (tmp_path / "policy.yaml").write_text('"secrets:post": "role:creator or role:member"\n"all_users": "!"')
    now = {flip.rule: flip for flip in find_flips(configured().options)}
    assert "secrets:post" not in now
    assert flips["quotas:get"].loses
    assert not now["quotas:get"].loses  # nobody had it before


def test_a_broken_policy_file_stops_the_upgrade(configured, tmp_path):
    (tmp_path / "policy.yaml").write_text("- a list")
    assert outcome(configured(), "policies mean what they meant").code is Code.FAILURE


def test_they_are_asked_by_the_upgrade_check(configured):
    settings = configured()
    names = [check.name for check in upgrade_checks(Parts(settings))]
    assert names[:2] == [check.name for check in identity_checks(settings)]
