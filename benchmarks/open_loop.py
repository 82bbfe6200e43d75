"""Writers of the old release, each in a process of its own: open loop, latency counted from when a write was due.

As a program it is one writer: a line of JSON on stdin says what to write and where; it answers once it is connected, is
told when the first write is due, and stops at the end of stdin; the samples come out on stdout. A writer that waits
does not write less: what it missed is due at once, and counts as late.
"""

import json
import math
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

# Of ten writes: what the change is about, what it is not about, and a new row.
STATEMENTS = (
    *["UPDATE users SET fullname = {0} WHERE id = {1}"] * 7,
    *["UPDATE users SET visits = visits + {0} WHERE id = {1}"] * 2,
    "INSERT INTO users (fullname, email, note, visits) VALUES ({0}, 'new@example.org', {1}, 0)",
)
LONGEST_WAIT_S = 60
WARM_UP_S = 2.0


@dataclass(frozen=True)
class Sample:
    """One write: when it was due (monotonic seconds), how late it was done (seconds), and the error, if any."""

    due: float
    late_s: float
    error: str = ""


@dataclass(frozen=True)
class Writer:
    """What one writer does: where, over how many rows, how often; `where` is what its driver connects with."""

    driver: str
    where: dict[str, Any]
    rows: int
    per_s: float
    seed: int


class OpenLoop:
    """Writers that run while the block runs; `samples` holds all of theirs afterwards."""

    def __init__(self, driver: str, where: dict[str, Any], rows: int, *, per_s: float, writers: int = 4) -> None:
        self._writers = [Writer(driver, where, rows, per_s / writers, seed) for seed in range(writers)]
        self._interval_s = 1 / per_s
        self.samples: list[Sample] = []
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        for writer in self._writers:
            process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self._processes.append(process)
            tell(process, asdict(writer))
        for process in self._processes:
            assert process.stdout is not None
            process.stdout.readline()  # it has connected: a slow start is no late write
        first_due = time.monotonic() + 0.1
        for number, process in enumerate(self._processes):
            tell(process, first_due + number * self._interval_s)
        time.sleep(WARM_UP_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            assert process.stdout is not None
            self.samples += [Sample(*item) for item in json.loads(process.stdout.read() or "[]")]
            if process.wait(LONGEST_WAIT_S) and kind is None:
                raise RuntimeError("a writer failed; what it said is above")

    def between(self, start: float, end: float) -> list[Sample]:
        """Return the writes that were due in that time."""
        return [sample for sample in self.samples if start <= sample.due < end]


def tell(process: "subprocess.Popen[str]", message: object) -> None:
    """Send a writer a line."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


def p99_ms(samples: Sequence[Sample]) -> float:
    """Return the 99th percentile of the lateness, errors included: whoever got one had waited, too."""
    return percentile([sample.late_s for sample in samples], 0.99) * 1000


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def connect(driver: str, where: dict[str, Any]) -> tuple[Callable[[str, tuple[Any, ...]], object], str]:
    """Return what runs a statement on a plain driver connection, and the driver's placeholder."""
    if driver == "sqlite3":
        return sqlite3.connect(**where, timeout=LONGEST_WAIT_S, isolation_level=None).execute, "?"
    if driver == "psycopg":
        import psycopg  # noqa: PLC0415  # only the driver that is needed

        return psycopg.connect(**where, autocommit=True).execute, "%s"
    import pymysql  # noqa: PLC0415  # as above

    return pymysql.connect(**where, autocommit=True).cursor().execute, "%s"


def write_until(writer: Writer, stop: threading.Event) -> list[Sample]:
    """Write at the due times until told to stop."""
    execute, placeholder = connect(writer.driver, writer.where)
    print("connected", flush=True)
    due = float(sys.stdin.readline())
    threading.Thread(target=set_at_the_end_of_stdin, args=(stop,), daemon=True).start()
    statements = [statement.format(placeholder, placeholder) for statement in STATEMENTS]
    chance, samples = random.Random(writer.seed), []
    while not stop.is_set():
        if (ahead := due - time.monotonic()) > 0:
            time.sleep(ahead)
        statement = chance.choice(statements)
        value: object = chance.randrange(9) if "visits +" in statement else f"Old{chance.randrange(10**6)} Name"
        error = ""
        try:
            execute(statement, (value, chance.randint(1, writer.rows)))
        except Exception as failure:  # noqa: BLE001  # counted, and told with the result
            error = f"{type(failure).__name__}: {failure}"[:200]
        samples.append(Sample(due, time.monotonic() - due, error))
        due += 1 / writer.per_s
    return samples


def set_at_the_end_of_stdin(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def main() -> None:
    writer = Writer(**json.loads(sys.stdin.readline()))
    stop = threading.Event()
    print(json.dumps([[sample.due, sample.late_s, sample.error] for sample in write_until(writer, stop)]))


if __name__ == "__main__":
    main()
