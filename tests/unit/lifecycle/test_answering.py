"""A connection's socket that holds the head of an answer until its body comes."""

import socket

import pytest

from bascule.lifecycle import answering
from bascule.lifecycle.answering import AnsweringSocket


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    theirs.settimeout(5)
    answering = AnsweringSocket.of(ours)
    yield answering, theirs
    answering.close()
    theirs.close()


def waiting(theirs):
    """Return what has come by now."""
    theirs.setblocking(False)
    try:
        return theirs.recv(1000)
    except BlockingIOError:
        return b""


def test_a_head_waits_for_its_body_and_nothing_else_waits(pair):
    ours, theirs = pair
    ours.hold()
    ours.sendall(b"head")
    assert waiting(theirs) == b""
    ours.sendall(b"body")
    assert waiting(theirs) == b"headbody"
    ours.sendall(b"more")
    assert waiting(theirs) == b"more"


def test_a_large_body_is_not_copied_to_go_with_its_head(pair, monkeypatch):
    ours, theirs = pair
    monkeypatch.setattr(answering, "_SMALL", 3)
    sent = []
    monkeypatch.setattr(socket.socket, "sendall", lambda _self, data, _flags=0: sent.append(data))
    for body in (b"abc", b"abcd"):
        ours.hold()
        ours.sendall(b"head")
        ours.sendall(body)
        ours.release()
    assert sent == [b"headabc", b"head", b"abcd"]
    assert waiting(theirs) == b""


def test_a_head_without_a_body_goes_with_the_release(pair):
    ours, theirs = pair
    ours.hold()
    ours.sendall(b"head")
    ours.release()
    assert waiting(theirs) == b"head"
    ours.release()
    ours.sendall(b"not held")
    assert waiting(theirs) == b"not held"


def test_an_informational_answer_goes_at_once(pair):
    ours, theirs = pair
    ours.hold()
    ours.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert waiting(theirs).startswith(b"HTTP/1.1 103")
    ours.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    assert waiting(theirs) == b""
    ours.sendall(b"body")
    assert waiting(theirs) == b"HTTP/1.1 200 OK\r\n\r\nbody"


def test_a_file_goes_after_the_head(pair, tmp_path):
    ours, theirs = pair
    (tmp_path / "file").write_bytes(b"content")
    ours.hold()
    ours.sendall(b"head")
    with (tmp_path / "file").open("rb") as file:
        ours.sendfile(file)
    assert theirs.recv(1000, socket.MSG_WAITALL | socket.MSG_PEEK)[:4] == b"head"
    assert waiting(theirs) == b"headcontent"


def test_what_could_not_be_sent_is_not_kept_for_the_next_answer(pair):
    ours, theirs = pair
    theirs.close()
    ours.hold()
    ours.sendall(b"head")
    with pytest.raises(OSError, match="Broken pipe"):
        ours.release()
    ours.release()


@pytest.mark.parametrize("before", [None, 0.0, 2.5])
def test_it_has_the_timeout_of_the_socket_whose_place_it_takes(before):
    plain, other = socket.socketpair()
    plain.settimeout(before)
    with AnsweringSocket.of(plain) as taken, other:
        assert taken.gettimeout() == before
        for value, flag in ((None, True), (0.0, False)):
            taken.setblocking(flag)
            assert taken.gettimeout() == value
        taken.settimeout(1.5)
        assert taken.gettimeout() == 1.5
    assert plain.fileno() == -1
