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


def test_pages_are_right_while_others_write(keymanager):
    """Every page that is read is one that the table had; in the end, each process pages through what is there."""
    epoch = Epoch()
    processes = [Counting(keymanager.parts, epoch) for _ in range(WRITERS)]
    first = [processes[0].add() for _ in range(60)]
    with keymanager.database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE secrets SET created_at = '2026-01-01 00:00:00'")
    done = threading.Event()

    def write(process):
        for _ in range(EACH):
            process.secrets.delete(process.add())

    def page(process):
        seen = 0
        while not done.is_set():
            for offset in (0, 10, 35, 50):
                # What others add is younger, so it never moves these.
                assert process.ids(offset, 10) == standing[offset : offset + 10]
                seen += 1
        return seen

    standing = processes[0].ordered()
    assert sorted(standing) == sorted(first)
    with ThreadPoolExecutor(2 * WRITERS) as threads:
        paging = [threads.submit(page, process) for process in processes[2:]]
        list(threads.map(write, processes[:2]))
        done.set()
    assert all(each.result() > 0 for each in paging)
    processes[0].secrets.delete(standing.pop(0))
    for process in processes:
        pages = [process.ids(offset, 7) for offset in range(0, 63, 7)]
        assert [each for page in pages for each in page] == standing
