"""The upgrade check looks around the key manager, too: each of its questions has an answer that stops an upgrade."""

import dataclasses
import os
import stat
from pathlib import Path

import pytest

from bascule.checks import Code
from bascule_keymanager.config_messaging import Messaging
from bascule_keymanager.host_checks import host_checks
from bascule_keymanager.service import Parts

PLENTY = 10**12


@pytest.fixture
def ask(keymanager):
    """Ask one of the checks of a key manager with other settings."""
    made = []

    def one(name, free=PLENTY, **changes):
        parts = Parts(dataclasses.replace(keymanager.settings, **changes))
        made.append(parts)
        [check] = [check for check in host_checks(parts, lambda _path: free) if check.name == name]
        return check.ask()

    yield one
    for parts in made:
        parts.database.dispose()


def test_there_must_be_room_for_a_copy_of_the_database(ask):
    name = "there is room on the disk"
    assert ask(name)[0] is Code.SUCCESS
    code, details = ask(name, free=1_000_000)
    assert code is Code.FAILURE
    assert details.startswith("1 MB are free where the database is")
    assert "make room for 68 MB" in details


def test_the_database_must_be_writable(ask, keymanager, monkeypatch):
    name = "the database user may do what is needed"
    assert ask(name)[0] is Code.SUCCESS
    file = Path(keymanager.settings.database_url.removeprefix("sqlite:///"))
    if os.geteuid() == 0:  # root may write everything: ask the mode instead
        monkeypatch.setattr(os, "access", lambda path, _mode: bool(Path(path).stat().st_mode & stat.S_IWUSR))
    file.chmod(0o400)
    code, details = ask(name)
    file.chmod(0o600)
    assert code is Code.FAILURE
    assert str(file) in details


def test_a_configured_broker_must_answer_and_its_password_is_not_repeated(ask):
    name = "the broker can be reached"
    assert ask(name) == (Code.SUCCESS, "none is configured")
    code, details = ask(name, messaging=Messaging(url="rabbit://guest:hunter2@127.0.0.1:1/"))
    assert code is Code.FAILURE
    assert details.startswith("the broker does not answer at 127.0.0.1:1 (")
    assert "hunter2" not in details


def test_an_address_of_references_that_is_not_set_is_warned_about(ask):
    name = "references do not change"
    assert ask(name)[0] is Code.WARNING
    assert ask(name, host_href="http://k.example") == (Code.SUCCESS, "http://k.example")


def test_payloads_in_another_format_than_the_configured_one_are_counted(ask, post_secret):
    name = "payloads are sealed as configured"
    post_secret()
    assert ask(name)[0] is Code.SUCCESS
    code, details = ask(name, crypto_plugins=("envelope",))
    assert code is Code.WARNING
    assert details.startswith("1 payloads")
    assert "payloads reseal --to envelope" in details
