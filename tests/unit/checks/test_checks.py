"""Upgrade checks and the command that asks them."""

import json

import pytest
from click.testing import CliRunner

from bascule.checks import Check, Code, Outcome, failure, run_checks, status_command, success, warning, worst
from bascule.errors import BasculeError


def good():
    return success()


def doubtful():
    return warning("two processes have not been seen for a while; look at them")


def bad():
    return failure("rows of the last release are not migrated; run keymanager-db-manage migrate " + "first " * 20)


def broken():
    raise ZeroDivisionError(f"the secret is {7500 + 31}")


def refusing():
    raise BasculeError("no database", next_command="keymanager-db-manage status")


def ask(*asks, args=("upgrade", "check")):
    checks = [Check(each.__name__.capitalize(), each) for each in asks]
    return CliRunner().invoke(status_command("keymanager", lambda: checks), list(args))


def test_every_check_is_asked_also_after_a_failure():
    outcomes = run_checks([Check("a", bad), Check("b", doubtful), Check("c", good)])
    assert [each.code for each in outcomes] == [Code.FAILURE, Code.WARNING, Code.SUCCESS]
    assert worst(outcomes) is Code.FAILURE
    assert worst([]) is Code.SUCCESS


def test_a_refusal_is_a_failure_that_says_what_to_type():
    assert run_checks([Check("a", refusing)]) == (
        Outcome("a", Code.FAILURE, "no database; next: keymanager-db-manage status"),
    )


@pytest.mark.parametrize(
    ("asks", "exit_code"), [([], 0), ([good], 0), ([good, doubtful], 1), ([bad, doubtful], 2), ([good, broken], 255)]
)
def test_the_exit_code_is_the_worst_answer(asks, exit_code):
    assert ask(*asks).exit_code == exit_code


def test_the_table_is_as_wide_as_it_must_be_and_names_result_and_details():
    result = ask(good, bad)
    lines = result.stdout.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 80
    assert lines[1].startswith("| Upgrade Check Results")
    assert "| Check: Good" in result.stdout
    assert "| Result: Success" in result.stdout
    assert "| Details: None" in result.stdout
    assert "| Result: Failure" in result.stdout


def test_json_is_one_document_and_nothing_else():
    result = ask(good, doubtful, args=("upgrade", "check", "--json"))
    document = json.loads(result.stdout)
    assert document["code"] == result.exit_code == 1
    assert [each["result"] for each in document["checks"]] == [0, 1]


def test_a_broken_check_never_shows_its_values():
    result = ask(broken, args=("upgrade", "check", "--json"))
    assert (result.stdout, result.exit_code) == ("", 255)
    assert "could not be asked: ZeroDivisionError" in result.stderr
    assert "7531" not in result.stderr


# What oslo.upgradecheck 2.8.0 prints for these three checks, to the letter.
PEERS_TABLE = """\
+-----------------------------------------------------------------------+
| Upgrade Check Results                                                 |
+-----------------------------------------------------------------------+
| Check: Database                                                       |
| Result: Success                                                       |
| Details: None                                                         |
+-----------------------------------------------------------------------+
| Check: Processes                                                      |
| Result: Warning                                                       |
| Details: two processes have not been seen for a while; look at them   |
|   before you begin, and then again when it is over                    |
+-----------------------------------------------------------------------+
| Check: Rows of the last release                                       |
| Result: Failure                                                       |
| Details: rows are not migrated; run small-db-manage migrate --with-a- |
|   very-long-option-that-does-not-fit-into-any-line-of-sixty-          |
|   characters-at-all first                                             |
+-----------------------------------------------------------------------+
"""
PROCESSES = (
    "two processes have not been seen for a while; look at them before you begin, and then again when it is over"
)
ROWS = (
    "rows are not migrated; run small-db-manage migrate "
    "--with-a-very-long-option-that-does-not-fit-into-any-line-of-sixty-characters-at-all first"
)
PEERS_DOCUMENT = {
    "name": "Upgrade Check Results",
    "checks": [
        {"check": "Database", "result": 0, "details": None},
        {"check": "Processes", "result": 1, "details": PROCESSES},
        {"check": "Rows of the last release", "result": 2, "details": ROWS},
    ],
}


def ask_as_peer(*args):
    checks = [
        Check("Database", success),
        Check("Processes", lambda: warning(PROCESSES)),
        Check("Rows of the last release", lambda: failure(ROWS)),
    ]
    return CliRunner().invoke(status_command("small", lambda: checks), ["upgrade", "check", *args])


def test_the_table_and_the_exit_code_are_those_of_oslo_upgradecheck():
    result = ask_as_peer()
    assert (result.stdout, result.exit_code) == (PEERS_TABLE, 2)


def test_the_document_holds_all_that_oslo_upgradecheck_says():
    result = ask_as_peer("--json")
    document = json.loads(result.stdout)
    assert {name: document[name] for name in PEERS_DOCUMENT} == PEERS_DOCUMENT
    assert (document["service"], document["code"], result.exit_code) == ("small", 2, 2)
