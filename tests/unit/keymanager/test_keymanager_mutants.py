"""The bad upgrades of this release: what they do to the database can be done to it as this release expands it."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from bascule.gate.mutants import load_mutants
from bascule.schema import SchemaEngine, trigger_names
from bascule_keymanager.identity import RELEASE, UPGRADES_FROM
from bascule_keymanager.migrations.base import create_base
from bascule_keymanager.migrations.changes import CHANGES

MUTANTS = load_mutants(Path(__file__).parents[3] / "services" / "keymanager" / "mutants.toml")
TRIGGERS = {name for change in CHANGES for name in trigger_names(change)}
SHAPE = "SELECT name, sql FROM sqlite_master ORDER BY name"
SPOILERS = sorted(name for name, mutant in MUTANTS.items() if mutant.sql)


def test_what_ignores_the_pin_speaks_this_release():
    assert MUTANTS["pin-ignored"].environment == {"BASCULE_PIN_OVERRIDE": str(RELEASE)}


def test_a_bad_upgrade_is_one_from_releases_that_can_be_upgraded_from():
    assert {source for mutant in MUTANTS.values() for source in mutant.upgrades_from} <= set(UPGRADES_FROM)


@pytest.mark.parametrize("name", SPOILERS)
def test_a_bad_upgrade_drops_triggers_that_are_there_on_every_database(name):
    assert set(MUTANTS[name].sql) == {"sqlite", "mysql", "postgresql"}
    for statements in MUTANTS[name].sql.values():
        dropped = re.findall(r"DROP TRIGGER (\w+)", "\n".join(statements))
        assert dropped
        assert set(dropped) <= TRIGGERS


def nobody(_release):
    return []


@pytest.mark.parametrize("name", SPOILERS)
def test_what_a_bad_upgrade_does_can_be_done_when_its_step_has_ended(tmp_path, name):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'km.sqlite'}")
    schema = SchemaEngine(
        engine,
        release=RELEASE,
        changes=CHANGES,
        live_older=nobody,
        live_same=nobody,
        base=create_base,
    )
    schema.expand()
    if MUTANTS[name].after != "expand":
        schema.migrate()
    with engine.connect() as connection:
        before = connection.exec_driver_sql(SHAPE).all()
        for statement in MUTANTS[name].sql["sqlite"]:
            connection.exec_driver_sql(statement)
        assert connection.exec_driver_sql(SHAPE).all() != before
    engine.dispose()
