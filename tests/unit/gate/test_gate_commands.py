"""`bascule gate judge` and `report` print the verdict and end with its exit code."""

import json

import pytest
from click.testing import CliRunner

from bascule.cli.gate import gate
from bascule.documents.codec import canonical
from bascule.documents.journal import RunDocument
from bascule.gate.history import HistoryWriter, Operation
from bascule.release import Release

OLD, NEW = Release.parse("1"), Release.parse("2")


@pytest.fixture
def files(tmp_path):
    """Return the arguments that name a small, clean run in which both releases answered."""
    run = RunDocument("r", "store", OLD, NEW, "hash", "finished", ())
    (tmp_path / "run.json").write_text(canonical(run))
    writer = HistoryWriter(tmp_path / "history.jsonl")
    writer.add(Operation(0, "create", "create", "preload", 1, 1, 2, "ok", key="k", status=201, release="1", hash="h"))
    for n in range(1, 41):
        phase = "load" if n < 40 else "final"
        fields = {"key": "k", "hash": "h", "state": "present", "status": 200, "release": str(1 + n % 2)}
        writer.add(Operation(n, "read", "read", phase, 2 + n / 10, 2 + n / 10, 2.01 + n / 10, "ok", **fields))
    writer.close()
    return ["--history", tmp_path / "history.jsonl", "--run", tmp_path / "run.json", "--source", "1", "--target", "2"]


def invoke(*arguments):
    return CliRunner().invoke(gate, [str(each) for each in arguments])


SMALL = ("--requests", 30, "--rate", 5, "--mixed-answers", 10)


def test_a_clean_run_ends_with_0_and_prints_its_numbers(files, tmp_path):
    result = invoke("judge", *files, *SMALL, "--report", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("PASS  store 1 -> 2")
    assert "39 requests at 10.3/s: 0 failed, 0 lost, 0 wrong" in result.stdout
    assert (tmp_path / "report/report.html").exists()


def test_a_run_that_proves_nothing_ends_with_3_and_says_why(files):
    result = invoke("judge", *files)
    assert result.exit_code == 3
    assert "[load-too-small]" in result.stdout


def test_a_faulty_run_ends_with_1(files, tmp_path):
    with (tmp_path / "history.jsonl").open("a") as history:
        line = {
            "n": 99,
            "op": "read",
            "kind": "read",
            "phase": "load",
            "at": 3,
            "start": 3,
            "end": 4,
            "outcome": "fail",
        }
        history.write(json.dumps(line | {"error": "reset"}) + "\n")
    result = invoke("judge", *files, *SMALL)
    assert result.exit_code == 1
    assert "1 request lost the connection to a reset" in result.stdout


def test_json_is_the_document_and_nothing_else(files):
    result = invoke("judge", *files, *SMALL, "--json")
    assert json.loads(result.stdout)["verdict"] == "PASS"


def test_a_report_is_made_again_from_its_json(files, tmp_path):
    invoke("judge", *files, *SMALL, "--report", tmp_path / "report")
    (tmp_path / "report/report.html").unlink()
    result = invoke("report", tmp_path / "report/report.json")
    assert result.exit_code == 0
    assert (tmp_path / "report/report.html").exists()


def test_what_cannot_be_read_gives_one_sentence_and_the_next_command(files, tmp_path):
    (tmp_path / "history.jsonl").write_text("no\n")
    result = invoke("judge", *files)
    assert "line 1 is not an operation" in result.exception.sentence
    assert "run the load again" in result.exception.next_command
    assert "'x' is not a release name" in invoke("judge", *files[:-1], "x").exception.sentence
    (tmp_path / "run.json").write_text("{")
    assert "is not a JSON document" in invoke("judge", *files).exception.sentence
