"""The worker's loop in this very process, where the test may send it SIGTERM."""

import logging
import os
import signal
import threading
import time

from bascule.errors import BasculeError
from bascule.lifecycle import ProcessEnvironment, run_loop

HERE = ProcessEnvironment("worker-1")


def stop():
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_loop_works_until_it_is_told_to_stop_and_runs_its_hooks_in_order():
    done, hooks = [], []

    def step():
        done.append(len(done))
        if len(done) == 3:
            stop()
        return True

    code = run_loop(
        step,
        on_start=lambda: hooks.append("start"),
        on_drain=lambda: hooks.append("drain"),
        on_stop=lambda: hooks.append("stop"),
        environment=HERE,
    )
    assert (code, done) == (0, [0, 1, 2])
    assert hooks[0] == "start"
    assert sorted(hooks[1:]) == ["drain", "stop"]


def test_an_idle_loop_wakes_at_once_when_it_is_called():
    wake, calls, began = threading.Event(), [], time.monotonic()

    def step():
        calls.append(1)
        if len(calls) == 1:
            wake.set()
            return False
        stop()
        return True

    assert run_loop(step, wake=wake, poll_s=60, environment=HERE) == 0
    assert time.monotonic() - began < 30


def test_the_sweep_runs_beside_the_steps():
    swept = []

    def sweep():
        swept.append(1)
        stop()

    assert run_loop(lambda: False, sweep=sweep, sweep_s=0.0, poll_s=0.01, environment=HERE) == 0
    assert swept


def test_a_step_that_fails_is_logged_without_its_message_and_tried_again(caplog):
    failures = [ValueError("the payload itself"), BasculeError("this may be said")]
    wake = threading.Event()

    def step():
        wake.set()
        if failures:
            raise failures.pop(0)
        stop()
        return True

    with caplog.at_level(logging.ERROR):
        assert run_loop(step, wake=wake, environment=HERE) == 0
    assert "ValueError" in caplog.text
    assert "this may be said" in caplog.text
    assert "the payload itself" not in caplog.text


def test_the_handlers_of_the_caller_come_back():
    before = signal.getsignal(signal.SIGTERM)
    run_loop(lambda: stop() is None, environment=HERE)
    assert signal.getsignal(signal.SIGTERM) is before
