"""The number of a project's secrets while several threads add, delete and list at once, on real servers."""

import datetime as dt
import random
import threading
from concurrent.futures import ThreadPoolExecutor

from support.count_cases import Counting, Epoch

WRITERS, EACH = 4, 20
FAR = dt.datetime(2990, 1, 1)  # noqa: DTZ001 - as the database has it


def test_nobody_sees_fewer_than_were_there_and_in_the_end_all_see_the_same(keymanager):
    epoch = Epoch()
    processes = [Counting(keymanager.parts, epoch) for _ in range(WRITERS)]
    processes[0].add()
    done = threading.Event()

    def add(process):
        return [process.add() for _ in range(EACH)]

    def watch(process):
        seen = [process.total()]
        while not done.is_set():
            seen.append(process.total())
        return seen

    with ThreadPoolExecutor(2 * WRITERS) as threads:
        watching = [threads.submit(watch, process) for process in processes[:2]]
        added = [secret for batch in threads.map(add, processes) for secret in batch]
        done.set()
    for seen in (each.result() for each in watching):
        assert seen == sorted(seen)
        assert len(seen) > 2
    assert [each.total() for each in processes] == [1 + WRITERS * EACH] * WRITERS

    def mix(numbered):
        number, process = numbered
        choice, mine = random.Random(number), added[number::WRITERS]
        for secret in mine:
            if choice.random() < 0.7:
                process.secrets.delete(secret)
            else:
                process.add(expiration=choice.choice((None, FAR)))
            process.total()

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(mix, enumerate(processes)))
    assert [each.total() for each in processes] == [processes[0].counted()] * WRITERS
