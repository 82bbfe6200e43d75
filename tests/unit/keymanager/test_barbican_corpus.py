"""The comparison with recorded Barbican tells every kind of difference, and the corpus holds nothing of its machine."""

import json
import re

import pytest
from support.barbican_corpus import (
    Actor,
    Answer,
    Area,
    Difference,
    Masks,
    MissingName,
    Outcome,
    Pair,
    compare,
    replay,
    request_of,
)
from support.barbican_lists import Intended, idle, load_not_yet, unintended, write_not_yet
from support.keymanager_replay import CORPUS

ID = "0b8c6a9e-4f5e-4d0c-9a3b-7a1d5c2e8f90"
JSON = {"Content-Type": "application/json"}


def answer(document, status=200):
    return Answer(status, JSON, json.dumps(document).encode())


@pytest.mark.parametrize(
    ("barbican", "ours", "where"),
    [
        ({"status": 200}, {"status": 201}, "status"),
        ({"headers": {"Vary": "a"}}, {"headers": {}}, "headers.Vary"),
        ({"headers": {}}, {"headers": {"Vary": "a"}}, "headers.Vary"),
        ({"json": {"a": None}}, {"json": {}}, "json.a"),
        ({"json": {"a": 1}}, {"json": {"a": True}}, "json.a"),
        ({"json": {"a": 1}}, {"json": {"a": 1.0}}, "json.a"),
        ({"json": {"a": [1, 2]}}, {"json": {"a": [2, 1]}}, "json.a.0"),
        ({"json": {"a": [1]}}, {"json": {"a": [1, 2]}}, "json.a"),
        ({"json": None}, {}, "json"),
        ({"text": "a"}, {"text": "b"}, "text"),
    ],
)
def test_a_difference_is_told_with_its_place(barbican, ours, where):
    assert where in [difference.where for difference in compare(barbican, ours)]


def test_equal_answers_do_not_differ_whatever_the_order_of_their_keys():
    assert compare({"json": {"a": 1, "b": [2]}}, {"json": {"b": [2], "a": 1}}) == []


def test_a_list_without_order_is_compared_as_a_set():
    one, two = {"json": {"secrets": [1, 2]}}, {"json": {"secrets": [2, 1]}}
    assert compare(one, two, "secrets") == []
    assert compare(one, two)
    assert compare(one, {"json": {"secrets": [1, 3]}}, "secrets")


def test_ids_hosts_and_times_are_masked_by_what_they_are():
    masks = Masks("http://here.example")
    given = answer({"secret_ref": f"http://here.example/v1/secrets/{ID}", "created": "2026-01-02T03:04:05.000006"})
    assert masks.learn({"first": "secret_ref"}, given) == []
    assert masks.hide_answer(given)["json"] == {"secret_ref": "{base}/v1/secrets/{first}", "created": "{time}"}


def test_a_time_that_is_none_is_not_masked():
    hidden = Masks("http://here.example").hide_answer(
        answer({"created": "yesterday", "expiration": "2999-01-01T00:00:00"})
    )
    assert hidden["json"] == {"created": "yesterday", "expiration": "2999-01-01T00:00:00"}


def test_an_id_that_was_not_given_cannot_be_asked_for():
    masks = Masks("http://here.example")
    assert masks.learn({"first": "secret_ref"}, answer({})) == ["first"]
    with pytest.raises(MissingName):
        request_of({"method": "GET", "path": "/v1/secrets/{first}"}, masks)


def test_a_long_text_is_short_in_the_corpus():
    masks = Masks("http://here.example")
    assert masks.fill("{40 times ab}") == "ab" * 40
    assert masks.hide("x" * 40) == "{40 times x}"


def test_a_generated_payload_is_known_by_its_shape():
    masks = Masks("http://here.example")
    pem = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert masks.hide_answer(Answer(200, {}, bytes(32)), generated=True)["generated"] == "32 bytes"
    assert masks.hide_answer(Answer(200, {}, pem), generated=True)["generated"] == "PEM PRIVATE KEY"


def test_a_pair_that_needs_a_missing_id_differs_and_the_next_one_is_still_asked():
    lacking = Pair("area", "lacking", "member", {"method": "GET", "path": "/{gone}"}, {}, {})
    plain = Pair(
        "area", "plain", "member", {"method": "GET", "path": "/"}, {"status": 200, "headers": JSON, "json": 1}, {}
    )
    area = Area("area", "", {}, {"member": Actor("p", "u", ())}, (lacking, plain))
    outcomes = list(replay(area, lambda _request, _actor: answer(1), Masks("http://here.example"), lambda: None))
    assert [outcome.matches for outcome in outcomes] == [False, True]
    assert "gone" in str(outcomes[0])


def test_only_a_difference_that_is_listed_is_meant():
    outcome = Outcome(
        Pair("area", "name", "member", {}, {}, {}), (Difference("json.a", 1, 2), Difference("status", 1, 2))
    )
    meant = Intended("json.*", ("area: n*",), "because", ours=2)
    assert unintended(outcome, [meant]) == (Difference("status", 1, 2),)
    assert unintended(outcome, [Intended("json.*", ("area: n*",), "because", ours=3)]) == outcome.differences
    assert idle([meant, Intended("json.b", ("area: name",), "gone")], [outcome]) == ["json.b of area: name"]


def test_the_list_keeps_its_heading_and_is_sorted(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# heading\nold: one\n")
    write_not_yet({"b: two", "a: one"}, path)
    assert path.read_text() == "# heading\na: one\nb: two\n"
    assert load_not_yet(path) == {"a: one", "b: two"}


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.json")), ids=lambda path: path.stem)
def test_the_corpus_holds_no_token_host_or_id_of_its_recording(path):
    text = re.sub("1{8}-?1{4}-?[14]1{3}-?81{3}-?1{12}", "", path.read_text())
    assert not re.search(r"gAAAA|127\.0\.0\.1|localhost|X-Auth-Token|\{unnamed\}", text)
    assert not re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{32}\b", text)
