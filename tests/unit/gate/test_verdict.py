"""The verdict is PASS only for a run that proves something and shows no fault; every reason says what and when."""

import dataclasses

import pytest

from bascule.documents.codec import from_plain, to_plain
from bascule.documents.evidence import Evidence
from bascule.documents.journal import RunDocument, StepRecord
from bascule.documents.status import ProcessStatus, ServiceStatus
from bascule.gate.history import HistoryUnreadable, HistoryWriter, Operation
from bascule.gate.verdict import Limits, judge, judge_operations, worst
from bascule.release import Release

OLD, NEW = Release.parse("2026.2"), Release.parse("2027.1")
T0 = 1_000_000.0


def step(name, phase, start, end, *, op="soak", state="done", error=None, no_return=False):
    took = None if end is None else end - start
    return StepRecord(
        id=name,
        title=f"Title of {name}",
        phase=phase,
        op=op,
        target="fleet",
        state=state,
        attempts=1,
        started_at=T0 + start,
        ended_at=None if end is None else T0 + end,
        planned_s=5.0,
        actual_s=took,
        point_of_no_return=no_return,
        error=error,
    )


STEPS = (
    step("expand", "expand", 10, 15),
    step("replace", "roll", 15, 40),
    step("contract", "contract", 45, 50, no_return=True),
)
RUN = RunDocument("run-1", "store", OLD, NEW, "hash", "finished", STEPS)


def history():
    """Return 3,000 reads in 60 s, ten keys, one order; the new release answers from 15 s on, the old until 40 s."""
    operations = [
        Operation(
            n, "create", "create", "preload", T0 - 9, T0 - 9, T0 - 8, "ok", key=f"k{n}", status=201, release=str(OLD),
            hash=f"h{n}", makes=1,
        )
        for n in range(10)
    ]  # fmt: skip
    for n in range(10, 3030):
        second = (n - 10) / 50
        release = OLD if second < 15 or (second < 40 and n % 2) else NEW
        operations.append(read(n, second, f"k{n % 10}", release))
    operations.append(dataclasses.replace(read(4000, 20, "o", OLD), op="order", kind="order", hash=None, state=None))
    done = dataclasses.replace(read(4001, 21, "o", NEW), op="poll", kind="poll", hash=None, state="done", made="m")
    operations += [done, dataclasses.replace(read(4002, 22, "m", NEW), hash="hm")]
    return [*operations, *(read(5000 + n, 62, f"k{n}", NEW, phase="final") for n in range(10))]


def read(n, second, key, release, *, phase="load", took=0.02):
    at = T0 + second
    hashed = key.replace("k", "h")
    return Operation(
        n, "read", "read", phase, at, at, at + took, "ok", key=key, status=200, release=str(release), hash=hashed,
        instance="api-1", state="present", connection="kept",
    )  # fmt: skip


def judged(operations, run=RUN, statuses=(), **limits):
    return judge_operations(operations, run, statuses, source=OLD, target=NEW, limits=Limits(**limits))


def changed(operations, number, **fields):
    return [dataclasses.replace(each, **fields) if each.n == number else each for each in operations]


def codes(evidence):
    return [(reason.verdict, reason.code) for reason in evidence.reasons]


def test_a_clean_run_that_exercised_both_releases_passes():
    evidence = judged(history())
    assert (evidence.verdict, evidence.reasons, evidence.exit_code) == ("PASS", (), 0)
    assert (evidence.requests, evidence.failed, evidence.lost, evidence.wrong) == (3023, 0, 0, 0)
    assert dataclasses.astuple(evidence.orders) == (1, 1, 0, 0)
    # 25 s at 50/s in turns, and the order by the old, its poll and the reading of its key by the new release.
    assert evidence.answers_by_release_while_mixed == {"2026.2": 626, "2027.1": 627}
    assert evidence.mixed_seconds == pytest.approx(25, abs=0.1)
    assert evidence.rows_written_by_one_read_by_other == evidence.read_across["2026.2 -> 2027.1"] > 1000
    assert evidence.failure_bound == pytest.approx(3 / 3023)


def test_latency_is_told_for_before_each_phase_of_the_plan_and_after():
    evidence = judged([*history(), read(9000, 30, "k1", NEW, took=2.0)])
    assert [part.phase for part in evidence.latency] == ["before", "expand", "roll", "contract", "after", "all"]
    by_phase = {part.phase: part for part in evidence.latency}
    assert by_phase["roll"].max_ms == pytest.approx(2000)
    assert by_phase["before"].max_ms == by_phase["after"].p50_ms == pytest.approx(20)
    assert sum(part.requests for part in evidence.latency[:-1]) == by_phase["all"].requests


def test_steps_stand_with_planned_and_actual_seconds():
    (expand, _, contract) = judged(history()).steps
    assert (expand.planned_s, expand.actual_s, expand.offset_s) == (5.0, 5.0, 10.0)
    assert contract.point_of_no_return


def test_one_failed_request_refuses_and_says_when_what_and_who():
    evidence = judged(changed(history(), 1001, outcome="fail", status=503, state=None, hash=None))
    assert (evidence.verdict, evidence.exit_code, evidence.failed) == ("REFUSE", 1, 1)
    (reason,) = evidence.reasons
    assert reason.sentence == (
        "1 request was answered 503 at 19.8 s, during step 'Title of replace'; "
        "first: read #1001 (kept connection): status 503 from api-1 of 2026.2"
    )
    assert reason.evidence["by_step"] == {"during step 'Title of replace'": 1}


def test_a_lost_connection_is_laid_to_the_stop_that_it_lived_through():
    steps = (STEPS[0], STEPS[1], step("stop", "roll", 19.5, 19.7, op="stop"), step("soak", "roll", 19.7, 40), STEPS[2])
    run = dataclasses.replace(RUN, steps=steps)
    for status, error, named in ((None, "closed", "stop"), (503, None, "soak")):
        failed = changed(history(), 1001, outcome="fail", status=status, error=error, start=T0 + 19.0, state=None)
        (reason,) = judged(failed, run).reasons
        assert reason.evidence["by_step"] == {f"during step 'Title of {named}'": 1}


def test_failures_are_grouped_by_what_happened_the_most_frequent_first():
    operations = history()
    for number, error in ((1000, "reset"), (1001, "timeout"), (2600, "reset")):
        lost = {"outcome": "fail", "status": None, "error": error, "state": None, "hash": None, "release": None}
        operations = changed(operations, number, **lost)
    first, second = judged(operations).reasons
    assert "2 requests lost the connection to a reset at 19.8-51.8 s" in first.sentence
    assert "also after the last step" in first.sentence
    assert "1 request got no answer in time" in second.sentence
    assert first.evidence["by_connection"] == {"kept": 2}


@pytest.mark.parametrize("phase", ["probe", "final"])
def test_failures_of_probes_and_of_the_read_back_count_too(phase):
    failed = dataclasses.replace(read(9000, 20, "k1", NEW, phase=phase), outcome="fail", status=500, state=None)
    evidence = judged([*history(), failed])
    assert (evidence.verdict, evidence.failed, evidence.failed_by_phase) == ("REFUSE", 1, {phase: 1})


@pytest.mark.parametrize(
    ("fields", "code", "count"),
    [
        ({"hash": "h2", "n": 5001}, "wrong-content", "wrong"),
        ({"state": "absent", "hash": None, "n": 5001}, "acknowledged-lost", "lost"),
        ({"state": "absent", "hash": None, "n": 1001}, "stale-read", "stale"),
    ],
)
def test_what_the_checker_finds_refuses_and_names_both_releases(fields, code, count):
    number = fields.pop("n")
    evidence = judged(changed(history(), number, **fields))
    assert codes(evidence) == [("REFUSE", code)]
    assert getattr(evidence, count) == 1
    assert "written before the load by 2026.2" in evidence.reasons[0].sentence
    assert evidence.reasons[0].evidence["written_by"] == {"2026.2": 1}


def test_a_deleted_key_that_comes_back_refuses():
    gone = Operation(9000, "delete", "delete", "load", T0 + 30, T0 + 30, T0 + 30.01, "ok", key="k1", status=204)
    evidence = judged([*history(), gone])
    assert codes(evidence) == [("REFUSE", "resurrected")]
    assert evidence.resurrected == 1


def test_an_order_that_was_never_done_or_done_twice_refuses():
    lost = judged(changed(history(), 4001, state="pending", made=None))
    assert ("REFUSE", "order-lost") in codes(lost)
    assert (lost.orders.lost, lost.orders.done) == (1, 0)
    again = dataclasses.replace(read(4003, 50, "o", NEW), op="poll", kind="poll", hash=None, state="done", made="m2")
    doubled = judged([*history(), again])
    assert codes(doubled) == [("REFUSE", "order-doubled")]
    assert doubled.orders.doubled == 1


def test_a_message_that_an_old_process_could_not_read_means_that_the_pin_was_not_kept():
    def status(refused):
        process = ProcessStatus("worker-1", "worker", OLD, 42, "live", 0.1, 3, refused=refused)
        return ServiceStatus("store", OLD, processes=(process,))

    evidence = judged(history(), statuses=[status(0), status(3), status(2)])
    assert codes(evidence) == [("REFUSE", "pin-not-kept")]
    assert evidence.reasons[0].sentence == (
        "the pin was not kept: worker-1 of 2026.2 was sent 3 messages that only a newer release can read"
    )
    assert judged(history(), statuses=[status(0)]).verdict == "PASS"


def test_a_process_that_speaks_above_the_pin_is_refused_even_before_anyone_is_harmed():
    def status(override, *, pin=OLD, state="live", release=NEW):
        process = ProcessStatus("api-1", "api", release, 42, state, 0.1, 3, pin_override=override)
        return ServiceStatus("store", pin, processes=(process,))

    evidence = judged(history(), statuses=[status(None), status(NEW)])
    assert codes(evidence) == [("REFUSE", "pin-overridden")]
    assert evidence.reasons[0].sentence == (
        "the pin was not kept: api-1 of 2027.1 speaks 2027.1 because of BASCULE_PIN_OVERRIDE, while the pin was 2026.2"
    )
    harmless = [
        status(OLD),
        status(NEW, pin=NEW),
        status(NEW, state="dead"),
        status(NEW, release=OLD),  # it knows nothing newer to speak
    ]
    assert judged(history(), statuses=harmless).verdict == "PASS"


def test_an_upgrade_that_failed_is_refused_with_its_step_and_error():
    steps = (*STEPS[:2], step("contract", "contract", 45, 46, state="failed", error="an old process lives"))
    evidence = judged(history(), dataclasses.replace(RUN, mode="forward", steps=steps))
    assert codes(evidence) == [("REFUSE", "upgrade-failed")]
    assert evidence.reasons[0].sentence == ("the upgrade failed at step 'Title of contract': an old process lives")


def test_an_upgrade_that_was_left_unfinished_is_refused_with_the_step_that_is_missing():
    steps = (*STEPS[:2], dataclasses.replace(STEPS[2], state="pending", started_at=None, ended_at=None, actual_s=None))
    evidence = judged(history(), dataclasses.replace(RUN, mode="paused", steps=steps))
    assert "it is paused; the next step would have been 'Title of contract'" in evidence.reasons[0].sentence


def test_a_roll_back_passes_where_it_was_asked_for():
    run = dataclasses.replace(RUN, mode="rolled-back")
    assert judged(history(), run).verdict == "REFUSE"
    assert judged(history(), run, modes=("rolled-back",)).verdict == "PASS"


def test_a_run_in_which_one_release_hardly_answered_is_inconclusive():
    evidence = judged(history(), mixed_answers=700)
    assert (evidence.verdict, evidence.exit_code) == ("INCONCLUSIVE", 3)
    assert codes(evidence) == [("INCONCLUSIVE", "not-mixed")]
    assert "626 by 2026.2, 627 by 2027.1" in evidence.reasons[0].sentence


def test_a_run_that_never_mixed_is_inconclusive():
    alone = [dataclasses.replace(each, release=str(OLD)) for each in history()]
    evidence = judged(alone)
    assert codes(evidence) == [("INCONCLUSIVE", "not-mixed")]
    assert evidence.answers_by_release_while_mixed == {}


@pytest.mark.parametrize("limits", [{"requests": 4000}, {"rate_per_s": 60.0}])
def test_too_little_load_is_inconclusive(limits):
    assert codes(judged(history(), **limits)) == [("INCONCLUSIVE", "load-too-small")]


def test_a_run_without_a_read_back_is_inconclusive():
    evidence = judged([each for each in history() if each.phase != "final"])
    assert codes(evidence) == [("INCONCLUSIVE", "nothing-read")]


def test_a_key_that_nobody_saw_again_is_inconclusive():
    blind = Operation(9000, "create", "create", "load", T0 + 5, T0 + 5, T0 + 6, "ok", key="z", status=201, hash="z")
    evidence = judged([*history(), blind])
    assert codes(evidence) == [("INCONCLUSIVE", "unread")]
    assert evidence.unread == 1


def test_an_empty_history_is_inconclusive_and_not_a_crash():
    evidence = judged([])
    assert evidence.verdict == "INCONCLUSIVE"
    assert {code for _, code in codes(evidence)} == {"not-mixed", "load-too-small", "nothing-read"}


def test_the_worst_reason_wins():
    assert worst([]) == "PASS"
    assert worst(["INCONCLUSIVE", "REFUSE", "PASS"]) == "REFUSE"
    assert worst(["PASS", "INCONCLUSIVE"]) == "INCONCLUSIVE"


def test_evidence_survives_the_way_through_json():
    evidence = judged(changed(history(), 1001, outcome="fail", status=503))
    assert from_plain(Evidence, to_plain(evidence)) == evidence


def test_a_history_file_is_judged_like_its_operations(tmp_path):
    writer = HistoryWriter(tmp_path / "h.jsonl")
    for operation in history():
        writer.add(operation)
    writer.close()
    assert judge(tmp_path / "h.jsonl", RUN, [], source=OLD, target=NEW) == judged(history())


def test_a_history_that_is_none_is_refused_with_its_line(tmp_path):
    (tmp_path / "h.jsonl").write_text('{"n":1}\n')
    with pytest.raises(HistoryUnreadable, match="line 1 is not an operation"):
        judge(tmp_path / "h.jsonl", RUN, [], source=OLD, target=NEW)
    with pytest.raises(HistoryUnreadable, match="No such file"):
        judge(tmp_path / "absent", RUN, [], source=OLD, target=NEW)
