"""What Barbican reads and writes is not taken away while one may be there."""

import dataclasses
import json
import sys

import pytest
import sqlalchemy as sa

from bascule.schema.state import Phase
from bascule_keymanager.cli import db_manage, status
from bascule_keymanager.config_messaging import Messaging
from bascule_keymanager.service import Parts
from bascule_keymanager.sharing import BarbicanMayBeThere

SHARING = "[DEFAULT]\ntransport_url = rabbit://guest:hunter2@127.0.0.1:1/\n[queue]\nshare_with_barbican = True\n"
PHASES = {"contract": ["contract"], "purge": ["purge", "--yes"], "fence --refuse": ["fence", "--refuse"]}


@pytest.fixture
def run(keymanager, tmp_path, monkeypatch, capsys):
    """Run a command with more in the configuration file; return its results, or its last words when it is refused."""

    def one(module, *arguments, also="", code=0):
        config = tmp_path / "keymanager.conf"
        settings = keymanager.settings
        config.write_text(
            f"[database]\nconnection = {settings.database_url}\nsqlite_synchronous = False\n"
            f"[simple_crypto_plugin]\nkek = {settings.keks[0]}\n{also}"
        )
        monkeypatch.setenv("KEYMANAGER_CONFIG", str(config))
        monkeypatch.setattr(sys, "argv", [module.__name__, *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            module.main()
        printed = capsys.readouterr()
        assert code in (end.value.code or 0, None), printed.err
        return printed.out or printed.err

    return one


def phases(keymanager):
    return {change.phase for change in keymanager.parts.schema.status()}


def columns(keymanager):
    return {column["name"] for column in sa.inspect(keymanager.database.reader).get_columns("secrets")}


@pytest.mark.parametrize("phase", PHASES)
def test_no_phase_takes_from_barbican_what_it_uses_while_the_option_says_that_it_is_there(keymanager, run, phase):
    if phase == "purge":
        run(db_manage, "contract")
    before = phases(keymanager)
    refused = run(db_manage, *PHASES[phase], also=SHARING, code=1)
    assert refused.startswith(f"Error: {phase} ends what Barbican reads and writes, and [queue] share_with_barbican is")
    assert refused.endswith(f"; next: keymanager-db-manage {phase}\n")
    assert "hunter2" not in refused
    assert phases(keymanager) == before
    assert "name" in columns(keymanager)


def test_they_go_through_once_it_is_taken_out(keymanager, run):
    run(db_manage, "--contract", also=SHARING, code=1)
    run(db_manage, "fence", "--refuse")
    run(db_manage, "contract")
    assert phases(keymanager) == {Phase.CONTRACTED}
    run(db_manage, "purge", "--yes")
    assert phases(keymanager) == {Phase.PURGED}
    assert "name" not in columns(keymanager)


def test_what_barbican_can_live_with_goes_on_beside_it(keymanager, run):
    for command in ("expand", "migrate", "fence", "verify"):
        run(db_manage, command, also=SHARING)
    assert phases(keymanager) == {Phase.FENCED}


def test_a_barbican_that_nobody_told_of_is_seen_by_what_it_writes_once_there_is_a_fence(keymanager, run, post_secret):
    run(db_manage, "fence")
    path = post_secret()  # ours is not taken for it
    with keymanager.database.writer.begin() as connection:
        text = sa.text("UPDATE secrets SET name = 'by Barbican' WHERE id = :id")
        assert connection.execute(text, {"id": path.rpartition("/")[2]}).rowcount == 1
    assert "saw 1 writes to secrets in the old release's shape" in run(db_manage, "contract", code=1)
    assert Phase.CONTRACTED not in phases(keymanager)


def test_they_wait_for_a_broker_that_does_not_say_whether_barbican_listens(keymanager):
    parts = Parts(dataclasses.replace(keymanager.settings, messaging=Messaging(url="rabbit://g:hunter2@127.0.0.1:1/")))
    for phase in (parts.schema.contract, parts.schema.purge):
        with pytest.raises(BarbicanMayBeThere, match="the broker does not answer at 127.0.0.1:1") as refused:
            phase()
        assert "hunter2" not in refused.value.sentence
    parts.database.dispose()
    assert phases(keymanager) == {Phase.SYNCED}


def test_the_upgrade_check_says_so_before_anything_is_changed(run):
    def answer(also):
        checks = json.loads(run(status, "upgrade", "check", "--json", also=also, code=None))["checks"]
        [asked] = [check for check in checks if check["check"] == "no Barbican works on these tables"]
        return asked

    refused = answer(SHARING)
    assert refused["result"] == 2
    assert "go on when the last of it is gone" in refused["details"]
    assert answer("")["result"] == 0
