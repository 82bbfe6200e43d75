"""Processes that work in steps are stopped."""

import time

from support.waiting import eventually


def test_a_worker_finishes_the_step_in_hand_and_ends_with_0(run):
    worker = run("worker", "worker-1", SMALL_STEP_S="1.5").wait_ready()
    eventually(lambda: "step begins" in worker.notes)
    worker.terminate()
    assert worker.exit_code() == 0
    assert worker.notes.count("step begins") == worker.notes.count("step ends") >= 1
    assert worker.notes[-1] == "stop"
    assert "drain" in worker.notes
    assert worker.notes.index("drain") < len(worker.notes) - 1 - worker.notes[::-1].index("step ends")


def test_a_step_that_outlives_the_deadline_is_abandoned_and_said_so(run):
    worker = run("worker", "worker-1", SMALL_STEP_S="60", SMALL_DEADLINE_S="0.5").wait_ready()
    eventually(lambda: "step begins" in worker.notes)
    worker.terminate()
    assert worker.exit_code() == 1
    assert "abandoned order req-" in worker.stderr


def test_every_job_in_hand_is_finished_or_named(run):
    worker = run("worker", "worker-1", SMALL_STEP_S="2", SMALL_THREADS="5").wait_ready()
    eventually(lambda: worker.notes.count("step begins") == 5)
    worker.terminate()
    assert worker.exit_code() == 0
    assert worker.notes.count("step begins") == worker.notes.count("step ends") == 5

    late = run("worker", "worker-2", SMALL_STEP_S="60", SMALL_THREADS="5", SMALL_DEADLINE_S="0.5").wait_ready()
    eventually(lambda: late.notes.count("step begins") == 5)
    late.terminate()
    assert late.exit_code() == 1
    assert late.stderr.count("abandoned order req-") == 5


def test_a_worker_told_to_drain_for_no_time_drops_its_step_at_once(run):
    worker = run("worker", "worker-1", SMALL_STEP_S="60", BASCULE_DRAIN_S="0").wait_ready()
    eventually(lambda: "step begins" in worker.notes)
    began = time.monotonic()
    worker.terminate()
    assert worker.exit_code() == 0
    assert time.monotonic() - began < 5
    assert "step ends" not in worker.notes
