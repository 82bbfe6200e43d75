"""Real processes are started, stopped, killed, frozen and held at random, while each says by which pin it speaks.

`BASCULE_PIN_STEPS` (with `make fuzz-pins`) makes the histories longer and more.
"""

import bisect
import multiprocessing
import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from support.waiting import eventually

from bascule.lifecycle import PinTooOld
from bascule.release import Release

from .pin_process import TTL_S, registry, run

STEPS = int(os.environ.get("BASCULE_PIN_STEPS", "8"))
HISTORIES = 1 if STEPS < 50 else 20
MOST = 4
SEEN_WITHIN_S = 0.3  # a listener counts between two of its own signs that are no farther apart

numbers = st.integers(0, 2)
places = st.integers(0, MOST - 1)


class Fleet(RuleBasedStateMachine):
    """Up to four processes of three releases."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{self.folder.name}/service.db"
        engine = sa.create_engine(self.url)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        engine.dispose()
        self.operator = registry(self.url, 0)
        self.operator.create_tables()
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([run.__module__, "sqlalchemy.dialects.sqlite"])
        self.all, self.frozen = [], set()

    @property
    def running(self):
        return [each for each in self.all if each[0].is_alive()]

    def pick(self, place):
        return self.running[place % len(self.running)]

    @precondition(lambda self: len(self.running) < MOST)
    @rule(number=numbers)
    def start(self, number):
        log = Path(self.folder.name, f"{len(self.all)}-{number}.log")
        log.touch()
        process = self.context.Process(target=run, args=(self.url, number, f"p{len(self.all)}", str(log)), daemon=True)
        process.start()
        self.all.append((process, number, log))
        eventually(lambda: log.stat().st_size or not process.is_alive() or self.frozen, what="a start")

    @precondition(lambda self: self.running)
    @rule(place=places)
    def leave(self, place):
        os.kill(self.pick(place)[0].pid, signal.SIGTERM)

    @precondition(lambda self: self.running)
    @rule(place=places)
    def kill(self, place):
        self.pick(place)[0].kill()

    @precondition(lambda self: self.running)
    @rule(place=places, long=st.booleans())
    def freeze(self, place, long):
        process = self.pick(place)[0]
        os.kill(process.pid, signal.SIGSTOP)
        self.frozen.add(process)
        if long:
            self.wait(TTL_S * 1.5)

    @precondition(lambda self: self.frozen)
    @rule()
    def thaw(self):
        while self.frozen:
            process = self.frozen.pop()
            if process.is_alive():
                os.kill(process.pid, signal.SIGCONT)

    @rule(number=numbers)
    def hold(self, number):
        with suppress(PinTooOld):  # somebody lives who could not write it
            self.operator.hold(Release((number,)))

    @rule()
    def let_go(self):
        self.operator.release_hold()

    @rule(seconds=st.floats(0.05, 0.5))
    def wait(self, seconds):
        eventually_at = multiprocessing.Event()
        eventually_at.wait(seconds)

    def teardown(self):
        try:
            self.thaw()
            self.operator.release_hold()
            eventually(self.is_settled, within_s=20, what="a fleet that works by its lowest release")
        finally:
            for process, *_ in self.all:
                if process.is_alive():
                    process.kill()
                process.join(10)
        try:
            self.check_what_was_said()
        finally:
            self.operator.engine.dispose()
            self.folder.cleanup()

    def is_settled(self):
        pin, epoch, _, rows = self.operator.status()
        live = [row for row in rows if row.state == "live"]
        speaking = [number for process, number, log in self.all if process.is_alive() and log.stat().st_size]
        if len(live) != len(speaking) or len(self.running) != len(speaking):
            return False
        return not live or (
            pin == min(row.release for row in live) and all(row.acknowledged_epoch == epoch for row in live)
        )

    def check_what_was_said(self):
        signs = {}
        for _, number, log in self.all:
            lines = [line.split() for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
            signs[log] = (number, [(float(at), word) for at, word in lines])
        print(f"{len(signs)} processes said {sum(len(said) for _, said in signs.values())} words")
        for speaker, (_, said) in signs.items():
            for at, word in said:
                if word == "-":
                    continue
                for listener, (number, heard) in signs.items():
                    if listener != speaker and listens(heard, at):
                        assert max(0, number - 1) <= int(word) <= number, (word, speaker.name, listener.name, at)


def listens(signs, at):
    """Whether a process was in force just before and just after this moment."""
    after = bisect.bisect_left(signs, (at, ""))
    if not 0 < after < len(signs):
        return False
    (before_at, before), (after_at, then) = signs[after - 1], signs[after]
    return "-" not in (before, then) and after_at - before_at <= SEEN_WITHIN_S


def test_real_processes_never_say_what_another_cannot_read_and_always_settle():
    run_state_machine_as_test(
        Fleet,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # a history of real processes is not the same twice, so it is not made smaller
            suppress_health_check=list(HealthCheck),
        ),
    )
