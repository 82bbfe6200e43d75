"""What 2026.2.1 asks before it takes the place of a running Barbican."""

import pytest
import sqlalchemy as sa

from bascule.checks import Code
from bascule_keymanager.adoption_checks import adoption_checks
from bascule_keymanager.config import load_settings
from bascule_keymanager.migrations.base import create_base
from bascule_keymanager.service import Parts

KEK = "dGhpcnR5X3R3b19ieXRlX2tleWJsYWhibGFoYmxhaGg="


@pytest.fixture
def asked(tmp_path):
    def ask(*, queue="", broker="rabbit://here:1/", base=True, revision=None):
        path = tmp_path / "barbican.conf"
        database = tmp_path / "barbican.db"
        path.write_text(
            f"[DEFAULT]\ntransport_url = {broker}\n[database]\nconnection = sqlite:///{database}\n"
            f"[simple_crypto_plugin]\nkek = {KEK}\n[queue]\n{queue}\n"
        )
        parts = Parts(load_settings(str(path)))
        if base:
            parts.database.write(create_base)
        if revision:
            parts.database.write(
                lambda one: one.execute(sa.text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
            )
        return {check.name: check.ask() for check in adoption_checks(parts)}

    return ask


TABLES, WORK = "Barbican's tables are those that we know", "work is shared with Barbican's workers"


def test_tables_of_another_revision_are_refused(asked):
    assert asked(queue="share_with_barbican = True")[TABLES][0] is Code.SUCCESS
    code, why = asked(queue="share_with_barbican = True", revision="0f8c192a061f")[TABLES]
    assert code is Code.FAILURE
    assert "0f8c192a061f" in why


def test_work_must_be_shared_where_there_is_a_broker_and_barbican_may_run(asked):
    assert asked(queue="share_with_barbican = True")[WORK][0] is Code.SUCCESS
    code, why = asked()[WORK]
    assert code is Code.FAILURE
    assert "share_with_barbican" in why


def test_an_empty_database_and_one_without_a_broker_need_nothing(asked):
    assert {code for code, _ in asked(base=False).values()} == {Code.SUCCESS}
    assert asked(broker="")[WORK][0] is Code.SUCCESS
