"""What a process is told through its environment, and how it answers."""

import os

import pytest

from bascule.errors import ReleaseError
from bascule.lifecycle import EnvironmentUnreadable, ProcessEnvironment, ReadyFileUnwritable
from bascule.release import Release


def test_an_empty_environment_gives_a_process_that_binds_and_drains():
    environment = ProcessEnvironment.read({})
    assert environment.instance.endswith(f"-{os.getpid()}")
    assert (environment.listen_fd, environment.listen) == (None, "127.0.0.1:9311")
    assert (environment.ready_file, environment.drain_s, environment.pin_override) == (None, 6.0, None)


def test_every_variable_is_read(tmp_path):
    environment = ProcessEnvironment.read(
        {
            "BASCULE_INSTANCE": "api-1",
            "BASCULE_READY_FILE": str(tmp_path / "ready"),
            "BASCULE_LISTEN_FD": "7",
            "BASCULE_LISTEN": "127.0.0.1:1",
            "BASCULE_DRAIN_S": "0",
            "BASCULE_PIN_OVERRIDE": "2027.1",
        }
    )
    assert environment == ProcessEnvironment(
        "api-1", tmp_path / "ready", 7, "127.0.0.1:1", 0.0, Release.parse("2027.1")
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("BASCULE_LISTEN_FD", "-1"), ("BASCULE_DRAIN_S", "soon"), ("BASCULE_DRAIN_S", "-1"), ("BASCULE_DRAIN_S", "inf")],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(EnvironmentUnreadable, match=name):
        ProcessEnvironment.read({name: value})


def test_an_override_that_is_no_release_is_refused():
    with pytest.raises(ReleaseError):
        ProcessEnvironment.read({"BASCULE_PIN_OVERRIDE": "newest"})


def test_the_ready_file_appears_whole_and_alone(tmp_path):
    ProcessEnvironment("api-1", ready_file=tmp_path / "ready").say_ready()
    assert [each.name for each in tmp_path.iterdir()] == ["ready"]
    assert (tmp_path / "ready").read_text() == f"{os.getpid()}\n"


def test_a_ready_file_that_cannot_be_written_is_a_refusal(tmp_path):
    with pytest.raises(ReadyFileUnwritable, match="No such file or directory"):
        ProcessEnvironment("api-1", ready_file=tmp_path / "missing" / "ready").say_ready()
