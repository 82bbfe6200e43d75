import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner
from support.people import columns, create_people, make_engine, phases, write
from support.waiting import eventually

from bascule.errors import SchemaError
from bascule.schema import schema_cli

ROWS = [(f"{number:02}", f"First{number} Last{number}", f"nick{number}") for number in range(20)]
TESTS = pathlib.Path(__file__).parents[2]


@pytest.fixture
def run(db):
    create_people(db, ROWS)

    def invoke(*arguments, older=()):
        group = schema_cli(lambda: make_engine(db, older=lambda _: list(older)))
        return CliRunner().invoke(group, list(arguments), prog_name="service-db-manage")

    return invoke


@pytest.mark.parametrize("form", ["{}", "--{}"])
def test_the_three_phases_run_as_commands_and_as_options(db, run, form):
    for phase in ("expand", "migrate", "contract"):
        assert run(form.format(phase)).exit_code == 0
    assert '"contracted"' in run("status", "--json").stdout


@pytest.mark.parametrize("arguments", [("status", "--json"), ("--json", "status"), ("--expand", "--json")])
def test_json_prints_one_document_and_nothing_else(run, arguments):
    result = run(*arguments)
    changes = json.loads(result.stdout)["changes"]
    assert [change["id"] for change in changes] == ["people-names", "people-alias"]
    assert changes[0]["release"] == "2027.1"
    assert changes[0]["table"] == "people"


def test_progress_goes_to_stderr(run):
    run("expand")
    result = run("migrate", "--json")
    assert "backfill people-names: " in result.stderr
    assert "verify people-alias: 20 of 20 rows, 0 stale" in result.stderr
    assert json.loads(result.stdout)["changes"][0]["phase"] == "synced"


def test_a_refusal_is_one_sentence_with_the_next_command_and_code_1(run):
    result = run("contract")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "Error: change people-names is planned, and must be expanded first; next: service-db-manage expand"
    ]


def test_contract_too_early_names_the_older_process(run):
    run("expand")
    run("migrate")
    result = run("contract", older=["api-1"])
    assert result.exit_code == 1
    assert "api-1" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments", [(), ("--expand", "--contract"), ("--expand", "status"), ("nonsense",), ("--no",)]
)
def test_wrong_usage_ends_with_code_2(run, arguments):
    assert run(*arguments).exit_code == 2


def test_verify_fails_when_a_trigger_is_gone_and_rollback_can_be_typed(db, run):
    run("expand")
    assert run("verify").exit_code == 0
    write(db, "DROP TRIGGER bsc_g9_people_alias_upd_new")
    result = run("verify")
    assert result.exit_code == 1
    assert "bsc_g9_people_alias_upd_new" in result.stderr
    assert run("rollback").exit_code == 0
    assert columns(db) == ["id", "fullname", "nick", "age"]


def test_a_side_may_be_preferred(db, run):
    run("expand")
    run("migrate")
    write(db, "DROP TRIGGER bsc_g9_people_alias_upd_new")
    write(db, "UPDATE people SET alias = 'unheard' WHERE id = '05'")
    run("expand")
    refused = run("migrate")
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[-1].endswith("next: service-db-manage migrate --prefer old")
    assert run("migrate", "--prefer", "new").exit_code == 0


def test_an_engine_that_cannot_be_made_is_one_sentence_too():
    def make():
        raise SchemaError("the configuration names no database")

    result = CliRunner().invoke(schema_cli(make), ["status"])
    assert result.exit_code == 1
    assert result.stderr == "Error: the configuration names no database\n"


SLOW = """
import sys
import sqlalchemy as sa
from bascule.schema import Options, Pace, schema_cli
from support.people import make_engine
db = sa.create_engine(sys.argv.pop(1))
schema_cli(lambda: make_engine(db, options=Options(pace=Pace(0.0001, 1, 0.2))))(prog_name="slow")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_at_the_edge_of_a_batch_with_code_3_and_the_next_run_goes_on(db, run, number):
    for group in range(20):
        write(db, "INSERT INTO people (id, nick) VALUES (:id, 'x')", *({"id": f"{group}-{n}"} for n in range(20)))
    assert run("expand").exit_code == 0
    schema = make_engine(db)
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(db.url), "migrate"],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stderr=subprocess.PIPE,
        text=True,
    ) as migrate:
        eventually(lambda: schema.status()[0].rows_done > 3, what="the backfill")
        migrate.send_signal(number)
        _, told = migrate.communicate(timeout=20)
    assert migrate.returncode == 3
    last = told.splitlines()[-1]
    assert last.startswith("Error: stopped at ")
    assert last.endswith("next: slow migrate")
    assert 0 < schema.status()[0].rows_done < 420
    assert phases(schema.migrate()) == {"people-names": "synced", "people-alias": "synced"}
