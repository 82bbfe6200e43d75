"""Lines of a log are whole, in order, and written at once, or within a moment."""

import io
import threading

import pytest
from support.waiting import eventually

from bascule_keymanager import log_lines
from bascule_keymanager.log_lines import LogLines


@pytest.fixture
def file():
    return io.StringIO()


@pytest.fixture
def lines(file):
    lines = LogLines(lambda: file)
    yield lines
    lines.stop()


def test_a_line_is_written_at_once(lines, file):
    lines.write("one\n")
    assert file.getvalue() == "one\n"


def test_gathered_lines_come_within_a_moment(lines, file):
    lines.gather()
    for word in ("one\n", "two\n"):
        lines.write(word)
    eventually(lambda: file.getvalue().count("\n") == 2)
    lines.write("three\n")
    eventually(lambda: file.getvalue().count("\n") == 3)
    assert file.getvalue() == "one\ntwo\nthree\n"


def test_what_waits_is_written_when_it_ends(lines, file, monkeypatch):
    monkeypatch.setattr(log_lines, "_EVERY_S", 60)
    lines.gather()
    lines.write("one\n")
    lines.stop()
    assert file.getvalue() == "one\n"
    lines.write("two\n")
    assert file.getvalue() == "one\ntwo\n"
    lines.stop()


def test_what_waits_is_written_when_asked_for(lines, file, monkeypatch):
    monkeypatch.setattr(log_lines, "_EVERY_S", 60)
    lines.gather()
    lines.write("one\n")
    assert file.getvalue() == ""
    lines.write_out()
    assert file.getvalue() == "one\n"


def test_whoever_writes_writes_out_what_waits_when_it_is_much(lines, file, monkeypatch):
    monkeypatch.setattr(log_lines, "_EVERY_S", 60)
    monkeypatch.setattr(log_lines, "_MOST", 3)
    lines.gather()
    for number in range(4):
        lines.write(f"{number}\n")
    assert file.getvalue() == "0\n1\n2\n3\n"


def test_no_line_is_lost_or_torn_between_threads(lines, file):
    lines.gather()

    def write(name):
        for number in range(500):
            lines.write(f"{name} {number}\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines.stop()
    written = file.getvalue().splitlines()
    assert len(written) == 2000
    for name in "abcd":
        assert [line for line in written if line.startswith(name)] == [f"{name} {number}" for number in range(500)]


@pytest.mark.parametrize("failure", [OSError(28, "full"), ValueError("closed")])
def test_a_file_that_takes_nothing_fails_nobody(failure):
    tried = []

    class Full(io.StringIO):
        def write(self, text):
            tried.append(text)
            raise failure

    lines = LogLines(Full)
    lines.write("one\n")
    lines.gather()
    lines.write("two\n")
    lines.stop()
    assert tried == ["one\n", "two\n"]
