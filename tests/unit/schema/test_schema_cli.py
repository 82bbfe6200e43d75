import json
import os
import pathlib
import signal
import subprocess
import sys
from functools import partial

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from support.people import columns, create_people, make_engine, phases, write
from support.waiting import eventually

from bascule.errors import SchemaError
from bascule.schema import SetNotNull, schema_cli

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


def test_plan_prints_what_will_be_done_and_does_nothing(db, run):
    before = sa.inspect(db).get_table_names()
    result = run("plan")
    assert result.exit_code == 0
    assert "people: about 20 rows" in result.stdout
    assert "expand  people-alias  (2027.1, table people)" in result.stdout
    assert "undo: ALTER TABLE people DROP COLUMN alias" in result.stdout
    assert "removes people.nick: the point of no return" in result.stdout
    assert "not kept by a way back: a name without a blank" in result.stdout
    assert sa.inspect(db).get_table_names() == before


def test_plan_as_sql_is_what_expand_runs(db, run):
    script = run("plan", "--sql").stdout
    run("expand")
    statements = [entry["statement"] for entry in json.loads(run("history", "--json").stdout)["statements"]]
    assert len(statements) > 10
    assert [sql for sql in statements if f"{sql};" not in script] == []


def test_a_finished_plan_is_empty(run):
    for phase in ("expand", "migrate", "contract"):
        run(phase)
    assert run("purge", "--yes").exit_code == 0
    assert "nothing is left to do" in run("plan").stdout
    assert json.loads(run("plan", "--json").stdout)["phases"] == []


def test_the_exit_code_of_status_tells_what_is_next(run):
    for phase, code in (("expand", 3), ("migrate", 4), ("fence", 5), ("contract", 5)):
        assert run("status").exit_code == code
        assert run(phase).exit_code == 0
    assert run("status").exit_code == 0


def test_purge_without_a_terminal_wants_yes(db, run):
    for phase in ("expand", "migrate", "contract"):
        run(phase)
    refused = run("purge")
    assert refused.exit_code == 2
    assert "removes people.fullname: the point of no return" in refused.stderr
    assert "fullname" in columns(db)
    assert run("purge", "--yes").exit_code == 0
    assert "fullname" not in columns(db)


def test_rollback_tells_what_was_lost(db, run):
    run("expand")
    write(db, "UPDATE people SET first = 'Ada Maria' WHERE id = '05'")
    result = run("rollback")
    assert result.exit_code == 0
    assert (
        "lost with people-names (people): a name without a blank gets one at its end; rows concerned: 1"
        in result.stderr
    )


def test_rollback_can_keep_both_sides_in_step_and_stop_at_a_release(db, run):
    for phase in ("expand", "migrate", "contract"):
        run(phase)
    assert run("rollback", "--keep-synced").exit_code == 0
    assert '"synced"' in run("status", "--json").stdout
    assert run("rollback", "--to", "2027.1").exit_code == 0
    assert "alias" in columns(db)
    assert run("rollback", "--to", "2026.2").exit_code == 0
    assert "alias" not in columns(db)
    assert run("rollback", "--to", "nonsense").exit_code == 2


def test_a_fence_counts_old_writes_and_contract_names_them(db, run):
    for phase in ("expand", "migrate", "fence"):
        run(phase)
    write(db, "UPDATE people SET nick = 'late' WHERE id = '05'")
    refused = run("contract")
    assert refused.exit_code == 1
    assert "change people-alias saw 1 writes to people in the old release's shape" in refused.stderr
    assert run("fence").exit_code == 0
    assert run("contract").exit_code == 0


def test_a_fence_may_refuse_old_writes(db, run):
    for phase in (("expand",), ("migrate",), ("fence", "--refuse")):
        assert run(*phase).exit_code == 0
    with pytest.raises(sa.exc.IntegrityError, match="in the old shape, which is fenced off"):
        write(db, "UPDATE people SET nick = 'late' WHERE id = '05'")
    write(db, "UPDATE people SET alias = 'new' WHERE id = '05'")
    run("rollback", "--keep-synced")
    write(db, "UPDATE people SET nick = 'again' WHERE id = '05'")


def test_a_probe_that_fails_holds_migrate_back_until_it_is_stopped(run):
    run("expand")
    assert run("migrate", "--probe-limit", "3").exit_code == 2
    assert run("migrate", "--probe", "true", "--pace", "gentle").exit_code == 0


def test_history_tells_every_statement_and_how_long_it_took(run):
    run("expand")
    lines = run("history").stdout.splitlines()
    assert any("people-alias expanding" in line and "ADD COLUMN alias" in line and " ms: " in line for line in lines)


def test_online_data_migrations_end_with_the_codes_that_nova_made_known(db, run):
    assert run("online_data_migrations", "--max-count", "0").exit_code == 127
    assert run("online_data_migrations", "--max-count", "many").exit_code == 127
    assert run("online_data_migrations").exit_code == 2
    run("expand")
    first = run("online_data_migrations", "--max-count", "5")
    assert first.exit_code == 1
    assert "people-names: 20 found, " in first.stdout
    codes = [run("online_data_migrations", "--max-count", "10").exit_code for _ in range(10)]
    assert codes[-1] == 0
    assert codes == sorted(codes, reverse=True)
    document = json.loads(run("online_data_migrations", "--json").stdout)
    assert (document["code"], [change["found"] for change in document["changes"]]) == (0, [0, 0])
    assert '"synced"' in run("status", "--json").stdout


def test_rows_that_somebody_must_mend_are_blocked(db):
    create_people(db, ROWS)
    strict = SetNotNull(id="nick-strict", table="people", column="nick", type=sa.String(50))
    write(db, "UPDATE people SET nick = NULL WHERE id = '05'")
    invoke = partial(CliRunner().invoke, schema_cli(lambda: make_engine(db, [strict])))
    assert invoke(["expand"]).exit_code == 0
    result = invoke(["online_data_migrations"])
    assert result.exit_code == 3
    assert "nick-strict: 21 found, 20 done, 1 blocked" in result.stdout
    write(db, "UPDATE people SET nick = '' WHERE id = '05'")
    assert invoke(["online_data_migrations"]).exit_code == 0
